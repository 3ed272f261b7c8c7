//! When a snapshot is due.
//!
//! ZooKeeper counts transactions (`snapCount`) or bytes of log. By that alone a start after a crash
//! may have tens of megabytes of log to replay. So there are early snapshots as well: as soon as
//! some log is behind the last snapshot and taking one costs next to nothing, which is so for small
//! trees and slow writers. An early snapshot is no retained snapshot: the regular ones are taken
//! as ZooKeeper takes them, and the log behind them is kept as if there were no early one.
//!
//! The early ones are performance machinery, which a reader may skip on first reading; see
//! `docs/understand/performance.md`.

use std::time::Duration;

/// The share of a processor that early snapshots may take: one part in so many.
const PART: u32 = 32;
/// Bytes of a transaction in the log, for those that were written before the start.
const RECORD_BYTES: u64 = 256;

/// When snapshots are taken.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// Transactions between two snapshots; the real number is drawn between half of it and all
    /// of it, so that the servers of an ensemble do not take theirs at the same moment (`snapCount`).
    pub records: u64,
    /// Bytes of log between two snapshots (`snapSizeLimitInKb`).
    pub bytes: u64,
    /// Bytes of log behind which one is taken early; `u64::MAX` for never.
    pub early_bytes: u64,
}

/// How much the log has grown since the start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LogGrowth {
    /// Transactions.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Why a snapshot is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotKind {
    /// It is due, or a client has requested it. It stays until it is purged.
    Regular,
    /// It is cheap, and the next start has less log to replay.
    Early,
}

/// What the start that came before knows of the last snapshot.
#[derive(Clone, Copy, Default, Debug)]
pub struct LastStart {
    /// Transactions in the log behind the last snapshot.
    pub replayed: u64,
    /// How long it took to load that; to take one takes about as long.
    pub load_ms: u64,
}

/// When which snapshot is due. Times are monotonic, since the start.
#[derive(Debug)]
pub(super) struct Schedule {
    intervals: Intervals,
    /// How much the log had grown at the last regular snapshot; negative if that was before the
    /// start.
    regular: LogGrowth,
    /// Transactions after which the next regular one is due.
    threshold: u64,
    /// The same in bytes, at the last snapshot of either kind.
    newest_bytes: u64,
    /// No early snapshot is due before.
    rest_until: Duration,
}

impl Schedule {
    pub(super) fn new(intervals: Intervals, start: LastStart, random: u64) -> Schedule {
        let records = 0_u64.wrapping_sub(start.replayed);
        Schedule {
            intervals,
            regular: LogGrowth { records, bytes: 0 },
            threshold: threshold(intervals, random),
            newest_bytes: records.wrapping_mul(RECORD_BYTES),
            rest_until: Duration::from_millis(start.load_ms) * PART,
        }
    }

    /// The snapshot that is due now.
    pub(super) fn due(&self, growth: LogGrowth, now: Duration) -> Option<SnapshotKind> {
        let records = growth.records.wrapping_sub(self.regular.records);
        let bytes = growth.bytes - self.regular.bytes;
        if records >= self.threshold || bytes >= self.intervals.bytes {
            return Some(SnapshotKind::Regular);
        }
        let behind = growth.bytes.wrapping_sub(self.newest_bytes);
        let early = behind >= self.intervals.early_bytes && now >= self.rest_until;
        early.then_some(SnapshotKind::Early)
    }

    /// Notes that one was taken, at `now`.
    pub(super) fn taken(&mut self, taken: Taken, now: Duration, random: u64) {
        let Taken { kind, growth, cost } = taken;
        if kind == SnapshotKind::Regular {
            self.regular = growth;
            self.threshold = threshold(self.intervals, random);
        }
        self.newest_bytes = growth.bytes;
        self.rest(now, cost);
    }

    /// Puts early snapshots off for a time in proportion to this cost.
    pub(super) fn rest(&mut self, now: Duration, cost: Duration) {
        self.rest_until = now + cost * PART;
    }
}

/// A snapshot that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Why it was taken.
    pub kind: SnapshotKind,
    /// How much the log had grown when it began.
    pub growth: LogGrowth,
    /// Processor time that it took.
    pub cost: Duration,
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

    fn growth(records: u64) -> LogGrowth {
        LogGrowth { records, bytes: records * 100 }
    }

    fn taken(kind: SnapshotKind, records: u64, cost: Duration) -> Taken {
        Taken { kind, growth: growth(records), cost }
    }

    #[test]
    fn regular_snapshots_are_due_by_records_and_bytes_whatever_early_ones_were_taken() {
        let start = LastStart { replayed: 300, ..LastStart::default() };
        let never = Intervals { early_bytes: u64::MAX, ..INTERVALS };
        let mut schedule = Schedule::new(never, start, 499);
        assert_eq!(schedule.threshold, 1_000);
        assert_eq!(schedule.due(growth(699), 900 * MS), None);
        assert_eq!(schedule.due(growth(700), Duration::ZERO), Some(SnapshotKind::Regular));
        schedule.taken(taken(SnapshotKind::Regular, 700, MS), MS, 0);
        assert_eq!(schedule.threshold, 501);
        schedule.taken(taken(SnapshotKind::Early, 1_100, MS), MS, 0);
        assert_eq!(schedule.due(growth(1_200), MS), None);
        assert_eq!(schedule.due(growth(1_201), MS), Some(SnapshotKind::Regular));
        let much = LogGrowth { records: 701, bytes: 70_000 + (1 << 30) };
        assert_eq!(schedule.due(much, MS), Some(SnapshotKind::Regular));
    }

    #[test]
    fn early_snapshots_are_due_by_log_bytes_and_rest_in_proportion_to_their_cost() {
        let mut schedule = Schedule::new(INTERVALS, LastStart::default(), 499);
        assert_eq!(schedule.due(growth(49), MS), None);
        assert_eq!(schedule.due(growth(50), MS), Some(SnapshotKind::Early));
        schedule.taken(taken(SnapshotKind::Early, 50, 2 * MS), 10 * MS, 0);
        assert_eq!(schedule.due(growth(99), 900 * MS), None);
        assert_eq!(schedule.due(growth(200), 73 * MS), None);
        assert_eq!(schedule.due(growth(200), 74 * MS), Some(SnapshotKind::Early));
        schedule.taken(taken(SnapshotKind::Regular, 200, MS), 80 * MS, 0);
        assert_eq!(schedule.due(growth(400), 111 * MS), None);
        assert_eq!(schedule.due(growth(249), 112 * MS), None);
        assert_eq!(schedule.due(growth(250), 112 * MS), Some(SnapshotKind::Early));
    }

    #[test]
    fn replayed_log_counts_and_a_slow_load_puts_early_snapshots_off() {
        let start = LastStart { replayed: 19, load_ms: 100 };
        let schedule = Schedule::new(INTERVALS, start, 0);
        assert_eq!(schedule.due(growth(1), 4_000 * MS), None);
        assert_eq!(schedule.due(growth(2), 3_199 * MS), None);
        assert_eq!(schedule.due(growth(2), 3_200 * MS), Some(SnapshotKind::Early));
        let large = Schedule::new(INTERVALS, LastStart { load_ms: 1_000, ..start }, 0);
        assert_eq!(large.due(growth(400), 31_999 * MS), None);
    }
}
