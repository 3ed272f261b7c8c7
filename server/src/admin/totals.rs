//! Counters that only grow, and where they began after a reset.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ringkeeper_engine::throttle::ConnectionTally;

use super::sources::ReportSources;

/// Counters that others need as well, so that they are never set back: a reset is remembered
/// instead.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Totals {
    /// Transactions applied.
    pub applied: u64,
    /// Sessions that expired.
    pub expired: u64,
    /// Connections that were turned away.
    pub rejected: u64,
    /// Commits of the log.
    pub commits: u64,
    /// Records of the log.
    pub records: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Microseconds of all commits.
    pub commit_us: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Milliseconds of all snapshots.
    pub snapshots_ms: u64,
    /// Snapshots that failed.
    pub snapshots_failed: u64,
}

impl Totals {
    /// What the counters say.
    pub(super) fn of(sources: &ReportSources) -> Totals {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        Totals {
            applied: load(&sources.gauges.applied),
            expired: load(&sources.gauges.expired),
            rejected: load(&sources.limiter.rejected),
            commits: load(&sources.commits.flushes),
            records: load(&sources.commits.records),
            bytes: load(&sources.commits.bytes),
            commit_us: load(&sources.commits.micros_sum),
            snapshots: load(&sources.snapshots.taken),
            snapshots_ms: load(&sources.snapshots.sum_ms),
            snapshots_failed: load(&sources.snapshots.failed),
        }
    }

    pub(super) fn since(self, before: Totals) -> Totals {
        Totals {
            applied: self.applied - before.applied,
            expired: self.expired - before.expired,
            rejected: self.rejected - before.rejected,
            commits: self.commits - before.commits,
            records: self.records - before.records,
            bytes: self.bytes - before.bytes,
            commit_us: self.commit_us - before.commit_us,
            snapshots: self.snapshots - before.snapshots,
            snapshots_ms: self.snapshots_ms - before.snapshots_ms,
            snapshots_failed: self.snapshots_failed - before.snapshots_failed,
        }
    }
}

/// Forgets the extremes and the distributions. What only grows goes on: see [`Totals`].
pub(super) fn clear(sources: &ReportSources) {
    let commits = &sources.commits;
    commits.micros_min.store(u64::MAX, Relaxed);
    commits.micros_max.store(0, Relaxed);
    if let Some(histogram) = commits.histogram.lock().as_mut() {
        histogram.reset();
    }
    sources.snapshots.min_ms.store(u64::MAX, Relaxed);
    sources.snapshots.max_ms.store(0, Relaxed);
    let gauges = &sources.gauges;
    gauges.quotas_refused.lock().clear();
    *gauges.connections.lock() = ConnectionTally::default();
    let all = [&gauges.batch, &gauges.prepare, &gauges.gather, &gauges.settle, &gauges.apply];
    all.into_iter().chain([&commits.batch]).for_each(|distribution| distribution.clear());
}
