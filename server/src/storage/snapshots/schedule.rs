//! When a snapshot is due.
//!
//! ZooKeeper counts transactions (`snapCount`) or bytes of log. By that alone a start after a crash
//! may have tens of megabytes of log to replay. So there are early snapshots as well: as soon as
//! some log is behind the last one, where taking one costs next to nothing, which is so for small
//! trees and slow writers. They are no part of what is kept: those that ZooKeeper would have taken
//! stay as they are, and so does the log behind them.

use std::time::Duration;

/// What early snapshots may take of a processor: one part in so many.
const PART: u32 = 32;
/// Bytes of a transaction in the log, where nobody has counted them.
const RECORD_BYTES: u64 = 256;

/// When snapshots are taken.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// Transactions between two snapshots; the real number is drawn between half of it and all
    /// of it, so that servers of an ensemble do not do it at the same moment (`snapCount`).
    pub records: u64,
    /// Bytes of log between two snapshots (`snapSizeLimitInKb`).
    pub bytes: u64,
    /// Bytes of log behind which one is taken early; `u64::MAX` for never.
    pub early_bytes: u64,
}

/// What was committed since the start.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Committed {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// Why a snapshot is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It is its turn, or somebody has asked for it. It stays until it is purged.
    Regular,
    /// It is cheap, and saves the next start some of the log.
    Early,
}

/// What a start knows.
#[derive(Clone, Copy, Default, Debug)]
pub struct Begun {
    /// Transactions in the log behind the last snapshot.
    pub behind: u64,
    /// How long it took to load that; to take one takes about as long.
    pub load_ms: u64,
}

/// What is due when. Times are monotonic, since the start.
#[derive(Debug)]
pub(super) struct Schedule {
    intervals: Intervals,
    /// What had been committed at the last regular snapshot; negative where that was before the
    /// start.
    regular: Committed,
    /// Transactions after which the next regular one is due.
    threshold: u64,
    /// Bytes that had been committed at the last snapshot of either kind.
    newest_bytes: u64,
    /// There is no early one before.
    rest_until: Duration,
}

impl Schedule {
    pub(super) fn new(intervals: Intervals, begun: Begun, random: u64) -> Schedule {
        let records = 0_u64.wrapping_sub(begun.behind);
        Schedule {
            intervals,
            regular: Committed { records, bytes: 0 },
            threshold: threshold(intervals, random),
            newest_bytes: records.wrapping_mul(RECORD_BYTES),
            rest_until: Duration::from_millis(begun.load_ms) * PART,
        }
    }

    /// What is due now.
    pub(super) fn due(&self, committed: Committed, now: Duration) -> Option<Kind> {
        let records = committed.records.wrapping_sub(self.regular.records);
        let bytes = committed.bytes - self.regular.bytes;
        if records >= self.threshold || bytes >= self.intervals.bytes {
            return Some(Kind::Regular);
        }
        let behind = committed.bytes.wrapping_sub(self.newest_bytes);
        let early = behind >= self.intervals.early_bytes && now >= self.rest_until;
        early.then_some(Kind::Early)
    }

    /// Notes that one was taken, of what had been committed before, and when it was there.
    pub(super) fn taken(&mut self, taken: Taken, now: Duration, random: u64) {
        let Taken { kind, committed, cost } = taken;
        if kind == Kind::Regular {
            self.regular = committed;
            self.threshold = threshold(self.intervals, random);
        }
        self.newest_bytes = committed.bytes;
        self.rest(now, cost);
    }

    /// Leaves the processor to others for as long as such a cost is worth.
    pub(super) fn rest(&mut self, now: Duration, cost: Duration) {
        self.rest_until = now + cost * PART;
    }
}

/// A snapshot that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) kind: Kind,
    /// When it was begun.
    pub(super) committed: Committed,
    /// Processor time.
    pub(super) cost: Duration,
}

/// Between half and all of the setting.
fn threshold(intervals: Intervals, random: u64) -> u64 {
    let half = (intervals.records / 2).max(1);
    half + 1 + random % half
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const INTERVALS: Intervals = Intervals { records: 1_000, bytes: 1 << 30, early_bytes: 5_000 };

    fn committed(records: u64) -> Committed {
        Committed { records, bytes: records * 100 }
    }

    fn taken(kind: Kind, records: u64, cost: Duration) -> Taken {
        Taken { kind, committed: committed(records), cost }
    }

    #[test]
    fn regular_ones_count_transactions_and_bytes_as_if_there_were_no_others() {
        let begun = Begun { behind: 300, ..Begun::default() };
        let never = Intervals { early_bytes: u64::MAX, ..INTERVALS };
        let mut schedule = Schedule::new(never, begun, 499);
        assert_eq!(schedule.threshold, 1_000);
        assert_eq!(schedule.due(committed(699), 900 * MS), None);
        assert_eq!(schedule.due(committed(700), Duration::ZERO), Some(Kind::Regular));
        schedule.taken(taken(Kind::Regular, 700, MS), MS, 0);
        assert_eq!(schedule.threshold, 501);
        schedule.taken(taken(Kind::Early, 1_100, MS), MS, 0);
        assert_eq!(schedule.due(committed(1_200), MS), None);
        assert_eq!(schedule.due(committed(1_201), MS), Some(Kind::Regular));
        let much = Committed { records: 701, bytes: 70_000 + (1 << 30) };
        assert_eq!(schedule.due(much, MS), Some(Kind::Regular));
    }

    #[test]
    fn early_ones_come_with_the_log_and_rest_for_as_long_as_they_cost() {
        let mut schedule = Schedule::new(INTERVALS, Begun::default(), 499);
        assert_eq!(schedule.due(committed(49), MS), None);
        assert_eq!(schedule.due(committed(50), MS), Some(Kind::Early));
        schedule.taken(taken(Kind::Early, 50, 2 * MS), 10 * MS, 0);
        assert_eq!(schedule.due(committed(99), 900 * MS), None);
        assert_eq!(schedule.due(committed(200), 73 * MS), None);
        assert_eq!(schedule.due(committed(200), 74 * MS), Some(Kind::Early));
        schedule.taken(taken(Kind::Regular, 200, MS), 80 * MS, 0);
        assert_eq!(schedule.due(committed(400), 111 * MS), None);
        assert_eq!(schedule.due(committed(249), 112 * MS), None);
        assert_eq!(schedule.due(committed(250), 112 * MS), Some(Kind::Early));
    }

    #[test]
    fn what_a_start_has_replayed_counts_and_a_large_tree_is_left_alone() {
        let begun = Begun { behind: 19, load_ms: 100 };
        let schedule = Schedule::new(INTERVALS, begun, 0);
        assert_eq!(schedule.due(committed(1), 4_000 * MS), None);
        assert_eq!(schedule.due(committed(2), 3_199 * MS), None);
        assert_eq!(schedule.due(committed(2), 3_200 * MS), Some(Kind::Early));
        let large = Schedule::new(INTERVALS, Begun { load_ms: 1_000, ..begun }, 0);
        assert_eq!(large.due(committed(400), 31_999 * MS), None);
    }
}
