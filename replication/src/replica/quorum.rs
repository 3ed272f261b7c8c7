//! What a majority has acknowledged.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::session::ServerId;

use crate::plant::{Bug, is_planted};

/// Later than any transaction.
const LAST: Zxid = Zxid(u64::MAX);

/// The voting members, and up to where each has the log on its disk. A standalone server is an
/// ensemble of one and its own majority.
///
/// Committed is what a majority holds of this leader's own epoch, and what its own disk holds: a
/// leader applies nothing that a restart would not find. What older epochs have left is committed
/// before it begins, so no row is ever compared with that.
#[derive(Debug)]
pub(crate) struct Quorum {
    own: ServerId,
    acked: Vec<(ServerId, Zxid)>,
    /// The beginning of the epoch: what is not behind it was committed before.
    begin: Zxid,
    /// What our own log has on the disk.
    durable: Zxid,
    /// What a majority held and our own disk at the same time. It never falls.
    committed: Zxid,
}

impl Quorum {
    /// A standalone server, whose log up to `zxid` is committed.
    pub(crate) fn alone(own: ServerId, zxid: Zxid) -> Quorum {
        Quorum { own, acked: vec![(own, zxid)], begin: Zxid::ZERO, durable: zxid, committed: zxid }
    }

    /// The voters of a leader that begins an epoch behind `last`, which is committed and on its
    /// own disk.
    pub(crate) fn of(
        voters: impl IntoIterator<Item = ServerId>,
        own: ServerId,
        (epoch, last): (u32, Zxid),
    ) -> Quorum {
        let mut acked: Vec<_> = voters.into_iter().map(|voter| (voter, last)).collect();
        acked.sort_unstable();
        acked.dedup();
        assert!(acked.iter().any(|(voter, _)| *voter == own), "who has no vote does not lead");
        Quorum { own, acked, begin: Zxid::new(epoch, 0), durable: last, committed: last }
    }

    /// Whether this server is a majority by itself.
    pub(crate) fn is_alone(&self) -> bool {
        self.acked.len() == 1
    }

    /// Our own log is durable up to `upto`.
    pub(crate) fn flushed(&mut self, upto: Zxid) {
        assert!(upto >= self.durable, "our own log cannot become less durable");
        self.durable = upto;
        self.set_row(self.own, upto);
    }

    /// The log of a voter is durable up to `upto`. It may be less than before: when its connection
    /// is lost, for it may have to cut off what is not committed when it comes back. So what a
    /// majority held before counts for nothing that our own disk holds later. Who has no vote is
    /// passed over, and so is this server,
    /// which counts itself when its own disk has it.
    pub(crate) fn acked(&mut self, member: ServerId, upto: Zxid) {
        if member != self.own {
            self.set_row(member, upto);
        }
    }

    fn set_row(&mut self, member: ServerId, upto: Zxid) {
        let Some((_, row)) = self.acked.iter_mut().find(|(id, _)| *id == member) else { return };
        *row = upto;
        let held = self.held_by_majority();
        if held > self.begin {
            let is_unflushed = is_planted(Bug::OwnUnflushedCounts);
            let held = if is_unflushed { held } else { held.min(self.durable) };
            self.committed = self.committed.max(held);
        }
    }

    /// The largest zxid that a majority has held, and our own disk.
    pub(crate) fn committed(&self) -> Zxid {
        self.committed
    }

    /// What our own disk holds.
    pub(crate) fn durable(&self) -> Zxid {
        self.durable
    }

    /// Whether something may be committed by a flush of our own log: another voter holds more than
    /// it does, or there is none.
    pub(crate) fn awaits_flush(&self) -> bool {
        let is_ahead = |(id, zxid): &(ServerId, Zxid)| *id != self.own && *zxid > self.durable;
        self.is_alone() || self.acked.iter().any(is_ahead)
    }

