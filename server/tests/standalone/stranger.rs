//! Sessions whose sockets are ours, and the servers that they come to.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ringkeeper_engine::client::{Client, Request, four_letter_word};
use ringkeeper_engine::wire::connect::ConnectRequest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::tempdir;

use crate::host::Host;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The ways to serve: the sockets, and how many threads have them.
pub(crate) const MODES: [&[&str]; 3] = [
    &["ringkeeper.shards=1"],
    &["ringkeeper.shards=1", "ringkeeper.io=epoll"],
    &["ringkeeper.shards=2"],
];

/// A server in every mode, with a client that behaves.
pub(crate) fn in_every_mode(more: &[&str], test: impl Fn(&Host, &mut Client)) {
    for mode in MODES {
        let home = tempdir().unwrap();
        let definitions: Vec<&str> = mode.iter().chain(more).copied().collect();
        let host = Host::start(home.path(), &definitions);
        let mut good = host.connect();
        good.set_patience(PATIENCE);
        good.create("/good", b"0").unwrap();
        test(&host, &mut good);
        serve(&mut good);
        assert!(four_letter_word(host.address, "srvr").unwrap().contains("Mode: standalone"));
    }
}

/// What a client may expect at any time.
pub(crate) fn serve(good: &mut Client) {
    for round in 0..20 {
        let data = [round];
        good.set("/good", &data).unwrap();
        assert_eq!(good.get("/good").unwrap().0.as_deref(), Some(&data[..]));
    }
}

/// A session whose socket is ours to do with what we like.
pub(crate) struct Stranger {
    pub(crate) stream: TcpStream,
}

impl Stranger {
    pub(crate) fn connect(host: &Host, timeout_ms: i32) -> Stranger {
        let mut stream = TcpStream::connect(host.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&handshake(timeout_ms)).unwrap();
        let mut stranger = Stranger { stream };
        assert_eq!(stranger.frame().unwrap().len(), 37);
        stranger
    }

    /// Many at once.
    pub(crate) fn connect_many(host: &Host, count: usize, timeout_ms: i32) -> Vec<Stranger> {
        let hello = handshake(timeout_ms);
        let come = |_| {
            let mut stream = TcpStream::connect(host.address).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&hello).unwrap();
            Stranger { stream }
        };
        let mut clients: Vec<Stranger> = (0..count).map(come).collect();
        for stranger in &mut clients {
            assert_eq!(stranger.frame().unwrap().len(), 37);
        }
        clients
    }

    pub(crate) fn send(&mut self, requests: &[Request<'_>]) {
        let mut bytes = Vec::new();
        for (xid, request) in (1..).zip(requests) {
            request.write_frame(xid, &mut bytes);
        }
        self.stream.write_all(&bytes).unwrap();
    }

    /// Sends as much as the server takes, and nothing after that.
    pub(crate) fn stuff(&mut self, requests: &[Request<'_>]) -> usize {
        let mut bytes = Vec::new();
        for (xid, request) in (1..).zip(requests) {
            request.write_frame(xid, &mut bytes);
        }
        self.stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if is_timeout(error.kind()) => break,
                Err(error) => panic!("the server hung up: {error}"),
            }
        }
        sent
    }

    /// The next frame; `None` where the server has closed.
    pub(crate) fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.read(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.read(&mut frame)?;
        Some(frame)
    }

    fn read(&mut self, into: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(into) {
            Ok(()) => Some(()),
            Err(error) if is_timeout(error.kind()) => panic!("the server is silent"),
            Err(_) => None,
        }
    }

    /// Reads to the end, which has to come. What was not read makes it a reset.
    pub(crate) fn is_closed(&mut self) {
        while self.frame().is_some() {}
    }
}

pub(crate) fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

pub(crate) fn handshake(timeout_ms: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms,
        session: 0,
        password: Some(vec![0; 16]),
        read_only: Some(false),
    };
    request.write_frame(&mut bytes);
    bytes
}

/// Allows this process to open more files; fewer connections where that is not allowed.
pub(crate) fn open_files(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(1 << 20);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).unwrap();
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if most < 4 * wanted {
        eprintln!("{} connections instead of {wanted}: {most} files may be open", most / 4);
    }
    wanted.min(most / 4)
}
