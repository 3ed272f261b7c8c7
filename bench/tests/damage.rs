//! Every kind of damage to a server's answers is noticed, counted and fails the run; a good
//! server passes.

mod fake;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use fake::{Damage, Fake, Plan};
use ringkeeper_engine::wire::opcode::op;
use serde_json::Value;

/// Loads take turns: each of them keeps both a client and a server busy.
static TURN: Mutex<()> = Mutex::new(());

const GOOD: Plan = Plan { damage: Damage::None, op: 0, after: 0 };

/// Runs a short load and returns its exit code and its report.
fn load(fake: &Fake, arguments: &str) -> (ExitCode, Value) {
    let (code, document) = run(fake, arguments);
    (code, document["results"][0].clone())
}

/// Runs it and returns all that it has kept.
fn run(fake: &Fake, arguments: &str) -> (ExitCode, Value) {
    run_on(&fake.address(), arguments)
}

fn run_on(servers: &str, arguments: &str) -> (ExitCode, Value) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let file = tempfile::NamedTempFile::new().unwrap();
    let common = "--warmup 0 -c 4 -p 4 --keys 4 --children 5 --quiet --grace 300ms";
    let mut arguments: Vec<OsString> =
        format!("{common} {arguments}").split(' ').map(OsString::from).collect();
    arguments.extend(["--server".into(), servers.into()]);
    arguments.extend(["--json".into(), file.path().into()]);
    let code = ringkeeper_bench::run(arguments.into_iter());
    let text = std::fs::read_to_string(file.path()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    (code, document)
}

fn is_caught(damage: Damage, op: i32, workload: &str, fault: &str) {
    let fake = Fake::start(Plan { damage, op, after: 50 });
    let (code, report) = load(&fake, &format!("{workload} -n 2000"));
    let count = report["faults"][fault].as_u64().unwrap_or(0);
    assert!(count > 0, "{damage:?} was not caught as {fault:?}: {report:#}");
    assert_eq!(code, ExitCode::from(1), "{damage:?}");
}

#[test]
fn good_server_passes_every_workload_and_is_left_clean() {
    let workloads = [
        "create",
        "set",
        "get",
        "exists",
        "children",
        "multi",
        "mix:0.5",
        "ephemeral",
        "watch",
        "pwatch",
        "rwatch",
        "sessions",
        "lock",
        "lock:2",
        "election",
        "mix:get=5,set=3,create=2,delete=1,exists=1,children=1,multi=1,ephemeral=1,sync-get=2",
        "mix:0.5 --value-bytes uniform:0-300 --keys-dist zipf:0.99",
        "mix:0.5 --tree 2x3 --keys-dist latest",
        "set --reconnect",
    ];
    for workload in workloads {
        let fake = Fake::start(GOOD);
        let (code, report) = load(&fake, &format!("{workload} -n 400 -t 2"));
        assert_eq!(code, ExitCode::SUCCESS, "{workload}: {report:#}");
        assert!(report["total"]["ops"].as_u64().unwrap() >= 400, "{workload}: {report:#}");
        assert_eq!(fake.paths(), ["/"], "{workload}");
    }
}

#[test]
fn counts_and_rates_are_kept() {
    let fake = Fake::start(GOOD);
    let (code, report) = load(&fake, "set -n 500 --warmup 20ms");
    assert_eq!(code, ExitCode::SUCCESS, "{report:#}");
    assert_eq!(report["total"]["ops"], 500);
    let (code, report) = load(&fake, "get --rate 500 --arrival fixed -d 400ms");
    assert_eq!(code, ExitCode::SUCCESS, "{report:#}");
    assert_eq!(report["version"], "0.0.1");
    let ops = report["total"]["ops"].as_u64().unwrap();
    assert!((190..=210).contains(&ops), "{ops} of 200");
    assert!(report["ops"][0]["service_us"]["p50"].as_f64().unwrap() > 0.0);
}

