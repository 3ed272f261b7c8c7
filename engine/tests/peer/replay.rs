//! Recorded histories, applied: the digests that the leader sent are those of the tree here.

use ringkeeper_engine::database::{Database, DigestComparison, Interest};
use ringkeeper_engine::tree::{Digest, Tree};
use ringkeeper_engine::txn::TxnBody;
use ringkeeper_engine::wire::peer::{LeaderPacket, PacketDecoder, PacketLimits};
use ringkeeper_engine::zookeeper::{Entry, load_stream};
use ringkeeper_engine::{SessionId, Zxid};

use crate::conversation::{Message, Sender, named, said};

/// A packet of a leader, without its borrow.
enum Step {
    Transaction(Entry, Vec<u8>),
    Other(String),
}

fn steps(messages: &[Message]) -> Vec<Step> {
    let mut steps = Vec::new();
    for message in said(messages, Sender::Leader) {
        if message.name == "STATE" {
            continue;
        }
        let mut decoder = PacketDecoder::new(PacketLimits::default());
        decoder.push(&message.bytes);
        let packet = decoder.decode().unwrap().unwrap();
        match LeaderPacket::read(&packet).unwrap() {
            LeaderPacket::Proposal { zxid, txn } | LeaderPacket::Inform { zxid, txn } => {
                let entry = Entry::read_proposal(zxid, txn).expect("a recorded transaction");
                steps.push(Step::Transaction(entry, txn.to_vec()));
            }
            _ => steps.push(Step::Other(message.name.clone())),
        }
    }
    steps
}

fn transactions(name: &str) -> Vec<(Entry, Vec<u8>)> {
    let steps = steps(&named(name)).into_iter();
    let transaction = |step| match step {
        Step::Transaction(entry, bytes) => Some((entry, bytes)),
        Step::Other(_) => None,
    };
    steps.filter_map(transaction).collect()
}

fn fresh() -> Database {
    let mut tree = Tree::new(3);
    tree.keep_digest(Digest::Kept);
    tree.set_applied(Zxid::new(1, 0));
    Database::new(tree, [])
}

#[test]
fn recorded_transactions_encode_to_the_bytes_that_they_came_in() {
    let mut kinds = std::collections::BTreeSet::new();
    for (name, messages) in crate::conversation::quorum() {
        for step in steps(&messages) {
            let Step::Transaction(entry, bytes) = step else { continue };
            let mut again = Vec::new();
            entry.write(&mut again);
            assert_eq!(again, bytes, "{name}: {entry:?}");
            kinds.insert(entry.txn.body.type_code());
            let is_refusal = matches!(entry.txn.body, TxnBody::Error(_));
            assert_eq!(entry.digest.is_none(), is_refusal, "{name}: {entry:?}");
        }
    }
    assert!(kinds.is_superset(&[-11, -10, -1, 1, 5, 14, 15, 21].into()), "{kinds:?}");
}

#[test]
fn digest_behind_every_recorded_transaction_is_that_of_the_tree() {
    let (mut applied, mut replayed) = (fresh(), fresh());
    let mut compared = 0;
    for (entry, bytes) in transactions("quorum-follower-first-start-by-diff") {
        applied.apply(&entry.txn, Interest::None);
        replayed.replay(&bytes).unwrap();
        let is_refusal = matches!(entry.txn.body, TxnBody::Error(_));
        let expected = match is_refusal {
            true => DigestComparison::NotCompared,
            false => DigestComparison::Equal,
        };
        assert_eq!(applied.compare_digest(entry.digest), expected, "{entry:?}");
        assert_eq!(replayed.compare_digest(entry.digest), expected, "{entry:?}");
        compared += u32::from(!is_refusal);
    }
    assert_eq!((compared, applied.applied()), (16, Zxid::new(1, 18)));
}

