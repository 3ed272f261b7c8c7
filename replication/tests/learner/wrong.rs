//! What a leader does wrong: each ends the link with its reason and with nothing else.

use ringkeeper_engine::wire::Malformed;
use ringkeeper_engine::wire::peer::{BadPacket, LeaderPacket, PROTOCOL_VERSION};
use ringkeeper_engine::{SessionId, Zxid};
use ringkeeper_replication::learner::{LearnerKind, LinkEffect, LinkEnd, LinkInput, ZabState};

use crate::member::{Disk, Member, Pace, learner};
use crate::script::*;

const KINDS: [LearnerKind; 2] = [LearnerKind::Observer, LearnerKind::Follower];

/// Everything that a link can wait for while it wants packets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Connected,
    Promising,
    Promised,
    Receiving,
    ReceivingState,
    Flushing,
    Saving,
    Acknowledged,
    Serving,
}

use Stage::*;

const STAGES: [Stage; 9] = [
    Connected,
    Promising,
    Promised,
    Receiving,
    ReceivingState,
    Flushing,
    Saving,
    Acknowledged,
    Serving,
];

/// A member with the log (1,1) to (1,3); from `Receiving` on a change of the members is proposed as
/// (2,1).
fn at(stage: Stage, kind: LearnerKind) -> Member {
    let disk = Disk::new(&[z(1, 1), z(1, 2), z(1, 3)], (1, 1));
    let mut member = Member::new(learner(kind), disk, Zxid::ZERO, Pace::OnDemand);
    if stage >= Promising {
        member.hears(LeaderEpoch(2));
    }
    if stage >= Promised {
        assert!(member.complete_save());
    }
    if stage == ReceivingState {
        member.hears_all(&[Snap(z(1, 3)), Reconfig(z(2, 1))]);
    } else if stage >= Receiving {
        member.hears_all(&[Diff(z(1, 3)), Reconfig(z(2, 1))]);
    }
    if stage >= Flushing {
        member.hears(NewLeader(2));
    }
    if stage >= Saving {
        assert!(member.complete_log(1));
    }
    if stage >= Acknowledged {
        assert!(member.complete_save());
    }
    if stage >= Serving {
        member.hears(UpToDate);
    }
    assert_eq!(member.end(), None, "{stage:?}");
    member
}

/// A packet of every type, with a zxid that fits, and its name.
const PACKETS: [(Said, &str); 15] = [
    (LeaderEpoch(2), "LEADERINFO"),
    (Diff(z(2, 1)), "DIFF"),
    (Trunc(z(1, 2)), "TRUNC"),
    (Snap(z(2, 1)), "SNAP"),
    (NewLeader(2), "NEWLEADER"),
    (UpToDate, "UPTODATE"),
    (Proposal(z(2, 2)), "PROPOSAL"),
    (Reconfig(z(2, 2)), "PROPOSAL"),
    (Commit(z(2, 1)), "COMMIT"),
    (CommitAndActivate(z(2, 1), 3), "COMMITANDACTIVATE"),
    (Inform(z(2, 2)), "INFORM"),
    (InformAndActivate(z(2, 2), 3), "INFORMANDACTIVATE"),
    (Ping(z(2, 1)), "PING"),
    (Revalidate, "REVALIDATE"),
    (Sync, "SYNC"),
];

fn is_expected(stage: Stage, kind: LearnerKind, packet: &str) -> bool {
    let is_observer = kind == LearnerKind::Observer;
    match packet {
        "LEADERINFO" => stage == Connected,
        "DIFF" | "TRUNC" | "SNAP" => stage == Promised,
        "NEWLEADER" => stage == Receiving || stage == ReceivingState,
        "UPTODATE" => stage == Acknowledged,
        "PROPOSAL" => stage >= Receiving && !(is_observer && stage == Serving),
        "COMMIT" | "COMMITANDACTIVATE" | "PING" => stage >= Receiving,
        "INFORM" | "INFORMANDACTIVATE" => stage >= Receiving && is_observer,
        "REVALIDATE" | "SYNC" => stage == Serving,
        other => panic!("{other}"),
    }
}