#[test]
fn damaged_order_is_caught() {
    is_caught(Damage::WrongXid, op::GET_DATA, "get", "replies out of order");
    is_caught(Damage::Swapped, op::GET_DATA, "get", "replies out of order");
    is_caught(Damage::Twice, op::GET_DATA, "get", "replies out of order");
    is_caught(Damage::ZxidBack, op::GET_DATA, "get", "zxids that went back");
    is_caught(Damage::ZxidBack, op::SET_DATA, "set", "zxids that went back");
}

#[test]
fn damaged_data_is_caught() {
    is_caught(Damage::FlippedBit, op::GET_DATA, "get", "damaged data");
    is_caught(Damage::OtherKey, op::GET_DATA, "get", "damaged data");
    is_caught(Damage::MissingChild, op::GET_CHILDREN, "children", "damaged data");
    is_caught(Damage::Stale, op::GET_DATA, "mix:0.5", "stale reads");
    is_caught(Damage::LostWrite, op::SET_DATA, "mix:0.5", "lost writes");
}

#[test]
fn error_codes_and_malformed_replies_are_caught() {
    is_caught(Damage::ErrorCode, op::GET_DATA, "get", "error codes");
    is_caught(Damage::ErrorCode, op::DELETE, "ephemeral", "error codes");
    is_caught(Damage::ErrorCode, op::MULTI, "multi", "error codes");
    is_caught(Damage::ErrorCode, op::CLOSE_SESSION, "sessions", "error codes");
    is_caught(Damage::Truncated, op::EXISTS, "exists", "malformed replies");
    is_caught(Damage::WrongPath, op::CREATE, "create", "malformed replies");
}

#[test]
fn missing_replies_are_caught() {
    is_caught(Damage::Swallowed, op::GET_DATA, "get -p 1", "unanswered requests");
    is_caught(Damage::Hangup, op::SET_DATA, "set", "lost sessions");
    is_caught(Damage::BadFrame, op::GET_DATA, "get", "lost sessions");
    is_caught(Damage::NoHandshake, op::CREATE_SESSION, "sessions", "lost sessions");
    is_caught(Damage::SilentHandshake, op::CREATE_SESSION, "sessions", "unanswered requests");
    is_caught(Damage::Swallowed, op::CLOSE_SESSION, "sessions", "lost sessions");
}

#[test]
fn damaged_events_are_caught() {
    for workload in ["watch", "pwatch"] {
        is_caught(Damage::MissingEvent, op::SET_DATA, workload, "unanswered requests");
        is_caught(Damage::DoubleEvent, op::SET_DATA, workload, "replies out of order");
    }
    is_caught(Damage::LateEvent, op::SET_DATA, "watch", "events after their data");
}

#[test]
fn dying_server_leaves_partial_results() {
    let fake = Fake::start(Plan { damage: Damage::Death, op: op::GET_DATA, after: 5_000 });
    let (code, report) = load(&fake, "get -d 60s");
    assert_eq!(code, ExitCode::from(1));
    assert_eq!(report["faults"]["lost sessions"], 4);
    assert_eq!(report["partial"], true);
    assert!(report["total"]["ops"].as_u64().unwrap() > 0);
}

#[test]
fn lost_connections_reattach_without_lost_writes() {
    for (damage, op) in [(Damage::Hangup, op::SET_DATA), (Damage::Death, op::CREATE)] {
        let fake = Fake::start(Plan { damage, op, after: 300 });
        let mix = "mix:get=3,set=3,create=2,delete=1,ephemeral=2,multi=1";
        let (code, report) = load(&fake, &format!("{mix} -n 2000 --reconnect"));
        assert_eq!(code, ExitCode::SUCCESS, "{damage:?}: {report:#}");
        let outages = &report["outages"];
        assert!(outages["disconnects"].as_u64().unwrap() > 0, "{report:#}");
        assert_eq!(outages["disconnects"], outages["reattached"], "{report:#}");
        assert!(outages["ephemerals_kept"].as_u64().unwrap() > 0, "{report:#}");
        assert_eq!(fake.paths(), ["/"], "{damage:?}");
    }
}

