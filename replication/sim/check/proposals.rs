//! Is there one transaction for each zxid, and one history that leads to it? Who leads an epoch is
//! alone in ordering its transactions, and begins them behind one history; so whatever is in any
//! log can be told by where it ends.

use std::collections::BTreeMap;

use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{SessionId, Zxid};

use super::ensembles::OneEnsemble;

/// Everything that any leader has ordered.
#[derive(Default)]
pub(crate) struct Proposals {
    /// Each with the transaction before it.
    all: BTreeMap<Zxid, (Txn, Zxid)>,
    /// The timeouts of sessions, milliseconds.
    timeouts: BTreeMap<SessionId, i32>,
    /// Which ensemble its leaders lead.
    pub(crate) ensemble: OneEnsemble,
}

impl Proposals {
    /// A leader orders a transaction behind its history.
    pub(crate) fn ordered(&mut self, txn: &Txn, before: Zxid) {
        assert!(txn.zxid.may_follow(before), "{} is ordered behind {before}", txn.zxid);
        if let TxnBody::CreateSession { timeout_ms } = txn.body {
            self.timeouts.insert(txn.session, timeout_ms);
        }
        let known = self.all.insert(txn.zxid, (txn.clone(), before));
        assert!(known.is_none(), "{} is ordered by two leaders: {known:?}, {txn:?}", txn.zxid);
    }

    /// A server on its own has ordered these; several may have its copy.
    pub(crate) fn ordered_alone(&mut self, txns: &[Txn]) {
        if txns.last().is_some_and(|last| self.all.contains_key(&last.zxid)) {
            return;
        }
        let mut before = Zxid::ZERO;
        for txn in txns {
            self.ordered(txn, before);
            before = txn.zxid;
        }
    }

    /// A member takes a transaction for the next one of its log.
    pub(crate) fn learned(&self, txn: &Txn, before: Zxid) {
        let Some((ordered, expected)) = self.all.get(&txn.zxid) else {
            panic!("{} was never ordered: {txn:?}", txn.zxid)
        };
        assert_eq!(txn, ordered, "another transaction is learned than was ordered");
        assert_eq!(before, *expected, "a log has a hole, or a foreign tail, before {}", txn.zxid);
    }

    /// The transactions up to this one.
    pub(crate) fn until(&self, last: Zxid) -> Vec<Txn> {
        let (mut found, mut at) = (Vec::new(), last);
        while at != Zxid::ZERO {
            let (txn, before) = self.all.get(&at).expect("a state is that of a history");
            found.push(txn.clone());
            at = *before;
        }
        found.reverse();
        found
    }

    /// The timeout of a session, milliseconds.
    pub(crate) fn timeout_ms(&self, session: SessionId) -> i32 {
        *self.timeouts.get(&session).expect("a session that ends was begun")
    }
}
