//! `ringkeeper tune` as its users run it: the program, its files and its exit codes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

#[path = "program/polluted_host.rs"]
mod polluted_host;
mod program;

#[test]
fn a_host_is_checked_and_a_server_watched_on_a_polluted_host() {
    polluted_host::run_again(&["exit_code", "without_yes", "is_watched"]);
}

fn ringkeeper(args: &[&str], directory: &Path) -> Command {
    let mut command = program::ringkeeper(args);
    command.current_dir(directory);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str], directory: &Path) -> Output {
    ringkeeper(args, directory).output().expect("the program runs")
}

fn succeed(args: &[&str], directory: &Path) -> String {
    let out = run(args, directory);
    assert!(out.status.success(), "{args:?}: {out:?}");
    String::from_utf8(out.stdout).expect("text")
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn entries(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("it can be listed");
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A process that ends with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn recommended_settings_are_accepted_by_a_server() {
    let site = directory();
    let disk = directory();
    let on = disk.path().to_str().unwrap();
    let args = ["tune", "probe", "--quick", "--dir", on, "--json", "p.json", "--html", "p.html"];
    let text = succeed(&args, site.path());
    assert_eq!(entries(disk.path()), [""; 0]);
    succeed(&["tune", "recommend", "--from", "p.json", "--output", "tune.cfg"], site.path());
    let report: Value =
        serde_json::from_slice(&std::fs::read(site.path().join("p.json")).unwrap()).unwrap();
    assert_eq!(report["taken"]["depth"], "quick");
    let memory = report["disk"]["file_system"] == "tmpfs";
    assert_ne!(text.contains("ringkeeper.log.device="), memory, "{text}");
    if memory {
        eprintln!("skipped: temporary files are in memory, from which nothing follows");
        return;
    }
    std::fs::write(
        site.path().join("zoo.cfg"),
        "dataDir=data\nclientPort=2181\nringkeeper.include=tune.cfg\n",
    )
    .unwrap();
    let checked = succeed(&["check", "--json", "zoo.cfg"], site.path());
    assert!(
        checked.contains("ringkeeper.log.device") && checked.contains("tune.cfg:"),
        "{checked}"
    );
}

#[test]
fn the_exit_code_of_a_check_is_the_worst_that_it_found() {
    let site = directory();
    let out = run(&["tune", "check", "--json", "--dir", "."], site.path());
    let value: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(i64::from(out.status.code().unwrap()), value["exit_code"].as_i64().unwrap());
    assert!(value["findings"].as_array().unwrap().len() >= 20);
    // Where everything is fine or unknown there is nothing to complain of.
    let empty = directory();
    let root = empty.path().to_str().unwrap();
    assert_eq!(run(&["tune", "check", "--root", root], site.path()).status.code(), Some(0));
    std::fs::write(site.path().join("zoo.cfg"), "dataDir=data\nclientPort=x\n").unwrap();
    let bad = run(&["tune", "check", "--config", "zoo.cfg"], site.path());
    assert!(String::from_utf8_lossy(&bad.stderr).contains("zoo.cfg:2: clientPort"), "{bad:?}");
}

#[test]
fn an_apply_without_yes_changes_nothing() {
    let site = directory();
    let queue = site.path().join("proc/sys/net/core/somaxconn");
    std::fs::create_dir_all(queue.parent().unwrap()).unwrap();
    std::fs::write(&queue, "128\n").unwrap();
    let value = || std::fs::read_to_string(&queue).unwrap().trim().to_owned();
    let text = succeed(&["tune", "apply", "--root", "."], site.path());
    assert!(text.contains("128 -> 4096") && text.contains("Nothing was changed"), "{text}");
    let script = ["tune", "apply", "--root", ".", "--output-script", "fix.sh"];
    succeed(&script, site.path());
    assert_eq!(value(), "128");
    succeed(&["tune", "apply", "--root", ".", "--yes", "--state", "undo.json"], site.path());
    assert_eq!(value(), "4096");
    let text = succeed(&["tune", "undo", "--root", ".", "--state", "undo.json"], site.path());
    assert!(text.contains("4096 -> 128"), "{text}");
    assert_eq!(value(), "128");
}

/// Starts a probe that takes long, and waits until it is under way.
fn begin(disk: &Path) -> (Ended, Pid, impl BufRead) {
    let on = disk.to_str().unwrap();
    let args = ["tune", "probe", "--thorough", "--dir", on];
    let mut probe = Ended(ringkeeper(&args, disk).spawn().unwrap());
    let mut said = BufReader::new(probe.0.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("Probing the disk of"), "{line}");
    let pid = Pid::from_raw(i32::try_from(probe.0.id()).unwrap()).unwrap();
    // Whoever writes to a pipe that nobody reads fails.
    (probe, pid, said)
}

#[test]
fn a_signal_ends_a_probe_and_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let disk = directory();
        let (mut probe, pid, _said) = begin(disk.path());
        kill_process(pid, signal).unwrap();
        assert_eq!(probe.0.wait().unwrap().code(), Some(130));
        assert_eq!(entries(disk.path()), [""; 0]);
    }
}