    /// The largest row that a majority of the rows reaches.
    fn held_by_majority(&self) -> Zxid {
        if let [(_, only)] = self.acked[..] {
            return only;
        }
        if is_planted(Bug::MinorityCommits) {
            return self.durable;
        }
        let is_unflushed = |id: ServerId| id == self.own && is_planted(Bug::OwnUnflushedCounts);
        let row = |(id, zxid): &(ServerId, Zxid)| if is_unflushed(*id) { LAST } else { *zxid };
        let rows = || self.acked.iter().map(row);
        let is_held = |zxid: &Zxid| rows().filter(|row| row >= zxid).count() > self.acked.len() / 2;
        rows().filter(is_held).max().expect("the smallest is held by all")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: ServerId = ServerId(1);

    fn quorum(members: u8, last: Zxid) -> Quorum {
        Quorum::of((1..=members).map(ServerId), OWN, (2, last))
    }

    /// Acknowledgements as counters of the epoch 2.
    fn ack(quorum: &mut Quorum, acks: &[(u8, u32)]) -> u32 {
        for (member, upto) in acks {
            match ServerId(*member) {
                OWN => quorum.flushed(Zxid::new(2, *upto)),
                other => quorum.acked(other, Zxid::new(2, *upto)),
            }
        }
        quorum.committed().counter()
    }

    #[test]
    fn own_flush_is_awaited_where_another_voter_is_ahead_of_it() {
        let mut alone = quorum(1, Zxid::new(2, 0));
        assert!(alone.awaits_flush());
        alone.flushed(Zxid::new(2, 1));
        assert!(alone.awaits_flush());
        let mut three = quorum(3, Zxid::new(2, 0));
        assert!(!three.awaits_flush());
        ack(&mut three, &[(2, 4)]);
        assert!(three.awaits_flush());
        ack(&mut three, &[(1, 3)]);
        assert!(three.awaits_flush());
        ack(&mut three, &[(1, 4)]);
        assert!(!three.awaits_flush());
        ack(&mut three, &[(1, 5), (3, 5)]);
        assert!(!three.awaits_flush());
    }

    fn committed(acks: &[(u8, u32)], members: u8) -> u32 {
        ack(&mut quorum(members, Zxid::ZERO), acks)
    }

    #[test]
    fn one_member_commits_by_itself() {
        assert_eq!(committed(&[], 1), 0);
        assert_eq!(committed(&[(1, 7)], 1), 7);
        let mut alone = Quorum::alone(OWN, Zxid(3));
        assert!(alone.is_alone() && alone.committed() == Zxid(3));
        alone.flushed(Zxid(9));
        assert_eq!(alone.committed(), Zxid(9));
    }

    #[test]
    fn a_majority_commits_what_all_of_it_hold() {
        assert_eq!(committed(&[(1, 9)], 3), 0);
        assert_eq!(committed(&[(1, 9), (3, 5)], 3), 5);
        assert_eq!(committed(&[(1, 9), (3, 5), (2, 7)], 3), 7);
        assert_eq!(committed(&[(1, 9), (2, 9)], 4), 0, "half of the members are no majority");
        assert_eq!(committed(&[(1, 9), (2, 8), (4, 3)], 4), 3);
        assert_eq!(committed(&[(1, 9), (2, 8), (4, 3), (5, 2)], 5), 3);
    }

    #[test]
    fn leader_commits_nothing_that_its_own_disk_does_not_hold() {
        let mut quorum = quorum(3, Zxid::ZERO);
        assert_eq!(ack(&mut quorum, &[(2, 9), (3, 8)]), 0);
        assert_eq!(ack(&mut quorum, &[(1, 5)]), 5);
        assert_eq!(ack(&mut quorum, &[(1, 9)]), 9);
    }

    #[test]
    fn observer_is_in_no_majority() {
        assert_eq!(committed(&[(1, 9), (7, 9), (8, 9)], 3), 0);
    }

    #[test]
    fn leader_counts_itself_when_its_own_disk_has_it_alone() {
        let mut quorum = quorum(3, Zxid::ZERO);
        quorum.acked(OWN, Zxid::new(2, 9));
        quorum.acked(ServerId(2), Zxid::new(2, 9));
        assert_eq!((quorum.held_by_majority(), quorum.committed()), (Zxid::ZERO, Zxid::ZERO));
    }

    #[test]
    fn row_that_is_reset_takes_nothing_back() {
        let mut quorum = quorum(3, Zxid::ZERO);
        assert_eq!(ack(&mut quorum, &[(1, 9), (2, 6)]), 6);
        assert_eq!(ack(&mut quorum, &[(2, 2)]), 6);
        assert_eq!(ack(&mut quorum, &[(2, 5)]), 6);
        assert_eq!(ack(&mut quorum, &[(3, 7)]), 7, "another majority");
        assert_eq!(ack(&mut quorum, &[(3, 0), (2, 8)]), 8);
    }

    /// The leader's disk is slow. A voter whose connection is lost cuts off what the leader has not
    /// committed, so that its earlier acknowledgement must not count when the leader's disk has it.
    #[test]
    fn majority_that_is_gone_commits_nothing_that_the_own_disk_holds_later() {
        let mut quorum = quorum(3, Zxid::ZERO);
        assert_eq!(ack(&mut quorum, &[(2, 9), (3, 9), (1, 4)]), 4);
        assert_eq!(ack(&mut quorum, &[(2, 0), (3, 0), (1, 9)]), 4);
        assert_eq!(ack(&mut quorum, &[(2, 7)]), 7);
    }

    #[test]
    fn what_an_older_epoch_has_left_is_not_counted() {
        let last = Zxid::new(1, 5);
        let mut quorum = quorum(3, last);
        assert_eq!(quorum.committed(), last);
        quorum.acked(ServerId(2), Zxid::new(1, 9));
        quorum.acked(ServerId(3), Zxid::new(1, 9));
        quorum.flushed(last);
        assert_eq!(quorum.committed(), last);
        quorum.acked(ServerId(3), Zxid::new(2, 0));
        quorum.acked(ServerId(2), Zxid::new(2, 0));
        assert_eq!(quorum.committed(), last, "the epoch has begun, and nothing of it is there");
        quorum.flushed(Zxid::new(2, 1));
        assert_eq!(quorum.committed(), last);
        quorum.acked(ServerId(3), Zxid::new(2, 1));
        assert_eq!(quorum.committed(), Zxid::new(2, 1));
    }
}
