//! The metrics of ZooKeeper 3.9.5, as its own exporter for Prometheus names them.
//!
//! Counters are there twice: under the names of 3.9, and with the `_total` that 3.10 appends.

use super::exposition::{Exposition, Kind};
use crate::admin::latency::{PERCENTILES, Summary};
use crate::admin::numbers::Numbers;
use crate::admin::words::mntr_rows::ROWS;
use crate::admin::words::mntr_rows::Show;

/// Rows that its exporter does not have.
const LEFT_OUT: &[&str] = &["version", "server_state", "peer_state", "observer_master_id"];
const OWN: &str = "ringkeeper_";

/// Single numbers that are no counters.
const GAUGES: &[&str] = &[
    "approximate_data_size",
    "auth_failed_count",
    "avg_latency",
    "connection_drop_probability",
    "ephemerals_count",
    "global_sessions",
    "last_client_response_size",
    "leader_uptime",
    "learners",
    "local_sessions",
    "max_client_response_size",
    "max_file_descriptor_count",
    "max_latency",
    "min_client_response_size",
    "min_latency",
    "non_mtls_local_conn_count",
    "non_mtls_remote_conn_count",
    "num_alive_connections",
    "open_file_descriptor_count",
    "outstanding_requests",
    "outstanding_tls_handshake",
    "packets_received",
    "packets_sent",
    "quorum_size",
    "synced_followers",
    "synced_non_voting_followers",
    "synced_observers",
    "uptime",
    "watch_count",
    "znode_count",
];

/// Families with a sample per server or per name at the top of the tree. Only quotas are counted by
/// these here; the others have no samples, like those of an idle ZooKeeper.
const BY_KEY: &[(&str, Kind)] = &[
    ("ack_latency", Kind::Summary),
    ("learner_handler_qp_size", Kind::Summary),
    ("learner_handler_qp_time_ms", Kind::Summary),
    ("quota_bytes_limit_per_namespace", Kind::Gauge),
    ("quota_bytes_usage_per_namespace", Kind::Gauge),
    ("quota_count_limit_per_namespace", Kind::Gauge),
    ("quota_count_usage_per_namespace", Kind::Gauge),
    ("quota_exceeded_error_per_namespace", Kind::Counter),
    ("read_per_namespace", Kind::Summary),
    ("write_per_namespace", Kind::Summary),
];

/// Appends them all.
pub(super) fn write(numbers: &Numbers, out: &mut Exposition) {
    let rows = ROWS.iter().filter(|(name, _)| !LEFT_OUT.contains(name) && !name.starts_with(OWN));
    for (name, show) in rows {
        let nothing = Summary::default();
        match show {
            Show::One(value) => number(name, &value(numbers), out),
            Show::Zero => number(name, "0", out),
            Show::Basic(value) => summary(name, &value(numbers), 1, out),
            Show::NoBasic => summary(name, &nothing, 1, out),
            Show::Advanced(value) => summary(name, &value(numbers), PERCENTILES.len(), out),
            Show::NoAdvanced => summary(name, &nothing, PERCENTILES.len(), out),
            Show::Maybe(value) => value(numbers).iter().for_each(|text| number(name, text, out)),
            // Those by key are below.
            Show::Each(_) | Show::EachAdvanced(_) => {}
        }
    }
    for (name, kind) in BY_KEY {
        out.family(name, *kind);
        match ROWS.iter().find(|(row, _)| row == name) {
            Some((_, Show::Each(values))) => {
                for (key, value) in values(numbers) {
                    out.sample(name, &[("key", key)], &value);
                }
            }
            Some((_, Show::EachAdvanced(values))) => {
                for (key, value) in values(numbers) {
                    summary_of(name, &key, &value, out);
                }
            }
            Some(_) | None => {}
        }
    }
}

fn number(name: &str, value: &str, out: &mut Exposition) {
    if GAUGES.contains(&name) {
        out.family(name, Kind::Gauge);
        return out.sample(name, &[], value);
    }
    for name in [name, &format!("{name}_total")] {
        out.family(name, Kind::Counter);
        out.sample(name, &[], value);
    }
}

/// A basic summary has the median only; where nothing was seen, quantiles are no number.
fn summary(name: &str, summary: &Summary, quantiles: usize, out: &mut Exposition) {
    out.family(name, Kind::Summary);
    let known = summary.percentiles.filter(|_| summary.count > 0);
    for (at, percent) in PERCENTILES.iter().enumerate().take(quantiles) {
        // Rounded, as a hundredth is no binary fraction.
        let quantile = ((percent * 10.0).round() / 1_000.0).to_string();
        let value = known.map_or_else(|| "NaN".to_owned(), |values| values[at].to_string());
        out.sample(name, &[("quantile", &quantile)], &value);
    }
    out.sample(&format!("{name}_sum"), &[], &summary.sum.to_string());
    out.sample(&format!("{name}_count"), &[], &summary.count.to_string());
}

/// As [`summary`], of one server or name.
fn summary_of(name: &str, key: &str, summary: &Summary, out: &mut Exposition) {
    let known = summary.percentiles.filter(|_| summary.count > 0);
    for (percent, value) in PERCENTILES.iter().zip(known.unwrap_or_default()) {
        let quantile = ((percent * 10.0).round() / 1_000.0).to_string();
        out.sample(name, &[("key", key), ("quantile", &quantile)], &value.to_string());
    }
    out.sample(&format!("{name}_sum"), &[("key", key)], &summary.sum.to_string());
    out.sample(&format!("{name}_count"), &[("key", key)], &summary.count.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ZooKeeper 3.9.5 exports on its own: names with their types, and quantiles.
    const RECORDED: &str = include_str!("../../../tests/compat/admin/metrics.txt");

    fn exported() -> Vec<String> {
        let mut out = Exposition::default();
        write(&Numbers::default(), &mut out);
        let text = out.finish();
        let types = text.lines().filter_map(|line| Some(line.strip_prefix("# TYPE ")?.to_owned()));
        let quantiles = text.lines().filter_map(|line| {
            let (name, rest) = line.split_once("{quantile=\"")?;
            Some(format!("{name} quantile {}", rest.split('"').next()?))
        });
        types.chain(quantiles).collect()
    }

    #[test]
    fn everything_that_zookeeper_exports_is_there_with_its_type() {
        let ours = exported();
        assert!(RECORDED.lines().count() > 250);
        let missing: Vec<_> =
            RECORDED.lines().filter(|line| !ours.iter().any(|own| own == line)).collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn prometheus_has_totals_and_quantiles_beyond_zookeepers() {
        for line in exported().iter().filter(|own| !RECORDED.lines().any(|line| line == *own)) {
            let total = line.strip_suffix("_total counter");
            let known = |name: &str| RECORDED.contains(&format!("{name} counter\n"));
            let quantile = line.ends_with("quantile 0.95") || line.ends_with("quantile 0.999");
            assert!(quantile || total.is_some_and(known), "{line}");
        }
    }

    #[test]
    fn prometheus_family_is_described_once_and_every_value_is_a_number() {
        let mut names: Vec<_> =
            exported().into_iter().filter(|line| !line.contains("quantile")).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        let mut out = Exposition::default();
        write(&Numbers::default(), &mut out);
        for line in out.finish().lines().filter(|line| !line.starts_with('#')) {
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
