//! What survives the end of a process, whatever the end.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Create, CreateMode, Options, Request, four_letter_word};
use ringkeeper_engine::wire::Acl;
use rustix::process::Signal;
use tempfile::tempdir;

use crate::host::Host;

#[test]
fn a_kill_loses_no_data_and_no_session() {
    let home = tempdir().unwrap();
    let data = home.path().join("not/there/yet");
    let host = Host::start(&data, &[]);
    let mut client = host.connect();
    client.create("/kept", b"before").unwrap();
    client.set("/kept", b"after").unwrap();
    client.create_mode("/mine", b"", CreateMode::Ephemeral).unwrap();
    let session = client.session();
    host.kill();

    let host = Host::start(&data, &[]);
    let mut other = host.connect();
    assert_eq!(other.get("/kept").unwrap().0.as_deref(), Some(&b"after"[..]));
    let owner = other.exists("/mine").unwrap().expect("its session lives on").ephemeral_owner;
    assert_eq!(owner, session.id.0);
    let mut again = Client::resume(host.address, Options::default(), session).unwrap();
    assert_eq!(again.session().id, session.id);
    assert_eq!(again.ephemerals("/").unwrap(), ["/mine"]);
    again.close().unwrap();
    assert!(other.exists("/mine").unwrap().is_none());

    // The password is the proof: nobody takes over a session without it.
    let mut stolen = other.session();
    stolen.password[0] ^= 1;
    assert!(Client::resume(host.address, Options::default(), stolen).is_err());
}

#[test]
fn a_stop_is_quick_and_loses_nothing() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[]);
    let mut client = host.connect();
    client.create("/kept", b"").unwrap();
    let (status, took) = host.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    let host = Host::start(home.path(), &[]);
    assert!(host.connect().exists("/kept").unwrap().is_some());
}

/// Whoever takes a session up has it: the connection that had it is closed, and nothing that it
/// sends afterwards is carried out, whichever threads the two are on.
#[test]
fn session_that_moves_closes_its_old_connection() {
    for shards in ["ringkeeper.shards=1", "ringkeeper.shards=4"] {
        let home = tempdir().unwrap();
        let host = Host::start(home.path(), &[shards]);
        let mut other = host.connect();
        other.create("/n", b"0").unwrap();
        // The kernel spreads connections over the shards: some of the moves are between two.
        for _ in 0..8 {
            let mut old = host.connect();
            old.create_mode("/mine", b"", CreateMode::Ephemeral).unwrap();
            let moved = Client::resume(host.address, Options::default(), old.session());
            let mut new = moved.unwrap();
            assert_eq!(new.session().id, old.session().id);
            assert!(old.set("/n", b"old").is_err(), "the old connection has lost its session");
            assert_eq!(new.get("/n").unwrap().0.as_deref(), Some(&b"0"[..]));
            assert_eq!(new.ephemerals("/").unwrap(), ["/mine"]);
            new.close().unwrap();
        }
    }
}

/// A process that does not run for longer than a session may be silent finds the pings of its
/// clients in its sockets, and has to look there before it lets anybody expire.
fn paused(definitions: &[&str]) {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[&["tickTime=500"], definitions].concat());
    let options = Options { timeout_ms: 1_000, ..Options::default() };
    let mut client = Client::connect(host.address, options).unwrap();
    client.create_mode("/mine", b"", CreateMode::Ephemeral).unwrap();
    host.signal(Signal::STOP);
    // Three times as long as the session may be silent; the client sends its pings meanwhile.
    assert!(client.wait_event(Duration::from_millis(3_000)).unwrap().is_none());
    host.signal(Signal::CONT);
    assert!(client.exists("/mine").expect("the session lives").is_some());
}

#[test]
fn a_paused_server_does_not_expire_its_sessions() {
    thread::scope(|scope| {
        for shards in ["ringkeeper.shards=1", "ringkeeper.shards=2"] {
            scope.spawn(move || paused(&[shards]));
        }
    });
}

/// What happened was answered, and what was not answered did not happen.
fn stopped_in_the_middle(definitions: &[&str]) {
    const REQUESTS: usize = 2_000;
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), definitions);
    let mut client = host.connect();
    let acl = &[Acl::open()];
    let paths: Vec<String> = (0..REQUESTS).map(|number| format!("/node{number}")).collect();
    for path in &paths {
        let mode = CreateMode::Persistent;
        client.queue(&Request::Create(Create { path, data: None, acl, mode }));
    }
    client.receive().unwrap().accepted().unwrap();
    let (status, _) = host.terminate();
    assert_eq!(status.code(), Some(0));
    let mut answered = 1;
    while let Ok(answer) = client.receive() {
        answer.accepted().unwrap();
        answered += 1;
    }
    let host = Host::start(home.path(), definitions);
    let kept = host.connect().children("/").unwrap().len() - 1;
    assert_eq!(kept, answered, "of {REQUESTS} requests");
}

#[test]
fn stop_answers_every_request_that_was_read() {
    stopped_in_the_middle(&[]);
    stopped_in_the_middle(&["ringkeeper.shards=2"]);
    stopped_in_the_middle(&["ringkeeper.io=epoll"]);
}

/// Behind an early snapshot, a start after a kill has next to nothing to replay; without it, or
/// with a damaged one, it comes to the same.
#[test]
fn start_after_an_early_snapshot_replays_less_of_the_log() {
    let home = tempdir().unwrap();
    let definitions = ["ringkeeper.earlySnapshotMb=1", "zookeeper.4lw.commands.whitelist=mntr"];
    let host = Host::start(home.path(), &definitions);
    let mut client = host.connect();
    client.create("/counted", b"").unwrap();
    let early = home.path().join("snapshot.early.tmp");
    let mut version = 0;
    let begun = Instant::now();
    while version < 200 || !early.exists() {
        version = client.set("/counted", &[b'x'; 10_000]).unwrap().version;
        assert!(begun.elapsed() < Duration::from_secs(60), "there is none after {version} writes");
    }
    host.kill();

    let damaged = tempdir().unwrap();
    for entry in std::fs::read_dir(home.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), damaged.path().join(entry.file_name())).unwrap();
    }
    std::fs::write(damaged.path().join("snapshot.early.tmp"), b"RKSNAP").unwrap();

    let replayed = |directory: &Path| {
        let host = Host::start(directory, &definitions);
        let (data, stat) = host.connect().get("/counted").unwrap();
        assert_eq!((data.map(|data| data.len()), stat.version), (Some(10_000), version));
        let said = four_letter_word(host.address, "mntr").unwrap();
        let count = said.lines().find_map(|line| line.strip_prefix("zk_sum_startup_txns_loaded\t"));
        count.expect("mntr tells it").parse::<i32>().unwrap()
    };
    assert!(replayed(home.path()) < version, "{version} writes");
    assert!(replayed(damaged.path()) >= version);
    // The start before this one has made it a regular one.
    assert!(replayed(home.path()) < version, "{version} writes");
}

/// The kernel clears a huge page at once, while a request waits for its memory; nothing that comes
/// before the program's first line may have one either.
#[test]
fn no_memory_is_in_huge_pages() {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), &[]);
    host.connect().create("/node", &[0; 100_000]).unwrap();
    let path = format!("/proc/{}/smaps_rollup", host.pid());
    let text = std::fs::read_to_string(path).expect("it runs");
    let huge = text.lines().find_map(|line| line.strip_prefix("AnonHugePages:")).unwrap();
    assert_eq!(huge.trim(), "0 kB");
}
