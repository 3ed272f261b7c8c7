//! What the server does not put up with.

use std::io::{Read, Write};
use std::net::TcpStream;

use tempfile::tempdir;

use crate::host::Host;
use crate::web::{connect, get, read, request};

fn host(more: &[&str]) -> (tempfile::TempDir, Host) {
    let home = tempdir().unwrap();
    let host = Host::start(home.path(), more);
    (home, host)
}

#[test]
fn malformed_http_requests_are_refused_and_others_served() {
    let (_home, host) = host(&[]);
    let at = host.http[0];
    for (method, path, status) in [
        ("PUT", "/commands/ruok", 405),
        ("DELETE", "/metrics", 405),
        ("POST", "/commands/ruok", 405),
        ("POST", "/metrics", 405),
        ("TRACE", "/commands/ruok", 403),
        ("OPTIONS", "/commands", 200),
        ("GET", "/", 404),
        ("GET", "/commandsmore", 404),
        ("GET", "/commands/../ruok", 200),
    ] {
        assert_eq!(request(at, method, path, &[]).status, status, "{method} {path}");
    }
    let long = "x".repeat(20_000);
    assert_eq!(request(at, "GET", "/live", &[("X-Long", &long)]).status, 431);
    let many: Vec<_> = (0..80).map(|_| ("X-Many", "x")).collect();
    assert_eq!(request(at, "GET", "/live", &many).status, 431);
    for junk in [&b"\x16\x03\x01\x02\x00\x01"[..], b"ruok", b"GET\r\n\r\n", &[0; 40]] {
        let mut stream = connect(at);
        stream.write_all(junk).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Whatever is said to it, it is the end.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(get(at, "/commands/ruok").status, 200);
}

#[test]
fn a_connection_serves_many_requests() {
    let (_home, host) = host(&[]);
    let mut stream = connect(host.http[0]);
    let request = b"GET /commands/ruok HTTP/1.1\r\nHost: test\r\n\r\n";
    for _ in 0..3 {
        stream.write_all(request).unwrap();
    }
    stream.write_all(b"GET /live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 4, "{text}");
    let mut stream = connect(host.http[0]);
    stream.write_all(b"GET /commands/ruok HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(read(&mut stream).status, 200);
}

#[test]
fn silent_or_slow_http_client_is_closed() {
    let (_home, host) = host(&["admin.idleTimeout=200"]);
    let mut silent = connect(host.http[0]);
    let mut halfway = connect(host.http[0]);
    halfway.write_all(b"GET /commands/ruok HTTP/1.1\r\nHo").unwrap();
    let mut again = connect(host.http[0]);
    again.write_all(b"GET /live HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    for stream in [&mut silent, &mut halfway, &mut again] {
        // It ends, or the time of the test's own socket is over and this fails.
        let ended = stream.read_to_end(&mut Vec::new());
        let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(ended.as_ref().map_or_else(reset, |_| true), "{ended:?}");
    }
}

/// Asks on a connection that stays open, and waits for the beginning of the answer.
fn request_live(stream: &mut TcpStream) {
    stream.write_all(b"GET /live HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
}

#[test]
fn silent_http_connections_give_way_to_whoever_asks_for_health() {
    let (_home, host) = host(&[]);
    let silent: Vec<_> = (0..200).map(|_| connect(host.http[0])).collect();
    let mut halfway: Vec<_> = (0..64).map(|_| connect(host.http[0])).collect();
    for stream in &mut halfway {
        // Some are closed already: those behind them have taken their permits.
        let _ = stream.write_all(b"GET /commands/cons HTTP/1.1\r\nHo");
    }
    for path in ["/live", "/ready"] {
        let mut stream = connect(host.http[0]);
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read(&mut stream).status, 200, "{path}");
    }
    drop((silent, halfway));
}

#[test]
fn http_connections_that_asked_do_not_keep_all_permits() {
    let (_home, host) = host(&[]);
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(host.http[0]);
        request_live(&mut stream);
        clients.push(stream);
    }
    let mut client = host.connect();
    client.create("/served", b"").unwrap();
    // The first ones may ask again.
    let again = b"GET /live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    clients[0].write_all(again).unwrap();
    let mut text = String::new();
    clients[0].read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("TTP/1.1 200 OK").count(), 2, "{text}");
    // Those beyond are closed behind their answer.
    let mut rest = Vec::new();
    clients[99].read_to_end(&mut rest).unwrap();
}
