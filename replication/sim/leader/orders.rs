//! What clients of other servers order: transactions of every kind.

use std::sync::Arc;

use ringkeeper_engine::client::{Create, CreateMode, Request};
use ringkeeper_engine::op::Write;
use ringkeeper_engine::op::delete::DeleteSpent;
use ringkeeper_engine::sequencer::{Caller, Sequencer};
use ringkeeper_engine::txn::{NodeKind, Txn, TxnBody};
use ringkeeper_engine::wire::{Acl, Id, Reader};
use ringkeeper_engine::{Code, Millis, SessionId};

use super::super::random::Random;
use super::super::requests::PATHS;
use super::super::server::{HASH_SEED, op_settings};
use super::{Ensemble, OTHER_SESSION};

/// Sessions of other servers' clients at one time, about.
const SESSIONS: usize = 4;

/// A request as its bytes say.
pub(super) fn write_of(request: &Request<'_>) -> Write {
    let mut record = Vec::new();
    request.write(&mut record);
    Write::decode(request.op(), &mut Reader::new(&record)).expect("it is a write")
}

fn caller(session: SessionId) -> Caller {
    let ids = Arc::from([Id { scheme: "ip".into(), id: "::1".into() }]);
    Caller { session, cxid: 1, ids }
}

impl Ensemble {
    /// A client of another server writes, begins or ends a session, or an operator changes the
    /// members.
    pub(crate) fn order_other(&mut self, chance: &mut Random, now: Millis) {
        if !self.is_established {
            return;
        }
        let others = self.db.sessions().map(|(id, _)| id).filter(|id| id.0 >= OTHER_SESSION.0);
        let others: Vec<SessionId> = others.collect();
        let session = if others.is_empty() { OTHER_SESSION } else { *chance.pick(&others) };
        match chance.below(20) {
            0 if others.len() < SESSIONS => {
                self.others_opened += 1;
                let session = SessionId(OTHER_SESSION.0 + self.others_opened);
                let txn = self.sequencer.order_open(session, 600 + 700 * others.len() as i32, now);
                self.touch(session, now);
                self.order(txn);
            }
            1 if !others.is_empty() => {
                let txn = self.sequencer.order_close(&self.db, &caller(session), now);
                self.order(txn);
            }
            2 => self.reconfigure(session, now),
            3 => self.remove_spent(session, now),
            _ => {
                let write = random_write(chance, !others.is_empty());
                self.order_write(&caller(session), write, now);
            }
        }
    }

    /// The members change: to the same ones, under the next version.
    fn reconfigure(&mut self, session: SessionId, now: Millis) {
        let mut txn = self.sequencer.order_refusal(&caller(session), Code::Ok, now);
        let text = format!("server.2=a\nversion={:x}", txn.zxid.0);
        txn.body = TxnBody::Reconfig { data: Some(text.into_bytes().into()), version: -1 };
        self.order(txn);
    }

    /// The first container or TTL node without children goes.
    fn remove_spent(&mut self, session: SessionId, now: Millis) {
        let tree = &self.db.tree;
        let is_spent = |path: &&&str| {
            let Some(node) = tree.find(path) else { return false };
            let kind = tree.kind(node);
            let may_go = matches!(kind, NodeKind::Container | NodeKind::Ttl(_));
            may_go && tree.child_nodes(node).next().is_none()
        };
        if let Some(path) = PATHS.iter().find(is_spent) {
            let write = Write::DeleteSpent(DeleteSpent { path: (*path).into() });
            self.order_write(&caller(session), write, now);
        }
    }

    /// Orders a write. Of a multi that is refused, what was prepared by then is kept: other servers
    /// are sent it.
    pub(super) fn order_write(&mut self, caller: &Caller, write: Write, now: Millis) {
        let parts = match &write {
            Write::Multi(parts) => parts.clone(),
            _ => Vec::new(),
        };
        let txn = self.sequencer.order(&self.db, caller, write, now);
        self.note_prepared(caller, parts, &txn);
        self.order(txn);
    }

    fn note_prepared(&mut self, caller: &Caller, mut parts: Vec<Write>, txn: &Txn) {
        let TxnBody::Multi(bodies) = &txn.body else { return };
        let is_reason = |body: &TxnBody| matches!(body, TxnBody::Error(code) if *code != Code::Ok);
        let Some(failed) = bodies.iter().position(is_reason).filter(|failed| *failed > 0) else {
            return;
        };
        parts.truncate(failed);
        let mut sequencer = Sequencer::new(self.db.applied(), op_settings(), HASH_SEED);
        let again = sequencer.order(&self.db, caller, Write::Multi(parts), txn.time);
        let TxnBody::Multi(mut prepared) = again.body else { unreachable!("it is a multi") };
        assert!(!prepared.iter().any(|body| matches!(body, TxnBody::Error(_))), "it is prepared");
        prepared.extend_from_slice(&bodies[failed..]);
        self.prepared.insert(txn.zxid, TxnBody::Multi(prepared));
        self.seen.refused_multis += 1;
    }

    /// The transaction as other servers are sent it.
    pub(super) fn as_sent(&self, mut txn: Txn) -> Txn {
        if let Some(body) = self.prepared.get(&txn.zxid) {
            txn.body = body.clone();
        }
        txn
    }
}

fn random_write(chance: &mut Random, has_session: bool) -> Write {
    let (path, other) = (*chance.pick(&PATHS), *chance.pick(&PATHS));
    let (version, data) = (chance.below(3) as i32 - 1, [chance.below(256) as u8]);
    let modes = [
        CreateMode::Persistent,
        CreateMode::PersistentSequential,
        CreateMode::Container,
        CreateMode::Ttl(60_000),
        CreateMode::SequentialTtl(5_000),
        CreateMode::Ephemeral,
        CreateMode::EphemeralSequential,
    ];
    // Ephemerals belong to a session that lives.
    let mode = modes[chance.below(if has_session { modes.len() } else { 5 })];
    let strangers = Id { scheme: "ip".into(), id: "10.0.0.9".into() };
    let lists = [vec![Acl::open()], vec![Acl::open(), Acl { perms: 31, id: strangers }]];
    let acl = &lists[chance.below(2)][..];
    let create = Create { path, data: Some(&data), acl, mode };
    let parts = [
        Request::SetData { path: "/", data: Some(&data), version: -1 },
        Request::Create(Create { path: other, data: None, acl, mode: CreateMode::Persistent }),
        Request::Check { path, version },
        Request::Delete { path: other, version: -1 },
    ];
    let from = chance.below(3);
    let end = from + 1 + chance.below(4 - from);
    write_of(&match chance.below(12) {
        0..=3 => Request::Create(create),
        4 => Request::Create2(create),
        5..=6 => Request::Delete { path, version },
        7..=8 => Request::SetData { path, data: Some(&data), version },
        9 => Request::SetAcl { path, acl, version: -1 },
        _ => Request::Multi(&parts[from..end]),
    })
}
