//! What survives the end of a process, whatever the end.

use std::thread;
use std::time::Duration;

use ringkeeper_engine::client::{Client, Create, CreateMode, Options, Request};
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
fn a_session_that_moves_leaves_its_old_connection() {
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
fn a_stop_answers_what_it_has_read() {
    stopped_in_the_middle(&[]);
    stopped_in_the_middle(&["ringkeeper.shards=2"]);
    stopped_in_the_middle(&["ringkeeper.io=epoll"]);
}
