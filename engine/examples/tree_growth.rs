//! Grows a tree and says what it costs: memory per znode, time per change, and the longest pause.
//!
//! `cargo run --release -p ringkeeper-engine --example tree_growth -- [nodes]`, 100 bytes of data
//! and paths like `/app-07/svc-042/node-00012345`. Pauses are given by the wall clock, which other
//! processes disturb, and by the processor time of this thread, which they do not.

#![expect(clippy::disallowed_methods, reason = "an example measures time and reads /proc")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ringkeeper_engine::tree::{Digest, NewNode, NodeId, Progress, Tree, TreeLoader};
use ringkeeper_engine::txn::{AclList, NodeKind};
use ringkeeper_engine::wire::Acl;
use ringkeeper_engine::{Millis, Zxid};
use rustix::time::{ClockId, clock_gettime};

const DATA: [u8; 100] = [b'x'; 100];

fn main() {
    let mut args = std::env::args().skip(1);
    let nodes: u32 = args.next().map_or(1_000_000, |n| n.parse().expect("a number of nodes"));
    let digest = args.next().map_or(Digest::Off, |_| Digest::Kept);
    let before = resident_bytes();
    let mut run =
        Run { tree: Tree::new(1), zxid: 0, path: String::new(), acl: [Acl::open()].into() };
    run.tree.keep_digest(digest);

    Pauses::over("create", nodes, |n| run.create(n));
    let grown = resident_bytes() - before;
    let count = run.tree.node_count();
    println!("{count} znodes, {} B/znode resident", grown / count);
    let order = Shuffled::new(nodes);
    Pauses::over("find", nodes, |n| run.find(order.at(n)));
    Pauses::over("set, same length", nodes, |n| run.set(order.at(n), &DATA));
    println!("{} B/znode resident", (resident_bytes() - before) / count);
    Pauses::over("delete", nodes / 2, |n| run.delete(order.at(n)));
    Pauses::over("create again", nodes / 2, |n| run.create(order.at(n)));
    println!("{} B/znode resident", (resident_bytes() - before) / count);
    run.snapshot();
}

struct Run {
    tree: Tree,
    zxid: u64,
    path: String,
    acl: AclList,
}

impl Run {
    fn create(&mut self, n: u32) {
        let (app, service) = (n / 100_000, n / 100 % 1_000);
        self.spell(format_args!("/app-{app:02}"));
        self.create_if_missing();
        self.spell(format_args!("/app-{app:02}/svc-{service:03}"));
        self.create_if_missing();
        self.spell_node(n);
        self.create_path();
    }

    fn create_if_missing(&mut self) {
        if self.tree.find(&self.path).is_none() {
            self.create_path();
        }
    }

    fn create_path(&mut self) {
        let (parent, _) = self.path.rsplit_once('/').expect("a path has a slash");
        let parent = self.tree.find(parent).expect("parents come first");
        let parent_cversion = self.tree.created_children(parent).wrapping_add(1);
        self.zxid += 1;
        self.tree.create(NewNode {
            path: &self.path,
            data: Some(&DATA),
            acl: &self.acl,
            kind: NodeKind::Persistent,
            zxid: Zxid(self.zxid),
            time: Millis(self.zxid as i64),
            parent_cversion,
        });
    }

    fn find(&mut self, n: u32) {
        let id = self.id(n);
        assert!(self.tree.stat(id).data_length == 100);
    }

    fn set(&mut self, n: u32, data: &[u8]) {
        let id = self.id(n);
        self.zxid += 1;
        let (zxid, time) = (Zxid(self.zxid), Millis(self.zxid as i64));
        self.tree.set_data(id, Some(data), self.tree.version(id) + 1, zxid, time);
    }

    fn delete(&mut self, n: u32) {
        let id = self.id(n);
        self.zxid += 1;
        self.tree.delete(id, Zxid(self.zxid));
    }

    fn id(&mut self, n: u32) -> NodeId {
        self.spell_node(n);
        self.tree.find(&self.path).expect("all nodes were created")
    }

    fn spell_node(&mut self, n: u32) {
        let (app, service) = (n / 100_000, n / 100 % 1_000);
        self.spell(format_args!("/app-{app:02}/svc-{service:03}/node-{n:08}"));
    }

    fn spell(&mut self, path: std::fmt::Arguments<'_>) {
        self.path.clear();
        self.path.write_fmt(path).expect("writing to a String cannot fail");
    }

    /// Saves and loads the tree, with a change after every slice.
    fn snapshot(&mut self) {
        let nodes = self.tree.node_count() as u32 - 1;
        let started = Instant::now();
        let header = self.tree.begin_snapshot().encode();
        println!("snapshot: begun in {:?}", started.elapsed());
        let (mut blocks, mut done) = (Vec::new(), false);
        Pauses::over("snapshot slice of 1024", nodes / 1_024 + 2, |_| {
            let mut block = Vec::with_capacity(2 << 20);
            done = done || self.tree.snapshot_slice(1_024, &mut block) == Progress::Done;
            block.shrink_to_fit();
            blocks.push(block);
        });
        assert!(done, "slices are full");
        let bytes: usize = blocks.iter().map(Vec::len).sum();
        println!("snapshot: {} B/znode", bytes / nodes as usize);
        let started = Instant::now();
        let mut loader = TreeLoader::new(2, &header).expect("the header is ours");
        for block in blocks {
            loader.add_block(&block).expect("the blocks are ours");
        }
        let read = started.elapsed();
        let tree = loader.finish().expect("the snapshot is ours");
        let per_node = started.elapsed() / nodes;
        println!(
            "loaded in {:?} ({per_node:?} per znode), {read:?} of it reading",
            started.elapsed()
        );
        assert!(tree.node_count() == self.tree.node_count());
    }
}

/// Numbers in an order that misses every cache.
struct Shuffled {
    end: u64,
}

impl Shuffled {
    fn new(end: u32) -> Shuffled {
        Shuffled { end: u64::from(end) }
    }

    /// Multiplying by a prime that does not divide `end` meets every number once.
    fn at(&self, n: u32) -> u32 {
        (u64::from(n) * 2_654_435_761 % self.end) as u32
    }
}

/// How long single calls took.
#[derive(Default)]
struct Pauses {
    wall: Duration,
    cpu: Duration,
    cpu_over_1ms: u32,
}

impl Pauses {
    fn over(what: &str, times: u32, mut call: impl FnMut(u32)) {
        let mut pauses = Pauses::default();
        let started = Instant::now();
        for n in 0..times {
            let (wall, cpu) = (Instant::now(), cpu_time());
            call(n);
            let cpu = cpu_time() - cpu;
            pauses.wall = pauses.wall.max(wall.elapsed());
            pauses.cpu = pauses.cpu.max(cpu);
            pauses.cpu_over_1ms += u32::from(cpu > Duration::from_millis(1));
        }
        let each = started.elapsed() / times.max(1);
        let Pauses { wall, cpu, cpu_over_1ms } = pauses;
        println!(
            "{what}: {each:?} each (clocks included), longest {cpu:?} cpu, {wall:?} wall, {cpu_over_1ms} over 1 ms cpu"
        );
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second field is a number") * 4_096
}
