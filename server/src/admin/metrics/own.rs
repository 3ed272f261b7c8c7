//! Metrics that ZooKeeper does not have: what the log does, latencies as histograms, the process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::exposition::{Exposition, Kind};
use crate::admin::host::memory_in_use;
use crate::admin::latency::{Latencies, within};
use crate::admin::member::MemberNumbers;
use crate::admin::numbers::Numbers;
use crate::admin::state::ReportSources;
use crate::peers::status::ClientService;

/// Bounds of times, in microseconds.
pub(super) const TIMES_US: &[u64] = &[
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000,
];
/// Bounds of sizes.
const SIZES: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

/// Appends them all.
pub(super) fn write(sources: &ReportSources, numbers: &Numbers, out: &mut Exposition) {
    identity(numbers, out);
    log(sources, numbers, out);
    requests(numbers, out);
    snapshots(sources, numbers, out);
    disks(sources, out);
    process(sources, numbers, out);
    numbers.member.iter().for_each(|member| self::member(member, sources, out));
}

fn identity(numbers: &Numbers, out: &mut Exposition) {
    let name = "ringkeeper_build";
    out.described(name, Kind::Gauge, "Always 1; its labels say which release this is.");
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("zookeeper_version", numbers.version.split('-').next().unwrap_or_default()),
    ];
    out.sample(name, &labels, "1");
    let about = ("ringkeeper_last_zxid", "The last transaction applied.");
    out.one(about, Kind::Gauge, numbers.database.applied.0);
}

fn log(sources: &ReportSources, numbers: &Numbers, out: &mut Exposition) {
    let about = ("ringkeeper_fsync_seconds", "How long one commit of the log took.");
    let empty = (vec![0; TIMES_US.len()], 0);
    let times = sources.commits.times();
    let (counts, count) = times.map_or(empty, |all| (within(&all, TIMES_US), all.len()));
    let sum = seconds(numbers.totals.commit_us);
    out.histogram(about, bounds(TIMES_US, seconds).zip(counts), (count, sum));
    let totals = &numbers.totals;
    for (name, help, value) in [
        ("ringkeeper_log_commits_total", "Commits of the log.", totals.commits),
        ("ringkeeper_log_records_total", "Transactions written to the log.", totals.records),
        ("ringkeeper_log_bytes_total", "Bytes written to the log.", totals.bytes),
        (
            "ringkeeper_log_slow_commits_total",
            "Commits that took longer than fsync.warningthresholdms.",
            sources.commits.slow.load(Relaxed),
        ),
    ] {
        out.one((name, help), Kind::Counter, value);
    }
    let about = ("ringkeeper_commit_batch_records", "Transactions that shared one commit.");
    sizes(about, &numbers.group, out);
    let about = ("ringkeeper_order_batch_requests", "Requests that were ordered together.");
    sizes(about, &numbers.batch, out);
}

fn requests(numbers: &Numbers, out: &mut Exposition) {
    let counts = &numbers.counts;
    for (name, help, latencies) in [
        ("ringkeeper_read_seconds", "From a read to its reply.", &counts.reads),
        ("ringkeeper_update_seconds", "From a write to its reply.", &counts.updates),
        (
            "ringkeeper_settle_seconds",
            "From the first request of a commit until the commit was durable.",
            &numbers.settle,
        ),
        ("ringkeeper_apply_seconds", "Applying what one commit held.", &numbers.apply),
    ] {
        let (count, sum) = latencies.count_and_sum();
        let within = bounds(TIMES_US, seconds).zip(latencies.within(TIMES_US));
        out.histogram((name, help), within, (count, seconds(sum)));
    }
    let name = "ringkeeper_requests_total";
    out.described(name, Kind::Counter, "Requests by operation.");
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for (op, count) in counts.shard.ops.iter() {
        *by_name.entry(op.counted_as()).or_default() += count;
    }
    for (operation, count) in by_name {
        out.sample(name, &[("op", operation)], &count.to_string());
    }
}

fn snapshots(sources: &ReportSources, numbers: &Numbers, out: &mut Exposition) {
    let totals = &numbers.totals;
    let about = ("ringkeeper_snapshots_total", "Snapshots taken.");
    out.one(about, Kind::Counter, totals.snapshots);
    let about = ("ringkeeper_snapshot_failures_total", "Snapshots that failed.");
    out.one(about, Kind::Counter, totals.snapshots_failed);
    let about = ("ringkeeper_snapshot_last_seconds", "How long the last snapshot took.");
    out.one(about, Kind::Gauge, sources.snapshots.last_ms.load(Relaxed) as f64 / 1_000.0);
}

