//! The answers of the commands, under ZooKeeper's names.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::UNIX_EPOCH;

use ringkeeper_engine::op::OpSpec;
use ringkeeper_engine::shard::Port;
use ringkeeper_engine::{Millis, SessionId, snapshot};
use ringkeeper_replication::leader::LearnerSummary;
use ringkeeper_replication::learner::LearnerKind;

use super::fields::{Fields, Json};
use super::input::{CommandInput, value};
use crate::admin::host::Host;
use crate::admin::numbers::Numbers;
use crate::admin::partial::{ConnLine, PartialReport};
use crate::admin::state::ServerState;
use crate::admin::words::conns::{address, avg_latency, min_latency};
use crate::admin::words::{envi, mntr};

/// An answer that the shards contribute to.
pub(super) type Answer = fn(&CommandInput<'_>, &PartialReport) -> Fields;
/// An answer without them.
pub(super) type Lookup = fn(&CommandInput<'_>) -> Fields;

/// The version of the tree's digest, as ZooKeeper numbers it.
const DIGEST_VERSION: i32 = 2;

pub(super) fn done(_: &CommandInput<'_>, _: &PartialReport) -> Fields {
    Fields::new()
}

pub(super) fn nothing(_: &CommandInput<'_>) -> Fields {
    Fields::new()
}

pub(super) fn configuration(input: &CommandInput<'_>) -> Fields {
    let facts = &input.state.sources.facts;
    Fields::new()
        .with("client_port", input.state.client_port())
        .with("data_dir", facts.data_dir.display().to_string())
        .with("data_log_dir", facts.data_log_dir.display().to_string())
        .with("tick_time", facts.tick_ms)
        .with("max_client_cnxns", facts.changing.lock().max_client_cnxns)
        .with("min_session_timeout", facts.session_timeout_ms_min)
        .with("max_session_timeout", facts.session_timeout_ms_max)
        .with("server_id", facts.server_id)
        .with("client_port_listen_backlog", facts.backlog)
}

pub(super) fn connections(_: &CommandInput<'_>, report: &PartialReport) -> Fields {
    with_connections(Fields::new(), report, full)
}

/// A connection in `stats`.
fn brief(conn: &ConnLine) -> Fields {
    Fields::new()
        .with("remote_socket_address", address(conn.peer).to_string())
        .with("interest_ops", i64::from(conn.interest))
        .with("outstanding_requests", u64::try_from(conn.queued).unwrap_or(u64::MAX))
        .with("packets_received", conn.stats.received)
        .with("packets_sent", conn.stats.sent)
}

/// A connection in `connections`: without a session, as in `stats`.
fn full(conn: &ConnLine) -> Fields {
    let (fields, stats) = (brief(conn), &conn.stats);
    if conn.session == SessionId::NONE {
        return fields;
    }
    fields
        .with("session_id", conn.session.0)
        .with("last_operation", OpSpec::of(stats.last_op).short)
        .with("established", stats.established.0)
        .with("session_timeout", conn.timeout_ms)
        .with("last_cxid", stats.last_cxid)
        .with("last_zxid", stats.last_zxid)
        .with("last_response_time", stats.last_response)
        .with("last_latency", stats.last_latency)
        .with("min_latency", min_latency(stats))
        .with("avg_latency", avg_latency(stats))
        .with("max_latency", stats.max_latency)
}

/// The connections of each port.
fn with_connections(
    fields: Fields,
    report: &PartialReport,
    show: fn(&ConnLine) -> Fields,
) -> Fields {
    let at = |port: Port| {
        let conns = report.conns.iter().filter(|conn| conn.port == port);
        conns.map(|conn| show(conn).into()).collect::<Vec<Json>>()
    };
    fields.with("connections", at(Port::Client)).with("secure_connections", at(Port::Secure))
}

pub(super) fn dirs(input: &CommandInput<'_>) -> Fields {
    let bytes = input.state.dir_bytes();
    Fields::new().with("datadir_size", bytes.data).with("logdir_size", bytes.log)
}

pub(super) fn dump(input: &CommandInput<'_>, report: &PartialReport) -> Fields {
    let facts = &input.state.sources.facts;
    let mut ends: BTreeMap<Millis, Vec<Json>> = BTreeMap::new();
    for (session, at) in &report.sessions {
        ends.entry(facts.tick_of(at.0)).or_default().push(session.0.into());
    }
    if input.state.member().is_some_and(|report| report.leading.is_none()) {
        // Only the leader knows when the sessions of an ensemble expire.
        ends.clear();
    }
    let ends: Fields = ends.into_iter().map(|(at, ids)| (at.0.to_string(), ids.into())).collect();
    let ephemerals = input
        .state
        .ephemerals()
        .into_iter()
        .map(|(session, paths)| (session.0.to_string(), list(paths)));
    Fields::new()
        .with("expiry_time_to_session_ids", ends)
        .with("session_id_to_ephemeral_paths", ephemerals.collect::<Fields>())
}

pub(super) fn environment(input: &CommandInput<'_>) -> Fields {
    let rows = envi::rows(&input.state.sources.facts.version, &Host::look());
    rows.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

pub(super) fn trace_mask(input: &CommandInput<'_>) -> Fields {
    Fields::new().with("tracemask", input.state.trace_mask.load(Relaxed))
}

pub(super) fn set_trace_mask(input: &CommandInput<'_>) -> Fields {
    let needs = "setTraceMask requires long traceMask argument";
    let Some(text) = value(input.query, "traceMask") else {
        return Fields::new().with("error", needs);
    };
    let Ok(mask) = text.parse::<i64>() else {
        return Fields::new().with("error", format!("{needs}, got {text}"));
    };
    input.state.trace_mask.store(mask, Relaxed);
    Fields::new().with("tracemask", mask)
}

pub(super) fn hash(input: &CommandInput<'_>) -> Fields {
    let digests: Vec<_> = input.state.sources.view.read().digests().collect();
    let digest = |(zxid, digest): (ringkeeper_engine::Zxid, u64)| {
        Fields::new()
            .with("zxid", zxid.0)
            .with("digest", digest)
            .with("digest_version", DIGEST_VERSION)
            .into()
    };
    Fields::new().with("digests", digests.into_iter().map(digest).collect::<Vec<Json>>())
}

pub(super) fn initial_configuration(input: &CommandInput<'_>) -> Fields {
    Fields::new().with("initial_configuration", input.configuration.text.as_str())
}

pub(super) fn is_read_only(_: &CommandInput<'_>) -> Fields {
    Fields::new().with("read_only", false)
}

/// The newest snapshot in the directory; -1 where there is none.
pub(super) fn last_snapshot(input: &CommandInput<'_>) -> Fields {
    let entries =
        std::fs::read_dir(&input.state.sources.facts.data_dir).into_iter().flatten().flatten();
    let snapshots = entries.filter_map(|entry| {
        let zxid = snapshot::parse_name(entry.file_name().to_str()?)?;
        let since = entry.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((zxid, since.as_secs()))
    });
    let fields = Fields::new();
    match snapshots.max() {
        Some((zxid, at)) => fields.with("zxid", format!("{:x}", zxid.0)).with("timestamp", at),
        None => fields.with("zxid", format!("{:x}", -1_i64)).with("timestamp", -1_i64),
    }
}

pub(super) fn monitor(input: &CommandInput<'_>, report: &PartialReport) -> Fields {
    let mut all = Vec::new();
    mntr::each(&Numbers::of(input.state, &report.counts), |name, text| {
        all.push((name.to_owned(), number(text)));
    });
    all.into_iter().collect()
}

/// A number where it is one: a fraction has a point, as in Java.
fn number(text: &str) -> Json {
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    let fraction = text.parse().ok().filter(|number: &f64| number.is_finite());
    fraction.map_or_else(|| text.into(), Json::Number)
}

/// Those of the leader itself: a follower feeds none.
pub(super) fn observers(input: &CommandInput<'_>) -> Fields {
    let leading = input.state.member().and_then(|report| report.leading);
    let learners = leading.map(|leading| leading.learners).unwrap_or_default();
    let is_observer = |learner: &&LearnerSummary| learner.kind == LearnerKind::Observer;
    let observers: Vec<&LearnerSummary> = learners.iter().filter(is_observer).collect();
    let synced = observers.iter().filter(|observer| observer.is_synced).count();
    let observer = |observer: &&LearnerSummary| {
        Fields::new()
            .with("sid", u64::from(observer.server.0))
            .with("queued_packets_size", u64::try_from(observer.unsent_bytes).unwrap_or(u64::MAX))
            .with("last_zxid", observer.sent.to_string())
            .into()
    };
    Fields::new()
        .with("synced_observers", u64::try_from(synced).unwrap_or(u64::MAX))
        .with("observers", observers.iter().map(observer).collect::<Vec<Json>>())
}

pub(super) fn server_stats(input: &CommandInput<'_>, report: &PartialReport) -> Fields {
    let (state, counts) = (input.state, &report.counts);
    let bytes = counts.shard.reply_bytes;
    let sizes = Fields::new()
        .with("last_buffer_size", bytes.map_or(-1, |bytes| signed(bytes.last)))
        .with("min_buffer_size", bytes.map_or(-1, |bytes| signed(bytes.min)))
        .with("max_buffer_size", bytes.map_or(-1, |bytes| signed(bytes.max)));
    let fields = Fields::new()
        .with("version", state.sources.facts.version.as_str())
        .with("read_only", false)
        .with("server_stats", stats_object(state, report, sizes.clone()))
        .with("client_response", sizes);
    let fields = match state.mode() {
        "leader" => fields.with("proposal_stats", proposal_stats(state)),
        _ => fields,
    };
    fields.with("node_count", state.database_size().nodes)
}

/// Only a leader has them.
fn proposal_stats(state: &ServerState) -> Fields {
    let sizes = *state.sources.gauges.proposals.lock();
    Fields::new()
        .with("last_buffer_size", sizes.map_or(-1, |sizes| signed(sizes.last)))
        .with("min_buffer_size", sizes.map_or(-1, |sizes| signed(sizes.min)))
        .with("max_buffer_size", sizes.map_or(-1, |sizes| signed(sizes.max)))
}

fn stats_object(state: &ServerState, report: &PartialReport, sizes: Fields) -> Fields {
    let (counts, bytes) = (&report.counts, state.dir_bytes());
    let tls = state.sources.limiter.tls.counts();
    let latency = counts.latencies().millis();
    Fields::new()
        .with("packets_sent", counts.shard.sent)
        .with("packets_received", counts.shard.received)
        .with("fsync_threshold_exceed_count", state.sources.commits.slow.load(Relaxed))
        .with("client_response_stats", sizes)
        .with("data_dir_size", bytes.data)
        .with("log_dir_size", bytes.log)
        .with("provider_null", false)
        .with("last_processed_zxid", state.database_size().applied.0)
        .with("outstanding_requests", counts.outstanding)
        .with("server_state", state.mode())
        .with("avg_latency", (latency.avg * 10_000.0).round() / 10_000.0)
        .with("max_latency", latency.max)
        .with("min_latency", latency.min)
        .with("num_alive_client_connections", counts.conns)
        .with("auth_failed_count", counts.shard.auth_failed)
        .with("non_mtlsremote_conn_count", tls.plain_remote)
        .with("non_mtlslocal_conn_count", tls.plain_local)
        .with("uptime", state.sources.facts.uptime_ms())
}

fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub(super) fn stats(input: &CommandInput<'_>, report: &PartialReport) -> Fields {
    with_connections(server_stats(input, report), report, brief)
}

pub(super) fn stat_reset(input: &CommandInput<'_>, _: &PartialReport) -> Fields {
    input.state.reset();
    Fields::new()
}

pub(super) fn system_properties(input: &CommandInput<'_>) -> Fields {
    let all = input.configuration.properties.iter();
    all.map(|(name, value)| (name.clone(), value.as_str().into())).collect()
}

pub(super) fn watch_summary(_: &CommandInput<'_>, report: &PartialReport) -> Fields {
    Fields::new()
        .with("num_connections", report.counts.watching_conns)
        .with("num_paths", report.counts.watched_paths)
        .with("num_total_watches", report.counts.data_watches)
}

pub(super) fn watches(_: &CommandInput<'_>, report: &PartialReport) -> Fields {
    let watchers = report.watches_by_session().into_iter();
    let watchers = watchers.map(|(id, paths)| (id.0.to_string(), list(paths)));
    Fields::new().with("session_id_to_watched_paths", watchers.collect::<Fields>())
}

pub(super) fn watches_by_path(_: &CommandInput<'_>, report: &PartialReport) -> Fields {
    let paths = report.watches_by_path().into_iter();
    let paths = paths.map(|(path, ids)| (path.to_owned(), list(ids.iter().map(|id| id.0))));
    Fields::new().with("path_to_session_ids", paths.collect::<Fields>())
}

pub(super) fn list<T: Into<Json>>(all: impl IntoIterator<Item = T>) -> Json {
    all.into_iter().map(Into::into).collect::<Vec<Json>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_kind() {
        assert_eq!(number("7"), Json::Integer(7));
        assert_eq!(number("-1"), Json::Integer(-1));
        assert_eq!(number("0.0"), Json::Number(0.0));
        for text in ["standalone", "NaN", "inf", ""] {
            assert_eq!(number(text), Json::from(text));
        }
    }
}
