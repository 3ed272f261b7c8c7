//! What reports know of flushes. Nothing is decided by these numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::admin::Distribution;

/// Counters and histograms of the log writer, for reports only.
#[derive(Default)]
pub struct FlushStats {
    /// Flushes made.
    pub flushes: AtomicU64,
    /// Records flushed.
    pub records: AtomicU64,
    /// Bytes flushed.
    pub bytes: AtomicU64,
    /// Flushes that took longer than `fsync.warningthresholdms`.
    pub slow: AtomicU64,
    /// Records of one flush.
    pub batch: Distribution,
    /// Microseconds of all flushes.
    pub micros_sum: AtomicU64,
    /// Microseconds of the shortest and of the longest flush.
    pub micros_min: AtomicU64,
    /// See [`FlushStats::micros_min`].
    pub micros_max: AtomicU64,
    /// Distribution of the flush times, microseconds.
    pub histogram: parking_lot::Mutex<Option<hdrhistogram::Histogram<u64>>>,
}

impl FlushStats {
    /// Nothing was flushed yet.
    pub(super) fn new() -> FlushStats {
        let histogram = hdrhistogram::Histogram::new_with_bounds(1, 60_000_000, 2).ok();
        FlushStats {
            micros_min: AtomicU64::new(u64::MAX),
            histogram: parking_lot::Mutex::new(histogram),
            ..FlushStats::default()
        }
    }

    /// The flush times so far, as a copy: a report must not hold the lock that the log writer
    /// needs, which runs at a higher priority.
    pub(crate) fn times(&self) -> Option<hdrhistogram::Histogram<u64>> {
        self.histogram.lock().clone()
    }

    /// A flush is over.
    pub(super) fn note(&self, micros: u64, bytes: u64, records: u64) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.batch.record(records);
        self.micros_sum.fetch_add(micros, Ordering::Relaxed);
        self.micros_min.fetch_min(micros, Ordering::Relaxed);
        self.micros_max.fetch_max(micros, Ordering::Relaxed);
        if let Some(histogram) = self.histogram.lock().as_mut() {
            histogram.saturating_record(micros.max(1));
        }
    }
}
