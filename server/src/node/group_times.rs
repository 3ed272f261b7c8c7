//! How long groups of transactions take from their proposal to the disks of a leader's followers,
//! and from a leader to this server. A time is taken for a group, and not for a transaction.

use std::collections::{BTreeMap, VecDeque};

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::{Millis, Zxid};

use crate::peers::replication_stats::ReplicationStats;

/// Groups that are remembered. A follower that is further behind is not measured until it has
/// caught up.
const GROUPS_MAX: usize = 1_024;

/// The groups that a leader has proposed, and how far each disk has come with them.
#[derive(Default)]
pub(super) struct ProposedGroups {
    /// The last transaction of each group, and when it was proposed, microseconds.
    groups: VecDeque<(Zxid, u64)>,
    /// What is on the disk of a follower.
    acked: BTreeMap<ServerId, Zxid>,
    own: Zxid,
    committed: Zxid,
}

impl ProposedGroups {
    /// A group is on its way to all disks.
    pub(super) fn proposed(&mut self, last: Zxid, now_us: u64) {
        if self.groups.back().is_some_and(|(before, _)| before.epoch() != last.epoch()) {
            // What was proposed in an earlier leadership is not measured any more.
            *self = ProposedGroups::default();
        }
        if self.groups.len() == GROUPS_MAX {
            self.groups.pop_front();
        }
        self.groups.push_back((last, now_us));
    }

    /// A follower has everything up to here.
    pub(super) fn acked(
        &mut self,
        (server, upto): (ServerId, Zxid),
        now_us: u64,
        stats: &ReplicationStats,
    ) {
        let before = self.acked.insert(server, upto).unwrap_or(Zxid::ZERO);
        each(&self.groups, (before, upto), now_us, |micros| stats.acked(server, micros));
    }

    /// This server has.
    pub(super) fn flushed(&mut self, upto: Zxid, now_us: u64, stats: &ReplicationStats) {
        let before = std::mem::replace(&mut self.own, upto);
        each(&self.groups, (before, upto), now_us, |micros| stats.own_acks.record(micros));
    }

    /// A quorum has.
    pub(super) fn committed(&mut self, upto: Zxid, now_us: u64, stats: &ReplicationStats) {
        let before = std::mem::replace(&mut self.committed, upto);
        each(&self.groups, (before, upto), now_us, |micros| {
            stats.quorum_acks.record(micros);
            stats.propagation.record(micros);
        });
    }
}

/// The age of each group that ends behind `after` and not behind `upto`.
fn each(
    groups: &VecDeque<(Zxid, u64)>,
    (after, upto): (Zxid, Zxid),
    now_us: u64,
    mut record: impl FnMut(u64),
) {
    let first = groups.partition_point(|(last, _)| *last <= after);
    let reached = groups.range(first..).take_while(|(last, _)| *last <= upto);
    reached.for_each(|(_, at_us)| record(now_us.saturating_sub(*at_us)));
}

/// One transaction at a time of those that come from a leader: the next one is measured when it is
/// committed.
#[derive(Default)]
pub(super) struct LearnedSample {
    sample: Option<Sample>,
}

struct Sample {
    zxid: Zxid,
    /// When the leader has ordered it, by its clock.
    time: Millis,
    arrived_us: u64,
    is_durable: bool,
}

impl LearnedSample {
    /// Whether the next transaction is to be measured.
    pub(super) fn is_free(&self) -> bool {
        self.sample.is_none()
    }

    /// This transaction has come.
    pub(super) fn learned(
        &mut self,
        (zxid, time): (Zxid, Millis),
        (wall, now_us): (Millis, u64),
        stats: &ReplicationStats,
    ) {
        stats.proposals.record(micros_since(time, wall));
        self.sample = Some(Sample { zxid, time, arrived_us: now_us, is_durable: false });
    }

    /// The log is durable up to here.
    pub(super) fn flushed(&mut self, upto: Zxid, now_us: u64, stats: &ReplicationStats) {
        if let Some(sample) = self.sample.as_mut().filter(|it| !it.is_durable && it.zxid <= upto) {
            sample.is_durable = true;
            stats.own_acks.record(now_us.saturating_sub(sample.arrived_us));
        }
    }

    /// Whether a commit up to here ends the measurement.
    pub(super) fn is_reached(&self, upto: Zxid) -> bool {
        self.sample.as_ref().is_some_and(|sample| sample.zxid <= upto)
    }

