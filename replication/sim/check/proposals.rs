//! Is there one transaction for each zxid, and one history that leads to it? Who leads an epoch is
//! alone in ordering its transactions, and begins them behind one history; so whatever is in any
//! log can be told by where it ends.

use std::collections::BTreeMap;
use std::rc::Rc;

use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{SessionId, Zxid};

use super::ensembles::OneEnsemble;

/// Everything that any leader has ordered.
#[derive(Default)]
pub(crate) struct Proposals {
    all: BTreeMap<Zxid, Ordered>,
    /// The timeouts of sessions, milliseconds.
    timeouts: BTreeMap<SessionId, i32>,
    /// Which ensemble its leaders lead.
    pub(crate) ensemble: OneEnsemble,
}

/// A transaction as a leader has ordered it.
#[derive(Debug)]
struct Ordered {
    txn: Rc<Txn>,
    /// As it is written.
    bytes: Box<[u8]>,
    /// The transaction before it.
    before: Zxid,
}

impl Proposals {
    /// A leader orders a transaction behind its history.
    pub(crate) fn ordered(&mut self, (txn, bytes): (&Rc<Txn>, &[u8]), before: Zxid) {
        assert!(txn.zxid.may_follow(before), "{} is ordered behind {before}", txn.zxid);
        if let TxnBody::CreateSession { timeout_ms } = txn.body {
            self.timeouts.insert(txn.session, timeout_ms);
        }
        let ordered = Ordered { txn: txn.clone(), bytes: bytes.into(), before };
        let known = self.all.insert(txn.zxid, ordered);
        assert!(known.is_none(), "{} is ordered by two leaders: {known:?}, {txn:?}", txn.zxid);
    }

    /// A server on its own has ordered these; several may have its copy.
    pub(crate) fn ordered_alone(&mut self, txns: &[Rc<Txn>]) {
        if txns.last().is_some_and(|last| self.all.contains_key(&last.zxid)) {
            return;
        }
        let mut before = Zxid::ZERO;
        for txn in txns {
            let mut bytes = Vec::new();
            txn.write(&mut bytes);
            self.ordered((txn, &bytes), before);
            before = txn.zxid;
        }
    }

    /// A member takes a transaction for the next one of its log. It is the same as this one.
    pub(crate) fn learned(&self, txn: &Txn, before: Zxid) -> Rc<Txn> {
        let Some(ordered) = self.all.get(&txn.zxid) else {
            panic!("{} was never ordered: {txn:?}", txn.zxid)
        };
        let is_same = std::ptr::eq(txn, &*ordered.txn) || *txn == *ordered.txn;
        assert!(is_same, "another transaction is learned than was ordered: {txn:?}, {ordered:?}");
        ordered.follows(before);
        ordered.txn.clone()
    }

    /// As [`Proposals::learned`], of a transaction as it is written.
    pub(crate) fn learned_bytes(&self, (zxid, bytes): (Zxid, &[u8]), before: Zxid) -> Rc<Txn> {
        match self.written(zxid, bytes) {
            Some(ordered) => {
                ordered.follows(before);
                ordered.txn.clone()
            }
            None => self.learned(&read(bytes), before),
        }
    }

    /// The transaction that is written like this.
    pub(crate) fn find(&self, zxid: Zxid, bytes: &[u8]) -> Option<Rc<Txn>> {
        self.written(zxid, bytes).map(|ordered| ordered.txn.clone())
    }

    fn written(&self, zxid: Zxid, bytes: &[u8]) -> Option<&Ordered> {
        self.all.get(&zxid).filter(|ordered| *ordered.bytes == *bytes)
    }

    /// The transactions up to this one.
    pub(crate) fn until(&self, last: Zxid) -> Vec<Rc<Txn>> {
        let (mut found, mut at) = (Vec::new(), last);
        while at != Zxid::ZERO {
            let ordered = self.all.get(&at).expect("a state is that of a history");
            found.push(ordered.txn.clone());
            at = ordered.before;
        }
        found.reverse();
        found
    }

    /// The timeout of a session, milliseconds.
    pub(crate) fn timeout_ms(&self, session: SessionId) -> i32 {
        *self.timeouts.get(&session).expect("a session that ends was begun")
    }
}

impl Ordered {
    /// It stands behind this one.
    fn follows(&self, before: Zxid) {
        let zxid = self.txn.zxid;
        assert_eq!(before, self.before, "a log has a hole, or a foreign tail, before {zxid}");
    }
}

fn read(bytes: &[u8]) -> Txn {
    Txn::read(bytes).expect("what was written can be read")
}

/// Whether two histories are one.
pub(crate) fn are_same(one: &[Rc<Txn>], other: &[Rc<Txn>]) -> bool {
    let is_same = |(a, b): (&Rc<Txn>, &Rc<Txn>)| Rc::ptr_eq(a, b) || a == b;
    one.len() == other.len() && one.iter().zip(other).all(is_same)
}
