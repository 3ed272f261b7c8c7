//! When a snapshot is due.
//!
//! ZooKeeper counts transactions (`snapCount`) or bytes of log. Here that is the shortest distance
//! between two regular snapshots. A snapshot costs as much as the tree is large, so by that alone a
//! large tree that is written to fast would be copied all the time. From the shortest distance on,
//! one is due when the log behind the last one is as large as the tree ([`portion`]), or would take
//! as long to replay as a start may take ([`Intervals::replay`]). So a byte of log costs at most
//! about a byte of snapshot, and a start takes at most so much longer.
//!
//! A start after a crash may still have tens of megabytes of log to replay where the tree is small.
//! So there are early snapshots as well: as soon as some log is behind the last snapshot and taking
//! one costs next to nothing, which is so for small trees and slow writers. An early snapshot is no
//! retained snapshot: the regular ones are taken, and the log behind them is kept, as if there were
//! no early one.
//!
//! The early ones are performance machinery, which a reader may skip on first reading; see
//! `docs/understand/performance.md`.

use std::time::Duration;

/// The share of a processor that early snapshots may take: one part in so many.
const PART: u32 = 32;
/// Bytes of log that a start is assumed to replay in a millisecond: those of creations of nodes
/// with 100 bytes, in a tree of five million nodes.
const REPLAY_BYTES_PER_MS: u64 = 200_000;
/// Bytes replayed by a start that say how fast this machine does it; fewer say nothing.
const REPLAYED_BYTES_MIN: u64 = 16 << 20;
/// How many times faster or slower than assumed a start may say that it was.
const PACE_TIMES: u64 = 8;

/// When snapshots are taken.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// Transactions between two snapshots, at least; the real number is drawn between half of it
    /// and all of it, so that the servers of an ensemble do not take theirs at the same moment
    /// (`snapCount`).
    pub records: u64,
    /// Bytes of log between two snapshots, at least where there are fewer transactions
    /// (`snapSizeLimitInKb`).
    pub bytes: u64,
    /// How long the log behind a snapshot may take to replay where the tree is larger than that
    /// log; zero for snapshots at the least distance, however large the tree is.
    pub replay: Duration,
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

impl LogGrowth {
    /// What came since then; exact also where that was before the start.
    fn since(self, then: LogGrowth) -> LogGrowth {
        LogGrowth {
            records: self.records.wrapping_sub(then.records),
            bytes: self.bytes.wrapping_sub(then.bytes),
        }
    }
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
    /// The log behind the last snapshot.
    pub replayed: LogGrowth,
    /// How long that took.
    pub replay_ms: u64,
    /// How long it took to load that snapshot; to take one takes about as long.
    pub load_ms: u64,
}

impl LastStart {
    /// Bytes of log that this machine replays in a millisecond.
    fn replay_bytes_per_ms(&self) -> u64 {
        if self.replayed.bytes < REPLAYED_BYTES_MIN {
            return REPLAY_BYTES_PER_MS;
        }
        let measured = self.replayed.bytes / self.replay_ms.max(1);
        measured.clamp(REPLAY_BYTES_PER_MS / PACE_TIMES, REPLAY_BYTES_PER_MS * PACE_TIMES)
    }
}

/// When which snapshot is due. Times are monotonic, since the start.
#[derive(Debug)]
pub(super) struct Schedule {
    intervals: Intervals,
    /// Bytes of log that a start may replay.
    replay_bytes: u64,
    /// How much the log had grown at the last regular snapshot; negative if that was before the
    /// start.
    regular: LogGrowth,
    /// What was drawn for the next regular one.
    drawn: u64,
    /// How many bytes the log had at the last snapshot of either kind.
    newest_bytes: u64,
    /// No early snapshot is due before.
    rest_until: Duration,
}

impl Schedule {
    pub(super) fn new(intervals: Intervals, start: LastStart, random: u64) -> Schedule {
        let regular = LogGrowth::default().since(start.replayed);
        let limit_ms = u64::try_from(intervals.replay.as_millis()).unwrap_or(u64::MAX);
        Schedule {
            intervals,
            replay_bytes: limit_ms.saturating_mul(start.replay_bytes_per_ms()),
            regular,
            drawn: random,
            newest_bytes: regular.bytes,
            rest_until: Duration::from_millis(start.load_ms) * PART,
        }
    }

    /// The snapshot that is due now. `tree_bytes` is about what one would hold.
    pub(super) fn due(
        &self,
        growth: LogGrowth,
        now: Duration,
        tree_bytes: impl FnOnce() -> u64,
    ) -> Option<SnapshotKind> {
        let behind = growth.since(self.regular);
        let least = portion(self.intervals.records, self.drawn);
        if (behind.records >= least || behind.bytes >= self.intervals.bytes)
            && self.is_worth(behind, tree_bytes)
        {
            return Some(SnapshotKind::Regular);
        }
        let behind = growth.bytes.wrapping_sub(self.newest_bytes);
        let early = behind >= self.intervals.early_bytes && now >= self.rest_until;
        early.then_some(SnapshotKind::Early)
    }

    /// Whether so much log is worth a snapshot of the tree.
    fn is_worth(&self, behind: LogGrowth, tree_bytes: impl FnOnce() -> u64) -> bool {
        // Another part of the number: the first one is of the transactions.
        let drawn = self.drawn >> 32;
        behind.bytes >= portion(self.replay_bytes, drawn)
            || behind.bytes >= portion(tree_bytes(), drawn)
    }

    /// Notes that one was taken, at `now`.
    pub(super) fn taken(&mut self, taken: Taken, now: Duration, random: u64) {
        let Taken { kind, growth, cost } = taken;
        if kind == SnapshotKind::Regular {
            self.regular = growth;
            self.drawn = random;
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

/// Between half and all of it, as it was drawn.
fn portion(all: u64, drawn: u64) -> u64 {
    let half = (all / 2).max(1);
    half + (drawn % half + 1).min(all.saturating_sub(half))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