#[test]
fn transaction_that_is_left_out_shows_in_the_next_digest() {
    let all = transactions("quorum-follower-first-start-by-diff");
    let mut db = fresh();
    for (entry, _) in &all {
        let mut txn = entry.txn.clone();
        if txn.zxid == Zxid::new(1, 4) {
            txn.body = TxnBody::Error(ringkeeper_engine::Code::NoNode);
        }
        db.apply(&txn, Interest::None);
        let found = db.compare_digest(entry.digest);
        let is_different = matches!(found, DigestComparison::Different { .. });
        assert_eq!(is_different, txn.zxid == Zxid::new(1, 4), "{txn:?}");
        if is_different {
            return;
        }
    }
    panic!("the transaction is in the recording");
}

/// What an observer does: the state behind SNAP, what comes up to NEWLEADER into the rebuild, and
/// the rest is applied.
#[test]
fn state_and_what_follows_it_have_the_digests_of_the_leader() {
    for (name, sessions) in [
        ("quorum-observer-by-snap", 2),
        ("quorum-follower-far-behind-by-snap", 0),
        ("quorum-follower-first-start-by-snap", 0),
    ] {
        let messages = named(name);
        let snap = messages.iter().position(|message| message.name == "SNAP").unwrap();
        let zxid = i64::from_be_bytes(messages[snap].bytes[4..12].try_into().unwrap());
        let zxid = Zxid::from_wire(zxid);
        let loaded = load_stream(&messages[snap + 1].bytes[..], zxid, 7).unwrap();
        assert!(loaded.rebuild.reach() <= zxid);
        let (mut rebuild, mut db) = (Some(loaded.rebuild), None);
        let mut compared = 0;
        for step in steps(&messages[snap + 2..]) {
            match step {
                Step::Other(name) if name == "NEWLEADER" => {
                    let rebuild = rebuild.take().expect("one NEWLEADER");
                    let state = rebuild.finish(0).expect("a whole state");
                    assert_eq!((state.last, state.counts.orphans), (zxid, 0));
                    let config = state.tree.find("/zookeeper/config").unwrap();
                    let text = state.tree.data(config).unwrap();
                    assert!(text.ends_with(b"\nversion=0"), "{name}");
                    assert_eq!(state.tree.stat(config).version, -1);
                    db = Some(Database::new(state.tree, state.sessions));
                }
                Step::Other(_) => {}
                Step::Transaction(entry, _) => match &mut db {
                    None => rebuild.as_mut().unwrap().take(&entry).unwrap(),
                    Some(db) => {
                        db.apply(&entry.txn, Interest::None);
                        let found = db.compare_digest(entry.digest);
                        let is_none = entry.digest.is_none();
                        assert_eq!(found == DigestComparison::Equal, !is_none, "{name}: {entry:?}");
                        compared += u32::from(!is_none);
                    }
                },
            }
        }
        assert!(compared > 1, "{name}");
        let left = db.unwrap().sessions().count();
        assert_eq!(left, sessions, "{name}");
    }
}

/// The history behind a SNAP, once taken by the rebuild up to a NEWLEADER anywhere, once applied.
#[test]
fn proposals_before_newleader_are_taken_by_the_rebuild_wherever_it_comes() {
    let state = named("quorum-follower-first-start-by-snap");
    let state = state.iter().find(|message| message.name == "STATE").unwrap();
    let all = transactions("quorum-follower-first-start-by-snap");
    for until in 0..=all.len() {
        let loaded = load_stream(&state.bytes[..], Zxid::new(1, 0), 7).unwrap();
        let mut rebuild = loaded.rebuild;
        all[..until].iter().for_each(|(entry, _)| rebuild.take(entry).unwrap());
        let state = rebuild.finish(0).unwrap();
        let is_digest = until > 0 && all[until - 1].0.digest.is_some();
        assert_eq!(state.digests.compared, u64::from(is_digest), "{until}");
        assert_eq!(state.digests.first_other, None, "{until}");
        assert_eq!((state.counts.misfits, state.counts.missed), (0, 0));
        let mut db = Database::new(state.tree, state.sessions);
        for (entry, _) in &all[until..] {
            db.apply(&entry.txn, Interest::None);
            let found = db.compare_digest(entry.digest);
            assert_eq!(found == DigestComparison::Equal, entry.digest.is_some(), "{entry:?}");
        }
        assert_eq!(db.applied(), Zxid::new(1, 18));
        assert_eq!(db.sessions().collect::<Vec<(SessionId, i32)>>(), []);
    }
}
