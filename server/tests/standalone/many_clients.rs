//! Hundreds of connections to which the same thing happens at once, so that it takes the server
//! several turns to look after all of them.

use ringkeeper_engine::client::{Client, Create, CreateMode, Request, WatchMode, four_letter_word};
use ringkeeper_engine::wire::Acl;
use tempfile::tempdir;

use crate::host::Host;
use crate::stranger::{MODES, PATIENCE, Stranger, in_every_mode, open_files, serve};

/// More than a turn looks after.
const CLIENTS: usize = 600;
const TIMEOUT_MS: i32 = 40_000;
const NO_LIMIT: &str = "maxClientCnxns=0";

fn connect(host: &Host) -> Vec<Stranger> {
    Stranger::connect_many(host, open_files(CLIENTS), TIMEOUT_MS)
}

fn watch(clients: &mut [Stranger], path: &str) {
    let watch = [Request::AddWatch { path, mode: WatchMode::PersistentRecursive }];
    clients.iter_mut().for_each(|one| one.send(&watch));
    clients.iter_mut().for_each(|one| assert_eq!(xid(&one.frame().unwrap()), 1));
}

fn long(frame: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(frame[at..at + 8].try_into().unwrap())
}

fn xid(frame: &[u8]) -> i32 {
    i32::from_be_bytes(frame[..4].try_into().unwrap())
}

/// The zxid of an event; `None` of a reply.
fn event(frame: &[u8]) -> Option<i64> {
    (xid(frame) == -1).then(|| long(frame, 4))
}

/// The zxid of the last change, in a reply to getData: it stands behind the data and the zxid of
/// the creation.
fn changed(reply: &[u8]) -> i64 {
    let data = u32::from_be_bytes(reply[16..20].try_into().unwrap()) as usize;
    long(reply, 20 + data + 8)
}

fn set(good: &mut Client, times: usize) {
    for _ in 0..times {
        good.queue(&Request::SetData { path: "/good", data: Some(b"changed"), version: -1 });
    }
    good.flush().unwrap();
}

/// Everybody watches what changes all the time, and asks for it all the time: each event comes,
/// once, in order, and before the first reply that shows the change.
#[test]
fn many_watchers_get_the_event_before_they_read_the_change() {
    const ROUNDS: usize = 8;
    const SETS: usize = 5;
    in_every_mode(&[NO_LIMIT], |host, good| {
        let mut clients = connect(host);
        watch(&mut clients, "/good");
        let first = good.exists("/good").unwrap().unwrap().mzxid;
        for round in 0..ROUNDS {
            set(good, SETS);
            let get = Request::GetData { path: "/good", watch: false };
            // Some ask at the beginning, others at the end, the rest not at all: nothing but the
            // change itself brings them their events.
            for (number, one) in clients.iter_mut().enumerate().filter(|(n, _)| n % 3 != round % 3)
            {
                one.send(&vec![get; 1 + number % 4]);
            }
        }
        // Nobody asks for anything after this.
        set(good, SETS);
        for _ in 0..(ROUNDS + 1) * SETS {
            good.receive().unwrap().accepted().unwrap();
        }
        for (number, one) in clients.iter_mut().enumerate() {
            let asked = (0..ROUNDS).filter(|round| number % 3 != round % 3).count();
            let (mut events, mut replies, mut last) = (0, 0, first);
            while events < (ROUNDS + 1) * SETS || replies < asked * (1 + number % 4) {
                let frame = one.frame().expect("it is not closed");
                if let Some(zxid) = event(&frame) {
                    assert!(zxid > last, "{zxid} comes after {last}");
                    (events, last) = (events + 1, zxid);
                } else {
                    let zxid = changed(&frame);
                    assert!(zxid <= last, "{zxid} is shown, {last} was told");
                    replies += 1;
                }
            }
        }
    });
}

