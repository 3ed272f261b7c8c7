//! What the lookups of writes and reads cost in a tree of a given size: processor time per
//! operation, with and without fetching ahead.
//!
//! ```text
//! cargo run --release -p ringkeeper-engine --example lookups -- [nodes] [batch] [siblings]
//! ```
//!
//! As on a server, a batch of requests is ordered, and then, as if it had become durable, applied
//! in critical sections of 32. Nodes have 100 bytes of data and are chosen at random. The two ways
//! take turns; medians of the rounds are shown. There are no sockets, no log and no other thread.

use std::time::Duration;

use ringkeeper_engine::database::{Database, Interest, Upcoming};
use ringkeeper_engine::op::create::Create;
use ringkeeper_engine::op::{OpSettings, Reading, Write, get_data};
use ringkeeper_engine::sequencer::{Caller, Sequencer};
use ringkeeper_engine::tree::Tree;
use ringkeeper_engine::txn::{CreateOp, Txn};
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Put, Reader};
use ringkeeper_engine::{Millis, SessionId};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 9;
const OPS: usize = 100_000;
const APPLY_BATCH: usize = 32;
const DATA: [u8; 100] = [b'x'; 100];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ahead {
    Nothing,
    Fetched,
}

struct Bench {
    db: Database,
    sequencer: Sequencer,
    caller: Caller,
    settings: OpSettings,
    nodes: usize,
    batch: usize,
    siblings: usize,
    random: u64,
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().expect("a number"));
    let mut next = |default| args.next().unwrap_or(default);
    let (nodes, batch, siblings) = (next(1_000_000), next(256), next(1_000));
    let mut bench = Bench::new(nodes, batch, siblings);
    println!(
        "{nodes} nodes, {siblings} siblings each, batches of {batch}: ns of CPU per operation"
    );
    println!("{:>8} {:>10} {:>10}", "", "one by one", "ahead");
    let set: fn(&mut Bench, Ahead) = Bench::set;
    let get: fn(&mut Bench, Ahead) = Bench::get;
    let create: fn(&mut Bench, Ahead) = Bench::create;
    for (name, run) in [("set", set), ("get", get), ("create", create)] {
        let mut taken = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (ahead, taken) in [Ahead::Nothing, Ahead::Fetched].into_iter().zip(&mut taken) {
                let start = cpu();
                run(&mut bench, ahead);
                taken.push((cpu() - start).as_nanos() / OPS as u128);
            }
        }
        let [one, ahead] = taken.map(|mut taken| {
            taken.sort_unstable();
            taken[ROUNDS / 2]
        });
        println!("{name:>8} {one:>10} {ahead:>10}");
    }
}

impl Bench {
    fn new(nodes: usize, batch: usize, siblings: usize) -> Bench {
        let settings = OpSettings::default();
        let db = Database::new(Tree::new(1), []);
        let sequencer = Sequencer::new(db.applied(), settings.clone(), 1);
        let caller = Caller { session: SessionId(1), cxid: 1, ids: [].into() };
        let mut bench =
            Bench { db, sequencer, caller, settings, nodes: 0, batch, siblings, random: 9 };
        bench.grow(nodes, Ahead::Fetched);
        bench
    }

    fn path(&self, n: usize) -> String {
        format!("/fill-{:06}/node-{n:08}", n / self.siblings)
    }

    /// A node that exists.
    fn any(&mut self) -> String {
        self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        self.path((self.random >> 33) as usize % self.nodes)
    }

    fn grow(&mut self, by: usize, ahead: Ahead) {
        let end = self.nodes + by;
        while self.nodes < end {
            let mut writes = Vec::new();
            for n in self.nodes..end.min(self.nodes + self.batch) {
                if n % self.siblings == 0 {
                    let parent = format!("/fill-{:06}", n / self.siblings);
                    writes.push(Write::Create(Create::new(CreateOp::Create, &parent, b"", 0)));
                }
                writes.push(Write::Create(Create::new(CreateOp::Create, &self.path(n), &DATA, 0)));
                self.nodes = n + 1;
            }
            self.write(writes, ahead);
        }
    }

    fn create(&mut self, ahead: Ahead) {
        self.grow(OPS, ahead);
    }

    fn set(&mut self, ahead: Ahead) {
        for _ in 0..OPS / self.batch {
            let mut writes = Vec::new();
            for _ in 0..self.batch {
                let mut record = Vec::new();
                record.put_string(&self.any());
                record.put_buffer(Some(&DATA));
                record.put_int(-1);
                let write = Write::decode(op::SET_DATA, &mut Reader::new(&record));
                writes.push(write.expect("it was just made"));
            }
            self.write(writes, ahead);
        }
    }

    /// Orders all of them, then applies them.
    fn write(&mut self, writes: Vec<Write>, ahead: Ahead) {
        let Bench { db, sequencer, caller, .. } = self;
        if ahead == Ahead::Fetched {
            let mut paths = db.tree.prefetch();
            writes.iter().for_each(|write| write.prefetch(&mut paths));
            paths.finish();
        }
        let order = |write| sequencer.order(db, caller, write, Millis(5));
        let txns: Vec<Txn> = writes.into_iter().map(order).collect();
        for txns in txns.chunks(APPLY_BATCH) {
            if ahead == Ahead::Fetched {
                db.prefetch(txns.iter().map(Upcoming::Txn));
            }
            for txn in txns {
                std::hint::black_box(db.apply(txn, Interest::None));
            }
        }
        sequencer.applied(db.applied());
    }

    fn get(&mut self, ahead: Ahead) {
        let mut out = Vec::new();
        for _ in 0..OPS / 16 {
            let paths: Vec<String> = (0..16).map(|_| self.any()).collect();
            let (tree, settings) = (&self.db.tree, &self.settings);
            if ahead == Ahead::Fetched {
                let mut fetched = tree.prefetch();
                paths.iter().for_each(|path| fetched.path(path.as_bytes()));
                fetched.finish();
            }
            let reading = Reading { tree, settings, ids: &[], session: SessionId(1) };
            for path in &paths {
                out.clear();
                get_data::reply(path, reading, &mut out).expect("it is there");
                std::hint::black_box(&out);
            }
        }
    }
}

fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("the clock counts up")
}
