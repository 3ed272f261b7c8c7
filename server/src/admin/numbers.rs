//! All numbers of the server at one moment, and where they began after a reset.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ringkeeper_engine::throttle::ConnectionTally;
use ringkeeper_engine::tree::QuotaSum;

use super::facts::Startup;
use super::host::file_descriptors;
use super::hub::Hub;
use super::latency::{Latencies, Summary, percentiles};
use super::part::Counts;
use super::words::srvr::Standing;

/// Everything that `mntr` shows.
#[derive(Default)]
pub(super) struct Numbers {
    /// See [`super::facts::version`].
    pub version: String,
    /// What the shards count.
    pub counts: Counts,
    /// All latencies, in milliseconds.
    pub latency: Summary,
    /// What the database says.
    pub standing: Standing,
    /// What only grows, since the last reset.
    pub totals: Totals,
    /// Sessions.
    pub sessions: u64,
    /// Milliseconds since the start.
    pub uptime_ms: i64,
    /// File descriptors: open ones, and how many may be.
    pub file_descriptors: (u64, u64),
    /// Making the log durable, in milliseconds.
    pub fsync: Summary,
    /// The same percentiles, in microseconds.
    pub fsync_us: [u64; 5],
    /// Records that were made durable together.
    pub group: Latencies,
    /// Snapshots, in milliseconds.
    pub snapshot: Summary,
    /// Requests that were ordered together.
    pub batch: Latencies,
    /// Ordering, per request.
    pub prepare: Latencies,
    /// From a group's first request to the log.
    pub gather: Latencies,
    /// From a group's first request until it was durable.
    pub settle: Latencies,
    /// Applying, per hold of the guard.
    pub apply: Latencies,
    /// What the start took.
    pub startup: Startup,
    /// Quotas, by namespace.
    pub quotas: BTreeMap<Box<str>, QuotaSum>,
    /// Requests refused for one, by namespace.
    pub quotas_refused: BTreeMap<Box<str>, u64>,
    /// Lines that the audit log has lost, where there is one.
    pub audit_lost: Option<u64>,
    /// What the limit of new connections did.
    pub connections: ConnectionTally,
    /// The chance with which it turns a connection away.
    pub drop_chance: f64,
    /// Snapshots over HTTP that were refused because there was one shortly before.
    pub snapshots_limited: u64,
}

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
    pub(super) fn of(hub: &Hub) -> Totals {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        Totals {
            applied: load(&hub.gauges.applied),
            expired: load(&hub.gauges.expired),
            rejected: load(&hub.limiter.rejected),
            commits: load(&hub.commits.flushes),
            records: load(&hub.commits.records),
            bytes: load(&hub.commits.bytes),
            commit_us: load(&hub.commits.micros_sum),
            snapshots: load(&hub.snapshots.taken),
            snapshots_ms: load(&hub.snapshots.sum_ms),
            snapshots_failed: load(&hub.snapshots.failed),
        }
    }

    fn since(self, before: Totals) -> Totals {
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

impl Numbers {
    /// Looks everything up. Counting file descriptors takes its time.
    pub(super) fn of(hub: &Hub, counts: &Counts, before: Totals) -> Numbers {
        let totals = Totals::of(hub).since(before);
        let fsync_us = fsync_percentiles(hub);
        Numbers {
            version: hub.facts.version.clone(),
            counts: counts.clone(),
            latency: counts.latencies().millis(),
            standing: hub.standing(),
            totals,
            sessions: hub.gauges.sessions.load(Relaxed) as u64,
            uptime_ms: hub.facts.uptime_ms(),
            file_descriptors: file_descriptors(),
            fsync: fsync(hub, totals, fsync_us),
            fsync_us,
            group: hub.commits.batch.get(),
            snapshot: snapshot(hub, totals),
            batch: hub.gauges.batch.get(),
            prepare: hub.gauges.prepare.get(),
            gather: hub.gauges.gather.get(),
            settle: hub.gauges.settle.get(),
            apply: hub.gauges.apply.get(),
            startup: hub.facts.startup,
            quotas: hub.view.read().tree.quota_sums(),
            quotas_refused: hub.gauges.quotas_refused.lock().clone(),
            audit_lost: hub.audit_lost.as_ref().map(|lost| lost.load(Relaxed)),
            connections: *hub.gauges.connections.lock(),
            drop_chance: f64::from_bits(hub.gauges.drop_chance.load(Relaxed)),
            snapshots_limited: hub.snapshots.limited.load(Relaxed),
        }
    }
}

fn fsync_percentiles(hub: &Hub) -> [u64; 5] {
    hub.commits.times().as_ref().map_or([0; 5], percentiles)
}

fn fsync(hub: &Hub, totals: Totals, percentiles: [u64; 5]) -> Summary {
    if totals.commits == 0 {
        return Summary::default();
    }
    let millis = |counter: &AtomicU64| counter.load(Relaxed) / 1_000;
    let max = millis(&hub.commits.micros_max);
    Summary {
        avg: totals.commit_us as f64 / 1_000.0 / totals.commits as f64,
        min: millis(&hub.commits.micros_min).min(max),
        max,
        count: totals.commits,
        sum: totals.commit_us / 1_000,
        percentiles: Some(percentiles.map(|micros| (micros / 1_000).min(max))),
    }
}

fn snapshot(hub: &Hub, totals: Totals) -> Summary {
    if totals.snapshots == 0 {
        return Summary::default();
    }
    let max = hub.snapshots.max_ms.load(Relaxed);
    Summary {
        avg: totals.snapshots_ms as f64 / totals.snapshots as f64,
        min: hub.snapshots.min_ms.load(Relaxed).min(max),
        max,
        count: totals.snapshots,
        sum: totals.snapshots_ms,
        percentiles: None,
    }
}

/// Forgets the extremes and the distributions. What only grows goes on: see [`Totals`].
pub(super) fn clear(hub: &Hub) {
    let commits = &hub.commits;
    commits.micros_min.store(u64::MAX, Relaxed);
    commits.micros_max.store(0, Relaxed);
    if let Some(histogram) = commits.histogram.lock().as_mut() {
        histogram.reset();
    }
    hub.snapshots.min_ms.store(u64::MAX, Relaxed);
    hub.snapshots.max_ms.store(0, Relaxed);
    let gauges = &hub.gauges;
    gauges.quotas_refused.lock().clear();
    *gauges.connections.lock() = ConnectionTally::default();
    let all = [&gauges.batch, &gauges.prepare, &gauges.gather, &gauges.settle, &gauges.apply];
    all.into_iter().chain([&commits.batch]).for_each(|distribution| distribution.clear());
}
