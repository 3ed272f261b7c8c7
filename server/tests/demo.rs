//! `ringkeeper demo` with a script of what happens to its servers.

mod program;

use std::process::Stdio;

use program::ringkeeper;
use serde_json::Value;

/// Runs a demonstration to its end.
fn demo(arguments: &[&str]) -> (Option<i32>, String) {
    let all: Vec<&str> = ["demo"].iter().chain(arguments).copied().collect();
    let output = ringkeeper(&all).stderr(Stdio::inherit()).output().expect("the binary runs");
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

fn texts(events: &[Value]) -> Vec<&str> {
    let happened = events.iter().filter(|event| event["event"] == "happened");
    happened.filter_map(|event| event["text"].as_str()).collect()
}

#[test]
fn leader_that_is_killed_cut_off_or_stopped_costs_no_acknowledged_write() {
    let script = [
        "kill leader at 3s",
        "restart 1 at 6s",
        "restart 2 at 6s",
        "restart 3 at 6s",
        "partition leader at 9s",
        "heal 1 at 12s",
        "heal 2 at 12s",
        "heal 3 at 12s",
    ];
    let mut arguments = vec!["--json", "--for", "18s"];
    script.iter().for_each(|command| arguments.extend(["--do", command]));
    let (code, text) = demo(&arguments);
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let happened = texts(&events);
    for part in ["--- kill server", "--- restart server", "--- partition server", "leads"] {
        assert!(happened.iter().any(|text| text.contains(part)), "{part}: {happened:#?}");
    }
    let summary = events.last().expect("the last line is the summary");
    assert_eq!(summary["event"], "summary");
    let writes = &summary["writes"];
    assert!(writes["acknowledged"].as_u64() > Some(100), "{summary:#}");
    assert_eq!((writes["lost"].as_u64(), code), (Some(0), Some(0)), "{summary:#}");
    let statuses: Vec<&Value> = events.iter().filter(|event| event["event"] == "status").collect();
    let servers = |status: &Value, field: &str, value: &Value| {
        let servers = status["servers"].as_array().expect("a list");
        servers.iter().filter(|server| server[field] == *value).count()
    };
    assert!(statuses.iter().any(|status| servers(status, "does", &"leader".into()) == 1));
    assert!(statuses.iter().any(|status| servers(status, "process", &"ended".into()) == 1));
    assert!(statuses.iter().any(|status| servers(status, "partitioned", &true.into()) == 1));
}

#[test]
fn script_that_names_no_server_is_refused_before_anything_starts() {
    for command in ["kill 9 at 1s", "kill at 1s", "murder 1 at 1s"] {
        let (code, text) = demo(&["--for", "1s", "--do", command]);
        assert!(code != Some(0) && text.is_empty(), "{command} {text}");
    }
}
