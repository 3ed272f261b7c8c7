//! Random trees on their way to a learner and back.

use super::testing::{Grown, Random, dump, random_quota, random_step, random_usage};
use super::*;
use crate::database::Database;
use crate::zookeeper::{StateForm, StateWriter, load_stream, load_stream_as, write_state};

/// A tree that has seen deletions, changes and lists, with sessions.
fn random_database(seed: u64) -> Database {
    let mut random = Random(seed);
    let mut grown = Grown::new();
    grown.tree.keep_digest(Digest::Kept);
    for _ in 0..random.below(400) {
        let steps = match random.below(20) {
            0 => random_quota(&mut random, &grown.tree),
            _ => vec![random_step(&mut random, &grown.tree)],
        };
        steps.iter().for_each(|step| grown.take(step));
    }
    let sessions = (0..random.below(5)).map(|number| (SessionId(number as i64 + 1), 4_000));
    Database::new(grown.tree, sessions.collect::<Vec<_>>())
}

/// Whatever the stats of quotas say, a learner has what its leader has: behind the state, and
/// behind what follows it.
#[test]
fn usage_of_quotas_in_a_received_state_is_that_of_the_leader() {
    let mut differs = 0;
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut leader = Grown::new();
        leader.tree.keep_digest(Digest::Kept);
        let go_on = |random: &mut Random, leader: &mut Grown| {
            let steps = match random.below(4) {
                0 => random_usage(random, &leader.tree),
                _ => vec![random_step(random, &leader.tree)],
            };
            steps.iter().for_each(|step| leader.take(step));
            steps
        };
        (0..150).for_each(|_| drop(go_on(&mut random, &mut leader)));
        let db = Database::new(leader.tree, Vec::<(SessionId, i32)>::new());
        let (mut bytes, zxid) = (Vec::new(), db.applied());
        write_state(&db, &mut bytes);
        let read = |form| {
            let loaded = load_stream_as(&bytes[..], (zxid, form), seed).unwrap();
            loaded.rebuild.finish(0).unwrap().tree
        };
        assert_eq!(dump(&read(StateForm::Exact)), dump(&db.tree), "seed {seed}");
        differs += usize::from(dump(&read(StateForm::Fuzzy)) != dump(&db.tree));
        let (mut leader, mut learner) = (Grown::of(db.tree), Grown::of(read(StateForm::Exact)));
        for _ in 0..60 {
            go_on(&mut random, &mut leader).iter().for_each(|step| learner.take(step));
        }
        assert_eq!(dump(&learner.tree), dump(&leader.tree), "seed {seed}, behind the state");
    }
    assert!(differs > 50, "a count gives the same but in {differs} cases");
}

fn pieces(db: &Database, bytes: usize) -> Vec<Vec<u8>> {
    let mut writer = StateWriter::new(db);
    std::iter::from_fn(|| writer.next_piece(db, bytes)).collect()
}

#[test]
fn written_state_is_read_as_the_same_database() {
    for seed in 0..100 {
        let db = random_database(seed);
        let mut bytes = Vec::new();
        write_state(&db, &mut bytes);
        let loaded = load_stream(&bytes[..], db.applied(), seed).unwrap();
        assert_eq!(loaded.bytes, bytes.len() as u64);
        let read = loaded.rebuild.finish(0).unwrap();
        assert_eq!(read.last, db.applied(), "seed {seed}");
        assert_eq!(read.counts, Default::default(), "seed {seed}");
        assert_eq!(dump(&read.tree), dump(&db.tree), "seed {seed}");
        assert!(read.sessions.into_iter().eq(db.sessions()), "seed {seed}");
    }
}

#[test]
fn pieces_of_any_size_are_the_whole_state() {
    for seed in 0..8 {
        let db = random_database(seed);
        let mut whole = Vec::new();
        write_state(&db, &mut whole);
        for bytes in (1..40).chain([100, 4_096, whole.len() - 1, whole.len(), usize::MAX]) {
            let pieces = pieces(&db, bytes);
            let (last, full) = pieces.split_last().unwrap();
            assert!(full.iter().all(|piece| piece.len() == bytes), "{bytes}");
            assert!(!last.is_empty() && last.len() <= bytes, "{bytes}");
            assert!(pieces.concat() == whole, "{bytes}");
        }
    }
}

/// Numbers of lists that went away are left out, and the list that all nodes may have has none.
#[test]
fn lists_in_use_are_numbered_once() {
    let mut grown = Grown::new();
    let list = |perms| AclList::from([crate::wire::Acl { perms, ..crate::wire::Acl::open() }]);
    for (name, perms) in [("/a", 8), ("/b", 2), ("/c", 4), ("/d", 2), ("/e", 31)] {
        grown.create(name);
        grown.set_acl(name, &list(perms));
    }
    grown.delete("/a");
    let tree = &grown.tree;
    let numbered: Vec<(u32, i32)> =
        tree.numbered_acls(0).map(|(number, list)| (number, list[0].perms)).collect();
    // The first one is that of the configuration.
    assert_eq!((&numbered[..], tree.numbered_acls_count()), (&[(1, 1), (3, 2), (4, 4)][..], 3));
    let number = |path| tree.acl_number(grown.at(path));
    assert_eq!(["/b", "/c", "/d", "/e"].map(number), [Some(3), Some(4), Some(3), None]);
    assert_eq!(tree.numbered_acls(2).map(|(number, _)| number).collect::<Vec<_>>(), [3, 4]);
}
