//! Fuzzy snapshots: what was changed while one was written comes out as it truly is.

use std::collections::BTreeMap;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::tree::Tree;
use ringkeeper_engine::txn::{AclList, NodeKind};
use ringkeeper_engine::wire::{Put, Stat};
use ringkeeper_engine::zookeeper::{Counts, Imported, Item, LogReader, Unusable, load_snapshot};

use crate::files::{Closes, LogFile, SnapshotFile, Trailer};
use crate::history::World;
use crate::target;

/// What is looked at of a node.
type Seen = (Stat, Option<Vec<u8>>, AclList, NodeKind, i32);

/// A server's files.
pub(crate) struct Files {
    pub(crate) from: Zxid,
    pub(crate) snapshot: Vec<u8>,
    pub(crate) log: LogFile,
}

/// What a snapshot says of how far it was written.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Says {
    Nothing,
    Digest,
    Last,
    Both,
}

/// Writes a snapshot while the history goes on, as ZooKeeper does: sessions, lists, then the nodes
/// from the root down, each with the children that it has at that moment, in any order.
fn fuzzy(world: &mut World, haste: usize, says: Says) -> (Zxid, Vec<u8>) {
    let from = world.last();
    let mut file = SnapshotFile::new();
    go_on(world, haste);
    file.sessions(&world.sessions);
    go_on(world, haste);
    let lists: Vec<AclList> = nodes(&world.tree).into_values().map(|seen| seen.2).collect();
    file.lists(lists.iter().filter(|list| list[0].id.scheme != "world" || list[0].perms != 31));
    let mut waiting = vec![String::from("/")];
    while let Some(path) = waiting.pop() {
        go_on(world, haste);
        let Some(id) = world.tree.find(&path) else { continue };
        file.node(&world.tree, &path);
        let top = if path == "/" { "" } else { &path };
        let mut below: Vec<String> =
            world.tree.children(id).map(|name| format!("{top}/{name}")).collect();
        while !below.is_empty() {
            let at = world.random.below(below.len());
            waiting.push(below.swap_remove(at));
        }
    }
    go_on(world, haste);
    let digest = Some((world.last(), world.last_digest())).filter(|(zxid, _)| *zxid > Zxid::ZERO);
    let trailer = Trailer {
        digest: digest.filter(|_| matches!(says, Says::Digest | Says::Both)),
        last: Some(world.last()).filter(|_| matches!(says, Says::Last | Says::Both)),
    };
    (from, file.finish(trailer))
}

fn go_on(world: &mut World, haste: usize) {
    for _ in 0..world.random.below(haste + 1) {
        world.step();
    }
}

/// A history with a snapshot somewhere in it.
fn written(seed: u64, says: Says, closes: Closes) -> (World, Files) {
    let mut world = World::new(seed);
    for _ in 0..world.random.below(120) {
        world.step();
    }
    let haste = *world.random.of(&[0, 1, 2, 4, 12]);
    let (from, snapshot) = fuzzy(&mut world, haste, says);
    world.settle();
    for _ in 0..world.random.below(20) {
        world.step();
    }
    world.settle();
    let mut log = LogFile::new();
    // A log may begin long before the snapshot.
    let before = world.log.iter().filter(|(txn, _)| txn.zxid <= from).count();
    let begin = world.random.below(before + 1);
    for (txn, digest) in &world.log[begin..] {
        log.push(txn, Some(*digest), closes);
    }
    (world, Files { from, snapshot, log })
}

/// Reads everything.
pub(crate) fn read(files: &Files, log: &[u8]) -> Result<Imported, Unusable> {
    let loaded = load_snapshot(&files.snapshot[..], files.from, 1).expect("a good snapshot");
    let mut rebuild = loaded.rebuild;
    let mut reader = LogReader::open(log, log.len() as u64).expect("a good log");
    while let Item::Entry(entry) = reader.next(rebuild.last()).expect("good entries") {
        rebuild.take(&entry)?;
    }
    rebuild.finish(0)
}

/// Every node, by its path.
fn nodes(tree: &Tree) -> BTreeMap<String, Seen> {
    let mut nodes = BTreeMap::new();
    let mut waiting = vec![tree.find("/").unwrap()];
    while let Some(id) = waiting.pop() {
        let data = tree.data(id).map(<[u8]>::to_vec);
        let (acl, created) = (tree.acl(id).clone(), tree.created_children(id));
        let seen = (tree.stat(id), data, acl, tree.kind(id), created);
        nodes.insert(tree.path_of(id), seen);
        waiting.extend(tree.child_nodes(id));
    }
    nodes
}

fn check(world: &World, imported: &Imported, seed: u64) {
    let (mut truth, mut found) = (nodes(&world.tree), nodes(&imported.tree));
    if imported.counts.unlisted_closes > 0 {
        truth.values_mut().chain(found.values_mut()).for_each(|seen| seen.0.pzxid = 0);
    } else {
        assert_eq!(imported.digests.first_other, None, "seed {seed}");
        assert_eq!(imported.tree.digest(), world.tree.digest(), "seed {seed}");
    }
    for (path, seen) in &truth {
        assert_eq!(found.get(path), Some(seen), "seed {seed}: {path}");
    }
    assert_eq!(found.len(), truth.len(), "seed {seed}");
    assert_eq!(imported.sessions, world.sessions, "seed {seed}");
    assert_eq!((imported.last, imported.tree.applied()), (world.last(), world.last()));
    let Counts { misfits, closed_nodes, orphans, .. } = imported.counts;
    assert_eq!((misfits, closed_nodes, orphans), (0, 0, 0), "seed {seed}");
}

