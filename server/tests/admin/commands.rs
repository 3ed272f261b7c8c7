//! Every command under each of its names, and the metrics, compared with what was recorded from
//! ZooKeeper 3.9.5 by `server/tests/compat/admin/compare.py`.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ringkeeper_engine::client::{Client, CreateMode};
use serde_json::Value;
use tempfile::tempdir;

use crate::host::Host;
use crate::web::{get, request};

const COMMANDS: &str = include_str!("../compat/admin/commands.txt");
const METRICS: &str = include_str!("../compat/admin/metrics.txt");
const PROMETHEUS: &str = "metricsProvider.className=\
                          org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

fn host(data: &std::path::Path, more: &[&str]) -> Host {
    let mut definitions = vec![
        PROMETHEUS,
        "metricsProvider.httpHost=127.0.0.1",
        "metricsProvider.httpPort=0",
        "admin.rateLimiterIntervalInMS=0",
    ];
    definitions.extend(more);
    Host::start(data, &definitions)
}

/// The session that was there when the answers were recorded, or one like it.
fn like_the_recorded(host: &Host) -> Client {
    let mut client = host.connect();
    client.create("/compare", b"x").unwrap();
    client.create_mode("/compare/mine", b"", CreateMode::Ephemeral).unwrap();
    for number in 0..140 {
        client.set("/compare", number.to_string().as_bytes()).unwrap();
    }
    client.get_watch("/compare").unwrap();
    client
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Every field below a value, as a path and a kind. Keys that are values themselves are stars.
fn shape(value: &Value, at: &str, lines: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, below) in fields {
                let is_value = key.parse::<i64>().is_ok() || key.starts_with('/');
                let key = if is_value { "*" } else { key };
                let dot = if at.is_empty() { "" } else { "." };
                shape(below, &format!("{at}{dot}{key}"), lines);
            }
        }
        Value::Array(all) => all.iter().for_each(|below| shape(below, &format!("{at}[]"), lines)),
        _ => {}
    }
    if !at.is_empty() {
        lines.insert(format!("{at} {}", kind(value)));
    }
}

/// What was recorded of a command, or of all calls of it, behind its name.
fn recorded(head: &str) -> BTreeSet<String> {
    let lines = COMMANDS.lines().filter_map(|line| line.strip_prefix(head)?.strip_prefix(": "));
    lines.map(str::to_owned).collect()
}

/// The same of what the server answers.
fn answered(to: SocketAddr, head: &str) -> BTreeSet<String> {
    let (name, auth) =
        head.split_once(" [").map_or((head, None), |(name, auth)| (name, auth.strip_suffix(']')));
    let headers: Vec<_> = auth.map(|auth| ("Authorization", auth)).into_iter().collect();
    let answer = request(to, "GET", &format!("/commands/{name}"), &headers);
    let content = answer.header("content-type").unwrap_or_default();
    let mut lines = BTreeSet::from([format!("{} {content}", answer.status)]);
    for header in ["last_zxid", "snapshot_size"] {
        lines.extend(answer.header(header).map(|_| format!("header {header}")));
    }
    let fields = answer.json();
    for key in ["command", "error"] {
        lines.insert(format!("{key} = {}", fields[key]));
    }
    let is_alias = fields["command"] != name.split('?').next().unwrap_or_default();
    if !is_alias && name != "system_properties" {
        shape(&fields, "", &mut lines);
    }
    lines.retain(|line| !line.starts_with("ringkeeper_"));
    lines
}

#[test]
fn every_command_has_the_fields_of_zookeeper() {
    let home = tempdir().unwrap();
    let host = host(home.path(), &[]);
    let _client = like_the_recorded(&host);
    let heads: BTreeSet<&str> = COMMANDS
        .lines()
        .filter(|line| !line.starts_with("/commands"))
        .filter_map(|line| Some(line.split_once(": ")?.0))
        .collect();
    assert!(heads.len() > 60, "{heads:?}");
    for head in heads {
        let (theirs, ours) = (recorded(head), answered(host.http[0], head));
        if head == "snapshot" {
            // The file itself came as well, in another call.
            assert!(ours.is_subset(&theirs), "{ours:?}");
            continue;
        }
        let missing: Vec<_> = theirs.difference(&ours).collect();
        let more: Vec<_> = ours.difference(&theirs).collect();
        assert!(missing.is_empty() && more.is_empty(), "{head}: - {missing:?} + {more:?}");
    }
    let links = recorded("/commands");
    for path in ["/commands", "/commands/"] {
        let text = get(host.http[0], path).text();
        assert_eq!(text.lines().map(str::to_owned).collect::<BTreeSet<_>>(), links);
    }
}

