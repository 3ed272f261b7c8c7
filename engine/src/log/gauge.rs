//! What other threads may know about the log without asking the one that flushes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::feeds::{Feeds, PurgeHold};
use super::{Settings, layout};
use crate::device::ReadyQueue;
use crate::snapshot::LogGrowth;

/// The largest segment that a start makes before it listens.
const FIRST_BYTES_MAX: u64 = 1 << 20;

/// Bytes that the log can still take before it would need a segment for which there is no space,
/// counted from the last flush that returned. `u64::MAX` as long as the disk is not full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogCapacity {
    /// For anything.
    pub writes: u64,
    /// For closing sessions, which must go on when writes are refused.
    pub closes: u64,
}

impl LogCapacity {
    /// No end in sight.
    pub const UNBOUNDED: LogCapacity = LogCapacity { writes: u64::MAX, closes: u64::MAX };
}

/// Counters of the log, since the start, and what the last flush took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Flushes.
    pub flushes: u64,
    /// Transactions in them.
    pub records: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Microseconds of all writes together.
    pub micros: u64,
    /// Microseconds of the last flush's write.
    pub micros_last: u64,
    /// Microseconds of the longest.
    pub micros_max: u64,
    /// Bytes of the last flush.
    pub bytes_last: u64,
    /// Segments that flushes found ready when they needed one.
    pub ready: u64,
}

/// A view of the log for other threads; clones are the same view.
#[derive(Clone, Debug)]
pub struct Gauge {
    pub(super) shared: Arc<Shared>,
}

/// What the threads around a log share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Bytes of a segment of the usual size.
    pub(super) capacity: u64,
    pub(super) margin: u64,
    pub(super) spares_max: usize,
    /// Names of segments that are ready.
    pub(super) ready: ReadyQueue<String>,
    /// Numbers of spare files, each used once.
    pub(super) number: AtomicU64,
    pub(super) full: AtomicBool,
    /// Who reads the log.
    pub(super) feeds: Arc<Feeds>,
    left: AtomicU64,
    flushes: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    micros: AtomicU64,
    micros_last: AtomicU64,
    micros_max: AtomicU64,
    bytes_last: AtomicU64,
}

impl Gauge {
    pub(super) fn new(settings: &Settings) -> Gauge {
        let capacity = settings.capacity();
        let shared = Shared {
            capacity,
            margin: settings.margin_bytes.min(capacity / 4),
            spares_max: settings.spares_max,
            ready: ReadyQueue::default(),
            number: AtomicU64::new(0),
            full: AtomicBool::new(false),
            feeds: Arc::default(),
            left: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            micros_last: AtomicU64::new(0),
            micros_max: AtomicU64::new(0),
            bytes_last: AtomicU64::new(0),
        };
        Gauge { shared: Arc::new(shared) }
    }

    /// What is left. One load as long as the disk is not full.
    pub fn capacity(&self) -> LogCapacity {
        let shared = &self.shared;
        if !shared.full.load(Relaxed) {
            return LogCapacity::UNBOUNDED;
        }
        let usable = shared.capacity - layout::RECORDS_AT as u64;
        let closes = shared.left.load(Relaxed) + shared.ready.len() as u64 * usable;
        LogCapacity { writes: closes.saturating_sub(shared.margin), closes }
    }

    /// Keeps purges from taking anything away.
    pub fn hold_purges(&self) -> PurgeHold {
        PurgeHold::new(self.shared.feeds.clone())
    }

    /// How much the log has grown since the start.
    pub fn growth(&self) -> LogGrowth {
        let (records, bytes) = (&self.shared.records, &self.shared.bytes);
        LogGrowth { records: records.load(Relaxed), bytes: bytes.load(Relaxed) }
    }

    /// The counters, each right by itself.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            flushes: shared.flushes.load(Relaxed),
            records: shared.records.load(Relaxed),
            bytes: shared.bytes.load(Relaxed),
            micros: shared.micros.load(Relaxed),
            micros_last: shared.micros_last.load(Relaxed),
            micros_max: shared.micros_max.load(Relaxed),
            bytes_last: shared.bytes_last.load(Relaxed),
            ready: shared.ready.len() as u64,
        }
    }
}

impl Shared {
    pub(super) fn set_left(&self, left: u64) {
        self.left.store(left, Relaxed);
    }

    /// Only the flushing thread writes these, so plain loads and stores count right.
    pub(super) fn flushed(&self, micros: u64, bytes: u64, records: u32, left: u64) {
        let add = |counter: &AtomicU64, count: u64| {
            counter.store(counter.load(Relaxed).wrapping_add(count), Relaxed);
        };
        add(&self.flushes, 1);
        add(&self.records, u64::from(records));
        add(&self.bytes, bytes);
        add(&self.micros, micros);
        self.micros_last.store(micros, Relaxed);
        self.micros_max.store(self.micros_max.load(Relaxed).max(micros), Relaxed);
        self.bytes_last.store(bytes, Relaxed);
        self.set_left(left);
    }

    /// The size of a segment that a start has to have at once: where none is ready, a small one,
    /// for zeros take their time. The next one is made meanwhile.
    pub(super) fn first_capacity(&self) -> u64 {
        if self.ready.is_empty() { self.capacity.min(FIRST_BYTES_MAX) } else { self.capacity }
    }

    /// A name for a new spare file.
    pub(super) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Relaxed)
    }
}
