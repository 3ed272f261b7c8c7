//! Clients that do their worst, beside one that must not notice.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Client, Request, WatchMode, four_letter_word};

use crate::stranger::{
    PATIENCE, Stranger, handshake, in_every_mode, is_timeout, open_files, serve,
};

const MIB: u64 = 1 << 20;
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
fn events_to_a_client_that_does_not_read_are_kept_until_it_reads() {
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
fn client_that_never_reads_is_closed() {
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
fn replies_to_a_client_that_does_not_read_are_kept_until_it_reads() {
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
fn client_that_only_writes_gets_every_reply_in_the_end() {
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
        let clients: Vec<TcpStream> = (0..count)
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
        for mut stream in clients {
            let said = stream.read(&mut [0; 8]);
            assert!(matches!(said, Ok(0)) || is_reset(&said), "{said:?}");
        }
    });
}

fn is_reset(said: &std::io::Result<usize>) -> bool {
    said.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

/// A request that trickles in is no sign of life: its session ends, and its connection with it.
#[test]
fn request_sent_byte_by_byte_does_not_keep_the_session_alive() {
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
fn many_four_letter_words_leave_no_connection_behind() {
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