#[test]
fn admin_answers_report_the_servers_state() {
    let home = tempdir().unwrap();
    let host = host(home.path(), &["admin.commandURL=/zk"]);
    let mut client = like_the_recorded(&host);
    let ask = |name: &str| get(host.http[0], &format!("/zk/{name}")).json();
    let id = client.session().id.0;
    assert_eq!(ask("conf")["client_port"], host.address.port());
    assert_eq!(ask("cons")["connections"][0]["session_id"], id);
    let dump = ask("dump");
    assert_eq!(dump["session_id_to_ephemeral_paths"][id.to_string()][0], "/compare/mine");
    let ends = dump["expiry_time_to_session_ids"].as_object().unwrap();
    assert_eq!(ends.values().next().unwrap()[0], id);
    assert_eq!(ask("wchc")["session_id_to_watched_paths"][id.to_string()][0], "/compare");
    assert_eq!(ask("wchp")["path_to_session_ids"]["/compare"][0], id);
    assert_eq!(ask("wchs")["num_total_watches"], 1);
    assert_eq!(ask("mntr")["znode_count"], 7);
    assert_eq!(ask("srvr")["server_stats"]["last_processed_zxid"], 143);
    assert_eq!(ask("hash")["digests"][0]["zxid"], 128);
    assert_eq!(ask("stmk?traceMask=5")["tracemask"], 5);
    assert_eq!(ask("gtmk")["tracemask"], 5);
    assert!(ask("mntr")["packets_received"].as_i64() > Some(140));
    assert_eq!(ask("srst")["error"], Value::Null);
    assert_eq!(ask("mntr")["packets_received"], 0);
    client.get("/compare").unwrap();
    assert!(ask("cons")["connections"][0]["packets_received"].as_i64() > Some(100));
    assert_eq!(ask("crst")["error"], Value::Null);
    assert_eq!(ask("cons")["connections"][0]["packets_received"], 0);
    assert_eq!(get(host.http[0], "/commands/ruok").status, 404);
}

/// The samples of a scrape by name and labels.
fn samples(text: &str) -> Vec<(&str, f64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').expect("a name and a value"));
    pairs.map(|(name, value)| (name, value.parse().expect("a number"))).collect()
}

#[test]
fn the_metrics_are_those_of_zookeeper_and_ours() {
    let home = tempdir().unwrap();
    let host = host(home.path(), &[]);
    let _client = like_the_recorded(&host);
    let [admin, metrics] = host.http[..] else { panic!("{:?}", host.http) };
    let answer = get(metrics, "/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for line in METRICS.lines().filter(|line| !line.contains(" quantile ")) {
        assert!(text.contains(&format!("# TYPE {line}\n")), "{line}");
    }
    let samples = samples(&text);
    let value = |name: &str| {
        let found: Vec<_> = samples.iter().filter(|(known, _)| *known == name).collect();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found[0].1
    };
    assert_eq!(value("znode_count"), 7.0);
    assert_eq!(value("commit_count"), value("commit_count_total"));
    assert_eq!(value("ringkeeper_log_records_total"), 143.0);
    assert_eq!(value("ringkeeper_requests_total{op=\"setData\"}"), 140.0);
    for name in ["ringkeeper_fsync_seconds", "ringkeeper_update_seconds"] {
        let count = value(&format!("{name}_count"));
        assert!(count >= 140.0, "{name} {count}");
        assert_eq!(value(&format!("{name}_bucket{{le=\"+Inf\"}}")), count);
        let buckets = samples.iter().filter(|(known, _)| known.starts_with(&format!("{name}_b")));
        let counts: Vec<f64> = buckets.map(|(_, count)| *count).collect();
        assert!(counts.is_sorted() && counts.len() > 10, "{counts:?}");
    }
    assert!(value("process_resident_memory_bytes") > 1e6);
    // The port of the commands has them as well, and that of the metrics has nothing else.
    assert_eq!(get(admin, "/metrics").status, 200);
    for path in ["/", "/commands", "/ready"] {
        assert_eq!(get(metrics, path).status, 404, "{path}");
    }
}

#[test]
fn health_depends_on_every_thread() {
    let home = tempdir().unwrap();
    let host = host(home.path(), &["ringkeeper.shards=3"]);
    for (path, status) in [("/ready", "ready"), ("/live", "live")] {
        let answer = get(host.http[0], path);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["status"], status);
        assert_eq!(request(host.http[0], "HEAD", path, &[]).body, b"");
    }
}

/// A page of another site whose name was made to lead here.
#[test]
fn command_that_changes_something_is_refused_under_a_foreign_host_name() {
    let home = tempdir().unwrap();
    let host = host(home.path(), &[]);
    let to = host.http[0];
    let foreign = [("Host", "evil.example:8080")];
    for name in ["stat_reset", "srst", "connection_stat_reset", "snapshot", "set_trace_mask"] {
        let answer = request(to, "GET", &format!("/commands/{name}"), &foreign);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            answer.status == 403 && text.contains("is no name of this server"),
            "{name}: {text}"
        );
    }
    assert_eq!(request(to, "GET", "/commands/stats", &foreign).status, 200, "it changes nothing");
    for own in ["localhost:8080", "127.0.0.1", "[::1]:8080"] {
        let answer = request(to, "GET", "/commands/stat_reset", &[("Host", own)]);
        assert_eq!(answer.status, 200, "{own}");
    }
}
