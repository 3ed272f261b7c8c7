//! Clients that are refused, cut off or expired have their lines in the log.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Error, Options, Session};
use serde_json::Value;
use tempfile::tempdir;

use crate::host::{Host, start};

const PATIENCE: Duration = Duration::from_secs(60);

fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).expect("the server's messages");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits for the line of a reason, about this client and session where they are named.
fn wait_line(log: &Path, reason: &str, (client, session): (Option<SocketAddr>, Option<Session>)) {
    let (client, session) = (client.map(|it| it.to_string()), session.map(|it| it.id.to_string()));
    let until = Instant::now() + PATIENCE;
    loop {
        let said = lines(log);
        let is_it = |line: &&Value| {
            let same = |field: &str, wanted: &Option<String>| {
                wanted.as_ref().is_none_or(|wanted| line[field] == **wanted)
            };
            line["reason"] == reason && same("client", &client) && same("session", &session)
        };
        if said.iter().any(|line| is_it(&line)) {
            return;
        }
        assert!(Instant::now() < until, "{reason} {client:?} {session:?}: {said:#?}");
        std::thread::yield_now();
    }
}

#[test]
fn client_that_is_refused_cut_off_or_expired_has_a_line_with_its_address_session_and_reason() {
    let home = tempdir().unwrap();
    let log = home.path().join("messages");
    let mut command = start(&home.path().join("data"), &["maxClientCnxns=3", "tickTime=200"]);
    command.args(["--log-format", "json"]).stderr(File::create(&log).unwrap());
    let host = Host::run(command);

    let mut stranger = TcpStream::connect(host.address).unwrap();
    let from = stranger.local_addr().unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let _ = stranger.read(&mut [0; 1]);
    wait_line(&log, "frame_length", (Some(from), None));
    drop(stranger);

    let mut client = host.connect();
    client.create("/a", b"").unwrap();
    let session = client.session();
    let wrong = Session { password: [1; 16], ..session };
    let refused = Client::resume(host.address, Options::default(), wrong);
    assert!(matches!(refused, Err(Error::Expired)), "{refused:?}");
    wait_line(&log, "wrong_password", (None, Some(session)));

    let mut second = Client::resume(host.address, Options::default(), session).unwrap();
    wait_line(&log, "moved", (None, Some(session)));
    drop(client);

    let short = Client::connect(host.address, Options { timeout_ms: 400, ..Options::default() });
    let mut short = short.unwrap();
    let gone = short.session();
    wait_line(&log, "expired", (None, Some(gone)));
    wait_line(&log, "expired_session", (None, Some(gone)));
    assert!(matches!(short.reattach(host.address), Err(Error::Expired)));
    wait_line(&log, "session_gone", (None, Some(gone)));
    drop(short);

    // Some of those before may be there for a moment still; in the end these are too many.
    let mut open = Vec::new();
    let until = Instant::now() + PATIENCE;
    while !lines(&log).iter().any(|line| line["reason"] == "address_limit") {
        assert!(Instant::now() < until);
        open.push(TcpStream::connect(host.address).unwrap());
    }
    second.get("/a").unwrap();
    drop(open);
    let (status, _) = host.terminate();
    let said = lines(&log);
    let stops = said.iter().find(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("the server stops") && line["clients"].as_u64().is_some()
    });
    assert!(status.success() && stops.is_some(), "{said:#?}");
}
