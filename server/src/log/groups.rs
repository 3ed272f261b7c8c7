//! When a group of records goes to the log, where it may wait for company.

use ringkeeper_engine::log::gathering::Target;

/// How groups are cut. By default a group is what gathered while the last commit was under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupSettings {
    /// Microseconds that have to lie between two commits; 0 commits what is there (`flushDelay`).
    pub delay_us: u64,
    /// Microseconds without a new record after which the group waits no longer
    /// (`maxWriteQueuePollTime`).
    pub idle_us: u64,
    /// Records after which a group waits no longer (`maxBatchSize`); 0 is no such bound.
    pub records_max: u32,
    /// What waiting for company is judged by where `flushDelay` does not set how long it lasts.
    pub target: Target,
}

/// A group that has records, while no commit is under way.
#[derive(Clone, Copy, Debug)]
pub struct Gathered {
    /// Its records.
    pub records: u32,
    /// Microseconds since the last of them.
    pub since_record_us: u64,
    /// Microseconds since the commit before it ended.
    pub since_commit_us: u64,
}

impl GroupSettings {
    /// Whether groups wait at all.
    pub fn waits(&self) -> bool {
        self.delay_us > 0
    }

    /// Microseconds that the group should still wait; 0 is now.
    ///
    /// As in ZooKeeper, the delay counts from the commit before: the first write after a quiet
    /// time is committed at once, and only a stream of them is gathered.
    pub fn wait_us(&self, group: Gathered) -> u64 {
        if self.records_max != 0 && group.records >= self.records_max {
            return 0;
        }
        let delay = self.delay_us.saturating_sub(group.since_commit_us);
        delay.min(self.idle_us.saturating_sub(group.since_record_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: GroupSettings =
        GroupSettings { delay_us: 9_000, idle_us: 3_000, records_max: 10, target: Target::Latency };

    fn wait_us(records: u32, since_record_us: u64, since_commit_us: u64) -> u64 {
        SETTINGS.wait_us(Gathered { records, since_record_us, since_commit_us })
    }

    #[test]
    fn the_first_write_after_a_quiet_time_does_not_wait() {
        assert_eq!(wait_us(1, 0, 9_000), 0);
        assert_eq!(wait_us(1, 0, 1 << 40), 0);
    }

    #[test]
    fn a_stream_waits_for_the_delay_and_a_pause_ends_it() {
        assert_eq!(wait_us(1, 0, 1_000), 3_000);
        assert_eq!(wait_us(2, 1_000, 4_000), 2_000);
        assert_eq!(wait_us(2, 3_000, 4_000), 0);
        assert_eq!(wait_us(7, 0, 8_500), 500);
    }

    #[test]
    fn a_full_group_does_not_wait() {
        assert_eq!((wait_us(9, 0, 0), wait_us(10, 0, 0), wait_us(11, 0, 0)), (3_000, 0, 0));
        let unbounded = GroupSettings { records_max: 0, ..SETTINGS };
        let group = Gathered { records: 1 << 20, since_record_us: 0, since_commit_us: 0 };
        assert_eq!(unbounded.wait_us(group), 3_000);
        assert_eq!(GroupSettings { idle_us: 0, ..SETTINGS }.wait_us(group), 0);
    }

    #[test]
    fn without_a_delay_nothing_waits() {
        let settings = GroupSettings { delay_us: 0, ..SETTINGS };
        let group = Gathered { records: 1, since_record_us: 0, since_commit_us: 0 };
        assert!(!settings.waits());
        assert_eq!(settings.wait_us(group), 0);
    }
}