#[test]
fn packet_at_a_time_when_it_means_nothing_ends_the_link_and_does_nothing_else() {
    let mut refused = 0;
    for kind in KINDS {
        for stage in STAGES {
            for (said, packet) in PACKETS {
                let mut member = at(stage, kind);
                let (state, count) = (member.link().state(), member.effects.len());
                member.hears(said);
                let end = member.end();
                let expected = (!is_expected(stage, kind, packet))
                    .then_some(LinkEnd::Unexpected { packet, state });
                assert_eq!(end, expected, "{kind:?} {stage:?} {said:?}");
                if let Some(end) = end {
                    assert_eq!(member.effects[count..], [LinkEffect::End(end)]);
                    assert_eq!(member.link().state(), ZabState::Election);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 150, "{refused}");
}

#[test]
fn nothing_that_comes_behind_the_end_of_a_link_has_an_effect() {
    for stage in STAGES {
        let mut member = at(stage, LearnerKind::Follower);
        member.step(LinkInput::Malformed(BadPacket::UnknownType(20)));
        assert_eq!(member.end(), Some(LinkEnd::Malformed(BadPacket::UnknownType(20))));
        let count = member.effects.len();
        PACKETS.iter().for_each(|(said, _)| member.hears(*said));
        member.step(LinkInput::Malformed(BadPacket::UnknownType(0)));
        while member.complete_log(1) || member.complete_save() {}
        assert_eq!(member.effects.len(), count, "{stage:?}");
    }
}

/// What a packet ends the link with.
fn end_of(stage: Stage, kind: LearnerKind, packet: LeaderPacket<'_>) -> LinkEnd {
    let mut member = at(stage, kind);
    let count = member.effects.len();
    member.hears_packet(packet);
    let end = member.end().unwrap_or_else(|| panic!("{stage:?} {packet:?}"));
    assert_eq!(member.effects[count..], [LinkEffect::End(end)], "{packet:?}");
    end
}

#[test]
fn leaderinfo_that_begins_no_epoch_or_is_too_old_ends_the_link() {
    let info = |zxid, protocol| LeaderPacket::LeaderInfo { zxid, protocol, extension: &[] };
    let largest = i32::MAX as u32;
    for zxid in [z(2, 1), z(0, 0), z(0, 1), z(largest + 1, 0), z(u32::MAX, 0)] {
        let packet = info(zxid, PROTOCOL_VERSION);
        assert_eq!(end_of(Connected, LearnerKind::Observer, packet), LinkEnd::NoEpoch(zxid));
    }
    for protocol in [0, 1, PROTOCOL_VERSION - 1, -1, i32::MIN] {
        let end = end_of(Connected, LearnerKind::Observer, info(z(2, 0), protocol));
        assert_eq!(end, LinkEnd::Protocol(protocol));
    }
    let mut member = at(Connected, LearnerKind::Observer);
    member.hears_packet(info(z(largest, 0), PROTOCOL_VERSION + 1));
    assert_eq!(member.end(), None, "what is newer speaks this version too");
}

#[test]
fn zxid_of_another_epoch_than_the_leaders_ends_the_link() {
    let other = |zxid| LinkEnd::OtherEpoch { epoch: 2, zxid };
    for kind in KINDS {
        for zxid in [z(3, 0), z(3, 1), z(u32::MAX, 1)] {
            assert_eq!(end_of(Promised, kind, LeaderPacket::Diff { zxid }), other(zxid));
            assert_eq!(end_of(Promised, kind, LeaderPacket::Trunc { zxid }), other(zxid));
            assert_eq!(end_of(Promised, kind, LeaderPacket::Snap { zxid }), other(zxid));
        }
        for stage in [Receiving, ReceivingState] {
            for zxid in [z(1, 0), z(2, 1), z(3, 0), Zxid::ZERO] {
                let packet = LeaderPacket::NewLeader { zxid, config: None };
                assert_eq!(end_of(stage, kind, packet), other(zxid));
            }
        }
        for stage in [Receiving, ReceivingState, Flushing, Saving, Acknowledged] {
            let txn = payload(z(3, 1), refusal());
            let packet = LeaderPacket::Proposal { zxid: z(3, 1), txn: &txn };
            assert_eq!(end_of(stage, kind, packet), other(z(3, 1)));
        }
    }
    let txn = payload(z(1, 4), refusal());
    let (zxid, kind) = (z(1, 4), LearnerKind::Follower);
    let packet = LeaderPacket::Proposal { zxid, txn: &txn };
    assert_eq!(end_of(Serving, kind, packet), other(zxid), "history is over");
    let packet = LeaderPacket::Inform { zxid, txn: &txn };
    assert_eq!(end_of(Serving, LearnerKind::Observer, packet), other(zxid));
}

#[test]
fn transaction_that_does_not_follow_ends_the_link_at_every_stage() {
    for stage in STAGES.into_iter().filter(|stage| *stage >= Receiving) {
        for zxid in [z(2, 0), z(2, 1), z(2, 3)] {
            let txn = payload(zxid, refusal());
            let end = LinkEnd::DoesNotFollow { zxid, last: z(2, 1) };
            if stage != Serving {
                let packet = LeaderPacket::Proposal { zxid, txn: &txn };
                assert_eq!(end_of(stage, LearnerKind::Observer, packet), end, "{stage:?}");
                assert_eq!(end_of(stage, LearnerKind::Follower, packet), end, "{stage:?}");
            }
            let packet = LeaderPacket::Inform { zxid, txn: &txn };
            assert_eq!(end_of(stage, LearnerKind::Observer, packet), end, "{stage:?}");
        }
    }
}

#[test]
fn commit_of_what_is_not_proposed_ends_the_link_at_every_stage() {
    for kind in KINDS {
        for stage in STAGES.into_iter().filter(|stage| *stage >= Receiving) {
            for zxid in [Zxid::ZERO, z(1, 3), z(2, 0), z(2, 2), z(3, 1), z(u32::MAX, u32::MAX)] {
                let end = LinkEnd::NotProposed(zxid);
                assert_eq!(end_of(stage, kind, LeaderPacket::Commit { zxid }), end);
                let packet = LeaderPacket::CommitAndActivate { zxid, designated: 1 };
                assert_eq!(end_of(stage, kind, packet), end);
            }
            let mut member = at(stage, kind);
            member.hears_all(&[Commit(z(2, 1)), Commit(z(2, 1))]);
            assert_eq!(member.end(), Some(LinkEnd::NotProposed(z(2, 1))), "once is enough");
        }
    }
}

/// A commit covers what was proposed before, which is committed for sure.
#[test]
fn commit_of_a_later_proposal_commits_those_before() {
    let mut member = at(Serving, LearnerKind::Follower);
    member.hears_all(&[Proposal(z(2, 2)), Proposal(z(2, 3)), Commit(z(2, 2))]);
    assert!(member.complete_log(2));
    assert_eq!((member.end(), member.committed), (None, z(2, 2)));
    member.hears(Commit(z(2, 1)));
    assert_eq!(member.end(), Some(LinkEnd::NotProposed(z(2, 1))));
}

#[test]
fn activation_of_what_changes_no_members_ends_the_link() {
    for stage in STAGES.into_iter().filter(|stage| *stage >= Receiving) {
        let mut member = at(stage, LearnerKind::Observer);
        member.hears(Said::ActivateOther(z(2, 2)));
        assert_eq!(member.end(), Some(LinkEnd::NoReconfig(z(2, 2))), "{stage:?}");
        let mut member = at(stage, LearnerKind::Follower);
        member.hears_all(&[Proposal(z(2, 2)), CommitAndActivate(z(2, 2), 1)]);
        assert_eq!(member.end(), Some(LinkEnd::NoReconfig(z(2, 2))), "{stage:?}");
    }
}

#[test]
fn transaction_that_cannot_be_read_ends_the_link() {
    let zxid = z(2, 2);
    let whole = payload(zxid, refusal());
    let bad = |why| LinkEnd::BadTxn { zxid, why };
    for stage in [Receiving, ReceivingState, Acknowledged] {
        for cut in 0..whole.len() {
            let packet = LeaderPacket::Proposal { zxid, txn: &whole[..cut] };
            let end = end_of(stage, LearnerKind::Follower, packet);
            assert_eq!(end, bad(Malformed::Truncated));
        }
    }
    let other = payload(z(2, 3), refusal());
    let packet = LeaderPacket::Inform { zxid, txn: &other };
    let end = end_of(Serving, LearnerKind::Observer, packet);
    assert_eq!(end, bad(Malformed::Value), "it says another zxid than its packet");
}

#[test]
fn every_reason_is_one_sentence_for_a_log() {
    let ends = [
        LinkEnd::Malformed(BadPacket::UnknownType(20)),
        LinkEnd::Unexpected { packet: "SYNC", state: ZabState::Discovery },
        LinkEnd::Protocol(1),
        LinkEnd::NoEpoch(z(2, 1)),
        LinkEnd::EpochOver { epoch: 2, promised: 3 },
        LinkEnd::OtherEpoch { epoch: 2, zxid: z(3, 0) },
        LinkEnd::DoesNotFollow { zxid: z(2, 3), last: z(2, 1) },
        LinkEnd::Incomplete { announced: z(2, 3), last: z(2, 1) },
        LinkEnd::OtherHistory { zxid: z(2, 3), last: z(2, 1) },
        LinkEnd::LostCommitted { zxid: z(2, 3), committed: z(2, 4) },
        LinkEnd::CutTooFar(z(2, 1)),
        LinkEnd::NotInstalled,
        LinkEnd::NotProposed(z(2, 1)),
        LinkEnd::NoReconfig(z(2, 1)),
        LinkEnd::BadTxn { zxid: z(2, 1), why: Malformed::Null },
        LinkEnd::TooMuchProposed(77),
    ];
    let texts = ends.map(|end| end.to_string());
    for (at, text) in texts.iter().enumerate() {
        assert!(text.starts_with("the ") && !text.ends_with('.') && !text.contains('\n'));
        assert!(texts[..at].iter().all(|other| other != text), "{text}");
    }
}

#[test]
fn answers_go_to_whoever_waits_for_them() {
    let mut member = at(Serving, LearnerKind::Observer);
    let count = member.effects.len();
    member.hears_all(&[Revalidate, Sync]);
    let expected = [LinkEffect::AnswerRevalidate(SessionId(9), true), LinkEffect::AnswerSync];
    assert_eq!(member.effects[count..], expected);
}
