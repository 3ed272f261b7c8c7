//! One leadership, with packets of learners.

mod ensembles;

use ringkeeper_engine::device::{EnsembleId, EnsembleIdentity, Epochs, Standing};
use ringkeeper_engine::log::Group;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::peer::{
    LeaderPacket, LearnerInfo, LearnerPacket, PROTOCOL_VERSION, PacketDecoder, PacketLimits,
    PeerExtension, PeerSetting, PeerSettings,
};
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};

use super::{
    Acknowledgement, LeaderLimits, LeaderSettings, LeaderTask, Leadership, LinkId, ToLearners,
};
use crate::learner::{LearnerOffer, LearnerPosition};

pub(super) const NOW: Millis = Millis(1_000);
pub(crate) const PROPOSED: EnsembleIdentity = EnsembleIdentity {
    id: EnsembleId([7; 16]),
    secret: [8; 32],
    java_before: Millis(0),
    standing: Standing::Proposed,
};
pub(super) const LINK: LinkId = LinkId(7);

pub(super) fn settings() -> LeaderSettings {
    LeaderSettings {
        server: ServerId(1),
        voters: [1, 2, 3].map(ServerId).into(),
        observers: [4].map(ServerId).into(),
        config: Box::from(&b"version=0"[..]),
        config_version: 0,
        tick_ms: 2_000,
        init_ms: 20_000,
        sync_ms: 10_000,
        limits: LeaderLimits::default(),
        common: PeerSettings::default().with(PeerSetting::TickTime, 2_000),
        proposed: PROPOSED,
    }
}

pub(super) fn send(leadership: &mut Leadership, packet: &LearnerPacket<'_>) {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    leadership.received(LINK, &bytes, NOW);
}

/// Makes durable what is to be.
pub(super) fn save(leadership: &mut Leadership) {
    while let Some(task) = leadership.next_task() {
        let LeaderTask::Save(epochs) = task else { panic!("{task:?}") };
        leadership.on_saved(epochs);
    }
}

