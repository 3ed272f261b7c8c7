//! Ports that are taken, or not wanted.

use std::net::TcpListener;
use std::process::Stdio;

use tempfile::tempdir;

use crate::host::{Host, errors, finish, start};
use crate::program::ringkeeper;
use crate::web::get;

#[test]
fn a_server_whose_port_for_commands_is_taken_serves_its_clients() {
    let home = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = start(home.path(), &[&format!("admin.serverPort={port}")]);
    let log = home.path().join("messages");
    command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let host = Host::run(command);
    assert!(host.http.is_empty());
    host.connect().create("/served", b"").unwrap();
    host.terminate();
    let said = std::fs::read_to_string(log).unwrap();
    assert!(said.contains("WARN") && said.contains("admin.serverPort"), "{said}");
}

#[test]
fn disabled_http_server_does_not_listen() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &["admin.enableServer=false"]);
    assert!(host.http.is_empty());
    host.connect().create("/served", b"").unwrap();
}

#[test]
fn a_port_for_metrics_that_is_taken_stops_the_start() {
    let home = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let definitions = [
        "metricsProvider.className=a.PrometheusMetricsProvider",
        "metricsProvider.httpHost=127.0.0.1",
        &format!("metricsProvider.httpPort={port}"),
    ];
    let output = finish(start(home.path(), &definitions));
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    assert!(said.contains("metricsProvider.httpPort") && said.contains("in use"), "{said}");
}

#[test]
fn a_stop_ends_the_http_side_as_well() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[]);
    let at = host.http[0];
    assert_eq!(get(at, "/live").status, 200);
    let open = crate::web::connect(at);
    let (status, _) = host.terminate();
    assert!(status.success());
    drop(open);
    assert!(TcpListener::bind(at).is_ok());
}

#[test]
fn status_is_one_line_and_an_exit_code() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[]);
    let server = host.address.to_string();
    let ask = |more: &[&str]| {
        let output = finish(ringkeeper(&[&["status", "--server", &server], more].concat()));
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = ask(&[]);
    assert_eq!(code, Some(0));
    assert!(
        said.starts_with(&format!("{server} serves: standalone, zxid 0x0, 5 nodes, ")),
        "{said}"
    );
    let (code, said) = ask(&["--json"]);
    let fields: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &fields["mode"]), (Some(0), &"standalone".into()));
    host.kill();
    let (code, said) = ask(&[]);
    assert_eq!((code, said.lines().count()), (Some(1), 1));
    assert!(said.contains("does not serve"), "{said}");
}
