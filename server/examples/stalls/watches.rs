//! A million watches; one node that 10,000 sessions watch, and what else so many can do at once.

use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Create, CreateMode, Request};
use ringkeeper_engine::wire::Acl;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::host::Host;
use crate::paced::{Multis, Paced};
use crate::table::{Phase, Table};
use crate::{Args, herd};

/// Sessions that watch many nodes.
const WATCHERS: usize = 50;
/// Nodes that each of them watches.
const WATCHED: u32 = 20_000;
/// Watches asked for at a time.
const WINDOW: usize = 500;
/// Operations of a multi.
const OPS: u32 = 100;
/// Descriptors that are not for sessions.
const SPARE: usize = 500;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &Args, host: &Host) {
    let mut client = host.connect();
    create(&mut client);
    let paced = Paced::start(host);
    let mut table = Table::default();
    table.add(Phase::of("nothing else", || {
        std::thread::park_timeout(Duration::from_secs(args.seconds));
    }));
    if args.watches {
        million(host, &mut client, &mut table);
    }
    let sessions = sessions(args);
    watch_one_node(sessions, host, &mut client, &mut table);
    herd::run(host, sessions, &mut table);
    table.print(&paced.stop());
}

fn path(n: u32) -> String {
    format!("/watched/{n:05}")
}

fn create(client: &mut Client) {
    client.create("/watched", b"").expect("it can be created");
    client.create("/herd", b"").expect("it can be created");
    let acl = [Acl::open()];
    Multis { client, window: 4 }.send(WATCHED / OPS, |client, multi| {
        let paths: Vec<_> = (multi * OPS..(multi + 1) * OPS).map(path).collect();
        let mode = CreateMode::Persistent;
        let creates = paths.iter().map(|path| Create { path, data: Some(b""), acl: &acl, mode });
        let parts: Vec<_> = creates.map(Request::Create).collect();
        client.queue(&Request::Multi(&parts));
    });
}

/// Every session watches every node; then all nodes change.
fn million(host: &Host, client: &mut Client, table: &mut Table) {
    let mut watchers: Vec<Client> = (0..WATCHERS).map(|_| host.connect()).collect();
    let count = WATCHERS as u64 * u64::from(WATCHED);
    let before = host.resident_bytes();
    let start = Instant::now();
    table.add(Phase::of("watches are set", || watchers.iter_mut().for_each(watch_all)));
    let (took, bytes) = (start.elapsed(), host.resident_bytes().saturating_sub(before));
    println!(
        "{count} watches in {:.1} s, {} bytes of memory each",
        took.as_secs_f64(),
        bytes / count
    );
    let start = Instant::now();
    table.add(Phase::of("all of them fire", || {
        let mut multis = Multis { client, window: 1 };
        multis.send(WATCHED / OPS, |client, multi| {
            let paths: Vec<_> = (multi * OPS..(multi + 1) * OPS).map(path).collect();
            let data = Some(&b"changed"[..]);
            let sets = paths.iter().map(|path| Request::SetData { path, data, version: -1 });
            let parts: Vec<_> = sets.collect();
            client.queue(&Request::Multi(&parts));
        });
        for watcher in &mut watchers {
            (0..WATCHED).for_each(|n| hear(watcher, &path(n)));
        }
    }));
    println!("{count} events heard in {:.1} s", start.elapsed().as_secs_f64());
    let left = host.resident_bytes().saturating_sub(before);
    println!("{left} bytes of memory more than before them");
}

fn watch_all(watcher: &mut Client) {
    for n in 0..WATCHED {
        watcher.queue(&Request::Exists { path: &path(n), watch: true });
        if watcher.in_flight() == WINDOW || n + 1 == WATCHED {
            while watcher.in_flight() > 0 {
                let answer = watcher.receive().and_then(|answer| answer.accepted());
                answer.expect("the node is there");
            }
        }
    }
}

fn hear(watcher: &mut Client, path: &str) {
    let event = watcher.wait_event(PATIENCE).expect("it is connected").expect("a watch fires");
    assert_eq!(event.path, path, "events come in the order of the changes");
}

/// As many sessions as were asked for and can be had.
fn sessions(args: &Args) -> usize {
    let limit = raise_open_files();
    let sessions = args.sessions.min(limit.saturating_sub(SPARE));
    if sessions < args.sessions {
        println!("only {sessions} sessions: this process may open {limit} files (ulimit -Hn)");
    }
    sessions
}

/// Many sessions watch one node, which changes.
fn watch_one_node(sessions: usize, host: &Host, client: &mut Client, table: &mut Table) {
    let before = host.resident_bytes();
    let start = Instant::now();
    let mut all = Vec::with_capacity(sessions);
    table.add(Phase::of("sessions come", || {
        all.extend((0..sessions).map(|_| host.connect()));
    }));
    let took = start.elapsed();
    table.add(Phase::of("they watch", || {
        all.iter_mut().for_each(|session| {
            session.exists_watch("/herd").expect("the node is there");
        });
    }));
    let bytes = host.resident_bytes().saturating_sub(before);
    println!(
        "{sessions} sessions in {:.1} s, {} bytes of memory each",
        took.as_secs_f64(),
        bytes / sessions as u64
    );
    for _ in 0..3 {
        let mut told = Duration::ZERO;
        table.add(Phase::of("the node changes", || {
            let start = Instant::now();
            client.set("/herd", b"").expect("it can be written");
            let set = start.elapsed();
            all.iter_mut().for_each(|session| hear(session, "/herd"));
            told = start.elapsed();
            println!("set answered after {:.2} ms", set.as_secs_f64() * 1e3);
        }));
        println!("all {sessions} told after {:.1} ms", told.as_secs_f64() * 1e3);
        all.iter_mut().for_each(|session| {
            session.exists_watch("/herd").expect("the node is there");
        });
    }
    table.add(Phase::of("they all go at once", || {
        drop(all);
        std::thread::park_timeout(Duration::from_secs(2));
    }));
}

/// Allows this process as many open files as it may have.
fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.or(limit.current).unwrap_or(1 << 20);
    let raised = Rlimit { current: Some(most), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("a process may use what it is allowed");
    usize::try_from(most).unwrap_or(usize::MAX)
}