/// What leaves next.
fn outgoing(leadership: &mut Leadership, mut each: impl FnMut(LeaderPacket<'_>)) {
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    let bytes: Vec<u8> = leadership.outgoing(LINK).flatten().copied().collect();
    leadership.sent(LINK, bytes.len(), NOW);
    decoder.push(&bytes);
    while let Some(packet) = decoder.decode().unwrap() {
        each(LeaderPacket::read(&packet).unwrap());
    }
}

/// The zxids of the pings that leave next.
fn pings(leadership: &mut Leadership) -> Vec<u64> {
    let mut zxids = Vec::new();
    outgoing(leadership, |packet| {
        if let LeaderPacket::Ping { zxid } = packet {
            zxids.push(zxid.0);
        }
    });
    zxids
}

/// Server 1 leads epoch 1, and server 2 follows it.
pub(super) fn established() -> Leadership {
    established_with(settings(), &[])
}

/// As [`established`], with these settings and what server 2 says beyond ZooKeeper's protocol.
pub(super) fn established_with(settings: LeaderSettings, extension: &[u8]) -> Leadership {
    let (last, offer, committed) = (Zxid::ZERO, LearnerOffer::Log, Zxid::ZERO);
    let (saved, ensemble) = (Epochs::default(), None);
    let position = LearnerPosition { last, offer, committed, saved, ensemble, alone: None };
    let mut leadership = Leadership::new(settings, position, NOW);
    leadership.opened(LINK, NOW);
    let extension = extension.into();
    let learner = LearnerInfo { sid: 2, protocol: PROTOCOL_VERSION, config_version: 0, extension };
    send(&mut leadership, &LearnerPacket::FollowerInfo { zxid: Zxid::ZERO, learner });
    save(&mut leadership);
    let promise = LearnerPacket::AckEpoch { zxid: Zxid::ZERO, current_epoch: Some(0) };
    send(&mut leadership, &promise);
    save(&mut leadership);
    send(&mut leadership, &LearnerPacket::Ack { zxid: Zxid::new(1, 0) });
    assert!(leadership.is_established());
    assert_eq!(pings(&mut leadership), []);
    leadership
}

fn answer_ping(leadership: &mut Leadership, round: u64) -> Option<Acknowledgement> {
    send(leadership, &LearnerPacket::Ping { zxid: Zxid(round), touched: Vec::new() });
    leadership.next_ack()
}

/// Numbers come faster than answers: the round under way is not given up for the next one.
#[test]
fn numbers_are_confirmed_however_fast_they_come() {
    let mut leadership = established();
    for number in 1..=3 {
        leadership.answer(&mut vec![ToLearners::Confirm(number)]);
    }
    let first = pings(&mut leadership);
    assert_eq!(first.len(), 1, "one round at a time");
    assert_eq!(leadership.next_ack(), None);
    let confirmed = answer_ping(&mut leadership, first[0]);
    assert_eq!(confirmed, Some(Acknowledgement::Confirmed(1)));
    let second = pings(&mut leadership);
    assert_eq!(answer_ping(&mut leadership, first[0]), None, "that is the round before");
    assert_eq!(answer_ping(&mut leadership, second[0]), Some(Acknowledgement::Confirmed(3)));
    assert_eq!(pings(&mut leadership), []);
}

#[test]
fn answer_to_a_round_that_was_not_begun_confirms_nothing() {
    let mut leadership = established();
    assert_eq!(answer_ping(&mut leadership, u64::MAX), None);
    leadership.answer(&mut vec![ToLearners::Confirm(1)]);
    assert_eq!(leadership.next_ack(), None);
}

/// Transactions (1,`first`) on, whose data takes so many bytes each.
fn group(first: u32, data: &[usize]) -> Group {
    let mut group = Group::new();
    for (zxid, bytes) in (first..).map(|counter| Zxid::new(1, counter)).zip(data) {
        let body =
            TxnBody::SetData { path: "/a".into(), data: Some(vec![7; *bytes].into()), version: 1 };
        group.push(&Txn { session: SessionId(1), cxid: 1, zxid, time: NOW, body });
    }
    group
}

/// Names and zxids of what leaves for one that commits three groups, the second a long one.
fn proposed(mut leadership: Leadership) -> Vec<(&'static str, u32)> {
    leadership.propose(&group(1, &[10, 20, 30]));
    leadership.propose(&group(4, &[600_000, 600_000]));
    leadership.propose(&group(6, &[0]));
    leadership.answer(&mut vec![ToLearners::Committed(Zxid::new(1, 6))]);
    let mut packets = Vec::new();
    outgoing(&mut leadership, |packet| match packet {
        LeaderPacket::Proposal { zxid, .. } => packets.push(("one", zxid.counter())),
        LeaderPacket::Proposals { zxid, .. } => packets.push(("several", zxid.counter())),
        LeaderPacket::Commit { zxid } => packets.push(("commit", zxid.counter())),
        LeaderPacket::UpToDate => {}
        other => panic!("{other:?}"),
    });
    packets
}

#[test]
fn a_follower_of_our_kind_gets_a_group_in_one_and_one_of_zookeepers_each_by_itself() {
    let several = PeerExtension { cumulative: true, ..PeerExtension::default() };
    let own = proposed(established_with(settings(), &several.to_bytes()));
    let expected = [("several", 3), ("one", 4), ("one", 5), ("several", 6), ("commit", 6)];
    assert_eq!(own, expected);
    let each: Vec<_> = (1..=6).map(|counter| ("one", counter)).collect();
    let commits = (1..=6).map(|counter| ("commit", counter));
    assert_eq!(proposed(established()), each.into_iter().chain(commits).collect::<Vec<_>>());
}

/// A follower of ZooKeeper's may acknowledge a proposal before it does NEWLEADER.
#[test]
fn acknowledgement_of_a_proposal_counts_once_that_of_newleader_has_come_behind_it() {
    const LATE: LinkId = LinkId(8);
    let mut leadership = established();
    leadership.opened(LATE, NOW);
    let say = |leadership: &mut Leadership, packet: &LearnerPacket<'_>| {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        leadership.received(LATE, &bytes, NOW);
    };
    let learner = LearnerInfo {
        sid: 3,
        protocol: PROTOCOL_VERSION,
        config_version: 0,
        extension: [][..].into(),
    };
    say(&mut leadership, &LearnerPacket::FollowerInfo { zxid: Zxid::ZERO, learner });
    let promise = LearnerPacket::AckEpoch { zxid: Zxid::ZERO, current_epoch: Some(0) };
    say(&mut leadership, &promise);
    let first = Zxid::new(1, 1);
    let mut group = Group::new();
    group.push(&Txn {
        zxid: first,
        time: NOW,
        session: SessionId(1),
        cxid: 1,
        body: TxnBody::Error(Code::NoNode),
    });
    leadership.propose(&group);
    say(&mut leadership, &LearnerPacket::Ack { zxid: first });
    assert_eq!(leadership.next_ack(), None, "it does not follow this epoch yet");
    say(&mut leadership, &LearnerPacket::Ack { zxid: Zxid::new(1, 0) });
    assert_eq!(leadership.next_ack(), Some(Acknowledgement::Durable(ServerId(3), first)));
}
