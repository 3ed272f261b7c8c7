//! What comes before what: with a log that takes its time.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Epochs;
use ringkeeper_engine::wire::peer::LearnerPacket;
use ringkeeper_replication::learner::{LearnerKind, LinkEffect, LinkEnd, LinkInput, ZabState};

use crate::member::{Disk, Member, Pace, learner};
use crate::script::*;

/// A learner that does what its log is given on demand, with three transactions of epoch 1.
fn slow(kind: LearnerKind) -> Member {
    let disk = Disk::new(&[z(1, 1), z(1, 2), z(1, 3)], (1, 1));
    Member::new(learner(kind), disk, Zxid::ZERO, Pace::OnDemand)
}

/// The same, with the epoch 2 of its leader promised.
fn promised(kind: LearnerKind) -> Member {
    let mut member = slow(kind);
    member.hears(LeaderEpoch(2));
    assert!(member.complete_save());
    member
}

fn serving(kind: LearnerKind) -> Member {
    let mut member = promised(kind);
    member.hears_all(&[Diff(z(1, 3)), NewLeader(2)]);
    assert!(member.complete_save());
    member.hears(UpToDate);
    assert!(member.is_serving);
    member
}

#[test]
fn promise_is_durable_before_it_is_sent() {
    let mut member = slow(LearnerKind::Observer);
    member.hears(LeaderEpoch(2));
    assert_eq!(member.effects[1..], [LinkEffect::Save(Epochs { promised: 2, current: 1 })]);
    assert!(member.complete_save());
    let packet = LearnerPacket::AckEpoch { zxid: z(1, 3), current_epoch: Some(1) };
    assert_eq!(member.effects[2..], [LinkEffect::Send(packet)]);
}

#[test]
fn epoch_that_was_promised_before_is_not_saved_again() {
    let mut member = slow(LearnerKind::Observer);
    member.hears(LeaderEpoch(1));
    let packet = LearnerPacket::AckEpoch { zxid: z(1, 3), current_epoch: None };
    assert_eq!(member.effects[1..], [LinkEffect::Send(packet)]);
}

#[test]
fn leader_of_an_earlier_epoch_than_promised_is_left() {
    let disk = Disk::new(&[z(1, 1)], (3, 1));
    let mut member = Member::new(learner(LearnerKind::Follower), disk, z(1, 1), Pace::OnDemand);
    member.hears(LeaderEpoch(2));
    assert_eq!(member.end(), Some(LinkEnd::EpochOver { epoch: 2, promised: 3 }));
    assert!(!member.complete_save());
}

#[test]
fn first_packet_names_the_promised_epoch() {
    let disk = Disk::new(&[z(1, 1)], (3, 1));
    for kind in [LearnerKind::Follower, LearnerKind::Observer] {
        let sent = Member::new(learner(kind), disk.clone(), Zxid::ZERO, Pace::AtOnce).sent();
        let zxid = match (&sent[0], kind) {
            (LearnerPacket::FollowerInfo { zxid, .. }, LearnerKind::Follower) => zxid,
            (LearnerPacket::ObserverInfo { zxid, .. }, LearnerKind::Observer) => zxid,
            other => panic!("{other:?}"),
        };
        assert_eq!((*zxid, sent.len()), (z(3, 0), 1));
    }
}

#[test]
fn log_that_is_ahead_of_the_epochs_on_the_disk_raises_them() {
    let disk = Disk::new(&[z(1, 1), z(2, 1)], (1, 1));
    let mut member = Member::new(learner(LearnerKind::Follower), disk, Zxid::ZERO, Pace::AtOnce);
    member.hears(LeaderEpoch(3));
    let sent = member.sent();
    let LearnerPacket::FollowerInfo { zxid, .. } = sent[0] else { panic!("{sent:?}") };
    let packet = LearnerPacket::AckEpoch { zxid: z(2, 1), current_epoch: Some(2) };
    assert_eq!((zxid, &sent[1]), (z(2, 0), &packet));
}

#[test]
fn newleader_is_acknowledged_after_the_history_and_then_the_epoch_are_durable() {
    for kind in [LearnerKind::Observer, LearnerKind::Follower] {
        let mut member = promised(kind);
        member.hears_all(&[Diff(z(2, 2)), Proposal(z(2, 1)), Commit(z(2, 1))]);
        member.hears_all(&[Proposal(z(2, 2)), Commit(z(2, 2)), NewLeader(2)]);
        assert!(!member.complete_save(), "the history is not durable");
        assert!(member.complete_log(1));
        assert!(!member.complete_save(), "a part of it is not");
        assert!(member.acks().is_empty());
        assert!(member.complete_log(1));
        assert!(member.acks().is_empty(), "the epoch is not durable");
        assert!(member.complete_save());
        assert_eq!(member.acks(), [z(2, 0)]);
        assert_eq!(member.disk.epochs, Epochs { promised: 2, current: 2 });
    }
}

