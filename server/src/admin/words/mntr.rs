//! `mntr`: every number under ZooKeeper's name for it.

use std::fmt::Write;

use super::mntr_rows::{ROWS, Show};
use super::{Answer, Text, Word};
use crate::admin::collection::COUNTS;
use crate::admin::latency::{PERCENTILES, Summary, decimal};
use crate::admin::numbers::Numbers;

pub(super) static MNTR: Word = Word::new(
    b"mntr",
    Answer::Report(&COUNTS, Text::Long(|state, report| mntr(&Numbers::of(state, &report.counts)))),
);

/// The text of `mntr`.
fn mntr(numbers: &Numbers) -> String {
    let mut text = String::with_capacity(24 << 10);
    each(numbers, |name, value| {
        writeln!(text, "zk_{name}\t{value}").expect("writing to a string cannot fail");
    });
    text
}

/// Every number as a name and a value, in order.
pub(in crate::admin) fn each(numbers: &Numbers, mut line: impl FnMut(&str, &str)) {
    for (name, show) in ROWS {
        match show {
            Show::One(value) => line(name, &value(numbers)),
            Show::Maybe(value) => {
                value(numbers).into_iter().for_each(|value| line(name, &value));
            }
            Show::Each(values) => {
                for (namespace, value) in values(numbers) {
                    line(&format!("{namespace}_{name}"), &value);
                }
            }
            Show::Zero => line(name, "0"),
            Show::Basic(value) => basic(name, &value(numbers), &mut line),
            Show::NoBasic => basic(name, &Summary::default(), &mut line),
            Show::Advanced(value) => advanced(name, &value(numbers), &mut line),
            Show::NoAdvanced => advanced(name, &Summary::default(), &mut line),
            Show::EachAdvanced(values) => {
                for (key, summary) in values(numbers) {
                    advanced(&format!("{key}_{name}"), &summary, &mut line);
                }
            }
        }
    }
}

fn basic(name: &str, summary: &Summary, line: &mut impl FnMut(&str, &str)) {
    line(&format!("avg_{name}"), &decimal(summary.avg));
    line(&format!("min_{name}"), &summary.min.to_string());
    line(&format!("max_{name}"), &summary.max.to_string());
    line(&format!("cnt_{name}"), &summary.count.to_string());
    line(&format!("sum_{name}"), &summary.sum.to_string());
}

/// ZooKeeper shows no 90th percentile here.
fn advanced(name: &str, summary: &Summary, line: &mut impl FnMut(&str, &str)) {
    basic(name, summary, line);
    let values = PERCENTILES.iter().zip(summary.percentiles.unwrap_or_default());
    for (percent, value) in values.filter(|(percent, _)| **percent != 90.0) {
        let digits = percent.to_string().replace('.', "");
        line(&format!("p{digits}_{name}"), &value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::facts::version;
    use crate::admin::latency::Latencies;
    use crate::admin::member::MemberNumbers;
    use crate::admin::member::tests::observing;

    /// The keys of a ZooKeeper on its own, in its order.
    const KEYS: &str = include_str!("mntr-keys.txt");

    fn lines(numbers: &Numbers) -> Vec<(String, String)> {
        let text = mntr(numbers);
        let pairs = text.lines().map(|line| line.split_once('\t').expect("a key and a value"));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn the_keys_are_zookeepers_and_then_our_own() {
        let numbers = Numbers { version: version(), ..Numbers::default() };
        let keys: Vec<String> = lines(&numbers).into_iter().map(|(key, _)| key).collect();
        let (theirs, ours) = keys.split_at(KEYS.lines().count());
        assert!(theirs.iter().eq(KEYS.lines()));
        assert!(ours.iter().all(|key| key.starts_with("zk_ringkeeper_")), "{ours:?}");
    }

    #[test]
    fn observer_has_the_rows_of_an_observer_where_zookeeper_has_them() {
        let status = observing();
        let member = MemberNumbers::read(&status, 3);
        let mut numbers = Numbers { member: Some(member), mode: "observer", ..Numbers::default() };
        numbers.totals.learned = (130, 126);
        let lines = lines(&numbers);
        let keys: Vec<&str> = lines.iter().map(|(key, _)| &**key).collect();
        let mut theirs: Vec<&str> = KEYS.lines().collect();
        // Their places are those of a Java observer.
        theirs.splice(2..2, ["zk_peer_state", "zk_observer_master_id"]);
        theirs.insert(28, "zk_quorum_size");
        assert_eq!(theirs[27], "zk_non_mtls_local_conn_count");
        assert_eq!(keys[..theirs.len()], theirs);
        for (key, expected) in [
            ("zk_server_state", "observer"),
            ("zk_peer_state", "observing - broadcast"),
            ("zk_observer_master_id", "3"),
            ("zk_quorum_size", "3"),
            ("zk_looking_count", "1"),
            ("zk_learner_commit_received_count", "126"),
            ("zk_learner_proposal_received_count", "0"),
            ("zk_commit_count", "0"),
            ("zk_avg_unavailable_time", "1620.0"),
            ("zk_sum_unavailable_time", "1620"),
            ("zk_max_observer_sync_time", "48"),
            ("zk_cnt_observer_sync_time", "1"),
        ] {
            let found = lines.iter().find(|(name, _)| name == key);
            assert_eq!(found.map(|(_, value)| &**value), Some(expected), "{key}");
        }
    }

    #[test]
    fn netdata_reads_five_hundred_lines_at_the_most() {
        assert!(lines(&Numbers::default()).len() < 500);
    }

    #[test]
    fn monitors_can_read_every_value() {
        for (key, value) in lines(&Numbers::default()) {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '-';
            assert!(key.chars().all(word), "{key}");
            let plain = value.parse::<f64>().is_ok();
            assert!(plain || matches!(&*key, "zk_version" | "zk_server_state"), "{key} {value}");
        }
    }

    #[test]
    fn values_are_where_they_belong() {
        let mut numbers = Numbers::default();
        numbers.counts.shard.received = 336;
        numbers.counts.conns = 4;
        for micros in [400, 600, 19_000] {
            numbers.counts.updates.record(micros);
        }
        numbers.latency = numbers.counts.latencies().millis();
        numbers.totals.expired = 3;
        let mut group = Latencies::default();
        [1, 4].into_iter().for_each(|records| group.record(records));
        numbers.group = group;
        let lines = lines(&numbers);
        for (key, expected) in [
            ("zk_packets_received", "336"),
            ("zk_num_alive_connections", "4"),
            ("zk_avg_latency", "6.6667"),
            ("zk_max_latency", "19"),
            ("zk_min_client_response_size", "-1"),
            ("zk_connection_drop_probability", "0.0"),
            ("zk_stale_sessions_expired", "3"),
            ("zk_avg_sync_processor_batch_size", "2.5"),
            ("zk_cnt_updatelatency", "3"),
            ("zk_sum_updatelatency", "20"),
            ("zk_p50_updatelatency", "0"),
            ("zk_p999_updatelatency", "19"),
            ("zk_cnt_readlatency", "0"),
        ] {
            let found = lines.iter().find(|(name, _)| name == key);
            assert_eq!(found.map(|(_, value)| &**value), Some(expected), "{key}");
        }
    }
}
