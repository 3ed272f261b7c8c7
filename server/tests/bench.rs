//! `ringkeeper bench` with the real server: one of its own for a run, killed and interrupted.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Options};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[path = "program/polluted_host.rs"]
mod polluted_host;
mod program;

use program::ringkeeper;

/// How long anything may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_run_cleans_up_on_a_polluted_host() {
    polluted_host::run_again(&["interrupted", "without_its_data"]);
}

fn bench(directory: &Path, arguments: &str) -> Command {
    let mut command = ringkeeper(&["bench"]);
    command.args(arguments.split(' ')).current_dir(directory);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end, and returns its exit code, its first result and all it said.
fn finish(directory: &Path, arguments: &str) -> (Option<i32>, Value, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let arguments = format!("{arguments} --json {}", file.path().display());
    let output = bench(directory, &arguments).output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let text = std::fs::read_to_string(file.path()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code(), document["results"][0].clone(), said)
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

/// Starts a long run and waits until its load has begun; returns the server's address too.
fn begin(directory: &Path) -> (Child, SocketAddr) {
    let mut child = bench(directory, "mix:0.5 -d 300s --warmup 0 -c 2 -p 2").spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let title = lines.find(|line| line.contains("own server, ")).expect("it says what it loads");
    let address = title.rsplit("own server, ").next().unwrap().trim().parse().unwrap();
    lines.find(|line| line.contains(" ops ")).expect("a second goes by");
    // The pipe stays open: who writes to a closed one would learn of it.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}

#[test]
fn a_server_of_its_own_serves_every_workload_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let workloads = "mix:get=4,set=3,create=2,delete=1,children=1,multi=1,ephemeral=1,sync-get=1 \
                     lock:2 election watch pwatch rwatch sessions";
    let load = "-n 200 --warmup 0 -c 4 -p 4 --keys 20 --value-bytes uniform:24-200 -q";
    for io in ["auto", "epoll"] {
        let arguments = format!("{workloads} {load} --io {io}");
        let (code, _, said) = finish(directory.path(), &arguments);
        assert_eq!(code, Some(0), "{said}");
        assert!(is_empty(directory.path()), "{io}");
    }
}

#[test]
fn no_acknowledged_write_is_lost_when_the_server_is_killed_under_load() {
    let directory = tempfile::tempdir().unwrap();
    let mix = "mix:get=2,set=4,create=3,delete=1,multi=1,ephemeral=1";
    let load = "--warmup 0 -d 3s -c 8 -p 8 --keys 50 --kill-leader-every 800ms -q --grace 30s";
    let (code, report, said) = finish(directory.path(), &format!("{mix} {load}"));
    assert_eq!(code, Some(0), "{said}");
    let outages = &report["outages"];
    assert!(outages["kills"].as_u64().unwrap() > 0, "{report:#}");
    assert!(outages["reattached"].as_u64().unwrap() > 0, "{report:#}");
    assert!(outages["ephemerals_kept"].as_u64().unwrap() > 0, "{report:#}");
    let kill = &outages["each"][0];
    assert!(kill["no_writes_s"].as_f64() > Some(0.0), "{report:#}");
    assert!(kill["leader_s"].as_f64() > Some(0.0) && kill["back_s"].is_number(), "{report:#}");
    let events = report["events"].as_array().unwrap().iter();
    assert!(events.filter(|event| event["kind"] == "kill").count() > 0, "{report:#}");
    assert!(is_empty(directory.path()));
}

/// Starts a server that serves until it is killed, for a run with `--server`.
fn start(directory: &Path) -> (Child, SocketAddr) {
    let mut command = ringkeeper(&["start", "0"]);
    command.arg(directory).arg("-DclientPortAddress=127.0.0.1");
    command.arg("-Dzookeeper.admin.enableServer=false");
    let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut address = None;
    for line in lines.take_while(|line| !line.starts_with("ready in ")) {
        address = line.trim().strip_prefix("clients").map(|a| a.trim().to_string()).or(address);
    }
    (server, address.unwrap().parse().unwrap())
}

#[test]
fn failed_restart_command_is_reported_and_the_results_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (mut server, address) = start(&directory.path().join("data"));
    let script = "test \"$KILLED_SERVER\" = {server} && test \"$KILLED_PID\" -gt 1 && exit 9";
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = bench(directory.path(), "set --warmup 0 -d 2s -c 2 -p 2 --grace 500ms");
    command.args(["--server", &address.to_string(), "--kill-leader-every", "500ms"]);
    let command = command.args(["--restart-cmd", script, "--json"]).arg(file.path());
    // A server alone has no other that would serve; nobody waits a minute for that.
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.find(|line| line.contains("--restart-cmd")).expect("it is told");
    assert!(told.contains(&format!("for {address} ended with exit status: 9")), "{told}");
    std::thread::spawn(move || lines.for_each(drop));
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    let _ = server.wait();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let document: Value =
        serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
    let report = &document["results"][0];
    assert!(report["partial"] == true && report["total"]["ops"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn a_server_that_comes_back_without_its_data_is_caught() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let start = |port: u16| {
        let (program, data) = (ringkeeper(&[]), data.display());
        let program = program.get_program().display();
        format!(
            "exec {program} start {port} {data} -DclientPortAddress=127.0.0.1 \
                 -Dzookeeper.admin.enableServer=false"
        )
    };
    let mut shell = Command::new("/bin/sh");
    let mut first =
        shell.env_clear().arg("-c").arg(start(0)).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(first.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut address = None;
    for line in lines.take_while(|line| !line.starts_with("ready in ")) {
        address = line.trim().strip_prefix("clients").map(|a| a.trim().to_string()).or(address);
    }
    let address: SocketAddr = address.unwrap().parse().unwrap();
    let script = directory.path().join("restart.sh");
    let pid = directory.path().join("pid");
    let forget = format!(
        "echo $$ > {}\nrm -rf {}\n{}\n",
        pid.display(),
        data.display(),
        start(address.port())
    );
    std::fs::write(&script, forget).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = bench(directory.path(), "set --warmup 0 -d 2s -c 2 -p 2 -q --grace 2s");
    command.args(["--server", &address.to_string(), "--kill-leader-every", "500ms"]);
    command.arg("--restart-cmd").arg(format!("exec /bin/sh {}", script.display()));
    let output = command.arg("--json").arg(file.path()).output().unwrap();
    let _ = first.kill();
    let _ = first.wait();
    if let Ok(text) = std::fs::read_to_string(&pid)
        && let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw)
    {
        let _ = kill_process(pid, Signal::KILL);
    }
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(file.path()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let faults = document["results"][0]["faults"].as_object().unwrap();
    assert!(!faults.is_empty(), "{document:#}");
}

#[test]
fn an_interrupted_run_shows_what_it_has_and_cleans_up() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, _) = begin(directory.path());
    signal(&child, Signal::INT);
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("PARTIAL") && said.contains("no write lost"), "{said}");
    assert!(is_empty(directory.path()));
}

#[test]
fn killed_run_ends_its_server_and_the_next_run_removes_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, address) = begin(directory.path());
    assert!(Client::connect(address, Options::default()).is_ok());
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    let since = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(since.elapsed() < PATIENCE, "the server outlives the run");
        std::thread::yield_now();
    }
    assert!(!is_empty(directory.path()));
    let (code, _, said) = finish(directory.path(), "get -n 100 --warmup 0 -c 1 -q");
    assert_eq!(code, Some(0), "{said}");
    assert!(is_empty(directory.path()));
}
