//! The answers of the commands, under ZooKeeper's names.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::UNIX_EPOCH;

use ringkeeper_engine::{Millis, SessionId, snapshot};

use super::command::{Asked, word};
use super::connections;
use super::fields::{Fields, Json};
use crate::admin::host::Host;
use crate::admin::hub::Hub;
use crate::admin::part::Part;
use crate::admin::words::srvr::MODE;
use crate::admin::words::{envi, mntr};

/// An answer that the shards contribute to.
pub(super) type Answer = fn(&Asked<'_>, &Part) -> Fields;
/// An answer without them.
pub(super) type LookUp = fn(&Asked<'_>) -> Fields;

/// The version of the tree's digest, as ZooKeeper numbers it.
const DIGEST_VERSION: i32 = 2;

pub(super) fn done(_: &Asked<'_>, _: &Part) -> Fields {
    Fields::new()
}

pub(super) fn nothing(_: &Asked<'_>) -> Fields {
    Fields::new()
}

pub(super) fn configuration(asked: &Asked<'_>) -> Fields {
    let facts = &asked.hub.facts;
    Fields::new()
        .with("client_port", asked.hub.client_port())
        .with("data_dir", facts.data_dir.display().to_string())
        .with("data_log_dir", facts.data_log_dir.display().to_string())
        .with("tick_time", facts.tick_ms)
        .with("max_client_cnxns", facts.max_client_cnxns)
        .with("min_session_timeout", facts.session_timeout_ms_min)
        .with("max_session_timeout", facts.session_timeout_ms_max)
        .with("server_id", facts.server_id)
        .with("client_port_listen_backlog", facts.backlog)
}

pub(super) fn connections(_: &Asked<'_>, part: &Part) -> Fields {
    let all: Vec<Json> = part.conns.iter().map(|conn| connections::full(conn).into()).collect();
    with_connections(Fields::new(), all)
}

/// There are no connections under TLS.
fn with_connections(fields: Fields, all: Vec<Json>) -> Fields {
    fields.with("connections", all).with("secure_connections", Vec::new())
}

pub(super) fn dirs(asked: &Asked<'_>) -> Fields {
    let bytes = asked.hub.dir_bytes();
    Fields::new().with("datadir_size", bytes.data).with("logdir_size", bytes.log)
}

pub(super) fn dump(asked: &Asked<'_>, part: &Part) -> Fields {
    let times = asked.hub.times();
    let mut ends: BTreeMap<Millis, Vec<Json>> = BTreeMap::new();
    for (session, at) in &part.sessions {
        ends.entry(times.tick_of(at.0)).or_default().push(session.0.into());
    }
    let ends: Fields = ends.into_iter().map(|(at, ids)| (at.0.to_string(), ids.into())).collect();
    let ephemerals = asked.hub.ephemerals().into_iter().map(|(session, paths)| {
        let paths: Vec<Json> = paths.into_iter().map(Json::from).collect();
        (session.0.to_string(), paths.into())
    });
    Fields::new()
        .with("expiry_time_to_session_ids", ends)
        .with("session_id_to_ephemeral_paths", ephemerals.collect::<Fields>())
}

pub(super) fn environment(asked: &Asked<'_>) -> Fields {
    let rows = envi::rows(&asked.hub.facts.version, &Host::look());
    rows.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

pub(super) fn trace_mask(asked: &Asked<'_>) -> Fields {
    Fields::new().with("tracemask", asked.hub.trace_mask.load(Relaxed))
}

pub(super) fn set_trace_mask(asked: &Asked<'_>) -> Fields {
    let needs = "setTraceMask requires long traceMask argument";
    let Some(text) = word(asked.query, "traceMask") else {
        return Fields::new().with("error", needs);
    };
    let Ok(mask) = text.parse::<i64>() else {
        return Fields::new().with("error", format!("{needs}, got {text}"));
    };
    asked.hub.trace_mask.store(mask, Relaxed);
    Fields::new().with("tracemask", mask)
}

pub(super) fn hash(asked: &Asked<'_>) -> Fields {
    let digests: Vec<_> = asked.hub.view.read().digests().collect();
    let digest = |(zxid, digest): (ringkeeper_engine::Zxid, u64)| {
        Fields::new()
            .with("zxid", zxid.0)
            .with("digest", digest)
            .with("digest_version", DIGEST_VERSION)
            .into()
    };
    Fields::new().with("digests", digests.into_iter().map(digest).collect::<Vec<Json>>())
}

pub(super) fn initial_configuration(asked: &Asked<'_>) -> Fields {
    Fields::new().with("initial_configuration", asked.configuration.text.as_str())
}

pub(super) fn is_read_only(_: &Asked<'_>) -> Fields {
    Fields::new().with("read_only", false)
}

/// The newest snapshot in the directory; -1 where there is none.
pub(super) fn last_snapshot(asked: &Asked<'_>) -> Fields {
    let entries = std::fs::read_dir(&asked.hub.facts.data_dir).into_iter().flatten().flatten();
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

/// What ZooKeeper says of a server on its own.
pub(super) fn leader(_: &Asked<'_>) -> Fields {
    Fields::new().with("error", "server is not initialized")
}

pub(super) fn monitor(asked: &Asked<'_>, part: &Part) -> Fields {
    let mut all = Vec::new();
    mntr::each(&asked.hub.numbers(part), |name, text| {
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

pub(super) fn observers(_: &Asked<'_>) -> Fields {
    Fields::new().with("synced_observers", 0).with("observers", Vec::new())
}

pub(super) fn server_stats(asked: &Asked<'_>, part: &Part) -> Fields {
    let (hub, counts) = (asked.hub, &part.counts);
    let bytes = counts.shard.reply_bytes;
    let sizes = Fields::new()
        .with("last_buffer_size", bytes.map_or(-1, |bytes| signed(bytes.last)))
        .with("min_buffer_size", bytes.map_or(-1, |bytes| signed(bytes.min)))
        .with("max_buffer_size", bytes.map_or(-1, |bytes| signed(bytes.max)));
    Fields::new()
        .with("version", hub.facts.version.as_str())
        .with("read_only", false)
        .with("server_stats", stats_object(hub, part, sizes.clone()))
        .with("client_response", sizes)
        .with("node_count", hub.standing().nodes)
}

fn stats_object(hub: &Hub, part: &Part, sizes: Fields) -> Fields {
    let (counts, bytes) = (&part.counts, hub.dir_bytes());
    let latency = counts.latencies().millis();
    Fields::new()
        .with("packets_sent", counts.shard.sent)
        .with("packets_received", counts.shard.received)
        .with("fsync_threshold_exceed_count", hub.commits.slow.load(Relaxed))
        .with("client_response_stats", sizes)
        .with("data_dir_size", bytes.data)
        .with("log_dir_size", bytes.log)
        .with("provider_null", false)
        .with("last_processed_zxid", hub.standing().applied.0)
        .with("outstanding_requests", counts.outstanding)
        .with("server_state", MODE)
        .with("avg_latency", (latency.avg * 10_000.0).round() / 10_000.0)
        .with("max_latency", latency.max)
        .with("min_latency", latency.min)
        .with("num_alive_client_connections", counts.conns)
        .with("auth_failed_count", counts.shard.auth_failed)
        .with("non_mtlsremote_conn_count", 0)
        .with("non_mtlslocal_conn_count", 0)
        .with("uptime", hub.facts.uptime_ms())
}

fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub(super) fn stats(asked: &Asked<'_>, part: &Part) -> Fields {
    let all: Vec<Json> = part.conns.iter().map(|conn| connections::brief(conn).into()).collect();
    with_connections(server_stats(asked, part), all)
}

pub(super) fn stat_reset(asked: &Asked<'_>, _: &Part) -> Fields {
    asked.hub.reset();
    Fields::new()
}

pub(super) fn system_properties(asked: &Asked<'_>) -> Fields {
    let all = asked.configuration.properties.iter();
    all.map(|(name, value)| (name.clone(), value.as_str().into())).collect()
}

pub(super) fn voting_view(_: &Asked<'_>) -> Fields {
    Fields::new().with("current_config", Fields::new())
}

pub(super) fn watch_summary(_: &Asked<'_>, part: &Part) -> Fields {
    Fields::new()
        .with("num_connections", part.counts.watching_conns)
        .with("num_paths", part.counts.watched_paths)
        .with("num_total_watches", part.counts.data_watches)
}

pub(super) fn watches(_: &Asked<'_>, part: &Part) -> Fields {
    let mut watchers: BTreeMap<SessionId, Vec<Json>> = BTreeMap::new();
    for session in &part.watchers {
        watchers.entry(*session).or_default();
    }
    for (path, sessions) in part.watched.iter().flat_map(|watched| watched.iter()) {
        for session in sessions {
            watchers.entry(*session).or_default().push(path.into());
        }
    }
    let watchers = watchers.into_iter().map(|(id, paths)| (id.0.to_string(), paths.into()));
    Fields::new().with("session_id_to_watched_paths", watchers.collect::<Fields>())
}

pub(super) fn watches_by_path(_: &Asked<'_>, part: &Part) -> Fields {
    let mut paths: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
    for (path, sessions) in part.watched.iter().flat_map(|watched| watched.iter()) {
        paths.entry(path).or_default().extend(sessions.iter().map(|id| Json::from(id.0)));
    }
    let paths = paths.into_iter().map(|(path, ids)| (path.to_owned(), ids.into()));
    Fields::new().with("path_to_session_ids", paths.collect::<Fields>())
}

pub(super) fn zab_state(_: &Asked<'_>) -> Fields {
    Fields::new().with("voting", false).with("zabstate", "")
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
