//! How a leader synchronizes a learner, row by row of what ZooKeeper's leader was seen to choose,
//! as the learner hears it: right, and slightly wrong.

use ringkeeper_engine::Zxid;
use ringkeeper_replication::learner::{LearnerKind, LinkEffect, LinkEnd, ZabState};

use crate::member::Member;
use crate::script::*;

const KINDS: [LearnerKind; 2] = [LearnerKind::Observer, LearnerKind::Follower];

/// What a leader at (2,6) has: (1,1) (1,2) and (2,1) to (2,6).
fn history() -> Vec<Zxid> {
    let epoch = |epoch, last| (1..=last).map(move |counter| z(epoch, counter));
    epoch(1, 2).chain(epoch(2, 6)).collect()
}

/// Proposals with their commits, of the history behind `from`.
fn rest(from: Zxid) -> Vec<Said> {
    let behind = history().into_iter().filter(|zxid| *zxid > from);
    behind.flat_map(|zxid| [Proposal(zxid), Commit(zxid)]).collect()
}

/// A learner that leader 2 hears of, with this log.
fn connected(kind: LearnerKind, log: &[Zxid]) -> Member {
    let epoch = log.last().map_or(0, |last| last.epoch());
    let mut member = Member::of(kind, log, (epoch, epoch));
    member.hears(LeaderEpoch(epoch.max(4)));
    member
}

/// Says the rest of a synchronization with an epoch-4 leader, and looks at what came of it.
fn ends_serving(mut member: Member, said: &[Said], log: &[Zxid]) {
    member.hears_all(said);
    assert_eq!(member.end(), None, "{said:?}");
    member.hears(NewLeader(4));
    assert_eq!(member.acks(), [z(4, 0)]);
    assert_eq!(member.link().state(), ZabState::Synchronization);
    assert_eq!(member.committed, Zxid::ZERO, "no quorum is known to have it");
    member.hears(UpToDate);
    assert_eq!(member.acks(), [z(4, 0), z(4, 0)]);
    assert_eq!((member.end(), member.is_serving), (None, true));
    assert_eq!(member.disk.log, log);
    assert_eq!(member.committed, log.last().copied().unwrap_or(member.disk.base));
    assert_eq!((member.disk.epochs.promised, member.disk.epochs.current), (4, 4));
    let next = member.link().position();
    assert_eq!((next.last, next.committed), (member.disk.last(), member.committed));
}

fn ends_with(mut member: Member, said: &[Said], end: LinkEnd) {
    member.hears_all(said);
    assert_eq!(member.end(), Some(end), "{said:?}");
    assert!(!member.is_serving && member.acks().is_empty());
}

#[test]
fn learner_that_has_all_gets_an_empty_diff() {
    for kind in KINDS {
        let all = history();
        ends_serving(connected(kind, &all), &[Diff(z(2, 6))], &all);
    }
}

#[test]
fn learner_behind_gets_the_rest_by_diff_from_wherever_it_is() {
    for kind in KINDS {
        for kept in 1..history().len() {
            let log = &history()[..kept];
            let said = [&[Diff(z(2, 6))][..], &rest(log[kept - 1])].concat();
            ends_serving(connected(kind, log), &said, &history());
        }
    }
}

/// The wrong sequence has a hole at every place, or ends too early, or begins too early.
#[test]
fn diff_with_a_hole_or_a_part_missing_ends_the_link() {
    for kind in KINDS {
        let log = &history()[..2];
        let whole = rest(log[1]);
        for hole in 0..5 {
            let mut said = vec![Diff(z(2, 6))];
            said.extend(&whole[..2 * hole]);
            let last = if hole == 0 { z(1, 2) } else { z(2, hole as u32) };
            let zxid = z(2, hole as u32 + 2);
            said.push(Proposal(zxid));
            ends_with(connected(kind, log), &said, LinkEnd::DoesNotFollow { zxid, last });
        }
        for count in 0..6 {
            let said = [&[Diff(z(2, 6))][..], &whole[..2 * count], &[NewLeader(4)]].concat();
            let last = if count == 0 { z(1, 2) } else { z(2, count as u32) };
            let announced = z(2, 6);
            ends_with(connected(kind, log), &said, LinkEnd::Incomplete { announced, last });
        }
        let (zxid, last) = (z(1, 2), z(1, 2));
        let said = [Diff(z(2, 6)), Proposal(zxid)];
        ends_with(connected(kind, log), &said, LinkEnd::DoesNotFollow { zxid, last });
    }
}

