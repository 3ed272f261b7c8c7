//! What a leader reads from its disk for a learner, and what the learner makes of it.

use std::rc::Rc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::FeedError;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{
    LeaderPacket, PROTOCOL_VERSION, PacketDecoder, PacketLimits, PeerSettings,
};
use ringkeeper_replication::leader::{
    FeedLimits, FeedPackets, FeedTask, LearnerFeed, LearnerFeedError, LinkId, SyncPlan,
};
use ringkeeper_replication::learner::{
    Dialect, FollowEnd, Learner, LearnerKind, LinkEnd, ZabState,
};

use crate::leader_disk::{LeaderDisk, z};
use crate::sim::check::promises::SentPackets;
use crate::sim::member::{Member, MemberLink, MemberSettings};
use crate::sim::net::Stream;
use crate::sim::server::ServerSettings;

const KINDS: [LearnerKind; 2] = [LearnerKind::Observer, LearnerKind::Follower];

fn task(last: Zxid, upto: Zxid) -> FeedTask {
    FeedTask { link: LinkId(1), last, upto, packets: FeedPackets::Proposals }
}

/// The plan, and all pieces.
fn read_all(leader: &LeaderDisk, last: Zxid, upto: Zxid) -> (SyncPlan, Vec<Vec<u8>>) {
    let mut feed = LearnerFeed::open(&leader.source(), task(last, upto)).expect("a good disk");
    let mut pieces = Vec::new();
    while let Some(piece) = feed.next_piece(&|| false).expect("a good disk") {
        assert!(!piece.is_empty());
        pieces.push(piece);
    }
    (feed.plan(), pieces)
}