/// A full disk is what an operator should hear of before the server does.
fn disks(sources: &ReportSources, out: &mut Exposition) {
    let facts = &sources.facts;
    let name = "ringkeeper_disk_free_bytes";
    out.described(name, Kind::Gauge, "Bytes that the server may still use, by directory.");
    for (directory, path) in [("data", &facts.data_dir), ("log", &facts.data_log_dir)] {
        if let Some(bytes) = free_bytes(path) {
            out.sample(name, &[("directory", directory)], &bytes.to_string());
        }
    }
}

fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Under the names that Prometheus's own libraries use.
fn process(sources: &ReportSources, numbers: &Numbers, out: &mut Exposition) {
    let (open, most) = numbers.file_descriptors;
    let now = sources.facts.clock.now();
    let started_ms = now.wall.0 - now.mono.0;
    for (name, help, value) in [
        ("process_open_fds", "Open file descriptors.", open as f64),
        ("process_max_fds", "How many file descriptors may be open.", most as f64),
        ("process_resident_memory_bytes", "Memory in use.", memory_in_use() as f64),
        (
            "process_start_time_seconds",
            "When the server started, in seconds since 1970.",
            started_ms as f64 / 1_000.0,
        ),
    ] {
        out.one((name, help), Kind::Gauge, value);
    }
    let about = ("process_cpu_seconds_total", "Processor time used.");
    out.one(about, Kind::Counter, cpu_seconds());
}

/// What a member of an ensemble is doing, beside ZooKeeper's names for it.
fn member(member: &MemberNumbers, sources: &ReportSources, out: &mut Exposition) {
    let report = &member.report;
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    let now = sources.facts.clock.now().mono;
    let leader = report.leader.as_ref().map_or(0, |leader| leader.id.0);
    let clients = match report.clients {
        ClientService::None => 0,
        ClientService::Reads => 1,
        ClientService::All => 2,
    };
    for (name, help, value) in [
        (
            "ringkeeper_clients_served",
            "0 while clients are not served, 1 while they may read, 2 while they may write.",
            f64::from(clients),
        ),
        (
            "ringkeeper_leader_id",
            "The number of the leader, or 0 while one is looked for.",
            f64::from(leader),
        ),
        (
            "ringkeeper_link_state_seconds",
            "For how long the link to the leader has been in its state.",
            seconds((now.0 - report.since.0).max(0)),
        ),
        (
            "ringkeeper_link_received_bytes",
            "Bytes that have come from the leader.",
            report.received_bytes as f64,
        ),
        (
            "ringkeeper_leader_search_last_seconds",
            "How long the last search for a leader took.",
            seconds(report.search_ms.unwrap_or(0)),
        ),
        (
            "ringkeeper_sync_last_seconds",
            "How long the last synchronization with a leader took.",
            seconds(report.sync_ms.unwrap_or(0)),
        ),
    ] {
        out.one((name, help), Kind::Gauge, value);
    }
    for (name, help, value) in [
        ("ringkeeper_syncs_total", "Synchronizations with a leader.", report.synced),
        (
            "ringkeeper_states_installed_total",
            "Whole states that were taken over from a leader.",
            report.states_installed,
        ),
    ] {
        out.one((name, help), Kind::Counter, value);
    }
    let Some(status) = &sources.member else { return };
    for (name, help, value) in [
        (
            "ringkeeper_setting_differences_total",
            "Connections with members that had other settings where all should have the same.",
            &status.setting_differences,
        ),
        (
            "ringkeeper_state_mismatches_total",
            "Members that this server, while it led, found to have another state than others.",
            &status.state_mismatches,
        ),
    ] {
        out.one((name, help), Kind::Counter, value.load(Relaxed) as f64);
    }
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn sizes(about: (&str, &str), all: &Latencies, out: &mut Exposition) {
    let (count, sum) = all.count_and_sum();
    let within = bounds(SIZES, |size| size as f64).zip(all.within(SIZES));
    out.histogram(about, within, (count, sum as f64));
}

pub(super) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Bounds as they are written.
pub(super) fn bounds(all: &[u64], value: fn(u64) -> f64) -> impl Iterator<Item = String> {
    all.iter().map(move |bound| value(*bound).to_string())
}
