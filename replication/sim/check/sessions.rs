//! Do ephemerals live as long as their sessions, and are the sessions those of the history?

use std::collections::BTreeMap;
use std::rc::Rc;

use ringkeeper_engine::SessionId;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::txn::{NodeKind, Txn, TxnBody};

/// Looks at a state behind this history.
pub(crate) fn check(db: &Database, history: &[Rc<Txn>]) {
    let mut expected: BTreeMap<SessionId, i32> = BTreeMap::new();
    for txn in history {
        match txn.body {
            TxnBody::CreateSession { timeout_ms } => {
                expected.insert(txn.session, timeout_ms);
            }
            TxnBody::CloseSession { .. } => {
                expected.remove(&txn.session);
            }
            _ => {}
        }
    }
    assert!(db.sessions().eq(expected.clone()), "the sessions at {}", db.applied());
    let mut paths = vec![String::new()];
    while let Some(path) = paths.pop() {
        let id = db.tree.find(&path).expect("its parent has it");
        paths.extend(db.tree.child_nodes(id).map(|child| db.tree.path_of(child)));
        if let NodeKind::Ephemeral(owner) = db.tree.kind(id) {
            assert!(expected.contains_key(&owner), "{path} outlives its session {owner}");
        }
    }
}
