//! Filling, and then: nothing, multis that change, multis that create, snapshots.

use std::fs;
use std::time::{Duration, Instant};

use ringkeeper_engine::client::{Client, Create, CreateMode, Request};
use ringkeeper_engine::snapshot::EARLY;
use ringkeeper_engine::wire::Acl;

use crate::Args;
use crate::host::Host;
use crate::paced::{Multis, NODE, Paced};
use crate::table::{Phase, Table};

/// Operations of a multi while the load is measured.
const OPS: u32 = 100;
/// Multis under way at a time.
const WINDOW: usize = 4;
/// Nodes below one parent.
const SIBLINGS: u32 = 1_000;
/// Bytes of noise of which nodes take their pieces.
const NOISE: usize = 16 << 20;
/// How long a snapshot may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Transactions between two snapshots: more than twice as many as are sent by themselves, because
/// the server draws a number between half of this and all of it. What is missing is sent on
/// purpose, when a snapshot is to begin.
pub(crate) fn snap_count(args: &Args) -> u32 {
    3 * (args.nodes / OPS / 5 + 2 * args.grow / OPS) + 60_000
}

pub(crate) fn run(args: &Args, host: &Host) {
    let mut client = host.connect();
    let data = &noise(args.bytes)[..];
    let empty = host.resident_bytes();
    let start = Instant::now();
    create(&mut client, 0..args.nodes, SIBLINGS, data);
    let took = start.elapsed();
    let bytes = host.resident_bytes().saturating_sub(empty);
    println!(
        "{} znodes of {} bytes in {:.1} s, {} bytes of memory each",
        args.nodes,
        args.bytes,
        took.as_secs_f64(),
        bytes / u64::from(args.nodes)
    );
    let paced = Paced::start(host);
    let mut table = Table::default();
    table.add(nothing(args));
    table.add(Phase::of("multis of 100 sets", || change(&mut client, args, data)));
    let grown = args.nodes..args.nodes + args.grow;
    table.add(Phase::of("multis of 100 creates", || create(&mut client, grown, OPS, data)));
    table.add(nothing(args));
    for _ in 0..args.snapshots {
        table.add(snapshot(host, &mut client));
    }
    let all = u64::from(args.nodes) + u64::from(args.grow);
    let bytes = host.resident_bytes().saturating_sub(empty);
    table.print(&paced.stop());
    println!("{all} znodes, {} bytes of memory each", bytes / all);
}

/// Much more than a node holds, and nothing that can be compressed: each node takes another piece.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes + NOISE).map(|_| next()).collect()
}

/// The data of a node.
fn piece(noise: &[u8], n: u32) -> &[u8] {
    let start = (n as usize).wrapping_mul(7_919) % NOISE;
    &noise[start..start + noise.len() - NOISE]
}

fn nothing(args: &Args) -> Phase {
    Phase::of("nothing else", || std::thread::park_timeout(Duration::from_secs(args.seconds)))
}

fn parent(n: u32) -> String {
    format!("/fill/{:06}", n / SIBLINGS)
}

fn path(n: u32) -> String {
    format!("/fill/{:06}/{:03}", n / SIBLINGS, n % SIBLINGS)
}

/// Creates nodes in multis of so many, with the parents that they need.
fn create(client: &mut Client, nodes: std::ops::Range<u32>, ops: u32, noise: &[u8]) {
    if client.exists("/fill").expect("it answers").is_none() {
        client.create("/fill", b"").expect("it can be created");
    }
    let acl = [Acl::open()];
    let count = nodes.len().div_ceil(ops as usize) as u32;
    Multis { client, window: WINDOW }.send(count, |client, multi| {
        let from = nodes.start + multi * ops;
        let mine = from..nodes.end.min(from + ops);
        let mut paths = Vec::new();
        for n in mine {
            if n % SIBLINGS == 0 {
                paths.push((parent(n), &b""[..]));
            }
            paths.push((path(n), piece(noise, n)));
        }
        let mode = CreateMode::Persistent;
        let creates =
            paths.iter().map(|(path, data)| Create { path, data: Some(data), acl: &acl, mode });
        let parts: Vec<_> = creates.map(Request::Create).collect();
        client.queue(&Request::Multi(&parts));
    });
}

/// Changes as many nodes as will be created, in multis of the same size.
fn change(client: &mut Client, args: &Args, noise: &[u8]) {
    Multis { client, window: WINDOW }.send(args.grow / OPS, |client, multi| {
        let nodes = (multi * OPS..(multi + 1) * OPS).map(|n| n % args.nodes);
        let paths: Vec<_> = nodes.map(path).collect();
        let parts: Vec<_> = paths
            .iter()
            .map(|path| Request::SetData { path, data: Some(piece(noise, multi)), version: -1 })
            .collect();
        client.queue(&Request::Multi(&parts));
    });
}

/// Makes a snapshot due, and waits until it is taken.
fn snapshot(host: &Host, client: &mut Client) -> Phase {
    let before = taken(host);
    let start = Instant::now();
    while !under_way(host) && taken(host) == before {
        assert!(start.elapsed() < PATIENCE, "no snapshot begins");
        Multis { client, window: 50 }.send(100, |client, _| {
            client.queue(&Request::SetData { path: NODE, data: Some(b"due"), version: -1 });
        });
    }
    Phase::of("a snapshot", || {
        let start = Instant::now();
        while under_way(host) {
            assert!(start.elapsed() < PATIENCE, "the snapshot does not end");
            std::thread::park_timeout(Duration::from_millis(1));
        }
        // What is left to be freed and purged belongs to it.
        std::thread::park_timeout(Duration::from_millis(200));
    })
}

fn names(host: &Host) -> Vec<String> {
    let entries = fs::read_dir(host.home()).expect("the server's directory");
    let names = entries.map_while(Result::ok).map(|entry| entry.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

fn under_way(host: &Host) -> bool {
    let mut unfinished = names(host).into_iter().filter(|name| *name != EARLY);
    unfinished.any(|name| name.starts_with("snapshot.") && name.ends_with(".tmp"))
}

fn taken(host: &Host) -> Option<String> {
    let done = names(host).into_iter();
    done.filter(|name| name.starts_with("snapshot.") && !name.ends_with(".tmp")).max()
}
