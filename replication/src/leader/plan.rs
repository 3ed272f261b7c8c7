//! How a learner is brought in line with the leader's history.
//!
//! The rule: what the learner has up to the largest transaction that both may have stays, what it
//! has behind that is cut off, and the rest is sent. A whole state is sent only where the log does
//! not go back so far, or where nothing says how far the histories agree.
//!
//! # No cut below what the learner can have committed
//!
//! Let `c` be the last transaction that the learner knows to be committed, and `l` its last one. A
//! quorum had `c` on its disks, so every later leader has it: `c` is in the history of this leader.
//!
//! - `l` is in that history too: nothing is cut.
//! - `l` is not: then `c < l`. The cut is at the largest transaction of the history below `l`, and
//!   `c` is one below `l`, so the cut is not below `c`.
//! - `l` is later than all that is sent (`upto`): the cut is at `upto`. A learner has heard of no
//!   commit but from a leader. What earlier leaders have committed is in the history that this
//!   epoch begins with, and `upto` is not below that. What this leader has committed is not above
//!   `upto`, if `upto` was read after the learner's last connection ended.
//!
//! The last line is about acknowledgements too: the learner may have one of the transactions that
//! are cut off on its disk, and may have acknowledged it. So the leader must not count what the
//! learner has acknowledged over earlier connections for any transaction behind `upto`, from when
//! it reads `upto` on.
//!
//! A zxid names one transaction, and who has it has all that its leader had before it. So what is
//! in both histories is a common beginning, and no look at what is before is needed.

use ringkeeper_engine::Zxid;

use super::SyncPlan;

/// What the log of the leader says about the last transaction of a learner. Where that is not below
/// what is sent, the log need not be looked at: it is [`LogReach::Has`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogReach {
    /// It is in the log, or the log begins behind it: what follows can be read. For a learner that
    /// has nothing: the log has everything, and is short enough.
    Has,
    /// It would have to be in the log, and is not.
    Lacks {
        /// The transaction before it, or what the log begins behind.
        before: Zxid,
    },
    /// It is the beginning of an epoch, (e,0), and the log has the first transaction of that epoch.
    /// So it is the history that the epoch began with: who says so has been synchronized by the
    /// leader of that epoch.
    BeginsEpoch {
        /// The transaction before that epoch, or what the log begins behind.
        before: Zxid,
    },
    /// The log begins later. For a learner that has nothing: or it is too long.
    BeginsLater,
}