#[test]
fn fuzzy_snapshot_with_its_log_restores_the_true_state() {
    let (mut left, mut missed, mut compared) = (0, 0, 0);
    for seed in 0..1_500 {
        let says = [Says::Nothing, Says::Digest, Says::Last, Says::Both][seed as usize % 4];
        let (world, files) = written(seed, says, Closes::Listed);
        let imported = read(&files, &files.log.padded(100)).expect("they belong together");
        check(&world, &imported, seed);
        left += imported.counts.left_to_log;
        missed += imported.counts.missed;
        compared += imported.digests.compared;
    }
    // Otherwise nothing was fuzzy.
    assert!(left > 1_000 && missed > 1_000 && compared > 1_000, "{left} {missed} {compared}");
}

#[test]
fn fuzzy_snapshot_before_3_6_may_only_lag_in_pzxid() {
    let mut unlisted = 0;
    for seed in 0..500 {
        let (world, files) = written(seed, Says::Nothing, Closes::Bare);
        let imported = read(&files, &files.log.padded(0)).expect("they belong together");
        check(&world, &imported, seed);
        unlisted += imported.counts.unlisted_closes;
    }
    assert!(unlisted > 100, "{unlisted}");
}

/// Wherever the log is cut, the state is the true one at its end, or it is refused because the
/// snapshot is ahead.
#[test]
fn log_ending_before_its_snapshot_is_refused() {
    let (mut refused, mut taken) = (0, 0);
    for seed in 0..60 {
        let (world, files) = written(seed, Says::Both, Closes::Listed);
        for (number, end) in files.log.ends.iter().enumerate() {
            let first = world.log.len() - files.log.ends.len();
            let (txn, digest) = &world.log[first + number];
            match read(&files, &files.log.bytes[..*end]) {
                Ok(imported) => {
                    taken += 1;
                    if txn.zxid >= files.from {
                        assert_eq!(imported.last, txn.zxid, "seed {seed}");
                        // A transaction that was under way when the snapshot ended may show in
                        // part, and it is not in this log: that has to be noticed.
                        let is_true = imported.tree.digest() == *digest;
                        assert_eq!(imported.digests.first_other.is_none(), is_true, "seed {seed}");
                    }
                }
                Err(Unusable::Ahead { last, .. }) => {
                    assert_eq!(last, txn.zxid.max(files.from), "seed {seed}");
                    refused += 1;
                }
                Err(other) => panic!("seed {seed}: {other}"),
            }
        }
    }
    assert!(refused > 100 && taken > 100, "{refused} {taken}");
}

#[test]
fn log_with_a_gap_is_refused() {
    let mut refused = 0;
    for seed in 0..100 {
        let (world, files) = written(seed, Says::Both, Closes::Listed);
        let behind: Vec<_> = world.log.iter().filter(|(txn, _)| txn.zxid > files.from).collect();
        // The first of an epoch is not missed.
        let Some(gone) = (1..behind.len()).find(|at| behind[*at].0.zxid.counter() > 2) else {
            continue;
        };
        let mut log = LogFile::new();
        for (at, (txn, digest)) in behind.iter().enumerate() {
            if at + 1 != gone {
                log.push(txn, Some(*digest), Closes::Listed);
            }
        }
        let error = read(&files, &log.bytes).err();
        assert!(matches!(error, Some(Unusable::Gap { .. })), "seed {seed}: {error:?}");
        refused += 1;
    }
    assert!(refused > 50, "{refused}");
}

/// What damage tests work on.
pub(crate) fn sample() -> Files {
    written(7, Says::Both, Closes::Listed).1
}

/// A seed of the fuzz target: a snapshot up to its checksum, and the entries behind it.
pub(crate) fn sample_seed(number: u64) -> Vec<u8> {
    let mut seed = 100 * number;
    let (files, behind) = loop {
        let (world, files) = written(seed, Says::Nothing, Closes::Listed);
        let behind: Vec<_> =
            world.log.into_iter().filter(|(txn, _)| txn.zxid > files.from).collect();
        let is_small = files.snapshot.len() < 1_500 && (10..30).contains(&behind.len());
        if is_small && files.from == target::FROM {
            break (files, behind);
        }
        seed += 1;
    };
    let mut bytes = vec![1];
    let mut put = |part: &[u8]| {
        bytes.extend(u16::try_from(part.len()).expect("it is small").to_be_bytes());
        bytes.extend_from_slice(part);
    };
    put(&files.snapshot[..files.snapshot.len() - 13]);
    for (txn, digest) in behind {
        let mut entry = Vec::new();
        txn.write(&mut entry);
        entry.put_int(2);
        entry.put_long(digest as i64);
        put(&entry);
    }
    bytes
}
