use ringkeeper_engine::log::{Group, WindowLimit};
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::peer::{
    LeaderPacket, LearnerInfo, LearnerPacket, PROTOCOL_VERSION, PacketDecoder, PacketLimits,
};
use ringkeeper_engine::{Millis, SessionId, Zxid};

use super::tests::{LINK, NOW, established_with, save, send, settings};
use super::{
    FeedEvent, FeedPackets, FeedTask, LeaderSettings, LeaderTask, Leadership, LearnerEnd, LinkId,
    SyncPlan, ToLearners,
};
use crate::SessionLife;

const MOST: usize = 4_000;
const OBSERVER: LinkId = LinkId(9);

const fn z(counter: u32) -> Zxid {
    Zxid::new(1, counter)
}

/// Little may wait for a learner; so many transactions are kept in memory.
fn narrow(records: usize) -> LeaderSettings {
    let mut settings = settings();
    settings.limits.link_bytes_max = MOST;
    settings.limits.window = WindowLimit { bytes: 1 << 20, records };
    settings
}

/// Orders these transactions, one group each, and commits all but the last `open`.
fn order(leadership: &mut Leadership, counters: std::ops::RangeInclusive<u32>, open: u32) {
    for counter in counters {
        let mut group = Group::new();
        group.push(&Txn {
            session: SessionId(1),
            cxid: 1,
            zxid: z(counter),
            time: Millis(1),
            body: TxnBody::SetData {
                path: "/a".into(),
                data: Some(vec![7; 100].into()),
                version: 1,
            },
        });
        leadership.propose(&group);
        if counter > open {
            let committed = ToLearners::Committed(z(counter - open));
            leadership.answer(&mut vec![committed]);
        }
    }
}

fn waiting(leadership: &Leadership, link: LinkId) -> usize {
    leadership.outgoing(link).map(<[u8]>::len).sum()
}

/// Takes what waits for a learner, a few bytes at a time, as long as there is some.
fn take(leadership: &mut Leadership, link: LinkId) -> Vec<(&'static str, Zxid)> {
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    loop {
        let bytes: Vec<u8> = leadership.outgoing(link).flatten().copied().take(333).collect();
        if bytes.is_empty() {
            break;
        }
        decoder.push(&bytes);
        leadership.sent(link, bytes.len(), NOW);
    }
    let mut packets = Vec::new();
    while let Some(packet) = decoder.decode().unwrap() {
        packets.push(match LeaderPacket::read(&packet).unwrap() {
            LeaderPacket::Proposal { zxid, .. } => ("PROPOSAL", zxid),
            LeaderPacket::Commit { zxid } => ("COMMIT", zxid),
            LeaderPacket::Inform { zxid, .. } => ("INFORM", zxid),
            LeaderPacket::Ping { zxid } => ("PING", zxid),
            LeaderPacket::Sync => ("SYNC", Zxid::ZERO),
            LeaderPacket::Revalidate { .. } => ("REVALIDATE", Zxid::ZERO),
            LeaderPacket::UpToDate => ("UPTODATE", Zxid::ZERO),
            other => panic!("{other:?}"),
        });
    }
    packets
}

