//! Orders writes: every zxid is assigned here.

use std::sync::Arc;

use crate::database::Database;
use crate::limits::TXN_EXPANDED_BYTES_MAX;
pub use crate::op::QuotaNotes;
use crate::op::session::ClosePart;
use crate::op::{OpSettings, OutstandingChanges, Prepare, Write, session};
use crate::txn::{Txn, TxnBody};
use crate::wire::Id;
use crate::{Code, Millis, SessionId, Zxid};

/// Whether the end of a session is ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionEnd {
    /// It is.
    Ordered,
    /// Nodes of it are left, which go first.
    Due,
}

/// The client behind a write, for the checks against ACLs and for the transaction's header.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The session; [`SessionId::NONE`] for the server itself.
    pub session: SessionId,
    /// The client's number of the request.
    pub cxid: i32,
    /// The identities of the connection, as they were when the request arrived.
    pub ids: Arc<[Id]>,
}

/// Assigns zxids, and decides what each request changes.
pub struct Sequencer {
    last: Zxid,
    pending: OutstandingChanges,
    settings: OpSettings,
    notes: QuotaNotes,
}

impl Sequencer {
    /// Goes on behind `last`. `seed` is the hash seed of the pending changes.
    pub fn new(last: Zxid, settings: OpSettings, seed: u64) -> Sequencer {
        let notes = QuotaNotes::default();
        Sequencer { last, pending: OutstandingChanges::new(seed), settings, notes }
    }

    /// The last zxid assigned.
    pub fn last(&self) -> Zxid {
        self.last
    }

    /// Whether the epoch has a zxid left. Where it has not, a new epoch must begin first.
    pub fn can_order(&self) -> bool {
        self.last.next().is_some()
    }

    /// Begins a new epoch, in which counters start at 1 again (hazard 15).
    pub fn begin_epoch(&mut self, epoch: u32) {
        assert!(epoch > self.last.epoch(), "epochs only move forward");
        self.last = Zxid::new(epoch, 0);
    }

    fn next(&mut self) -> Zxid {
        self.last = self.last.next().expect("the caller looked at can_order");
        self.last
    }

    /// Orders a write. A refused one gets a zxid too (`TxnBody::Error`), so that its error is
    /// answered in turn.
    pub fn order(&mut self, db: &Database, caller: &Caller, write: Write, now: Millis) -> Txn {
        let zxid = self.next();
        let mut prepare = self.prepare(db, caller);
        let body = write.prepare(&mut prepare).unwrap_or_else(TxnBody::Error);
        Txn { session: caller.session, cxid: caller.cxid, zxid, time: now, body }
    }

    /// Orders a refusal that was decided outside (an expired session, for example).
    pub fn order_refusal(&mut self, caller: &Caller, code: Code, now: Millis) -> Txn {
        let zxid = self.next();
        let body = TxnBody::Error(code);
        Txn { session: caller.session, cxid: caller.cxid, zxid, time: now, body }
    }

    /// Orders the beginning of a session.
    pub fn order_open(&mut self, session: SessionId, timeout_ms: i32, now: Millis) -> Txn {
        let zxid = self.next();
        let body = TxnBody::CreateSession { timeout_ms };
        Txn { session, cxid: 0, zxid, time: now, body }
    }

    /// Orders the end of a session.
    pub fn order_close(&mut self, db: &Database, caller: &Caller, now: Millis) -> Txn {
        let zxid = self.next();
        let body = session::prepare_close(&mut self.prepare(db, caller));
        Txn { session: caller.session, cxid: caller.cxid, zxid, time: now, body }
    }

    /// Orders the end of a session, or a portion of its ephemeral nodes where those are more than a
    /// transaction should have: whoever reads meanwhile sees some of them gone and some not. The
    /// portions are the server's own transactions. `bytes_left` is what this step may still order
    /// of such ends. Also says whether the session has ended.
    pub fn order_close_part(
        &mut self,
        db: &Database,
        caller: &Caller,
        bytes_left: &mut usize,
        now: Millis,
    ) -> (Txn, SessionEnd) {
        let zxid = self.next();
        match session::prepare_close_part(&mut self.prepare(db, caller), bytes_left) {
            ClosePart::End(body) => {
                let Caller { session, cxid, .. } = *caller;
                (Txn { session, cxid, zxid, time: now, body }, SessionEnd::Ordered)
            }
            ClosePart::Portion(body) => {
                let session = SessionId::NONE;
                (Txn { session, cxid: 0, zxid, time: now, body }, SessionEnd::Due)
            }
        }
    }

    fn prepare<'a>(&'a mut self, db: &'a Database, caller: &'a Caller) -> Prepare<'a> {
        Prepare {
            tree: &db.tree,
            pending: &mut self.pending,
            settings: &self.settings,
            notes: &mut self.notes,
            ids: &caller.ids,
            session: caller.session,
            zxid: self.last,
            expandable: TXN_EXPANDED_BYTES_MAX,
        }
    }

    /// Quotas that requests exceeded since the last call.
    pub fn take_notes(&mut self) -> Option<QuotaNotes> {
        (!self.notes.is_empty()).then(|| std::mem::take(&mut self.notes))
    }

    /// Everything up to `zxid` is in the tree now.
    pub fn applied(&mut self, zxid: Zxid) {
        self.pending.applied(zxid);
    }
}