#[test]
fn files_of_a_killed_probe_are_removed_by_the_next_one() {
    let disk = directory();
    let (mut probe, pid, _said) = begin(disk.path());
    let scratch = disk.path().join("ringkeeper-tune.tmp");
    while !scratch.join("direct-assegments").exists() && !scratch.join("uring-assegments").exists()
    {
        assert!(probe.0.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    kill_process(pid, Signal::KILL).unwrap();
    probe.0.wait().unwrap();
    assert_eq!(entries(disk.path()), ["ringkeeper-tune.tmp"]);
    let (mut next, pid, _said) = begin(disk.path());
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(next.0.wait().unwrap().code(), Some(130));
    assert_eq!(entries(disk.path()), [""; 0]);
}

/// Without a zoo.cfg the word mntr is not allowed, and commands over HTTP are.
#[test]
fn server_without_a_zoo_cfg_is_watched_over_http() {
    let site = directory();
    let mut server = ringkeeper(
        &["start", "-DclientPort=0", "-Dadmin.serverPort=0", "-Dringkeeper.log.device=pwrite"],
        site.path(),
    );
    let mut server = Ended(server.spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut named = |what: &str| {
        let line = lines.find_map(|line| line.trim().strip_prefix(what).map(str::to_owned));
        line.expect("a server says where it listens").trim().to_owned()
    };
    let address = named("clients ");
    let http = named("http ");
    let http = http.split('/').nth(2).expect("the address of the commands").to_owned();
    let watch = ["tune", "watch", "--once", "--interval", "1", "--json", "--server", &address];
    let port = http.rsplit_once(':').unwrap().1;
    for http in [&*http, port] {
        let args = [&watch[..], &["--http", http]].concat();
        let value: Value = serde_json::from_str(&succeed(&args, site.path())).expect("JSON");
        assert_eq!(value["commits_per_second"], 0.0);
        assert!(value["fsync_p50_us"].is_number(), "{value}");
    }
    let refused = run(&[&watch[..], &["--http", "1"]].concat(), site.path());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("4lw.commands.whitelist"), "{said}");
}

#[test]
fn undo_of_nothing_leaves_nothing() {
    let site = directory();
    let said = succeed(&["tune", "undo", "--state", "state/undo.json"], site.path());
    assert!(said.contains("There is nothing to undo"), "{said}");
    assert_eq!(entries(site.path()), [""; 0]);
}

#[test]
fn a_running_server_is_watched() {
    let site = directory();
    let args = [
        "start",
        "0",
        "data",
        "-D4lw.commands.whitelist=mntr",
        "-DclientPortAddress=127.0.0.1",
        "-Dzookeeper.admin.enableServer=false",
        "-Dringkeeper.log.device=pwrite",
        "-Dringkeeper.commit.target=throughput",
    ];
    let mut server = Ended(ringkeeper(&args, site.path()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| {
        line.trim().strip_prefix("clients ").map(|address| address.trim().to_owned())
    });
    let address = address.expect("a server says where it listens");
    let watch = ["tune", "watch", "--once", "--interval", "1", "--json", "--server", &address];
    let value: Value = serde_json::from_str(&succeed(&watch, site.path())).expect("JSON");
    assert_eq!(value["commits_per_second"], 0.0);
    assert!(value["advice"][0].as_str().unwrap().contains("hardly any writes"), "{value}");
    assert_eq!(value["commits"]["target"], "throughput");
    let status = succeed(&["status", "--server", &address], site.path());
    assert!(status.contains(", commits for throughput"), "{status}");
    let status = succeed(&["status", "--json", "--server", &address], site.path());
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["commits"]["wait_us"], 0);
}
