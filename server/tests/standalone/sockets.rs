//! Every way to drive sockets serves the same, and goes on where there are no descriptors left.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Options, Request};
use ringkeeper_engine::wire::event::EventType;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tempfile::tempdir;

use crate::host::{Host, errors, start};
use crate::without_ring;

const PATIENCE: Duration = Duration::from_secs(10);

/// Watches, and a mix of everything in one burst, over connections that are on different shards
/// where there are several.
fn smoke(definitions: &[&str]) {
    let home = tempdir().unwrap();
    converse(&Host::start(home.path(), definitions));
}

fn converse(host: &Host) {
    let mut writer = host.connect();
    let mut watchers: Vec<Client> = (0..8).map(|_| host.connect()).collect();
    writer.create("/watched", b"0").unwrap();
    for watcher in &mut watchers {
        watcher.sync("/watched").unwrap();
        watcher.get_watch("/watched").unwrap();
        watcher.children_watch("/").unwrap();
    }
    writer.set("/watched", b"1").unwrap();
    writer.create("/new", b"").unwrap();
    for watcher in &mut watchers {
        for (kind, path) in
            [(EventType::NodeDataChanged, "/watched"), (EventType::NodeChildrenChanged, "/")]
        {
            let event = watcher.wait_event(PATIENCE).unwrap().expect("a watch fires");
            assert_eq!((event.kind, &*event.path), (kind, path));
        }
        assert_eq!(watcher.get("/watched").unwrap().0.as_deref(), Some(&b"1"[..]));
    }
    burst(&mut writer);
    much_to_send(&mut writer);
    writer.close().unwrap();
}

/// Writes, reads behind them, refusals and pings: answered in order, each with what came before it.
fn burst(client: &mut Client) {
    const ROUNDS: usize = 200;
    for round in 0..ROUNDS {
        let data = round.to_string();
        client.queue(&Request::SetData {
            path: "/new",
            data: Some(data.as_bytes()),
            version: i32::try_from(round).unwrap(),
        });
        client.queue(&Request::GetData { path: "/new", watch: false });
        client.queue(&Request::Ping);
        client.queue(&Request::Delete { path: "/none", version: -1 });
        client.queue(&Request::Exists { path: "/watched", watch: false });
    }
    for round in 0..ROUNDS {
        client.receive().unwrap().accepted().expect("the version is the one expected");
        let answer = client.receive().unwrap().accepted().unwrap();
        let (data, stat) = answer.body().data_stat().unwrap();
        assert_eq!(data, Some(round.to_string().as_bytes()));
        assert_eq!(stat.version, i32::try_from(round).unwrap() + 1);
        assert_ne!(client.receive().unwrap().err, 0, "there is no such node");
        client.receive().unwrap().accepted().unwrap();
    }
}