#[test]
fn diff_that_ends_before_the_learner_ends_the_link() {
    for kind in KINDS {
        let (zxid, last) = (z(2, 5), z(2, 6));
        let member = connected(kind, &history());
        ends_with(member, &[Diff(zxid)], LinkEnd::OtherHistory { zxid, last });
    }
}

/// Ahead in the leader's last epoch, or in one that the leader does not know, or a fresh leader
/// whose history ends in an older one.
#[test]
fn learner_ahead_is_cut_also_across_epochs() {
    for kind in KINDS {
        let with = |more: &[Zxid]| [&history()[..], more].concat();
        let ahead = with(&(7..=11).map(|counter| z(2, counter)).collect::<Vec<Zxid>>());
        ends_serving(connected(kind, &ahead), &[Trunc(z(2, 6))], &history());
        let later = with(&[z(3, 1), z(3, 2), z(3, 3)]);
        ends_serving(connected(kind, &later), &[Trunc(z(2, 6))], &history());
        let fresh: Vec<Zxid> = (1..=5).map(|counter| z(1, counter)).collect();
        ends_serving(connected(kind, &fresh), &[Trunc(z(1, 2))], &[z(1, 1), z(1, 2)]);
        let said = [&[Trunc(z(1, 2))][..], &rest(z(1, 2))].concat();
        ends_serving(connected(kind, &fresh), &said, &history());
    }
}

#[test]
fn cut_at_a_transaction_that_the_log_does_not_have_ends_the_link_and_leaves_the_rest() {
    for kind in KINDS {
        let log = [z(1, 1), z(1, 2), z(3, 1), z(3, 2)];
        let (zxid, last) = (z(2, 6), z(1, 2));
        let mut member = connected(kind, &log);
        member.hears(Trunc(zxid));
        assert_eq!(member.end(), Some(LinkEnd::OtherHistory { zxid, last }));
        assert_eq!(member.disk.log, log[..2], "what the leader does not have is gone");
        let next = member.reconnect();
        assert_eq!(next.link().position().last, z(1, 2), "the next leader hears of what is left");
    }
}

#[test]
fn cut_ahead_of_the_log_ends_the_link() {
    for kind in KINDS {
        let (zxid, last) = (z(2, 7), z(2, 6));
        let member = connected(kind, &history());
        ends_with(member, &[Trunc(zxid)], LinkEnd::OtherHistory { zxid, last });
    }
}

/// Nothing, the beginning of an epoch, a transaction that nobody else has, too far behind.
#[test]
fn learner_gets_a_state_whatever_it_has() {
    for kind in KINDS {
        for log in [&[][..], &history()[..2], &[z(1, 1), z(1, 9)][..1], &[z(3, 1)]] {
            let mut member = connected(kind, log);
            member.hears(Snap(z(2, 6)));
            assert!(member.effects.contains(&LinkEffect::ReceiveState(z(2, 6))));
            assert_eq!(member.disk.log, log, "what is there stays until the new state is whole");
            ends_serving(member, &[], &[]);
        }
    }
}

#[test]
fn state_of_a_leader_that_ordered_nothing_is_taken_and_not_reported_as_a_transaction() {
    for kind in KINDS {
        let mut member = connected(kind, &[]);
        member.hears_all(&[Snap(z(4, 0)), NewLeader(4), UpToDate]);
        assert_eq!((member.end(), member.disk.base, member.committed), (None, z(4, 0), Zxid::ZERO));
        let mut member = member.reconnect();
        member.hears(LeaderEpoch(5));
        let reported = member.sent().into_iter().nth(1).unwrap();
        assert_eq!(format!("{reported:?}"), "AckEpoch { zxid: 0x0, current_epoch: Some(4) }");
        member.hears_all(&[Snap(z(5, 3)), NewLeader(5), UpToDate, Ping(z(5, 3))]);
        assert_eq!((member.end(), member.disk.base), (None, z(5, 3)));
    }
}

/// What a leader committed while it wrote the state: some of it is in it already.
#[test]
fn transactions_behind_a_state_are_added_to_it_until_newleader() {
    for kind in KINDS {
        for first in 3..=7 {
            let tail: Vec<Zxid> = (first..=8).map(|counter| z(2, counter)).collect();
            let pairs = tail.iter().flat_map(|zxid| [Proposal(*zxid), Commit(*zxid)]);
            let mut member = connected(kind, &[]);
            member.hears(Snap(z(2, 6)));
            member.hears_all(&pairs.collect::<Vec<Said>>());
            member.hears(NewLeader(4));
            let added = member.effects.iter().filter_map(|effect| match effect {
                LinkEffect::AddToState(txn) => Some(txn.zxid()),
                _ => None,
            });
            assert_eq!(added.collect::<Vec<Zxid>>(), tail);
            assert!(member.effects.contains(&LinkEffect::InstallState(z(2, 8))));
            member.hears(UpToDate);
            assert_eq!((member.disk.base, member.committed), (z(2, 8), z(2, 8)));
            assert_eq!(member.acks(), [z(4, 0), z(4, 0)]);
        }
    }
}

