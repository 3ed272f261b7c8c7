//! Clients that do their worst, beside one that must not notice.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Client, Request, WatchMode, four_letter_word};
use ringkeeper_engine::wire::connect::ConnectRequest;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::tempdir;

use crate::host::Host;

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;
/// The ways to serve: the sockets, and how many threads have them.
const MODES: [&[&str]; 3] = [
    &["ringkeeper.shards=1"],
    &["ringkeeper.shards=1", "ringkeeper.io=epoll"],
    &["ringkeeper.shards=2"],
];

/// A server in every mode, with a client that behaves.
fn in_every_mode(more: &[&str], test: impl Fn(&Host, &mut Client)) {
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
fn serve(good: &mut Client) {
    for round in 0..20 {
        let data = [round];
        good.set("/good", &data).unwrap();
        assert_eq!(good.get("/good").unwrap().0.as_deref(), Some(&data[..]));
    }
}

/// A session whose socket is ours to do with what we like.
struct Stranger {
    stream: TcpStream,
}

impl Stranger {
    fn connect(host: &Host, timeout_ms: i32) -> Stranger {
        let mut stream = TcpStream::connect(host.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&handshake(timeout_ms)).unwrap();
        let mut stranger = Stranger { stream };
        assert_eq!(stranger.frame().unwrap().len(), 37);
        stranger
    }

    fn send(&mut self, requests: &[Request<'_>]) {
        let mut bytes = Vec::new();
        for (xid, request) in (1..).zip(requests) {
            request.write_frame(xid, &mut bytes);
        }
        self.stream.write_all(&bytes).unwrap();
    }

    /// Sends as much as the server takes, and nothing after that.
    fn stuff(&mut self, requests: &[Request<'_>]) -> usize {
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
    fn frame(&mut self) -> Option<Vec<u8>> {
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
    fn is_closed(&mut self) {
        while self.frame().is_some() {}
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn handshake(timeout_ms: i32) -> Vec<u8> {
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

/// Changes a node so often, some changes under way at a time.
fn change(good: &mut Client, path: &str, times: usize) {
    // What is under way takes memory as well: a few MiB of it, however long the path is.
    let window = ((4 << 20) / (path.len() + 1)).clamp(1, 200);
    let mut asked = 0;
    for answered in 0..times {
        while asked < times && asked - answered < window {
            let data = Some(&b"changed"[..]);
            good.queue(&Request::SetData { path, data, version: -1 });
            asked += 1;
        }
        good.receive().unwrap().accepted().unwrap();
    }
}

/// Ten thousand events wait for a client that does not read; when it reads, they all come, in
/// order, and in between nobody else has noticed.
#[test]
fn events_wait_for_who_does_not_read() {
    const CHANGES: usize = 10_000;
    in_every_mode(&[], |host, good| {
        let mut watcher = Stranger::connect(host, 40_000);
        watcher.send(&[Request::AddWatch { path: "/", mode: WatchMode::PersistentRecursive }]);
        watcher.frame().unwrap();
        let before = host.resident_bytes();
        change(good, "/good", CHANGES);
        serve(good);
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(grown < 64 * MIB, "{grown} bytes");
        let mut last = 0;
        for _ in 0..CHANGES {
            let event = watcher.frame().unwrap();
            assert_eq!(event[..4], (-1i32).to_be_bytes());
            let zxid = i64::from_be_bytes(event[4..12].try_into().unwrap());
            assert!(zxid > last, "events come in the order of the changes");
            last = zxid;
        }
    });
}

/// Events of which nobody knows whether they will ever be read have an end.
#[test]
fn who_never_reads_is_cut_off() {
    const PATH_BYTES: usize = 250_000;
    in_every_mode(&[], |host, good| {
        let path = format!("/{}", "p".repeat(PATH_BYTES));
        good.create(&path, b"").unwrap();
        let mut watcher = Stranger::connect(host, 40_000);
        watcher.send(&[Request::AddWatch { path: "/", mode: WatchMode::PersistentRecursive }]);
        watcher.frame().unwrap();
        let before = host.resident_bytes();
        // 64 MiB are kept for it, and the kernel takes some.
        change(good, &path, (80 << 20) / PATH_BYTES);
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(grown < 256 * MIB, "{grown} bytes");
        watcher.is_closed();
    });
}

/// Replies that nobody takes stop the reading of what asks for them.
#[test]
fn replies_wait_for_who_does_not_read() {
    const STRANGERS: usize = 20;
    const READS: usize = 2_000;
    in_every_mode(&[], |host, good| {
        good.create("/large", &[b'x'; 100_000]).unwrap();
        let before = host.resident_bytes();
        let reads = vec![Request::GetData { path: "/large", watch: false }; READS];
        let mut strangers: Vec<Stranger> =
            (0..STRANGERS).map(|_| Stranger::connect(host, 40_000)).collect();
        let sent: Vec<usize> = strangers.iter_mut().map(|one| one.stuff(&reads)).collect();
        serve(good);
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(grown < 160 * MIB, "{grown} bytes");
        assert!(sent.iter().all(|bytes| *bytes > 0));
        for _ in 0..100 {
            let reply = strangers[7].frame().unwrap();
            assert!(reply.len() > 100_000);
        }
    });
}

/// A small request for many gigabytes is refused, and costs nobody else anything.
#[test]
fn a_multi_read_of_more_than_memory_is_refused() {
    in_every_mode(&[], |host, good| {
        good.create("/large", &[b'x'; 1_000_000]).unwrap();
        let part = || Request::GetData { path: "/large", watch: false };
        let few: Vec<Request<'_>> = (0..20).map(|_| part()).collect();
        let many: Vec<Request<'_>> = (0..20_000).map(|_| part()).collect();
        assert_eq!(good.multi_read(&few).unwrap().len(), few.len());
        let before = host.resident_bytes();
        let refused = good.multi_read(&many).expect_err("20 GB fit nowhere");
        assert_eq!(refused.code(), Some(Code::SystemError));
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(grown < 200 * MIB, "{grown} bytes");
    });
}

/// Writes that are asked for without end are taken in as far as there is room for their replies.
#[test]
fn who_only_writes_is_answered_to_the_end() {
    const WRITES: usize = 20_000;
    in_every_mode(&[], |host, good| {
        good.create("/flooded", b"").unwrap();
        let write = Request::SetData { path: "/flooded", data: Some(b"flood"), version: -1 };
        let writes = vec![write; WRITES];
        let mut stranger = Stranger::connect(host, 40_000);
        let mut writer = stranger.stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut bytes = Vec::new();
                for (xid, request) in (1..).zip(&writes) {
                    request.write_frame(xid, &mut bytes);
                }
                writer.write_all(&bytes).unwrap();
                // Half of the connection is closed while most replies are due.
                writer.shutdown(Shutdown::Write).unwrap();
            });
            serve(good);
            for xid in 1..=WRITES {
                let reply = stranger.frame().expect("every request is answered");
                assert_eq!(reply[..4], i32::try_from(xid).unwrap().to_be_bytes());
            }
            assert!(stranger.frame().is_none(), "nothing else comes");
        });
    });
}

/// Connections that do not say who they are cost little, and not for long.
#[test]
fn silent_connections_are_closed() {
    let count = open_files(1_000);
    in_every_mode(&["maxClientCnxns=0", "nio.sessionlessCnxnTimeout=1000"], |host, good| {
        let before = host.resident_bytes();
        let hello = handshake(4_000);
        let crowd: Vec<TcpStream> = (0..count)
            .map(|number| {
                let mut stream = TcpStream::connect(host.address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                // Nothing, a part of a length, a part of a handshake.
                stream.write_all(&hello[..[0, 3, 20][number % 3]]).unwrap();
                stream
            })
            .collect();
        serve(good);
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(grown < 64 * MIB, "{grown} bytes");
        for mut stream in crowd {
            let said = stream.read(&mut [0; 8]);
            assert!(matches!(said, Ok(0)) || is_reset(&said), "{said:?}");
        }
    });
}

fn is_reset(said: &std::io::Result<usize>) -> bool {
    said.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

/// Allows this process to open more files; fewer connections where that is not allowed.
fn open_files(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(1 << 20);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).unwrap();
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if most < 4 * wanted {
        eprintln!("{} connections instead of {wanted}: {most} files may be open", most / 4);
    }
    wanted.min(most / 4)
}

/// A request that trickles in is no sign of life: its session ends, and its connection with it.
#[test]
fn a_trickling_request_does_not_keep_a_session() {
    in_every_mode(&["tickTime=200"], |host, good| {
        let before = host.resident_bytes();
        let mut stranger = Stranger::connect(host, 400);
        stranger.stream.write_all(&0xf_0000_u32.to_be_bytes()).unwrap();
        // The wait for an answer that does not come paces the bytes.
        stranger.stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let since = Instant::now();
        let mut sent = 0;
        loop {
            assert!(since.elapsed() < PATIENCE, "{sent} bytes, and still connected");
            let written = stranger.stream.write(b"x");
            let said = stranger.stream.read(&mut [0; 64]);
            match (written, said) {
                (Ok(count), Err(error)) if is_timeout(error.kind()) => sent += count,
                (Err(_), _) | (_, Ok(0) | Err(_)) => break,
                (Ok(_), Ok(count)) => panic!("{count} bytes for a request that is not complete"),
            }
        }
        assert!(sent > 10, "it ended after {sent} bytes");
        serve(good);
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(grown < 32 * MIB, "{grown} bytes");
    });
}

/// Those who ask and do not wait for the answer leave nothing behind.
#[test]
fn a_flood_of_words_leaves_nothing_behind() {
    const ROUNDS: usize = 600;
    let words = ["ruok", "srvr", "mntr", "stat", "cons", "wchs", "conf", "dump"];
    // Each report of connections lists all of them, and nobody says how many there are.
    in_every_mode(&["4lw.commands.whitelist=*", "maxClientCnxns=0"], |host, good| {
        let before = host.resident_bytes();
        std::thread::scope(|scope| {
            for ask in 0..3 {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let mut stream = TcpStream::connect(host.address).unwrap();
                        // It may have been closed already, if another one was in the way.
                        let _ = stream.write_all(words[(ask + round) % words.len()].as_bytes());
                    }
                });
            }
            serve(good);
        });
        let since = Instant::now();
        loop {
            // It is turned away while there are too many.
            let said = four_letter_word(host.address, "srvr").unwrap_or_default();
            if said.contains("\nConnections: 2\n") {
                break;
            }
            assert!(since.elapsed() < PATIENCE, "{said}");
        }
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(grown < 128 * MIB, "{grown} bytes");
    });
}
