//! Limits as the whole server keeps them, with several threads and with one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Client, Options, Request};
use tempfile::tempdir;

use crate::host::Host;

const THROTTLED: i32 = -127;

/// What `mntr` says.
fn mntr(host: &Host) -> BTreeMap<String, String> {
    let mut stream = TcpStream::connect(host.address).unwrap();
    stream.write_all(b"mntr").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let pairs = text.lines().map(|line| line.split_once('\t').expect("a key and a value"));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn number(host: &Host, key: &str) -> u64 {
    let all = mntr(host);
    all.get(key).unwrap_or_else(|| panic!("{key} is missing")).parse().expect(key)
}

/// Two clients pipeline far more than may be in process: all of it is answered, in order, and what
/// is refused was not done.
fn held_back(definitions: &[&str]) {
    const ROUNDS: usize = 300;
    let home = tempdir().unwrap();
    let mut all = vec![
        "request_throttle_max_requests=1",
        "throttled_op_wait_time=1",
        "request_throttle_stall_time=5",
        "4lw.commands.whitelist=*",
    ];
    all.extend(definitions);
    let host = Host::start(home.path(), &all);
    let mut clients: Vec<Client> = (0..2).map(|_| host.connect()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        client.create(&format!("/{index}"), b"").unwrap();
    }
    for (index, client) in clients.iter_mut().enumerate() {
        for _ in 0..ROUNDS {
            client.queue(&Request::SetData { path: &format!("/{index}"), data: None, version: -1 });
            client.queue(&Request::GetData { path: "/", watch: false });
        }
        client.flush().unwrap();
    }
    let (mut refused, mut done) = (0, [0; 2]);
    for (client, done) in clients.iter_mut().zip(&mut done) {
        for place in 0..2 * ROUNDS {
            let answer = client.receive().unwrap();
            assert!(matches!(answer.err, 0 | THROTTLED), "{}", answer.err);
            refused += u64::from(answer.err == THROTTLED);
            *done += i32::from(answer.err == 0 && place % 2 == 0);
        }
    }
    assert!(refused > 0, "with one at a time, most wait for longer than a millisecond");
    assert_eq!(number(&host, "zk_throttled_ops"), refused);
    assert!(number(&host, "zk_request_throttle_wait_count") > 0);
    assert!(number(&host, "zk_cnt_request_throttle_queue_time_ms") >= 4 * ROUNDS as u64);
    for (index, client) in clients.iter_mut().enumerate() {
        let (_, stat) = client.get(&format!("/{index}")).unwrap();
        assert_eq!(stat.version, done[index], "a refusal changes nothing");
    }
}

#[test]
fn requests_above_the_limit_are_held_back_on_one_shard() {
    held_back(&["ringkeeper.shards=1"]);
}

#[test]
fn requests_above_the_limit_are_held_back_across_shards() {
    held_back(&["ringkeeper.shards=2"]);
}

#[test]
fn delayed_sync_is_answered_to_every_client() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &["flushDelay=30", "4lw.commands.whitelist=*"]);
    let mut client = host.connect();
    for number in 0..20 {
        client.create(&format!("/{number}"), b"").unwrap();
    }
    for _ in 0..500 {
        client.queue(&Request::SetData { path: "/0", data: None, version: -1 });
    }
    for _ in 0..500 {
        client.receive().unwrap().accepted().unwrap();
    }
    let (records, commits) =
        (number(&host, "zk_proposal_count"), number(&host, "zk_cnt_sync_processor_batch_size"));
    assert!(records >= 520 && commits < records - 400, "{commits} commits of {records} records");
}

#[test]
fn connection_without_a_token_is_counted() {
    let home = tempdir().unwrap();
    let definitions = [
        "connection_throttle_tokens=2",
        "connection_throttle_fill_time=1000000000",
        "connection_throttle_freeze_time=0",
        "connection_throttle_drop_increase=0.5",
        "4lw.commands.whitelist=*",
    ];
    let host = Host::start(home.path(), &definitions);
    let inside = [host.connect(), host.connect()];
    let refuse = || assert!(Client::connect(host.address, Options::default()).is_err());
    (0..3).for_each(|_| refuse());
    let mut rejected = 3;
    let mut all = mntr(&host);
    // The chance moves once a millisecond at most, and all of that may have been in one.
    while all["zk_connection_drop_probability"] == "0.0" && rejected < 1_000 {
        refuse();
        rejected += 1;
        all = mntr(&host);
    }
    for (key, value) in [
        ("zk_connection_rejected", rejected.to_string().as_str()),
        ("zk_connection_request_count", "2"),
        ("zk_max_connection_token_deficit", "2"),
        ("zk_sum_connection_token_deficit", "3"),
    ] {
        assert_eq!(all[key], value, "{key}");
    }
    assert_ne!(all["zk_connection_drop_probability"], "0.0");
    drop(inside);
}

#[test]
fn large_request_above_the_limit_is_counted() {
    let home = tempdir().unwrap();
    let definitions =
        ["largeRequestThreshold=1000", "largeRequestMaxBytes=3000", "4lw.commands.whitelist=*"];
    let host = Host::start(home.path(), &definitions);
    let mut client = host.connect();
    client.create("/large", &[0; 2_900]).unwrap();
    assert!(client.set("/large", &[0; 3_000]).is_err());
    assert_eq!(number(&host, "zk_large_requests_rejected"), 1);
    assert_eq!(host.connect().get("/large").unwrap().0.unwrap().len(), 2_900);
}

#[test]
fn quotas_are_shown_by_namespace() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &["enforceQuota=true", "4lw.commands.whitelist=*"]);
    let mut client = host.connect();
    let quota = "/zookeeper/quota/team";
    for (path, data) in [
        ("/team".to_owned(), ""),
        (quota.to_owned(), ""),
        (format!("{quota}/zookeeper_limits"), "count=9,bytes=-1=;byteHardLimit=4;countHardLimit=2"),
        (format!("{quota}/zookeeper_stats"), "count=0,bytes=0"),
        ("/team/one".to_owned(), "abc"),
    ] {
        client.create(&path, data.as_bytes()).unwrap();
    }
    for _ in 0..3 {
        let refused = client.create("/team/two", b"").unwrap_err();
        assert_eq!(refused.code(), Some(Code::QuotaExceeded));
    }
    let all = mntr(&host);
    for (key, value) in [
        ("quota_count_limit", "2"),
        ("quota_count_usage", "2"),
        ("quota_bytes_limit", "4"),
        ("quota_bytes_usage", "3"),
        ("quota_exceeded_error", "3"),
    ] {
        assert_eq!(all[&format!("zk_team_{key}_per_namespace")], value, "{key}");
    }
}

#[test]
fn start_reports_what_was_replayed() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &["4lw.commands.whitelist=*"]);
    assert_eq!(number(&host, "zk_cnt_startup_txns_loaded"), 0);
    let mut client = host.connect();
    for number in 0..10 {
        client.create(&format!("/{number}"), b"").unwrap();
    }
    host.kill();
    let host = Host::start(home.path(), &["4lw.commands.whitelist=*"]);
    let all = mntr(&host);
    assert_eq!(all["zk_sum_startup_txns_loaded"], "11", "a session and ten nodes");
    for key in ["startup_txns_load_time", "startup_snap_load_time", "dbinittime"] {
        assert_eq!(all[&format!("zk_cnt_{key}")], "1", "{key}");
    }
}
