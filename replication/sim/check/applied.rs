//! Is what members apply what the ensemble has committed? In its order, and with the digest that
//! the leader's state had behind each transaction: two members at one zxid have one state.

use std::rc::Rc;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::txn::Txn;

/// How far a member was compared.
#[derive(Clone, Copy, Default)]
pub(crate) struct Compared {
    /// Transactions that are the ensemble's.
    txns: usize,
    /// What was recovered or received is part of what is committed only once the leader serves.
    unknown: bool,
}

impl Compared {
    /// A process has started on so many transactions, or has received them. Which of them are
    /// committed is seen once its leader serves it.
    pub(crate) fn with_unknown(txns: usize) -> Compared {
        Compared { txns, unknown: true }
    }

    /// Compares what a member has applied with what is committed.
    pub(crate) fn compare(&mut self, history: &[Rc<Txn>], truth: &[Rc<Txn>], is_served: bool) {
        if self.unknown && is_served {
            *self = Compared::default();
        }
        for (at, txn) in history.iter().enumerate().skip(self.txns) {
            let committed = truth.get(at);
            assert_eq!(Some(txn), committed, "{} is applied before it is committed", txn.zxid);
        }
        self.txns = history.len().max(self.txns);
    }
}

/// The state behind the last transaction of a history has the leader's digest.
pub(crate) fn check_digest(history: &[Rc<Txn>], digests: &[u64], db: &Database) {
    let Some(expected) = history.len().checked_sub(1).and_then(|at| digests.get(at)) else {
        return;
    };
    assert_eq!(db.tree.digest(), *expected, "the digest at {}", db.applied());
}