/// A server that stops in the middle of telling everybody tells all of them what it has answered.
#[test]
fn server_that_stops_sends_many_watchers_what_it_has_answered() {
    const SETS: usize = 200;
    const ANSWERED: usize = 20;
    for mode in MODES {
        let home = tempdir().unwrap();
        let definitions: Vec<&str> = mode.iter().copied().chain([NO_LIMIT]).collect();
        let host = Host::start(home.path(), &definitions);
        let mut good = host.connect();
        good.set_patience(PATIENCE);
        good.create("/good", b"0").unwrap();
        let mut clients = connect(&host);
        watch(&mut clients, "/good");
        set(&mut good, SETS);
        (0..ANSWERED).for_each(|_| good.receive().unwrap().accepted().map(drop).unwrap());
        let (status, _) = host.terminate();
        assert!(status.success());
        let mut answered = ANSWERED;
        while answered < SETS && good.receive().is_ok() {
            answered += 1;
        }
        for one in &mut clients {
            let told: Vec<i64> =
                std::iter::from_fn(|| one.frame()).map(|frame| event(&frame).unwrap()).collect();
            assert!(told.is_sorted());
            assert_eq!(told.len(), answered, "events of what was answered, and nothing else");
        }
    }
}

/// One of many reads nothing: it is cut off in the end, and all others are told everything.
#[test]
fn client_that_never_reads_is_closed_and_the_others_are_served() {
    const PATH_BYTES: usize = 250_000;
    const ROUNDS: usize = 33;
    const LARGE: usize = 10;
    in_every_mode(&[NO_LIMIT], |host, good| {
        let path = format!("/{}", "p".repeat(PATH_BYTES));
        good.create(&path, b"").unwrap();
        let mut clients = connect(host);
        watch(&mut clients, "/good");
        let mut lazy = clients.pop().unwrap();
        watch(std::slice::from_mut(&mut lazy), &path);
        let before = host.resident_bytes();
        for _ in 0..ROUNDS {
            for _ in 0..LARGE {
                good.set(&path, b"changed").unwrap();
            }
            set(good, 1);
            good.receive().unwrap().accepted().unwrap();
        }
        let grown = host.resident_bytes().saturating_sub(before);
        assert!(grown < 256 << 20, "{grown} bytes");
        for one in &mut clients {
            (0..ROUNDS).for_each(|_| assert!(event(&one.frame().unwrap()).is_some()));
        }
        lazy.is_closed();
    });
}

/// Everybody closes the session at once: each is answered, and then its connection is closed.
#[test]
fn many_closing_sessions_are_all_answered() {
    in_every_mode(&[NO_LIMIT], |host, good| {
        let mut clients = connect(host);
        good.create("/clients", b"").unwrap();
        create_ephemerals(&mut clients);
        assert_eq!(good.children("/clients").unwrap().len(), clients.len());
        watch(&mut clients, "/good");
        set(good, 1);
        clients.iter_mut().for_each(|one| one.send(&[Request::CloseSession]));
        good.receive().unwrap().accepted().unwrap();
        for one in &mut clients {
            let mut frame = one.frame().expect("an answer");
            if event(&frame).is_some() {
                frame = one.frame().expect("an answer behind the event");
            }
            assert_eq!(xid(&frame), 1);
            assert!(one.frame().is_none(), "nothing else comes");
        }
        assert!(good.children("/clients").unwrap().is_empty());
    });
}

fn create_ephemerals(clients: &mut [Stranger]) {
    let acl = [Acl::open()];
    for (number, one) in clients.iter_mut().enumerate() {
        let path = format!("/clients/{number}");
        let create = Create { path: &path, data: None, acl: &acl, mode: CreateMode::Ephemeral };
        one.send(&[Request::Create(create)]);
    }
    clients.iter_mut().for_each(|one| assert_eq!(xid(&one.frame().unwrap()), 1));
}

/// Everybody goes away without a word, comes back, and expires; others are served meanwhile.
#[test]
fn many_sessions_open_close_and_expire() {
    in_every_mode(&[NO_LIMIT, "tickTime=200"], |host, good| {
        good.create("/clients", b"").unwrap();
        for _ in 0..2 {
            let clients = connect(host);
            serve(good);
            drop(clients);
            serve(good);
            until(|| {
                four_letter_word(host.address, "srvr").is_ok_and(|s| s.contains("Connections: 2\n"))
            });
        }
        let mut clients = Stranger::connect_many(host, open_files(CLIENTS), 400);
        create_ephemerals(&mut clients);
        clients.iter_mut().for_each(Stranger::is_closed);
        until(|| good.children("/clients").unwrap().is_empty());
    });
}

fn until(mut holds: impl FnMut() -> bool) {
    let since = std::time::Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "it never comes true");
    }
}
