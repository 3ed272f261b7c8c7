//! Several proposals in one, from a leader of our kind.

use ringkeeper_engine::log::{Group, TxnChunk};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::Malformed;
use ringkeeper_engine::wire::peer::{LeaderPacket, PROTOCOL_VERSION, PeerExtension, PeerSettings};
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};
use ringkeeper_replication::learner::{
    Dialect, Learner, LearnerKind, LinkEffect, LinkEnd, ZabState,
};

use crate::member::{Disk, Member, Pace};
use crate::script::*;

fn txn(zxid: Zxid) -> Txn {
    let body = TxnBody::Error(Code::NoNode);
    Txn { session: SessionId(9), cxid: 1, zxid, time: Millis(5), body }
}

fn chunk(zxids: &[Zxid]) -> TxnChunk {
    let mut group = Group::new();
    zxids.iter().for_each(|zxid| group.push(&txn(*zxid)));
    TxnChunk::of_group(&group).expect("it is not empty")
}

fn hears_chunk(member: &mut Member, chunk: &TxnChunk) {
    member.hears_packet(LeaderPacket::Proposals { zxid: chunk.last, records: &chunk.bytes });
}

/// A learner with (1,1) to (1,3) whose leader of epoch 2 says that it is of our kind, or nothing.
fn introduced(kind: LearnerKind, dialect: Dialect, extension: &[u8]) -> Member {
    let disk = Disk::new(&[z(1, 1), z(1, 2), z(1, 3)], (1, 1));
    let (server, settings) = (ServerId(4), PeerSettings::default());
    let learner = Learner { kind, server, config_version: 0, dialect, settings };
    let mut member = Member::new(learner, disk, Zxid::ZERO, Pace::OnDemand);
    let (zxid, protocol) = (z(2, 0), PROTOCOL_VERSION);
    member.hears_packet(LeaderPacket::LeaderInfo { zxid, protocol, extension });
    assert!(member.complete_save());
    member.hears(Diff(z(1, 3)));
    member
}

fn own_bytes() -> Vec<u8> {
    PeerExtension::own(PeerSettings::default()).to_bytes()
}

fn own(kind: LearnerKind) -> Member {
    introduced(kind, Dialect::Extended, &own_bytes())
}

fn serve(mut member: Member) -> Member {
    member.hears(NewLeader(2));
    assert!(member.complete_save());
    member.hears(UpToDate);
    assert!(member.is_serving);
    member
}

fn unexpected(state: ZabState) -> Option<LinkEnd> {
    Some(LinkEnd::Unexpected { packet: "PROPOSALS", state })
}

#[test]
fn several_proposals_in_one_go_to_the_log_as_they_are_and_are_acknowledged_once() {
    let mut member = serve(own(LearnerKind::Follower));
    let before = member.acks().len();
    let sent = chunk(&[z(2, 1), z(2, 2), z(2, 3)]);
    hears_chunk(&mut member, &sent);
    assert_eq!(member.effects.last(), Some(&LinkEffect::AppendChunk(sent)));
    member.hears(Proposal(z(2, 4)));
    hears_chunk(&mut member, &chunk(&[z(2, 5)]));
    member.hears(Commit(z(2, 2)));
    assert_eq!(member.acks().len(), before, "nothing is durable");
    assert!(member.complete_log(2));
    assert_eq!((&member.acks()[before..], member.committed), (&[z(2, 2)][..], z(2, 2)));
    assert!(member.complete_log(usize::MAX));
    assert_eq!(member.acks()[before..], [z(2, 2), z(2, 5)]);
    member.hears(Commit(z(2, 5)));
    assert_eq!((member.committed, member.end()), (z(2, 5), None));
}

#[test]
fn proposals_behind_newleader_do_not_hold_its_acknowledgement_up() {
    let mut member = own(LearnerKind::Follower);
    member.hears(NewLeader(2));
    hears_chunk(&mut member, &chunk(&[z(2, 1), z(2, 2)]));
    assert!(member.complete_save());
    assert_eq!(member.acks(), [z(2, 0)]);
    assert!(member.complete_log(usize::MAX));
    assert_eq!(member.acks(), [z(2, 0), z(2, 2)]);
}

#[test]
fn several_proposals_in_one_are_refused_where_they_were_not_agreed_on() {
    let sent = chunk(&[z(2, 1)]);
    let mut observer = serve(own(LearnerKind::Observer));
    hears_chunk(&mut observer, &sent);
    assert_eq!(observer.end(), unexpected(ZabState::Broadcast));
    let own_bytes = own_bytes();
    for (dialect, extension) in [(Dialect::Extended, &b""[..]), (Dialect::ZooKeeper, &own_bytes)] {
        let mut follower = serve(introduced(LearnerKind::Follower, dialect, extension));
        hears_chunk(&mut follower, &sent);
        assert_eq!(follower.end(), unexpected(ZabState::Broadcast));
    }
    let mut early = own(LearnerKind::Follower);
    hears_chunk(&mut early, &sent);
    assert_eq!(early.end(), unexpected(ZabState::Synchronization));
}

#[test]
fn proposals_that_do_not_follow_or_are_no_transactions_end_the_link() {
    let refused = |zxid: Zxid, records: &[u8]| {
        let mut member = serve(own(LearnerKind::Follower));
        let effects = member.effects.len();
        member.hears_packet(LeaderPacket::Proposals { zxid, records });
        assert_eq!(member.effects.len(), effects + 1, "nothing goes to the log");
        member.end().expect("it has ended")
    };
    let gap = chunk(&[z(2, 2), z(2, 3)]);
    let end = LinkEnd::DoesNotFollow { zxid: z(2, 2), last: z(1, 3) };
    assert_eq!(refused(gap.last, &gap.bytes), end);
    let other = chunk(&[z(3, 1)]);
    let end = LinkEnd::OtherEpoch { epoch: 2, zxid: z(3, 1) };
    assert_eq!(refused(other.last, &other.bytes), end);
    let good = chunk(&[z(2, 1), z(2, 2)]);
    let cut = &good.bytes[..good.bytes.len() - 1];
    let end = LinkEnd::BadTxn { zxid: z(2, 2), why: Malformed::Truncated };
    assert_eq!(refused(z(2, 2), cut), end);
    let end = LinkEnd::BadTxn { zxid: z(2, 3), why: Malformed::Value };
    assert_eq!(refused(z(2, 3), &good.bytes), end);
    let end = LinkEnd::BadTxn { zxid: z(2, 1), why: Malformed::Value };
    assert_eq!(refused(z(2, 1), &[]), end);
}