#[test]
fn writes_lost_with_connection_are_faults() {
    is_caught(Damage::Amnesia, op::SET_DATA, "set --reconnect", "lost writes");
    is_caught(Damage::ForgottenCreate, op::CREATE, "create --reconnect", "lost writes");
    is_caught(Damage::ForgottenSessions, op::GET_DATA, "get --reconnect", "lost writes");
}

#[test]
fn two_lock_holders_are_caught() {
    is_caught(Damage::JumpedQueue, op::GET_CHILDREN, "lock", "two holders at once");
    is_caught(Damage::JumpedQueue, op::GET_CHILDREN, "election", "two holders at once");
}

#[test]
fn stall_counts_in_response_times_of_due_requests() {
    let fake = Fake::start(Plan { damage: Damage::Stall, op: op::GET_DATA, after: 100 });
    let (code, report) = load(&fake, "get --rate 1000 --arrival fixed -d 1s -p 1 -c 2");
    assert_eq!(code, ExitCode::SUCCESS, "{report:#}");
    // 300 of 1,000 operations were due while nothing moved, and two were under way.
    let stall = fake::STALL.as_micros() as f64;
    let at = |times: &str, quantile: &str| report["ops"][0][times][quantile].as_f64().unwrap();
    assert!(at("latency_us", "max") >= stall * 0.9, "{report:#}");
    assert!(at("latency_us", "p90") >= stall / 3.0, "{report:#}");
    assert!(at("service_us", "max") >= stall * 0.9, "{report:#}");
    assert!(at("service_us", "p90") < at("latency_us", "p90"), "{report:#}");
}

#[test]
fn unreachable_server_of_list_is_skipped() {
    for workload in ["set", "set --reconnect --rate 2000", "sessions", "watch", "lock"] {
        for io in ["auto", "epoll"] {
            let fake = Fake::start(GOOD);
            let servers = format!("127.0.0.1:1,{}", fake.address());
            let count = if workload.contains("--rate") { "-d 100ms" } else { "-n 200" };
            let (code, document) = run_on(&servers, &format!("{workload} {count} --io {io}"));
            let report = &document["results"][0];
            assert_eq!(code, ExitCode::SUCCESS, "{workload}: {report:#}");
            let notes = report["fault_examples"].to_string();
            assert!(notes.contains("127.0.0.1:1 cannot be reached"), "{workload}: {notes}");
            assert_eq!(report["server_facts"]["source"], fake.address(), "{workload}");
            assert_eq!(fake.paths(), ["/"], "{workload}");
        }
    }
}

#[test]
fn unreachable_goal_is_not_found() {
    let fake = Fake::start(GOOD);
    let (code, document) = run(&fake, "get --search p50<1us --rate 20000 -d 20ms");
    assert_eq!(code, ExitCode::from(1), "{document:#}");
    let search = &document["searches"][0];
    assert_eq!(search["found"], Value::Null);
    assert_eq!(search["steps"].as_array().unwrap().len(), 6, "{document:#}");
}

#[test]
fn scenarios_are_run_phase_by_phase() {
    let fake = Fake::start(GOOD);
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let text = "seed = 7\n[[phase]]\nname = 'first'\nworkload = 'set'\n\
                [[phase]]\nname = 'second'\nmix = { get = 1, exists = 1 }\n";
    std::fs::write(file.path(), text).unwrap();
    let (code, report) = load(&fake, &format!("--scenario {} -n 100", file.path().display()));
    assert_eq!(code, ExitCode::SUCCESS, "{report:#}");
    assert_eq!((&report["phase"], &report["seed"]), (&"first".into(), &7.into()));
}

#[test]
fn unreachable_server_exits_2() {
    let arguments = ["--server", "127.0.0.1:1", "--quiet"];
    let code = ringkeeper_bench::run(arguments.into_iter().map(OsString::from));
    assert_eq!(code, ExitCode::from(2));
}