#[test]
fn what_comes_behind_newleader_does_not_hold_its_acknowledgement_up() {
    let mut member = promised(LearnerKind::Follower);
    member.hears_all(&[Diff(z(2, 1)), Proposal(z(2, 1)), Commit(z(2, 1)), NewLeader(2)]);
    member.hears_all(&[Proposal(z(2, 2)), Commit(z(2, 2))]);
    assert!(member.complete_log(1) && member.complete_save());
    assert_eq!(member.acks(), [z(2, 0)]);
    assert!(member.complete_log(1));
    assert_eq!(member.acks(), [z(2, 0), z(2, 2)]);
}

#[test]
fn epoch_that_is_current_already_is_acknowledged_without_being_saved() {
    let mut member = slow(LearnerKind::Observer);
    member.hears_all(&[LeaderEpoch(1), Diff(z(1, 3)), NewLeader(1)]);
    assert!(!member.complete_save());
    assert_eq!(member.acks(), [z(1, 0)]);
}

#[test]
fn proposal_before_newleader_is_acknowledged_behind_it_and_a_committed_one_not_at_all() {
    let mut member = promised(LearnerKind::Follower);
    member.hears_all(&[Diff(z(2, 1)), Proposal(z(2, 1)), Commit(z(2, 1)), Proposal(z(2, 2))]);
    assert!(member.complete_log(2));
    assert!(member.acks().is_empty(), "a leader takes nothing before the ACK of NEWLEADER");
    member.hears(NewLeader(2));
    assert!(member.complete_save());
    assert_eq!(member.acks(), [z(2, 0), z(2, 2)]);
}

/// ZOOKEEPER-4394: PROPOSAL, NEWLEADER, COMMIT, UPTODATE.
#[test]
fn commit_may_come_on_either_side_of_newleader_and_uptodate() {
    for kind in [LearnerKind::Observer, LearnerKind::Follower] {
        for commit_at in 1..4 {
            let mut said = vec![Proposal(z(2, 1)), NewLeader(2), UpToDate];
            said.insert(commit_at, Commit(z(2, 1)));
            let mut member = promised(kind);
            member.hears(Diff(z(1, 3)));
            for said in said {
                member.hears(said);
                while member.complete_log(1) || member.complete_save() {}
            }
            assert_eq!((member.end(), member.committed), (None, z(2, 1)), "{commit_at}");
            let is_acked = kind == LearnerKind::Follower && commit_at > 1;
            assert_eq!(member.acks().contains(&z(2, 1)), is_acked, "{commit_at}");
        }
    }
}

#[test]
fn nothing_is_released_before_uptodate() {
    for kind in [LearnerKind::Observer, LearnerKind::Follower] {
        let mut member = promised(kind);
        member.hears_all(&[Diff(z(2, 1)), Proposal(z(2, 1)), Commit(z(2, 1)), NewLeader(2)]);
        while member.complete_log(1) || member.complete_save() {}
        assert_eq!((member.committed, member.is_serving), (Zxid::ZERO, false));
        member.hears(UpToDate);
        let beginning = LinkEffect::Send(LearnerPacket::Ack { zxid: z(2, 0) });
        let config = LinkEffect::Serve(Some(CONFIG.into()));
        let end = &member.effects[member.effects.len() - 3..];
        assert_eq!(end, [beginning, LinkEffect::Committed(z(2, 1)), config]);
    }
}

#[test]
fn commit_waits_for_our_own_log() {
    let mut member = serving(LearnerKind::Follower);
    let before = member.committed;
    member.hears_all(&[Proposal(z(2, 1)), Commit(z(2, 1)), Proposal(z(2, 2))]);
    assert_eq!(member.committed, before);
    assert!(member.complete_log(1));
    assert_eq!(member.committed, z(2, 1));
    assert!(member.complete_log(1));
    assert_eq!(member.committed, z(2, 1), "the leader has not committed the other one");
    member.hears(Commit(z(2, 2)));
    assert_eq!(member.committed, z(2, 2));
}

