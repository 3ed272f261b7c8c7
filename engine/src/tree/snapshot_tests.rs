//! Snapshots, and what is left of them when bytes are wrong.

use super::*;
use crate::Zxid;
use crate::tree::snapshot::Progress;
use crate::tree::testing::{Dump, Grown, Random, dump, random_quota, random_step};
use crate::wire::Put;

/// A snapshot as a file writer sees it.
struct Saved {
    header: Vec<u8>,
    blocks: Vec<Vec<u8>>,
}

impl Saved {
    fn load(&self) -> Result<Tree, Corrupt> {
        let mut loader = TreeLoader::new(77, &self.header)?;
        self.blocks.iter().try_for_each(|block| loader.add_block(block))?;
        loader.finish()
    }
}

fn change(random: &mut Random, grown: &mut Grown) {
    let steps = match random.below(20) {
        0 => random_quota(random, &grown.tree),
        _ => vec![random_step(random, &grown.tree)],
    };
    steps.iter().for_each(|step| grown.take(step));
}

/// Takes a snapshot in slices, with changes between them; returns what the tree was at its
/// beginning as well.
fn save_while_changing(random: &mut Random, grown: &mut Grown) -> (Saved, Dump) {
    let before = dump(&grown.tree);
    let header = grown.tree.begin_snapshot().encode();
    let mut blocks = Vec::new();
    loop {
        for _ in 0..random.below(12) {
            change(random, grown);
        }
        let mut block = Vec::new();
        let progress = grown.tree.snapshot_slice(1 + random.below(6), &mut block);
        blocks.push(block);
        if progress == Progress::Done {
            return (Saved { header, blocks }, before);
        }
    }
}

#[test]
fn a_snapshot_is_the_tree_at_its_beginning() {
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut grown = Grown::new();
        if seed % 3 > 0 {
            grown.tree.keep_digest(Digest::Kept);
        }
        for _ in 0..random.below(400) {
            change(&mut random, &mut grown);
        }
        for _ in 0..2 {
            let (saved, before) = save_while_changing(&mut random, &mut grown);
            let loaded = saved.load().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(dump(&loaded), before, "seed {seed}");
            // What was loaded goes on like any other tree, and without holes.
            assert_eq!(loaded.store.end(), loaded.store.len());
            let mut again = Grown { zxid: loaded.applied().0, tree: loaded };
            (0..30).for_each(|_| change(&mut random, &mut again));
            dump(&again.tree);
            assert_eq!(again.tree.digest(), again.tree.recount_digest());
        }
    }
}

impl Tree {
    fn recount_digest(&self) -> u64 {
        if self.digest_mode() == Digest::Kept { self.count_digest() } else { 0 }
    }
}

#[test]
fn a_snapshot_can_be_given_up_and_begun_again() {
    let mut random = Random(1);
    let mut grown = Grown::new();
    (0..100).for_each(|_| change(&mut random, &mut grown));
    grown.tree.begin_snapshot();
    assert_eq!(grown.tree.snapshot_slice(1, &mut Vec::new()), Progress::More);
    grown.tree.abandon_snapshot();
    assert!(!grown.tree.is_snapshot_running());
    let (saved, before) = save_while_changing(&mut random, &mut grown);
    assert_eq!(dump(&saved.load().unwrap()), before);
}

#[test]
fn slices_are_bounded_however_much_changes_meanwhile_and_the_snapshot_ends() {
    const NODES: usize = 40;
    let mut grown = Grown::new();
    let data = vec![7; 300_000];
    for n in 0..NODES {
        grown.create_as(&format!("/n{n}"), NodeKind::Persistent, Some(&data));
    }
    let before = dump(&grown.tree);
    let header = grown.tree.begin_snapshot().encode();
    let mut blocks = Vec::new();
    for n in (0..NODES).rev() {
        grown.set(&format!("/n{n}"), None);
    }
    let kept = grown.tree.snapshot_backlog();
    assert!(kept > NODES * 300_000, "{kept}: every old image waits");
    loop {
        let waiting = grown.tree.snapshot_backlog();
        let mut block = Vec::new();
        let progress = grown.tree.snapshot_slice(1_024, &mut block);
        assert!(block.len() < 3 << 20, "{}", block.len());
        assert!(grown.tree.snapshot_backlog() < waiting || waiting == 0, "it takes some each time");
        blocks.push(block);
        if progress == Progress::Done {
            break;
        }
    }
    assert!(blocks.len() >= 10);
    assert_eq!(grown.tree.snapshot_backlog(), 0);
    assert_eq!(dump(&Saved { header, blocks }.load().unwrap()), before);
}

