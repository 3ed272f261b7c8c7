//! When the group under construction goes to the log: at once, when the device is free, or after a
//! batching delay.

use ringkeeper_engine::log::gathering::{Decision, DiskState, OpenGroup, Pace, PaceReport, Target};
use ringkeeper_engine::log::{Flushed, Group};

/// How groups are cut. By default a group is what gathered while the last flush was under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupSettings {
    /// Microseconds that have to lie between two flushes; 0 flushes what is there (`flushDelay`).
    pub delay_us: u64,
    /// Microseconds without a new record after which the group waits no longer
    /// (`maxWriteQueuePollTime`).
    pub idle_us: u64,
    /// Records after which a group waits no longer (`maxBatchSize`); 0 is no such bound.
    pub records_max: u32,
    /// What a batching delay is judged by where `flushDelay` does not set how long it lasts.
    pub target: Target,
}

impl GroupSettings {
    /// Whether ZooKeeper's timers decide, and nothing else.
    pub fn is_timed(&self) -> bool {
        self.delay_us > 0
    }

    /// Microseconds that a group should still wait while no flush is under way; 0 is now.
    ///
    /// As in ZooKeeper, the delay counts from the flush before: the first write after a quiet time
    /// is flushed at once, and only a stream of them is gathered.
    fn wait_us(&self, group: Gathered) -> u64 {
        if self.records_max != 0 && group.records >= self.records_max {
            return 0;
        }
        let delay = self.delay_us.saturating_sub(group.since_flush_us);
        delay.min(self.idle_us.saturating_sub(group.since_record_us))
    }
}

/// A group that has records, while no flush is under way.
#[derive(Clone, Copy, Debug)]
struct Gathered {
    records: u32,
    /// Microseconds since the last of them.
    since_record_us: u64,
    /// Microseconds since the flush before it ended.
    since_flush_us: u64,
}

/// Decides about the group under construction.
pub(super) struct Gathering {
    settings: GroupSettings,
    pace: Pace,
    /// When the first record of the group was ordered.
    since_us: u64,
    /// When a group that waits is due; `u64::MAX` where none does.
    due_us: u64,
    /// When the last record was ordered, and when the last flush ended.
    recorded_us: u64,
    flushed_us: u64,
}

impl Gathering {
    /// Nothing gathers yet.
    pub(super) fn new(settings: GroupSettings) -> Gathering {
        let pace = Pace::new(settings.target);
        Gathering { settings, pace, since_us: 0, due_us: u64::MAX, recorded_us: 0, flushed_us: 0 }
    }

    /// Whether ZooKeeper's timers decide, and nothing else.
    pub(super) fn is_timed(&self) -> bool {
        self.settings.is_timed()
    }

    /// Whether it matters when a flush ends: groups may be delayed.
    pub(super) fn is_paced(&self) -> bool {
        self.is_timed() || self.settings.target != Target::Latency
    }

    /// When the first record of the group was ordered.
    pub(super) fn since_us(&self) -> u64 {
        self.since_us
    }

    /// When a group that waits is due; `u64::MAX` where none does.
    pub(super) fn due_us(&self) -> u64 {
        self.due_us
    }

    /// What there is to report.
    pub(super) fn report(&self) -> PaceReport {
        self.pace.report()
    }

    /// An empty group gets its first records now.
    pub(super) fn begin(&mut self, now_us: u64) {
        self.since_us = now_us;
    }

    /// So many records were added.
    pub(super) fn added(&mut self, records: u32, now_us: u64) {
        self.recorded_us = now_us;
        self.pace.arrived(now_us, records);
    }

    /// A group became durable.
    pub(super) fn flushed(&mut self, group: Flushed, now_us: u64) {
        self.pace.durable(now_us, group.records, group.micros);
        self.flushed_us = now_us;
    }

    /// What to do with a group that is not empty and joins no other.
    pub(super) fn decide(&mut self, group: &Group, disk: DiskState, now_us: u64) -> Decision {
        self.due_us = u64::MAX;
        let decision = if self.is_timed() {
            self.decide_by_timers(group, disk, now_us)
        } else {
            let gathered = OpenGroup { writes: group.records(), since_us: self.since_us };
            self.pace.decide(now_us, gathered, disk)
        };
        if let Decision::Wait(until_us) = decision {
            self.due_us = until_us;
        }
        decision
    }

    fn decide_by_timers(&self, group: &Group, disk: DiskState, now_us: u64) -> Decision {
        if disk == DiskState::Busy {
            return Decision::Gather;
        }
        let wait_us = self.settings.wait_us(Gathered {
            records: group.records(),
            since_record_us: now_us.saturating_sub(self.recorded_us),
            since_flush_us: now_us.saturating_sub(self.flushed_us),
        });
        if wait_us == 0 { Decision::Flush } else { Decision::Wait(now_us + wait_us) }
    }

    /// There is no group to wait for.
    pub(super) fn rest(&mut self) {
        self.due_us = u64::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: GroupSettings =
        GroupSettings { delay_us: 9_000, idle_us: 3_000, records_max: 10, target: Target::Latency };

    fn wait_us(records: u32, since_record_us: u64, since_flush_us: u64) -> u64 {
        SETTINGS.wait_us(Gathered { records, since_record_us, since_flush_us })
    }

    #[test]
    fn first_write_after_a_quiet_time_does_not_wait() {
        assert_eq!(wait_us(1, 0, 9_000), 0);
        assert_eq!(wait_us(1, 0, 1 << 40), 0);
    }

    #[test]
    fn stream_waits_for_the_delay_and_a_pause_ends_it() {
        assert_eq!(wait_us(1, 0, 1_000), 3_000);
        assert_eq!(wait_us(2, 1_000, 4_000), 2_000);
        assert_eq!(wait_us(2, 3_000, 4_000), 0);
        assert_eq!(wait_us(7, 0, 8_500), 500);
    }

    #[test]
    fn full_group_does_not_wait() {
        assert_eq!((wait_us(9, 0, 0), wait_us(10, 0, 0), wait_us(11, 0, 0)), (3_000, 0, 0));
        let unbounded = GroupSettings { records_max: 0, ..SETTINGS };
        let group = Gathered { records: 1 << 20, since_record_us: 0, since_flush_us: 0 };
        assert_eq!(unbounded.wait_us(group), 3_000);
        assert_eq!(GroupSettings { idle_us: 0, ..SETTINGS }.wait_us(group), 0);
    }

    #[test]
    fn without_a_delay_timers_do_not_decide() {
        let settings = GroupSettings { delay_us: 0, ..SETTINGS };
        let group = Gathered { records: 1, since_record_us: 0, since_flush_us: 0 };
        assert!(!settings.is_timed());
        assert_eq!(settings.wait_us(group), 0);
    }
}