#[test]
fn inform_waits_for_our_own_log_and_is_not_acknowledged() {
    let mut member = serving(LearnerKind::Observer);
    member.hears_all(&[Inform(z(2, 1)), Inform(z(2, 2))]);
    assert_eq!(member.committed, z(1, 3));
    assert!(member.complete_log(1));
    assert_eq!(member.committed, z(2, 1));
    assert!(member.complete_log(1));
    assert_eq!((member.committed, member.acks()), (z(2, 2), vec![z(2, 0), z(2, 0)]));
}

#[test]
fn every_proposal_has_its_own_acknowledgement_after_its_flush() {
    let mut member = serving(LearnerKind::Follower);
    let zxids: Vec<Zxid> = (1..=7).map(|counter| z(2, counter)).collect();
    zxids.iter().for_each(|zxid| member.hears(Proposal(*zxid)));
    assert_eq!(member.acks().len(), 2);
    assert!(member.complete_log(3));
    assert_eq!(member.acks()[2..], zxids[..3]);
    assert!(member.complete_log(4));
    assert_eq!(member.acks()[2..], zxids);
}

#[test]
fn state_is_durable_before_the_epoch_and_the_acknowledgement() {
    let mut member = promised(LearnerKind::Observer);
    member.hears_all(&[Snap(z(2, 4)), Inform(z(2, 5)), NewLeader(2)]);
    assert!(!member.link().wants_packets() && !member.complete_save());
    assert!(member.acks().is_empty() && member.disk.log.len() == 3);
    assert!(member.complete_log(1));
    assert!(member.link().wants_packets() && member.acks().is_empty());
    assert!(member.complete_save());
    assert_eq!((member.acks(), member.disk.base), (vec![z(2, 0)], z(2, 5)));
}

#[test]
fn no_packet_is_wanted_while_the_log_is_cut() {
    let mut member = promised(LearnerKind::Follower);
    member.hears(Trunc(z(1, 2)));
    assert_eq!(member.effects.last(), Some(&LinkEffect::Cut(z(1, 2))));
    assert!(!member.link().wants_packets());
    assert!(member.complete_log(1));
    assert!(member.link().wants_packets());
    member.hears_all(&[Proposal(z(2, 1)), NewLeader(2)]);
    while member.complete_log(1) || member.complete_save() {}
    assert_eq!(member.disk.log, [z(1, 1), z(1, 2), z(2, 1)]);
}

#[test]
fn cut_or_install_that_fails_ends_the_link_and_what_was_there_is_reported_again() {
    let mut member = promised(LearnerKind::Observer);
    member.hears(Trunc(z(1, 2)));
    member.step(LinkInput::CutTooFar);
    assert_eq!(member.end(), Some(LinkEnd::CutTooFar(z(1, 2))));
    assert_eq!(member.link().position().last, z(1, 3));
    let mut member = promised(LearnerKind::Observer);
    member.hears_all(&[Snap(z(2, 4)), NewLeader(2)]);
    member.step(LinkInput::NotInstalled);
    assert_eq!(member.end(), Some(LinkEnd::NotInstalled));
    assert_eq!(member.link().position().last, z(1, 3));
}

/// What it reports to the next leader.
fn reported(member: &mut Member, epoch: u32) -> Zxid {
    member.hears(LeaderEpoch(epoch));
    while member.complete_save() {}
    match member.sent().last() {
        Some(LearnerPacket::AckEpoch { zxid, .. }) => *zxid,
        other => panic!("{other:?}"),
    }
}

#[test]
fn learner_whose_log_could_not_be_cut_offers_nothing_until_a_state_is_installed() {
    let mut member = promised(LearnerKind::Observer);
    member.hears(Trunc(z(1, 2)));
    member.step(LinkInput::CutTooFar);
    member.forget_log_tasks();
    let mut member = member.reconnect();
    assert_eq!(reported(&mut member, 3), Zxid::ZERO);
    let mut member = member.reconnect();
    assert_eq!(reported(&mut member, 3), Zxid::ZERO, "it is not forgotten with the link");
    member.hears_all(&[Snap(z(1, 2)), NewLeader(3)]);
    while member.complete_log(1) || member.complete_save() {}
    member.hears(UpToDate);
    assert_eq!(member.end(), None);
    assert_eq!(reported(&mut member.reconnect(), 4), z(1, 2));
}

