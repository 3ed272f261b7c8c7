//! Is nothing that was acknowledged lost or doubled? Every write of a client is in the committed
//! history once at most, and one that was acknowledged is there, at the zxid that its answer had.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Code, SessionId, Zxid};

/// What clients were answered.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// The zxids of writes by session and number.
    writes: BTreeMap<(SessionId, i32), Zxid>,
}

impl Acknowledged {
    /// A write was answered.
    pub(crate) fn answered(&mut self, session: SessionId, cxid: i32, zxid: i64) {
        let before = self.writes.insert((session, cxid), Zxid::from_wire(zxid));
        assert!(before.is_none(), "{session} is answered twice for {cxid}");
    }

    /// Compares with everything that is committed.
    pub(crate) fn check(&self, truth: &[Rc<Txn>], members: u8) {
        let mut found = BTreeSet::new();
        let is_clients = |txn: &&Rc<Txn>| (1..=i64::from(members)).contains(&(txn.session.0 >> 56));
        for txn in truth.iter().filter(is_clients).filter(|txn| txn.cxid > 0) {
            let is_new = found.insert((txn.session, txn.cxid));
            assert!(is_new || is_close(txn), "a write was ordered twice: {txn:?}");
        }
        for ((session, cxid), zxid) in &self.writes {
            let at = truth.binary_search_by_key(zxid, |txn| txn.zxid);
            let txn = at.ok().map(|at| &truth[at]);
            let is_there = txn.is_some_and(|txn| (txn.session, txn.cxid) == (*session, *cxid));
            assert!(is_there, "{session} was answered for {cxid} at {zxid}, and that is lost");
        }
    }
}

/// A close that is sent twice is refused the second time.
fn is_close(txn: &Txn) -> bool {
    let refusals = [Code::SessionExpired, Code::SessionMoved].map(TxnBody::Error);
    matches!(txn.body, TxnBody::CloseSession { .. }) || refusals.contains(&txn.body)
}