/// A snapshot with nodes of every kind.
fn small_snapshot() -> Saved {
    let mut grown = Grown::new();
    grown.tree.keep_digest(Digest::Kept);
    let mut random = Random(9);
    (0..25).for_each(|_| change(&mut random, &mut grown));
    save_while_changing(&mut random, &mut grown).0
}

#[test]
fn wrong_bytes_are_reported() {
    let saved = small_snapshot();
    let mut random = Random(3);
    let block = saved.blocks.concat();
    let mut loaded = 0;
    for n in 0..20_000 {
        let mut wrong = Saved { header: saved.header.clone(), blocks: vec![block.clone()] };
        let bytes = if n % 8 == 0 { &mut wrong.header } else { &mut wrong.blocks[0] };
        match random.below(4) {
            0 => bytes.truncate(random.below(bytes.len())),
            1 => drop(bytes.splice(random.below(bytes.len()).., *b"more")),
            _ => {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
        if let Ok(tree) = wrong.load() {
            loaded += 1;
            dump(&tree);
        }
    }
    // Not all can be told apart: the digest leaves out /zookeeper and the ACLs. What matters is
    // that nothing panics; the file around the blocks has checksums.
    assert!(loaded < 4_000, "{loaded} wrong snapshots were loaded");
}

/// Blocks made of whole records in any order, some of them twice, some missing.
#[test]
fn shuffled_records_are_reported_or_loaded() {
    let saved = small_snapshot();
    let blocks = saved.blocks.concat();
    let mut records = Vec::new();
    let mut reader = Reader::new(&blocks);
    while !reader.rest().is_empty() {
        let start = blocks.len() - reader.rest().len();
        Record::read(&mut reader).unwrap();
        records.push(blocks[start..blocks.len() - reader.rest().len()].to_vec());
    }
    let whole = dump(&saved.load().unwrap());
    let mut random = Random(4);
    for n in 0..2_000 {
        let mut blocks = records.clone();
        for at in (1..blocks.len()).rev() {
            blocks.swap(at, random.below(at + 1));
        }
        if n % 2 == 1 {
            let at = random.below(blocks.len());
            blocks[at] = random.of(&records).clone();
        }
        match (Saved { header: saved.header.clone(), blocks }).load() {
            Ok(tree) => assert_eq!(dump(&tree), whole),
            Err(Corrupt::Inconsistent(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn hostile_shapes_are_refused() {
    let node = |slot: u32, parent: u32, name: &str, owner: i64| {
        // A record of a node with an owner: flags, slot, parent, ACL, czxid, ctime, owner.
        let mut out = vec![2, 4];
        [slot, parent, 0].iter().for_each(|int| out.put_int(*int as i32));
        [1, 1, owner].iter().for_each(|long| out.put_long(*long));
        out.put_string(name);
        out.put_buffer(None);
        out
    };
    let load = |nodes: Vec<Vec<u8>>| {
        let header = SnapshotHeader {
            zxid: Zxid(1),
            nodes: nodes.len() as u32,
            digest: None,
            approximate_data_size: 0,
        };
        Saved { header: header.encode(), blocks: nodes }.load().err().unwrap().to_string()
    };
    let root = || node(0, 0, "", 0);
    let says = |nodes: Vec<Vec<u8>>, what: &str| {
        let error = load(nodes);
        assert!(error.ends_with(what), "{error}");
    };
    says(vec![], "there is no root");
    says(vec![node(1, 0, "a", 0)], "there is no root");
    says(vec![root(), root()], "a node comes twice");
    says(vec![root(), node(3, 3, "a", 0)], "a node has no parent");
    says(vec![root(), node(1, 2, "a", 0), node(2, 1, "b", 0)], "not below the root");
    says(vec![root(), node(1, 7, "a", 0)], "a parent is missing");
    says(vec![root(), node(1, 0, "a", 0), node(2, 0, "a", 0)], "two nodes have the same path");
    says(vec![root(), node(1, 0, "a/b", 0)], "a name is empty or holds a slash");
    says(vec![root(), node(1, 0, "", 0)], "a name is empty or holds a slash");
    says(vec![root(), node(1, 0, "a", 5), node(2, 1, "b", 0)], "an ephemeral node has a child");
    says(vec![node(0, 0, "", 5)], "the root is not persistent");
    says(vec![root()], "a node that every tree has is missing");
    let chain = (1..3_000).map(|n| node(n, n - 1, "a", 0));
    says(std::iter::once(root()).chain(chain).collect(), "too many components");
    says(vec![root(), node(u32::MAX - 2, 0, "a", 0)], "a node that every tree has is missing");
}