/// The plan for a learner whose last transaction is `last`, and where to begin reading: behind
/// which transaction. `upto` is the last transaction that is sent.
///
/// The beginning of an epoch, (e,0), is no transaction. It is never a cut, for learners cut behind
/// something that they have. And who reports it (a learner of ZooKeeper's) does not say what its
/// last transaction is: that may lie before a cut, and what follows the cut would leave a hole.
pub fn sync_plan(last: Zxid, upto: Zxid, reach: LogReach) -> (SyncPlan, Zxid) {
    let cut = |at: Zxid| match (at.counter(), last.counter()) {
        (0, _) | (_, 0) => (SyncPlan::Snap(upto), upto),
        _ => (SyncPlan::Trunc(at), at),
    };
    if last > upto {
        return cut(upto);
    }
    match reach {
        LogReach::Has => (SyncPlan::Diff, last),
        LogReach::BeginsEpoch { before } => (SyncPlan::Diff, before),
        LogReach::Lacks { before } => cut(before),
        LogReach::BeginsLater => (SyncPlan::Snap(upto), upto),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn z(epoch: u32, counter: u32) -> Zxid {
        Zxid::new(epoch, counter)
    }

    /// What a log says that goes on behind `base`.
    fn reach(history: &[Zxid], base: Zxid, last: Zxid) -> LogReach {
        if last >= history.last().copied().unwrap_or(base) || last == base {
            return LogReach::Has;
        }
        if last < base {
            return LogReach::BeginsLater;
        }
        let behind = history.partition_point(|zxid| *zxid <= last);
        let before = history[..behind].last().copied().unwrap_or(Zxid::ZERO).max(base);
        match () {
            () if before == last => LogReach::Has,
            () if last.counter() == 0 && history[behind] == Zxid(last.0 + 1) => {
                LogReach::BeginsEpoch { before }
            }
            () => LogReach::Lacks { before },
        }
    }

    /// A leader at (2,6), as in the table of what a leader of ZooKeeper's was seen to choose.
    #[test]
    fn learner_gets_what_follows_the_largest_transaction_that_both_may_have() {
        let history: Vec<Zxid> =
            [z(1, 1), z(1, 2)].into_iter().chain((1..=6).map(|counter| z(2, counter))).collect();
        let upto = z(2, 6);
        let cases = [
            (Zxid::ZERO, SyncPlan::Diff, Zxid::ZERO),
            (upto, SyncPlan::Diff, upto),
            (z(2, 5), SyncPlan::Diff, z(2, 5)),
            (z(2, 0xb), SyncPlan::Trunc(upto), upto),
            (z(3, 6), SyncPlan::Trunc(upto), upto),
            (z(1, 2), SyncPlan::Diff, z(1, 2)),
            (z(1, 1), SyncPlan::Diff, z(1, 1)),
            (z(1, 9), SyncPlan::Trunc(z(1, 2)), z(1, 2)),
            (z(2, 0), SyncPlan::Diff, z(1, 2)),
            (z(1, 0), SyncPlan::Diff, Zxid::ZERO),
            (z(3, 0), SyncPlan::Snap(upto), upto),
        ];
        for (last, plan, from) in cases {
            let reach = reach(&history, Zxid::ZERO, last);
            assert_eq!(sync_plan(last, upto, reach), (plan, from), "{last}");
        }
        let fresh = sync_plan(z(1, 5), z(1, 2), LogReach::Has);
        assert_eq!(fresh, (SyncPlan::Trunc(z(1, 2)), z(1, 2)));
    }

    #[test]
    fn state_is_sent_where_the_log_does_not_reach_or_nothing_can_be_cut_at() {
        let snap = |last, upto, reach| {
            assert_eq!(sync_plan(last, upto, reach), (SyncPlan::Snap(upto), upto), "{last}");
        };
        snap(Zxid::ZERO, z(2, 6), LogReach::BeginsLater);
        snap(z(1, 1), z(2, 6), LogReach::BeginsLater);
        snap(z(1, 9), z(2, 6), LogReach::Lacks { before: Zxid::ZERO });
        snap(z(2, 3), z(4, 6), LogReach::Lacks { before: z(2, 0) });
        snap(z(1, 3), Zxid::ZERO, LogReach::Has);
        snap(z(5, 3), z(4, 0), LogReach::Has);
        snap(z(5, 0), z(4, 0), LogReach::Has);
        snap(z(3, 0), z(4, 6), LogReach::Lacks { before: z(2, 6) });
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) as usize % end
        }
    }

    /// A server of an ensemble: what is in its log, and what it knows to be committed.
    #[derive(Clone, Default, Debug)]
    struct Server {
        /// The last epoch whose history it had.
        epoch: u32,
        history: Vec<Zxid>,
        committed: usize,
    }

    impl Server {
        fn last(&self) -> Zxid {
            self.history.last().copied().unwrap_or_default()
        }

        /// Does what a leader with this history, and a log that goes on behind `base`, makes of it.
        fn synchronize(&mut self, leader: &[Zxid], base: Zxid) -> SyncPlan {
            let upto = leader.last().copied().unwrap_or_default();
            let (plan, from) = sync_plan(self.last(), upto, reach(leader, base, self.last()));
            let kept = self.history.clone();
            match plan {
                SyncPlan::Diff => assert_eq!(from, self.last()),
                SyncPlan::Trunc(at) => {
                    assert!(at.counter() > 0 && from == at && leader.contains(&at));
                    self.history.retain(|zxid| *zxid <= at);
                }
                SyncPlan::Snap(at) => {
                    assert_eq!(at, upto);
                    self.history = leader.to_vec();
                }
            }
            assert_eq!(self.history.get(..self.committed), kept.get(..self.committed), "{plan:?}");
            if self.last() == from || matches!(plan, SyncPlan::Snap(_)) {
                self.history.extend(leader.iter().filter(|zxid| **zxid > from));
            }
            plan
        }
    }

    /// Leaders of three servers come and go. Each has the latest history of a majority, brings the
    /// others of that majority in line, and orders something of which they get a part.
    fn play(seed: u64, met: &mut [usize; 3]) {
        let (mut random, mut servers) = (Random(seed), vec![Server::default(); 3]);
        let mut committed = Vec::new();
        for epoch in 1..12 {
            let absent = random.below(4);
            let mut present: Vec<usize> = (0..3).filter(|server| *server != absent).collect();
            present.sort_by_key(|server| (servers[*server].epoch, servers[*server].last()));
            let leader = present.pop().unwrap();
            let history = servers[leader].history.clone();
            assert!(history.starts_with(&committed), "a majority has what is committed");
            committed = history.clone();
            let base = random.below(history.len() + 1).checked_sub(1).map(|at| history[at]);
            for server in &present {
                // A cut may meet a hole: then the learner reports again.
                for _ in 0..20 {
                    let plan = servers[*server].synchronize(&history, base.unwrap_or_default());
                    met[match plan {
                        SyncPlan::Diff => 0,
                        SyncPlan::Trunc(_) => 1,
                        SyncPlan::Snap(_) => 2,
                    }] += 1;
                    if servers[*server].history == history {
                        break;
                    }
                }
                assert_eq!(servers[*server].history, history);
            }
            let ordered: Vec<Zxid> =
                (1..=random.below(5)).map(|counter| z(epoch, counter as u32)).collect();
            present.iter().chain([&leader]).for_each(|server| servers[*server].epoch = epoch);
            servers[leader].history.extend(&ordered);
            let gets: Vec<usize> =
                present.iter().map(|_| random.below(ordered.len() + 1)).collect();
            for (server, count) in present.iter().zip(&gets) {
                servers[*server].history.extend(&ordered[..*count]);
            }
            // The leader and one more are a majority.
            let acknowledged = gets.iter().copied().max().unwrap_or(0);
            committed.extend(&ordered[..acknowledged]);
            for server in present.iter().chain([&leader]) {
                let has = servers[*server].history.len().min(committed.len());
                let known = servers[*server].committed;
                servers[*server].committed = known.max(random.below(has + 1));
            }
        }
    }

    #[test]
    fn learners_get_their_leaders_history_and_keep_what_was_committed() {
        let mut met = [0; 3];
        (0..3_000).for_each(|seed| play(seed, &mut met));
        assert!(met.iter().all(|count| *count > 1_000), "{met:?}");
    }
}