    /// It is committed.
    pub(super) fn committed(&mut self, (wall, now_us): (Millis, u64), stats: &ReplicationStats) {
        if let Some(sample) = self.sample.take() {
            stats.commits.record(now_us.saturating_sub(sample.arrived_us));
            stats.propagation.record(micros_since(sample.time, wall));
        }
    }

    /// The link is gone.
    pub(super) fn clear(&mut self) {
        self.sample = None;
    }
}

/// Clocks of two hosts: what began later than it ended has taken no time.
fn micros_since(time: Millis, now: Millis) -> u64 {
    u64::try_from(now.0.saturating_sub(time.0)).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{Distribution, Latencies};

    fn z(epoch: u32, counter: u32) -> Zxid {
        Zxid::new(epoch, counter)
    }

    #[test]
    fn group_is_measured_once_for_each_disk_and_for_the_quorum() {
        let (stats, mut groups) = (ReplicationStats::default(), ProposedGroups::default());
        groups.proposed(z(1, 3), 100);
        groups.proposed(z(1, 5), 200);
        groups.acked((ServerId(2), z(1, 2)), 300, &stats);
        assert!(!stats.acks().contains_key(&ServerId(2)), "a part of a group is none");
        groups.acked((ServerId(2), z(1, 5)), 400, &stats);
        groups.flushed(z(1, 5), 450, &stats);
        groups.committed(z(1, 3), 500, &stats);
        groups.committed(z(1, 5), 600, &stats);
        groups.acked((ServerId(3), z(1, 3)), 1_100, &stats);
        let sizes = |latencies: &Latencies| {
            let sizes = latencies.sizes();
            (sizes.count, sizes.min, sizes.max)
        };
        let acks = stats.acks();
        assert_eq!(sizes(&acks[&ServerId(2)]), (2, 200, 300));
        assert_eq!(sizes(&acks[&ServerId(3)]), (1, 1_000, 1_000));
        assert_eq!(sizes(&stats.quorum_acks.get()), (2, 400, 400));
        assert_eq!(sizes(&stats.own_acks.get()), (2, 250, 350));
        // A later leadership begins anew.
        groups.proposed(z(2, 1), 5_000);
        groups.acked((ServerId(2), z(2, 1)), 5_010, &stats);
        assert_eq!(sizes(&stats.acks()[&ServerId(2)]), (3, 10, 300));
        stats.reset();
        assert!(stats.acks().is_empty() && stats.quorum_acks.get().sizes().count == 0);
    }

    #[test]
    fn groups_that_are_remembered_have_a_bound() {
        let (stats, mut groups) = (ReplicationStats::default(), ProposedGroups::default());
        let most = u32::try_from(GROUPS_MAX).unwrap();
        (1..=most + 10).for_each(|counter| groups.proposed(z(1, counter), 0));
        groups.acked((ServerId(2), z(1, most + 10)), 1, &stats);
        assert_eq!(stats.acks()[&ServerId(2)].sizes().count, u64::from(most));
    }

    #[test]
    fn one_transaction_at_a_time_is_measured_on_a_follower() {
        let (stats, mut sample) = (ReplicationStats::default(), LearnedSample::default());
        assert!(sample.is_free());
        sample.learned((z(1, 1), Millis(1_000)), (Millis(1_002), 50), &stats);
        assert!(!sample.is_free() && !sample.is_reached(Zxid::ZERO));
        sample.flushed(z(1, 4), 250, &stats);
        sample.flushed(z(1, 5), 999, &stats);
        assert!(sample.is_reached(z(1, 4)));
        sample.committed((Millis(1_003), 450), &stats);
        assert!(sample.is_free());
        let once = |times: &Distribution| {
            let times = times.get().sizes();
            (times.count, times.sum)
        };
        assert_eq!(once(&stats.proposals), (1, 2_000));
        assert_eq!(once(&stats.own_acks), (1, 200));
        assert_eq!(once(&stats.commits), (1, 400));
        assert_eq!(once(&stats.propagation), (1, 3_000));
        sample.learned((z(1, 9), Millis(2_000)), (Millis(1_000), 500), &stats);
        sample.clear();
        assert!(sample.is_free());
        assert_eq!(once(&stats.proposals), (2, 2_000), "the clocks of two hosts differ");
    }
}