#[test]
fn transactions_behind_a_state_that_leave_a_hole_end_the_link() {
    let behind = |snap, zxid, last| {
        for kind in KINDS {
            let member = connected(kind, &[]);
            let end = LinkEnd::DoesNotFollow { zxid, last };
            ends_with(member, &[Snap(snap), Proposal(zxid)], end);
        }
    };
    behind(z(2, 6), z(2, 8), z(2, 6));
    behind(z(2, 6), z(3, 2), z(2, 6));
    behind(z(2, 0), z(2, 2), z(2, 0));
    behind(z(2, 6), z(2, 0), z(2, 6));
    for kind in KINDS {
        let said = [Snap(z(2, 6)), Proposal(z(2, 4)), Proposal(z(3, 1))];
        let end = LinkEnd::DoesNotFollow { zxid: z(3, 1), last: z(2, 4) };
        ends_with(connected(kind, &[]), &said, end);
        let said = [Snap(z(3, 0)), Proposal(z(2, 4)), Proposal(z(3, 1))];
        let mut member = connected(kind, &[]);
        member.hears_all(&said);
        assert_eq!(member.end(), None, "the beginning of an epoch is no transaction");
    }
}

/// A follower gets what is under way too. It belongs behind the state, into the log.
#[test]
fn proposals_behind_a_state_go_to_the_log_and_are_acknowledged_behind_newleader() {
    let mut member = connected(LearnerKind::Follower, &[z(1, 1)]);
    let pairs = [Proposal(z(4, 1)), Proposal(z(4, 2)), Commit(z(4, 1)), Proposal(z(4, 3))];
    member.hears(Snap(z(2, 6)));
    member.hears_all(&pairs);
    member.hears(NewLeader(4));
    assert_eq!((member.disk.base, &member.disk.log[..]), (z(4, 1), &[z(4, 2), z(4, 3)][..]));
    assert_eq!(member.acks(), [z(4, 0), z(4, 2), z(4, 3)]);
    member.hears_all(&[UpToDate, Commit(z(4, 2)), Commit(z(4, 3))]);
    assert_eq!(member.committed, z(4, 3));
}

/// The second leader has the same history and has ordered nothing either: its numbers are smaller.
#[test]
fn beginning_of_an_epoch_is_not_taken_for_something_committed_that_a_later_leader_lacks() {
    for kind in KINDS {
        let mut member = connected(kind, &[]);
        member.hears_all(&[Snap(z(4, 0)), NewLeader(4), UpToDate]);
        let mut member = member.reconnect();
        member.hears_all(&[LeaderEpoch(5), Snap(z(2, 6)), NewLeader(5), UpToDate]);
        assert_eq!((member.end(), member.is_serving), (None, true));
        assert_eq!((member.disk.base, member.committed), (z(2, 6), z(2, 6)));
    }
}

/// What was committed is never given up, by whatever way the leader synchronizes.
#[test]
fn leader_that_has_lost_what_was_committed_ends_the_link_and_nothing_is_changed() {
    for kind in KINDS {
        let mut member = connected(kind, &history());
        member.hears_all(&[Diff(z(2, 6)), NewLeader(4), UpToDate]);
        assert_eq!(member.committed, z(2, 6));
        for said in [&[Trunc(z(2, 5))][..], &[Snap(z(2, 5)), NewLeader(5)]] {
            let mut next = member.reconnect();
            next.hears(LeaderEpoch(5 + u32::from(said.len() == 2)));
            let said: Vec<Said> = said
                .iter()
                .map(|said| match said {
                    NewLeader(_) => NewLeader(6),
                    other => *other,
                })
                .collect();
            next.hears_all(&said);
            let (zxid, committed) = (z(2, 5), z(2, 6));
            let end = next.end().expect("it ends");
            assert_eq!(end, LinkEnd::LostCommitted { zxid, committed });
            assert!(end.to_string().ends_with("has lost what it acknowledged"), "{end}");
            assert_eq!(next.disk.log, history());
            member = next;
        }
    }
}