/// A burst whose replies are far more than a connection's output holds: each piece goes on as soon
/// as the one before it has been sent, not with the next tick.
fn much_to_send(client: &mut Client) {
    const READS: usize = 200;
    client.create("/large", &vec![b'x'; 100_000]).unwrap();
    let since = Instant::now();
    for _ in 0..READS {
        client.queue(&Request::GetData { path: "/large", watch: false });
    }
    for _ in 0..READS {
        let answer = client.receive().unwrap().accepted().unwrap();
        assert!(answer.bytes.len() > 100_000);
    }
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[test]
fn default_sockets_serve_clients() {
    smoke(&[]);
}

#[test]
fn epoll() {
    smoke(&["ringkeeper.io=epoll"]);
}

#[test]
fn two_shards() {
    smoke(&["ringkeeper.shards=2"]);
}

#[test]
fn two_shards_over_epoll() {
    smoke(&["ringkeeper.shards=2", "ringkeeper.io=epoll"]);
}

/// Where the system forbids io_uring, the server says so and serves with epoll.
#[test]
fn without_io_uring() {
    for shards in ["1", "2"] {
        let home = tempdir().unwrap();
        let said = home.path().join("said");
        let mut command =
            start(&home.path().join("data"), &[&format!("ringkeeper.shards={shards}")]);
        command.stderr(File::create(&said).unwrap());
        let host = Host::run_with(command, without_ring::spawn);
        converse(&host);
        drop(host);
        let said = fs::read_to_string(said).unwrap();
        assert!(said.contains("io_uring is not available here"), "{said}");
        assert!(said.contains("sockets use epoll"), "{said}");
    }
}

/// Who asks for io_uring gets it, or a refusal that says what to do.
#[test]
fn configured_io_uring_is_not_replaced_by_epoll() {
    for (definition, way_out) in [
        ("ringkeeper.io=io_uring", "use auto or epoll"),
        ("ringkeeper.log.device=uring", "set ringkeeper.log.device to auto"),
    ] {
        let home = tempdir().unwrap();
        let mut command = start(home.path(), &[definition]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let output = without_ring::spawn(&mut command).unwrap().wait_with_output().unwrap();
        assert!(!output.status.success(), "{definition}");
        let said = errors(&output);
        assert!(said.contains(way_out), "{definition}: {said}");
    }
}

/// The start of a server that may have this many files open.
fn limited(files: u32, inner: &Command) -> Command {
    let mut command = Command::new("/bin/sh");
    command.env_clear().args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
    command.arg(inner.get_program()).args(inner.get_args());
    command
}

fn out_of_descriptors(definitions: &[&str]) {
    let home = tempdir().unwrap();
    let mut all = vec!["maxClientCnxns=0"];
    all.extend(definitions);
    let host = Host::run(limited(64, &start(home.path(), &all)));
    let mut inside = host.connect();
    inside.create("/kept", b"").unwrap();
    // More than it can take; the kernel completes the handshakes of those that wait.
    let clients: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(host.address).unwrap()).collect();
    assert!(inside.wait_event(Duration::from_millis(500)).unwrap().is_none());
    let before = host.cpu_seconds();
    for _ in 0..10 {
        inside.set("/kept", b"still").unwrap();
        assert!(inside.wait_event(Duration::from_millis(100)).unwrap().is_none());
    }
    let used = host.cpu_seconds() - before;
    assert!(used < 0.5, "it used {used} s of one second");
    drop(clients);
    let mut late = eventually(|| Client::connect(host.address, Options::default()).ok());
    assert_eq!(late.get("/kept").unwrap().0.as_deref(), Some(&b"still"[..]));
}

/// The segments that are ready or being made.
fn spares(home: &Path) -> impl Iterator<Item = String> {
    let names = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().expect("names of ours"));
    names.filter(|name| name.starts_with("spare.") || name.starts_with("making."))
}

/// Asks again until there is something, for as long as is reasonable.
fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        match ask() {
            Some(found) => return found,
            None => assert!(since.elapsed() < PATIENCE, "it does not come"),
        }
    }
}

/// Where even accepting fails, the listener is left alone for a moment, and nobody else suffers.
#[test]
fn failed_accept_is_retried_after_a_pause() {
    let home = tempdir().unwrap();
    // One segment in reserve, and no measurement of the disk: once that segment is ready, nothing
    // in the server opens a file, and the descriptors in use are those that it needs.
    let definitions = ["ringkeeper.reserveMb=0", "ringkeeper.log.device=pwrite"];
    let definitions = [&["maxClientCnxns=0", "ringkeeper.io=epoll"][..], &definitions].concat();
    let host = Host::start(home.path(), &definitions);
    let mut inside = host.connect();
    inside.create("/kept", b"").unwrap();
    eventually(|| spares(home.path()).eq(["spare.1"]).then_some(()));
    let open = std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count() as u64;
    let pid = Pid::from_raw(i32::try_from(host.pid()).unwrap());
    // The hard limit stays as it is: not everybody may raise it.
    let all = getrlimit(Resource::Nofile).maximum;
    let files = |current| Rlimit { current, maximum: all };
    prlimit(pid, Resource::Nofile, files(Some(open))).unwrap();
    let waiting = TcpStream::connect(host.address).unwrap();
    let before = host.cpu_seconds();
    for _ in 0..10 {
        inside.set("/kept", b"still").unwrap();
        assert!(inside.wait_event(Duration::from_millis(100)).unwrap().is_none());
    }
    let used = host.cpu_seconds() - before;
    assert!(used < 0.5, "it used {used} s of one second");
    prlimit(pid, Resource::Nofile, files(all)).unwrap();
    let mut late = host.connect();
    assert_eq!(late.get("/kept").unwrap().0.as_deref(), Some(&b"still"[..]));
    drop(waiting);
}

#[test]
fn server_out_of_descriptors_serves_its_clients_without_spinning() {
    out_of_descriptors(&[]);
    out_of_descriptors(&["ringkeeper.io=epoll"]);
}
