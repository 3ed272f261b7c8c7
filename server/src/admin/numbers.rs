//! All numbers of the server at one moment.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ringkeeper_engine::throttle::ConnectionTally;
use ringkeeper_engine::tree::QuotaSum;
use ringkeeper_replication::ProposalSizes;

use super::facts::Startup;
use super::host::file_descriptors;
use super::latency::{Latencies, Summary, percentiles};
use super::member::MemberNumbers;
use super::partial::Counts;
use super::state::{DatabaseSize, ReportSources, ServerState, Totals};
use crate::log::writer::FlushStats;
use crate::storage::snapshots::SnapshotStats;
use crate::tls::material::HandshakeCounts;

/// Everything that `mntr` shows.
#[derive(Default)]
pub(super) struct Numbers {
    /// See [`super::facts::version`].
    pub version: String,
    /// See [`ServerState::mode`].
    pub mode: &'static str,
    /// The number of this server.
    pub server_id: u64,
    /// What a member of an ensemble shows.
    pub member: Option<MemberNumbers>,
    /// What the shards count.
    pub counts: Counts,
    /// All latencies, in milliseconds.
    pub latency: Summary,
    /// What the database says.
    pub database: DatabaseSize,
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
    /// Syncs that wait.
    pub pending_syncs: u64,
    /// How large the proposals of a leader were.
    pub proposals: Option<ProposalSizes>,
    /// What the limit of new connections did.
    pub connections: ConnectionTally,
    /// The chance with which it turns a connection away.
    pub drop_chance: f64,
    /// Handshakes of TLS.
    pub handshakes: HandshakeCounts,
    /// Snapshots over HTTP that were refused because there was one shortly before.
    pub snapshots_limited: u64,
}

impl Numbers {
    /// Looks everything up. Counting file descriptors takes its time.
    pub(super) fn of(state: &ServerState, counts: &Counts) -> Numbers {
        let (sources, totals) = (&state.sources, state.totals());
        let ReportSources { facts, gauges, commits, snapshots, .. } = sources;
        let fsync_us = commits.times().as_ref().map_or([0; 5], percentiles);
        Numbers {
            version: facts.version.clone(),
            mode: state.mode(),
            server_id: facts.server_id,
            member: MemberNumbers::of(state),
            counts: counts.clone(),
            latency: counts.latencies().millis(),
            database: state.database_size(),
            totals,
            sessions: gauges.sessions.load(Relaxed) as u64,
            uptime_ms: facts.uptime_ms(),
            file_descriptors: file_descriptors(),
            fsync: fsync(commits, totals, fsync_us),
            fsync_us,
            group: commits.batch.get(),
            snapshot: snapshot(snapshots, totals),
            batch: gauges.batch.get(),
            prepare: gauges.prepare.get(),
            gather: gauges.gather.get(),
            settle: gauges.settle.get(),
            apply: gauges.apply.get(),
            startup: facts.startup,
            quotas: sources.view.read().tree.quota_sums(),
            quotas_refused: gauges.quotas_refused.lock().clone(),
            audit_lost: sources.audit_lost.as_ref().map(|lost| lost.load(Relaxed)),
            pending_syncs: gauges.pending_syncs.load(Relaxed) as u64,
            proposals: *gauges.proposals.lock(),
            connections: *gauges.connections.lock(),
            drop_chance: f64::from_bits(gauges.drop_chance.load(Relaxed)),
            handshakes: sources.limiter.tls.counts(),
            snapshots_limited: snapshots.limited.load(Relaxed),
        }
    }
}

fn fsync(commits: &FlushStats, totals: Totals, percentiles: [u64; 5]) -> Summary {
    if totals.commits == 0 {
        return Summary::default();
    }
    let millis = |counter: &AtomicU64| counter.load(Relaxed) / 1_000;
    let max = millis(&commits.micros_max);
    Summary {
        avg: totals.commit_us as f64 / 1_000.0 / totals.commits as f64,
        min: millis(&commits.micros_min).min(max),
        max,
        count: totals.commits,
        sum: totals.commit_us / 1_000,
        percentiles: Some(percentiles.map(|micros| (micros / 1_000).min(max))),
    }
}

fn snapshot(snapshots: &SnapshotStats, totals: Totals) -> Summary {
    if totals.snapshots == 0 {
        return Summary::default();
    }
    let max = snapshots.max_ms.load(Relaxed);
    Summary {
        avg: totals.snapshots_ms as f64 / totals.snapshots as f64,
        min: snapshots.min_ms.load(Relaxed).min(max),
        max,
        count: totals.snapshots,
        sum: totals.snapshots_ms,
        percentiles: None,
    }
}