#[test]
fn what_the_log_finishes_behind_the_end_of_a_link_counts_for_the_next_one() {
    let mut member = promised(LearnerKind::Follower);
    member.hears_all(&[Diff(z(2, 2)), Proposal(z(2, 1)), Proposal(z(2, 2)), Sync]);
    assert!(member.end().is_some());
    let mut next = member.reconnect();
    assert_eq!(next.disk.last(), z(2, 2));
    next.hears(LeaderEpoch(2));
    let packet = LearnerPacket::AckEpoch { zxid: z(2, 2), current_epoch: None };
    assert_eq!(next.sent()[1], packet, "not acknowledged, and not current");
    let mut member = promised(LearnerKind::Follower);
    member.hears(Trunc(z(1, 2)));
    member.step(LinkInput::Malformed(ringkeeper_engine::wire::peer::BadPacket::UnknownType(77)));
    assert!(member.end().is_some());
    assert_eq!(member.reconnect().disk.last(), z(1, 2));
}

#[test]
fn ping_is_answered_only_by_one_who_serves() {
    for kind in [LearnerKind::Observer, LearnerKind::Follower] {
        let mut member = promised(kind);
        member.hears_all(&[Diff(z(1, 3)), Ping(z(2, 0)), NewLeader(2), Ping(z(2, 0))]);
        assert!(member.complete_save());
        member.hears(Ping(z(2, 0)));
        assert_eq!(member.acks(), [z(2, 0)], "a leader takes only an ACK behind NEWLEADER");
        member.hears_all(&[UpToDate, Ping(z(2, 7)), Ping(z(2, 8))]);
        let answers: Vec<&LinkEffect> =
            member.effects.iter().filter(|e| matches!(e, LinkEffect::AnswerPing(_))).collect();
        assert_eq!(answers, [&LinkEffect::AnswerPing(z(2, 7)), &LinkEffect::AnswerPing(z(2, 8))]);
    }
}

#[test]
fn change_of_the_members_counts_once_it_is_released() {
    let mut member = serving(LearnerKind::Observer);
    member.hears_all(&[Inform(z(2, 1)), InformAndActivate(z(2, 2), 3), Inform(z(2, 3))]);
    let count = member.effects.len();
    assert!(member.complete_log(1) && member.complete_log(2));
    let expected = [
        LinkEffect::Committed(z(2, 1)),
        LinkEffect::Committed(z(2, 3)),
        LinkEffect::Activate(z(2, 2), 3),
    ];
    assert_eq!(member.effects[count..], expected);
    let mut member = serving(LearnerKind::Follower);
    member.hears_all(&[Reconfig(z(2, 1)), CommitAndActivate(z(2, 1), -1)]);
    assert!(member.complete_log(1));
    let ack = LinkEffect::Send(LearnerPacket::Ack { zxid: z(2, 1) });
    let end = &member.effects[member.effects.len() - 3..];
    assert_eq!(end, [ack, LinkEffect::Committed(z(2, 1)), LinkEffect::Activate(z(2, 1), -1)]);
}

#[test]
fn change_of_the_members_behind_a_state_counts_when_clients_are_served() {
    for (kind, said) in [
        (LearnerKind::Observer, &[InformAndActivate(z(2, 5), 3)][..]),
        (LearnerKind::Follower, &[Reconfig(z(2, 5)), CommitAndActivate(z(2, 5), 3)]),
    ] {
        let mut member = promised(kind);
        member.hears(Snap(z(2, 4)));
        member.hears_all(said);
        member.hears(NewLeader(2));
        while member.complete_log(1) || member.complete_save() {}
        member.hears(UpToDate);
        let end = &member.effects[member.effects.len() - 3..end_of(&member)];
        assert_eq!(end, [LinkEffect::Committed(z(2, 5)), LinkEffect::Activate(z(2, 5), 3)]);
    }
}

/// The position of [`LinkEffect::Serve`], which is the last effect.
fn end_of(member: &Member) -> usize {
    assert!(matches!(member.effects.last(), Some(LinkEffect::Serve(_))));
    member.effects.len() - 1
}

#[test]
fn states_of_a_link_have_the_names_of_zookeeper() {
    let mut member = slow(LearnerKind::Observer);
    assert_eq!((member.link().state(), member.link().epoch()), (ZabState::Discovery, None));
    member.hears(LeaderEpoch(2));
    member.complete_save();
    assert_eq!((member.link().state(), member.link().epoch()), (ZabState::Discovery, Some(2)));
    member.hears_all(&[Diff(z(1, 3)), NewLeader(2)]);
    assert_eq!(member.link().state(), ZabState::Synchronization);
    member.complete_save();
    member.hears(UpToDate);
    assert_eq!(member.link().state().to_string(), "broadcast");
    member.hears(UpToDate);
    assert_eq!(member.link().state().to_string(), "election");
}
