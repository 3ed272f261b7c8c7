//! Ends of sessions in portions.

use std::sync::Arc;

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::session::{Owner, SessionTable};
use ringkeeper_engine::tree::Tree;
use ringkeeper_engine::txn::{AclList, CreateOp, CreateTxn, NodeKind, Txn, TxnBody};
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::wire::Acl;
use ringkeeper_engine::{Code, Millis, Now, SessionId, Zxid, limits};

use super::closing::{ClosedBy, Closing};
use super::orderer::{EpochLimits, OrderRules, Ordered, Orderer, SpentRemoval};
use crate::WriteAdmission;

const NOW: Now = Now { wall: Millis(5), mono: Millis(5) };
const LARGE: SessionId = SessionId(7);
const SMALL: SessionId = SessionId(8);
const NODES: u64 = 10_000;

/// A session with many ephemeral nodes and one with one.
fn database() -> Database {
    let mut db = Database::new(Tree::new(1), [(LARGE, 4_000), (SMALL, 4_000)]);
    for n in 1..=NODES {
        let session = if n == NODES { SMALL } else { LARGE };
        let body = TxnBody::Create(CreateTxn {
            op: CreateOp::Create,
            path: format!("/node-{n}").into(),
            data: None,
            acl: AclList::from([Acl::open()]),
            kind: NodeKind::Ephemeral(session),
            parent_cversion: n as i32,
        });
        let txn = Txn { session, cxid: 1, zxid: Zxid(n), time: Millis(1), body };
        db.apply(&txn, Interest::None);
    }
    db
}

fn orderer(db: &Database) -> Orderer {
    let removal = SpentRemoval { interval_ms: 1, per_minute: 60_000, never_used_ms: 0 };
    let (ops, epochs) = (OpSettings::default(), EpochLimits::default());
    let rules = OrderRules { ops, hash_seed: 1, removal, epochs };
    Orderer::alone(db, SessionTable::new(2_000, 4_000, 40_000), &rules, NOW)
}

fn close(orderer: &mut Orderer, session: SessionId) -> Option<Ordered> {
    let caller = Caller { session, cxid: 9, ids: Arc::from([]) };
    let origin = Origin { shard: 0, conn: ConnId(session.0 as u32) };
    orderer.close(caller, (Owner::Connection(origin), ClosedBy::Client(origin)), NOW)
}

fn step(orderer: &mut Orderer, db: &Database) -> Vec<(Txn, Option<Closing>)> {
    orderer.begin_step(db.applied());
    std::iter::from_fn(|| orderer.next_end(db, NOW)).collect()
}

#[test]
fn session_with_many_nodes_ends_in_bounded_portions_and_others_beside_it() {
    let mut db = database();
    let mut orderer = orderer(&db);
    assert!(close(&mut orderer, LARGE).is_none() && close(&mut orderer, SMALL).is_none());
    let Some(Ordered::Txn(refusal)) = close(&mut orderer, LARGE) else {
        panic!("it has begun to end")
    };
    assert_eq!(refusal.body, TxnBody::Error(Code::SessionExpired));
    db.apply(&refusal, Interest::None);
    let (mut ends, mut portions) = (Vec::new(), 0);
    while orderer.wants_step(db.applied()) {
        let ordered = step(&mut orderer, &db);
        assert!(step(&mut orderer, &db).is_empty(), "the next portion waits for this one");
        for (txn, ended) in ordered {
            let mut bytes = Vec::new();
            txn.write(&mut bytes);
            assert!(bytes.len() < 2 * limits::CLOSE_BYTES_MAX, "{} bytes", bytes.len());
            db.apply(&txn, Interest::None);
            portions += usize::from(ended.is_none());
            ends.extend(ended.map(|ended| (ended.caller.session, portions)));
        }
    }
    let most = limits::CLOSE_BYTES_MAX / (64 + "/node-1234".len());
    let expected = (NODES as usize - 1) / most;
    assert_eq!(ends, [(SMALL, 1), (LARGE, expected)], "the small one need not wait long");
    assert_eq!(db.tree.ephemerals_count(), 0);
    assert_eq!(db.sessions().count(), 0);
}

#[test]
fn ends_wait_while_the_log_has_no_space_and_go_on_when_it_has() {
    let mut db = database();
    let mut orderer = orderer(&db);
    assert!(close(&mut orderer, LARGE).is_none());
    let first = step(&mut orderer, &db);
    first.iter().for_each(|(txn, _)| drop(db.apply(txn, Interest::None)));
    orderer.admit(WriteAdmission::None);
    assert!(!orderer.wants_step(db.applied()) && step(&mut orderer, &db).is_empty());
    orderer.admit(WriteAdmission::CloseOnly);
    assert!(orderer.wants_step(db.applied()) && !step(&mut orderer, &db).is_empty());
}

#[test]
fn whatever_many_sessions_own_one_step_orders_a_bounded_part_of_it() {
    let db = database();
    let mut orderer = orderer(&db);
    orderer.expire(Now { mono: Millis(1_000_000), ..NOW });
    assert_eq!(orderer.closing.len(), 2);
    let ordered = step(&mut orderer, &db);
    assert!(matches!(&ordered[..], [(_, None)]), "one portion: {}", ordered.len());
    assert_eq!(orderer.closing.take_clients().len(), 0, "no client waits for an expiry");
}

#[test]
fn client_that_waits_for_a_portion_is_known_when_this_server_orders_no_more() {
    let db = database();
    let mut orderer = orderer(&db);
    close(&mut orderer, LARGE);
    step(&mut orderer, &db);
    let waiting = orderer.closing.take_clients();
    assert_eq!(waiting.iter().map(|origin| origin.conn).collect::<Vec<_>>(), [ConnId(7)]);
    assert!(!orderer.wants_step(Zxid(u64::MAX)));
}
