//! What one operation on a tree of a million znodes costs, and listing the children of one.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringkeeper_engine::tree::{NewNode, NodeId, Tree};
use ringkeeper_engine::txn::{AclList, NodeKind};
use ringkeeper_engine::wire::Acl;
use ringkeeper_engine::{Millis, Zxid};

const NODES: u32 = 1_000_000;
/// Children of each directory.
const SIBLINGS: u32 = 1_000;
const DATA: [u8; 100] = [7; 100];
/// Paths that are spelled before anything is measured; a prime, so that no cache learns them.
const PATHS: usize = 65_537;

struct Grown {
    tree: Tree,
    acl: AclList,
    zxid: u64,
}

impl Grown {
    fn new() -> Grown {
        let mut grown = Grown { tree: Tree::new(1), acl: [Acl::open()].into(), zxid: 0 };
        for n in 0..NODES {
            if n % SIBLINGS == 0 {
                grown.create(&format!("/dir-{:06}", n / SIBLINGS));
            }
            grown.create(&path(n));
        }
        grown
    }

    fn create(&mut self, path: &str) -> NodeId {
        let (parent, _) = path.rsplit_once('/').expect("a path has a slash");
        let parent = self.tree.find(if parent.is_empty() { "/" } else { parent });
        let parent = parent.expect("parents come first");
        let parent_cversion = self.tree.created_children(parent).wrapping_add(1);
        let (zxid, time) = self.next();
        self.tree.create(NewNode {
            path,
            data: Some(&DATA),
            acl: &self.acl,
            kind: NodeKind::Persistent,
            zxid,
            time,
            parent_cversion,
        })
    }

    fn next(&mut self) -> (Zxid, Millis) {
        self.zxid += 1;
        (Zxid(self.zxid), Millis(1))
    }
}

fn path(n: u32) -> String {
    format!("/dir-{:06}/node-{:06}", n / SIBLINGS, n % SIBLINGS)
}

/// Paths all over the tree.
fn paths() -> Vec<String> {
    let scattered = (0..PATHS as u64).map(|n| (n * 2_654_435_761 % u64::from(NODES)) as u32);
    scattered.map(path).collect()
}

fn operations(c: &mut Criterion) {
    let mut grown = Grown::new();
    let paths = paths();
    let mut at = (0..PATHS).cycle();
    let mut next = || &*paths[at.next().expect("a cycle has no end")];
    let mut group = c.benchmark_group("tree of 1 M");
    group.throughput(Throughput::Elements(1));
    group.bench_function("path lookup", |b| b.iter(|| grown.tree.find(black_box(next()))));
    group.bench_function("get: lookup, data and stat", |b| {
        b.iter(|| {
            let id = grown.tree.find(next()).expect("all nodes are there");
            black_box((grown.tree.data(id), grown.tree.stat(id)));
        });
    });
    group.bench_function("lookup of what is not there", |b| {
        b.iter(|| grown.tree.find(black_box("/dir-000007/none")));
    });
    group.bench_function("set", |b| {
        b.iter(|| {
            let id = grown.tree.find(next()).expect("all nodes are there");
            let version = grown.tree.version(id).wrapping_add(1);
            let (zxid, time) = grown.next();
            grown.tree.set_data(id, Some(&DATA), version, zxid, time);
        });
    });
    group.bench_function("create and delete", |b| {
        b.iter(|| {
            let id = grown.create(black_box("/dir-000007/new"));
            let (zxid, _) = grown.next();
            grown.tree.delete(id, zxid);
        });
    });
    group.throughput(Throughput::Elements(u64::from(SIBLINGS)));
    group.bench_function("children of one with 1,000", |b| {
        let id = grown.tree.find("/dir-000042").expect("all nodes are there");
        b.iter(|| grown.tree.children(id).map(|name| name.len()).sum::<usize>());
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = operations
}
criterion_main!(benches);