fn of(name: &str, packets: &[(&'static str, Zxid)]) -> Vec<Zxid> {
    packets.iter().filter(|(other, _)| *other == name).map(|(_, zxid)| *zxid).collect()
}

fn all(upto: u32) -> Vec<Zxid> {
    (1..=upto).map(z).collect()
}

/// An observer that is synchronized.
fn observe(leadership: &mut Leadership) {
    let learner = LearnerInfo {
        sid: 4,
        protocol: PROTOCOL_VERSION,
        config_version: 0,
        extension: [][..].into(),
    };
    let say = |leadership: &mut Leadership, packet: LearnerPacket<'_>| {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        leadership.received(OBSERVER, &bytes, NOW);
    };
    leadership.opened(OBSERVER, NOW);
    say(leadership, LearnerPacket::ObserverInfo { zxid: Zxid::ZERO, learner });
    say(leadership, LearnerPacket::AckEpoch { zxid: Zxid::ZERO, current_epoch: Some(0) });
    say(leadership, LearnerPacket::Ack { zxid: z(0) });
    let waits = waiting(leadership, OBSERVER);
    leadership.sent(OBSERVER, waits, NOW);
}

/// The feed that was begun.
fn feed(leadership: &mut Leadership) -> FeedTask {
    match leadership.next_task() {
        Some(LeaderTask::Feed(task)) => task,
        other => panic!("{other:?}"),
    }
}

/// What the disk has for a task, as one piece.
fn from_disk(leadership: &mut Leadership, task: FeedTask) {
    let FeedTask { link, last, upto, packets } = task;
    leadership.on_feed(link, FeedEvent::Plan(SyncPlan::Diff));
    assert_eq!(leadership.next_task(), Some(LeaderTask::Request(link)));
    let mut piece = Vec::new();
    for zxid in (last.0 + 1..=upto.0).map(Zxid) {
        match packets {
            FeedPackets::Proposals => {
                LeaderPacket::Proposal { zxid, txn: b"txn" }.encode(&mut piece);
                LeaderPacket::Commit { zxid }.encode(&mut piece);
            }
            FeedPackets::Informs => LeaderPacket::Inform { zxid, txn: b"txn" }.encode(&mut piece),
        }
    }
    leadership.on_feed(link, FeedEvent::Piece(piece));
    leadership.on_feed(link, FeedEvent::Done);
}

#[test]
fn follower_that_takes_nothing_costs_a_bound_and_gets_everything_later() {
    let mut leadership = established_with(narrow(1_000), &[]);
    order(&mut leadership, 1..=500, 3);
    assert!(waiting(&leadership, LINK) <= MOST + 1_000, "{}", waiting(&leadership, LINK));
    assert!(leadership.next_end().is_none());
    let packets = take(&mut leadership, LINK);
    assert_eq!(of("PROPOSAL", &packets), all(500));
    assert_eq!(of("COMMIT", &packets), all(497), "one for each, as ZooKeeper's learners need it");
    for zxid in all(497) {
        let at = |name| packets.iter().position(|packet| *packet == (name, zxid)).unwrap();
        assert!(at("PROPOSAL") < at("COMMIT"), "{zxid}");
    }
    order(&mut leadership, 501..=501, 0);
    let packets = take(&mut leadership, LINK);
    assert_eq!(of("PROPOSAL", &packets), [z(501)]);
    assert_eq!(of("COMMIT", &packets), [z(498), z(499), z(500), z(501)]);
}

#[test]
fn observer_that_takes_nothing_gets_everything_later_and_nothing_that_is_not_committed() {
    let mut leadership = established_with(narrow(1_000), &[]);
    observe(&mut leadership);
    order(&mut leadership, 1..=500, 3);
    assert!(waiting(&leadership, OBSERVER) <= MOST + 1_000);
    assert_eq!(of("INFORM", &take(&mut leadership, OBSERVER)), all(497));
    order(&mut leadership, 501..=501, 0);
    let packets = take(&mut leadership, OBSERVER);
    assert_eq!(of("INFORM", &packets), [z(498), z(499), z(500), z(501)]);
}

#[test]
fn what_the_memory_has_no_more_comes_from_the_disk_over_the_same_connection() {
    for (link, packets, name) in
        [(LINK, FeedPackets::Proposals, "PROPOSAL"), (OBSERVER, FeedPackets::Informs, "INFORM")]
    {
        let mut leadership = established_with(narrow(10), &[]);
        observe(&mut leadership);
        order(&mut leadership, 1..=500, 3);
        let first = take(&mut leadership, link);
        let task = feed(&mut leadership);
        assert_eq!((task.link, task.upto, task.packets), (link, z(497), packets));
        assert_eq!(of(name, &first).last(), Some(&task.last), "behind what was sent");
        order(&mut leadership, 501..=520, 3);
        from_disk(&mut leadership, task);
        let mut rest = take(&mut leadership, link);
        // The memory has gone on meanwhile.
        let task = feed(&mut leadership);
        assert_eq!((task.last, task.upto), (z(497), z(517)));
        from_disk(&mut leadership, task);
        rest.extend(take(&mut leadership, link));
        let both: Vec<Zxid> = of(name, &first).into_iter().chain(of(name, &rest)).collect();
        assert_eq!(both, all(if link == LINK { 520 } else { 517 }));
        order(&mut leadership, 521..=521, 0);
        assert_eq!(of(name, &take(&mut leadership, link)).last(), Some(&z(521)), "it is live");
        assert!(leadership.next_end().is_none());
    }
}

#[test]
fn learner_that_the_log_does_not_reach_is_given_up_and_its_feed_stops() {
    let mut leadership = established_with(narrow(10), &[]);
    order(&mut leadership, 1..=500, 0);
    take(&mut leadership, LINK);
    let task = feed(&mut leadership);
    leadership.on_feed(LINK, FeedEvent::Plan(SyncPlan::Snap(task.upto)));
    let Some((LINK, _, LearnerEnd::Feed(why))) = leadership.next_end() else { panic!("it stays") };
    assert!(why.contains("does not go back"), "{why}");
    assert_eq!(leadership.next_task(), Some(LeaderTask::StopFeed(LINK)));
}

#[test]
fn answers_to_a_learner_that_is_behind_come_behind_the_commits_before_them() {
    let mut leadership = established_with(narrow(1_000), &[]);
    order(&mut leadership, 1..=300, 0);
    let lives = ToLearners::Revalidated(LINK, SessionId(5), SessionLife::Lives);
    leadership.answer(&mut vec![ToLearners::Synced(LINK), lives]);
    order(&mut leadership, 301..=600, 0);
    let packets = take(&mut leadership, LINK);
    let at = |packet| packets.iter().position(|other| *other == packet).unwrap();
    let sync = at(("SYNC", Zxid::ZERO));
    assert!(at(("COMMIT", z(300))) < sync && sync < at(("COMMIT", z(600))));
    assert!(sync < at(("REVALIDATE", Zxid::ZERO)));
    assert_eq!(of("COMMIT", &packets), all(600));
}

#[test]
fn learner_that_takes_no_answer_and_asks_on_is_given_up() {
    let mut leadership = established_with(narrow(1_000), &[]);
    order(&mut leadership, 1..=300, 0);
    let before = waiting(&leadership, LINK);
    (0..100_000).for_each(|_| leadership.answer(&mut vec![ToLearners::Synced(LINK)]));
    let Some((LINK, _, LearnerEnd::Behind(_))) = leadership.next_end() else { panic!("it stays") };
    assert!(before <= MOST + 1_000);
}

#[test]
fn acknowledgement_of_what_comes_from_the_disk_is_taken() {
    let mut leadership = established_with(narrow(10), &[]);
    order(&mut leadership, 1..=500, 0);
    take(&mut leadership, LINK);
    let task = feed(&mut leadership);
    leadership.on_feed(LINK, FeedEvent::Plan(SyncPlan::Diff));
    send(&mut leadership, &LearnerPacket::Ack { zxid: task.upto });
    assert!(leadership.next_end().is_none());
    send(&mut leadership, &LearnerPacket::Ack { zxid: Zxid(task.upto.0 + 1) });
    assert!(matches!(leadership.next_end(), Some((LINK, _, LearnerEnd::NotSent(_)))));
}

#[test]
fn pings_do_not_pile_up_and_the_next_one_is_of_the_newest_round() {
    let mut leadership = established_with(settings(), &[]);
    let tick_ms = settings().tick_ms;
    (1..5).for_each(|tick| leadership.tick(Millis(NOW.0 + tick * tick_ms)));
    assert_eq!(take(&mut leadership, LINK).len(), 2, "the first one, and the newest one behind it");
    leadership.answer(&mut vec![ToLearners::Confirm(1)]);
    let round = take(&mut leadership, LINK);
    send(&mut leadership, &LearnerPacket::Ping { zxid: round[0].1, touched: Vec::new() });
    assert!(leadership.has_acks());
}

/// Server 2 has the history, and server 3 takes a long time to get it.
#[test]
fn learner_that_waits_for_others_is_not_silent_and_hears_that_the_leader_is_there() {
    let mut five = settings();
    five.voters = [1, 2, 3, 4, 5].map(ringkeeper_engine::session::ServerId).into();
    five.observers.clear();
    let (last, saved) = (z(3), ringkeeper_engine::device::Epochs { promised: 1, current: 1 });
    let offer = crate::learner::LearnerOffer::Log;
    let (committed, ensemble) = (last, None);
    let position =
        crate::learner::LearnerPosition { last, offer, committed, saved, ensemble, alone: None };
    let mut leadership = Leadership::new(five, position, NOW);
    let say = |leadership: &mut Leadership, sid: i64, packet: LearnerPacket<'_>, now| {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        leadership.received(LinkId(sid as u64), &bytes, now);
    };
    for sid in [2, 3] {
        leadership.opened(LinkId(sid as u64), NOW);
        let learner = LearnerInfo {
            sid,
            protocol: PROTOCOL_VERSION,
            config_version: 0,
            extension: [][..].into(),
        };
        say(&mut leadership, sid, LearnerPacket::FollowerInfo { zxid: z(0), learner }, NOW);
    }
    save(&mut leadership);
    let promise = |last| LearnerPacket::AckEpoch { zxid: last, current_epoch: Some(1) };
    say(&mut leadership, 2, promise(z(3)), NOW);
    say(&mut leadership, 3, promise(z(1)), NOW);
    let Some(LeaderTask::Save(epochs)) = leadership.next_task() else { panic!("none is saved") };
    leadership.on_saved(epochs);
    assert_eq!(feed(&mut leadership).link, LinkId(3));
    say(&mut leadership, 2, LearnerPacket::Ack { zxid: Zxid::new(2, 0) }, NOW);
    let taken = waiting(&leadership, LinkId(2));
    leadership.sent(LinkId(2), taken, NOW);
    let mut now = NOW;
    for _ in 0..100 {
        now = Millis(now.0 + 2_000);
        // The other one goes on taking what it lacks.
        leadership.sent(LinkId(3), 0, now);
        leadership.tick(now);
        let packets = waiting(&leadership, LinkId(2));
        assert!(packets > 0, "a ping");
        leadership.sent(LinkId(2), packets, now);
    }
    assert!(leadership.next_end().is_none() && leadership.end().is_none());
    for _ in 0..100 {
        now = Millis(now.0 + 2_000);
        leadership.tick(now);
    }
    assert!(leadership.end().is_some(), "nobody takes anything any more");
}