/// What is proposed; each proposal has its commit behind it.
fn proposed(bytes: &[u8]) -> Vec<Zxid> {
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    decoder.push(bytes);
    let (mut zxids, mut open) = (Vec::new(), None);
    while let Some(packet) = decoder.decode().expect("packets") {
        match LeaderPacket::read(&packet).expect("of a leader") {
            LeaderPacket::Proposal { zxid, .. } => assert_eq!(open.replace(zxid), None),
            LeaderPacket::Commit { zxid } => {
                assert_eq!(open.take(), Some(zxid));
                zxids.push(zxid);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(open, None);
    zxids
}

/// What a leader at (2,6) has: (1,1) (1,2) and (2,1) to (2,6).
fn short() -> Vec<Zxid> {
    [z(1, 1), z(1, 2)].into_iter().chain((1..=6).map(|counter| z(2, counter))).collect()
}

/// Several segments, and a few epochs.
fn long() -> Vec<Zxid> {
    let epoch = |epoch| (1..=150).map(move |counter| z(epoch, counter));
    [1, 2, 5].into_iter().flat_map(epoch).collect()
}

/// A learner, whose links are fed by leaders on their disks.
struct Fed {
    member: Member,
    kind: LearnerKind,
}

impl Fed {
    fn new(kind: LearnerKind) -> Fed {
        let settings = MemberSettings {
            kind,
            server: ServerSettings::default(),
            hold_ms: 1_000_000,
            event_bytes_max: 1 << 20,
        };
        let mut member = Member::new(0, settings);
        member.start(0).expect("an empty directory");
        Fed { member, kind }
    }

    /// A learner that has these transactions in its log, and knows of none whether it is committed.
    fn with(kind: LearnerKind, zxids: &[Zxid]) -> Fed {
        let mut fed = Fed::new(kind);
        let before = LeaderDisk::new(zxids);
        let epoch = before.last().epoch().max(1);
        let (plan, end) = fed.link(&before, epoch, false);
        assert_eq!((plan, end, fed.last()), (SyncPlan::Diff, None, before.last()));
        fed
    }

    fn last(&mut self) -> Zxid {
        self.member.process.as_mut().expect("it runs").leader().position().last
    }

    /// What there is moves until nothing does.
    fn settle(&mut self) {
        for _ in 0..30 {
            let Member { process, link, record, .. } = &mut self.member;
            let process = process.as_mut().expect("it runs");
            process.read(link);
            process.server.release();
            process.follow(record);
            process.server.order(usize::MAX);
            process.log().complete();
            process.states.complete();
            let count = process.leader().outgoing().len();
            process.leader().sent(count);
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.member.link.as_mut().expect("it is linked").arrived.extend_from_slice(bytes);
        self.settle();
    }

    fn hear_packet(&mut self, packet: LeaderPacket<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        self.hear(&bytes);
    }

    /// One link to a leader that synchronizes it from its disk. Returns the plan, and why the link
    /// has ended by itself.
    fn link(
        &mut self,
        leader: &LeaderDisk,
        epoch: u32,
        is_quorum_there: bool,
    ) -> (SyncPlan, Option<FollowEnd>) {
        self.settle();
        let process = self.member.process.as_mut().expect("it runs");
        let (kind, server, dialect) = (self.kind, ServerId(1), Dialect::ZooKeeper);
        let settings = PeerSettings::default();
        let learner = Learner { kind, server, config_version: 0, dialect, settings };
        process.leader().connect(learner);
        process.ends.clear();
        let last = process.leader().position().last;
        self.member.link = Some(MemberLink {
            to_leader: Stream::default(),
            to_member: Stream::default(),
            arrived: Vec::new(),
            is_open: true,
            sent: SentPackets::new(),
        });
        let history = leader.history.iter().cloned().map(Rc::new).collect();
        let upto = leader.last();
        self.member.record.borrow_mut().offered(history, Some(upto));
        let begin = Zxid::new(epoch, 0);
        self.hear_packet(LeaderPacket::LeaderInfo {
            zxid: begin,
            protocol: PROTOCOL_VERSION,
            extension: &[],
        });
        let (plan, pieces) = read_all(leader, last, upto);
        self.hear_packet(match plan {
            SyncPlan::Diff => LeaderPacket::Diff { zxid: upto },
            SyncPlan::Trunc(zxid) => LeaderPacket::Trunc { zxid },
            SyncPlan::Snap(zxid) => LeaderPacket::Snap { zxid },
        });
        pieces.iter().for_each(|piece| self.hear(piece));
        self.hear_packet(LeaderPacket::NewLeader { zxid: begin, config: Some(b"version=0") });
        if is_quorum_there {
            self.hear_packet(LeaderPacket::UpToDate);
        }
        let process = self.member.process.as_mut().expect("it runs");
        let end = process.ends.first().cloned();
        let state = process.leader().state();
        let expected =
            if is_quorum_there { ZabState::Broadcast } else { ZabState::Synchronization };
        assert!(end.is_some() || state == expected, "{plan:?} {state:?}");
        process.leader().disconnect();
        self.member.link = None;
        self.settle();
        (plan, end)
    }

    /// Whether it has the state of the leader, and all of it is released; and recovers it.
    fn has_all_of(&mut self, leader: &LeaderDisk) {
        {
            let process = self.member.process.as_mut().expect("it runs");
            let db = process.server.db();
            let expected = leader.state_at(leader.last());
            assert_eq!(db.applied(), leader.last());
            assert_eq!(db.tree.digest(), expected.tree.digest());
            assert!(db.sessions().eq(expected.sessions()));
        }
        self.settle();
        self.member.process = None;
        self.member.start(0).expect("what it has is whole");
        let process = self.member.process.as_ref().expect("it runs");
        assert_eq!(process.server.db().applied(), leader.last());
    }
}

/// Synchronizes a learner with this log, with one link, and compares.
fn synchronizes(log: &[Zxid], leader: &LeaderDisk, plan: SyncPlan) {
    for kind in KINDS {
        let mut fed = Fed::with(kind, log);
        assert_eq!(fed.link(leader, 7, true), (plan, None), "{log:?}");
        fed.has_all_of(leader);
    }
}

#[test]
fn learner_ends_with_its_leaders_tree_whatever_it_has() {
    let (all, leader) = (short(), LeaderDisk::new(&short()));
    synchronizes(&[], &leader, SyncPlan::Diff);
    (1..=all.len()).for_each(|kept| synchronizes(&all[..kept], &leader, SyncPlan::Diff));
    let with = |kept: usize, more: &[Zxid]| [&all[..kept], more].concat();
    let ahead: Vec<Zxid> = (7..=11).map(|counter| z(2, counter)).collect();
    synchronizes(&with(8, &ahead), &leader, SyncPlan::Trunc(z(2, 6)));
    synchronizes(&with(8, &[z(3, 1), z(3, 2)]), &leader, SyncPlan::Trunc(z(2, 6)));
    let unknown: Vec<Zxid> = (3..=9).map(|counter| z(1, counter)).collect();
    synchronizes(&with(2, &unknown), &leader, SyncPlan::Trunc(z(1, 2)));
    let fresh = LeaderDisk::new(&all[..2]);
    synchronizes(&with(2, &unknown[..3]), &fresh, SyncPlan::Trunc(z(1, 2)));
}

#[test]
fn learner_gets_a_state_where_the_log_is_long_or_purged_or_has_nothing_in_common() {
    let mut leader = LeaderDisk::new(&short());
    for limits in [FeedLimits { first_diff_bytes: 100, ..leader.limits }, FeedLimits::default()] {
        leader.limits = limits;
        let mut fed = Fed::new(LearnerKind::Follower);
        assert_eq!(fed.link(&leader, 7, true), (SyncPlan::Snap(z(2, 6)), None));
        fed.has_all_of(&leader);
    }
    let mut purged = LeaderDisk::new(&long());
    purged.snapshot();
    purged.extend(&(151..=160).map(|counter| z(5, counter)).collect::<Vec<Zxid>>());
    assert!(purged.purge() > 1);
    for log in [&[][..], &short()[..1], &[&short()[..2], &[z(3, 1)]].concat()] {
        synchronizes(log, &purged, SyncPlan::Snap(z(5, 160)));
    }
    let other = LeaderDisk::new(&[z(4, 1), z(4, 2)]);
    synchronizes(&short()[..2], &other, SyncPlan::Snap(z(4, 2)));
    synchronizes(&short()[..2], &LeaderDisk::new(&[]), SyncPlan::Snap(Zxid::ZERO));
}

/// The leader does not know what is below its cut. The next link goes on from what is left.
#[test]
fn cut_that_meets_a_hole_is_followed_by_a_link_that_fills_it() {
    let leader = LeaderDisk::new(&short());
    for kind in KINDS {
        let mut fed = Fed::with(kind, &[&short()[..3], &[z(3, 1), z(3, 2)]].concat());
        let (zxid, last) = (z(2, 6), z(2, 1));
        let hole = FollowEnd::Link(LinkEnd::OtherHistory { zxid, last });
        assert_eq!(fed.link(&leader, 7, true), (SyncPlan::Trunc(z(2, 6)), Some(hole)));
        assert_eq!(fed.link(&leader, 7, true), (SyncPlan::Diff, None));
        fed.has_all_of(&leader);
    }
}

/// Learners of ZooKeeper's report it, ours do not.
#[test]
fn beginning_of_an_epoch_is_what_its_first_transaction_follows() {
    let leader = LeaderDisk::new(&short());
    for (last, behind) in [(z(1, 0), 0), (z(2, 0), 2)] {
        let (plan, pieces) = read_all(&leader, last, z(2, 6));
        assert_eq!(
            (plan, proposed(&pieces.concat())),
            (SyncPlan::Diff, short()[behind..].to_vec())
        );
    }
    let later = LeaderDisk::new(&[&short()[..], &[z(5, 1)]].concat());
    for last in [z(3, 0), z(4, 0)] {
        assert_eq!(read_all(&leader, last, z(2, 6)).0, SyncPlan::Snap(z(2, 6)), "{last}");
        assert_eq!(read_all(&later, last, z(5, 1)).0, SyncPlan::Snap(z(5, 1)), "{last}");
    }
    assert_eq!(read_all(&later, z(5, 0), z(5, 1)).0, SyncPlan::Diff);
}

/// The leader took over the state of one that had ordered nothing in its epoch.
#[test]
fn leader_whose_log_begins_behind_the_beginning_of_an_epoch_never_has_that_as_a_cut() {
    let mut leader = LeaderDisk::installed(z(4, 0));
    let snaps = [Zxid::ZERO, z(1, 3), z(3, 0), z(5, 1), z(5, 0)];
    for last in snaps {
        assert_eq!(read_all(&leader, last, z(4, 0)).0, SyncPlan::Snap(z(4, 0)), "{last}");
    }
    assert_eq!(read_all(&leader, z(4, 0), z(4, 0)), (SyncPlan::Diff, Vec::new()));
    leader.extend(&[z(6, 1), z(6, 2)]);
    for last in [Zxid::ZERO, z(3, 7), z(4, 1), z(5, 1), z(5, 0)] {
        let (plan, pieces) = read_all(&leader, last, z(6, 2));
        assert_eq!(plan, SyncPlan::Snap(z(6, 2)), "{last}");
        let bytes = pieces.concat();
        let loaded = ringkeeper_engine::zookeeper::load_stream(&bytes[..], z(6, 2), 3).unwrap();
        let read = loaded.rebuild.finish(0).unwrap();
        assert_eq!(read.tree.digest(), leader.opened.db.tree.digest());
    }
    for (last, behind) in [(z(4, 0), 0), (z(6, 0), 0), (z(6, 1), 1)] {
        let (plan, pieces) = read_all(&leader, last, z(6, 2));
        assert_eq!((plan, proposed(&pieces.concat())), (SyncPlan::Diff, all_of(&leader, behind)));
    }
    assert_eq!(read_all(&leader, z(6, 3), z(6, 2)).0, SyncPlan::Trunc(z(6, 2)));
}

fn all_of(leader: &LeaderDisk, behind: usize) -> Vec<Zxid> {
    leader.history[behind..].iter().map(|txn| txn.zxid).collect()
}

#[test]
fn transactions_from_anywhere_to_anywhere_come_in_pieces_with_their_commits() {
    let (all, mut leader) = (long(), LeaderDisk::new(&long()));
    for piece_bytes in [1, 700, 5_000, 256 << 10] {
        leader.limits.piece_bytes = piece_bytes;
        for from in (0..all.len()).step_by(31) {
            let upto = all[from + (all.len() - from) / 2];
            let (plan, pieces) = read_all(&leader, all[from], upto);
            assert_eq!(plan, SyncPlan::Diff);
            let within: Vec<Zxid> =
                all[from + 1..].iter().copied().take_while(|zxid| *zxid <= upto).collect();
            assert_eq!(proposed(&pieces.concat()), within);
            let small = pieces.iter().all(|piece| {
                piece.len() <= piece_bytes + piece_bytes / 2 || proposed(piece).len() == 1
            });
            assert!(small, "{piece_bytes}");
        }
    }
}

#[test]
fn state_in_pieces_is_that_of_the_plan_also_where_the_log_goes_on() {
    let mut leader = LeaderDisk::new(&long());
    leader.limits.first_diff_bytes = 0;
    leader.limits.piece_bytes = 999;
    let upto = long()[200];
    for _ in 0..2 {
        let (plan, pieces) = read_all(&leader, Zxid::ZERO, upto);
        assert_eq!(plan, SyncPlan::Snap(upto));
        assert!(pieces.len() > 9 && pieces.iter().all(|piece| piece.len() <= 999));
        let bytes = pieces.concat();
        let loaded = ringkeeper_engine::zookeeper::load_stream(&bytes[..], upto, 3).unwrap();
        assert_eq!(loaded.bytes, bytes.len() as u64);
        let read = loaded.rebuild.finish(0).unwrap();
        assert_eq!(read.tree.digest(), leader.state_at(upto).tree.digest());
        // The second time from a snapshot that is older than the end.
        let mut with_snapshot = LeaderDisk::new(&long()[..100]);
        with_snapshot.snapshot();
        with_snapshot.extend(&long()[100..]);
        with_snapshot.limits = leader.limits;
        leader = with_snapshot;
    }
}

/// A task has waited while the leader went on, took a snapshot and purged.
#[test]
fn state_of_a_task_that_has_waited_is_that_of_the_newest_snapshot() {
    let mut leader = LeaderDisk::new(&long());
    leader.snapshot();
    assert!(leader.purge() > 1);
    for last in [Zxid::ZERO, z(1, 3)] {
        let (plan, pieces) = read_all(&leader, last, z(2, 9));
        assert_eq!(plan, SyncPlan::Snap(z(5, 150)));
        let bytes = pieces.concat();
        let loaded = ringkeeper_engine::zookeeper::load_stream(&bytes[..], z(5, 150), 3).unwrap();
        let read = loaded.rebuild.finish(0).unwrap();
        assert_eq!(read.tree.digest(), leader.opened.db.tree.digest());
    }
}

#[test]
fn nothing_is_purged_that_a_feed_still_needs() {
    let mut leader = LeaderDisk::new(&long()[..200]);
    leader.snapshot();
    leader.extend(&long()[200..]);
    leader.limits = FeedLimits { piece_bytes: 2_000, first_diff_bytes: 0 };
    let open = |leader: &LeaderDisk, last| {
        LearnerFeed::open(&leader.source(), task(last, leader.last())).expect("a good disk")
    };
    let (mut snap, mut diff) = (open(&leader, Zxid::ZERO), open(&leader, z(1, 50)));
    leader.snapshot();
    assert_eq!(leader.purge(), 0, "a state is about to be loaded");
    assert!(snap.next_piece(&|| false).is_ok_and(|piece| piece.is_some()));
    // In memory it needs nothing. The other one has passed the first segment.
    assert_eq!(leader.purge(), 2, "the older snapshot, and a segment");
    let mut bytes = Vec::new();
    while let Some(piece) = diff.next_piece(&|| false).expect("all is there") {
        bytes.extend(piece);
    }
    assert_eq!(proposed(&bytes), long()[50..]);
    assert!(leader.purge() > 0);
}

#[test]
fn feed_whose_log_is_cut_fails_with_a_sentence() {
    let mut leader = LeaderDisk::new(&long());
    leader.limits.piece_bytes = 1_000;
    let mut feed = LearnerFeed::open(&leader.source(), task(z(1, 5), leader.last())).unwrap();
    assert!(feed.next_piece(&|| false).is_ok_and(|piece| piece.is_some()));
    leader.opened.recovered.log.cut(z(5, 3), Zxid::ZERO).unwrap();
    let failed = feed.next_piece(&|| false).unwrap_err();
    assert!(matches!(failed, LearnerFeedError::Log(FeedError::HistoryChanged)));
    assert!(failed.to_string().contains("does not lead any more"), "{failed}");
}

/// Wherever it is: before the state is loaded, within that, and within the pieces.
#[test]
fn feed_that_is_stopped_ends_at_once() {
    let mut leader = LeaderDisk::new(&long());
    leader.snapshot();
    leader.extend(&(151..=400).map(|counter| z(5, counter)).collect::<Vec<Zxid>>());
    leader.limits.piece_bytes = 1_000;
    for last in [Zxid::ZERO, z(1, 5)] {
        for first_diff_bytes in [0, usize::MAX] {
            leader.limits.first_diff_bytes = first_diff_bytes;
            let mut looks_until_the_end = 0;
            for looks in 0_usize.. {
                let left = std::cell::Cell::new(looks);
                let is_stopped = || left.replace(left.get().saturating_sub(1)) == 0;
                let source = leader.source();
                let mut feed = LearnerFeed::open(&source, task(last, leader.last())).unwrap();
                let ended = loop {
                    match feed.next_piece(&is_stopped) {
                        Ok(Some(_)) => {}
                        Ok(None) => break None,
                        Err(error) => break Some(error),
                    }
                };
                match ended {
                    None => break,
                    Some(LearnerFeedError::Stopped) => looks_until_the_end = looks,
                    Some(error) => panic!("{error}"),
                }
            }
            assert!(looks_until_the_end > 5, "{last} {first_diff_bytes}");
        }
    }
}
