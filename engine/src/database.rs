//! The replicated state: the tree and the sessions, changed by [`Database::apply`] alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::op::{create, delete, multi, session, set_acl, set_data};
use crate::tree::{Digest, NodeId, Tree};
use crate::txn::{AclList, CreateOp, Txn, TxnBody};
use crate::watch::ChangeKind;
use crate::wire::Stat;
use crate::{Code, Millis, SessionId, Zxid, path};

/// Everything that committed transactions have made.
pub struct Database {
    /// The znodes.
    pub tree: Tree,
    sessions: BTreeMap<SessionId, i32>,
    digests: VecDeque<(Zxid, u64)>,
}

/// Every so many zxids the digest of the tree is noted, for comparison between servers.
const DIGEST_INTERVAL: u64 = 128;
/// How many noted digests are kept.
const DIGESTS_MAX: usize = 1_024;

/// What applying one transaction did.
#[derive(Debug)]
pub struct Applied {
    /// The transaction.
    pub zxid: Zxid,
    /// What the client is told.
    pub result: OpResult,
    /// What watches may fire on, in order; empty where nobody watches.
    pub changes: Vec<Change>,
}

/// The result of one operation. Stats are boxed: most results carry none.
#[derive(Clone, PartialEq, Debug)]
pub enum OpResult {
    /// A node was created.
    Created {
        /// Which operation asked.
        op: CreateOp,
        /// Its final path.
        path: Arc<str>,
        /// Its stat.
        stat: Box<Stat>,
    },
    /// A node was deleted.
    Deleted,
    /// Data was set.
    Set(Box<Stat>),
    /// An ACL was set.
    AclSet(Box<Stat>),
    /// A version was checked.
    Checked,
    /// The results of a multi, or its refusals.
    Multi(Vec<OpResult>),
    /// A session has begun.
    SessionOpened,
    /// A session has ended.
    SessionClosed,
    /// The request was refused when it was ordered.
    Refused(Code),
}

/// A change of one node, as watches see it. It carries the ACLs as they were at the change,
/// because delivery is filtered by them.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The node.
    pub path: Arc<str>,
    /// Its ACL.
    pub acl: AclList,
    /// The ACL of its parent, for the event about the parent's children.
    pub parent_acl: AclList,
}

/// Whether changes are worth reporting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// No shard holds a watch.
    Nobody,
    /// Some shard holds a watch.
    Somebody,
}

/// The database while one transaction is applied.
pub struct Applying<'a> {
    /// The znodes.
    pub tree: &'a mut Tree,
    /// The transaction.
    pub zxid: Zxid,
    /// Its time.
    pub time: Millis,
    interest: Interest,
    changes: Vec<Change>,
}

impl Database {
    /// A fresh server's state, or a loaded one.
    pub fn new(tree: Tree, sessions: impl IntoIterator<Item = (SessionId, i32)>) -> Database {
        let sessions = sessions.into_iter().collect();
        Database { tree, sessions, digests: VecDeque::new() }
    }

    /// The last zxid applied.
    pub fn applied(&self) -> Zxid {
        self.tree.applied()
    }

    /// The sessions with their timeouts in milliseconds, as of [`Database::applied`].
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> {
        self.sessions.iter().map(|(id, timeout)| (*id, *timeout))
    }

    /// Digests of the tree at every 128th zxid since the start, the newest 1,024 of them, the
    /// oldest first. None where digests are not kept.
    pub fn digests(&self) -> impl Iterator<Item = (Zxid, u64)> {
        self.digests.iter().copied()
    }

    fn note_digest(&mut self, zxid: Zxid) {
        if !zxid.0.is_multiple_of(DIGEST_INTERVAL) || self.tree.digest_mode() == Digest::Off {
            return;
        }
        if self.digests.len() == DIGESTS_MAX {
            self.digests.pop_front();
        }
        self.digests.push_back((zxid, self.tree.digest()));
    }

    /// Applies one committed transaction. It cannot be refused any more.
    ///
    /// Invariant: zxids arrive in order without a gap inside an epoch.
    pub fn apply(&mut self, txn: &Txn, interest: Interest) -> Applied {
        let last = self.tree.applied();
        let follows = last.next() == Some(txn.zxid) || txn.zxid.epoch() > last.epoch();
        assert!(follows, "transaction {} cannot follow {last}", txn.zxid);
        let mut applying = Applying {
            tree: &mut self.tree,
            zxid: txn.zxid,
            time: txn.time,
            interest,
            changes: Vec::new(),
        };
        let result = apply_body(&txn.body, &mut applying);
        let changes = applying.changes;
        match txn.body {
            TxnBody::CreateSession { timeout_ms } => {
                self.sessions.insert(txn.session, timeout_ms);
            }
            TxnBody::CloseSession { .. } => {
                self.sessions.remove(&txn.session);
            }
            _ => {}
        }
        self.tree.set_applied(txn.zxid);
        self.note_digest(txn.zxid);
        Applied { zxid: txn.zxid, result, changes }
    }
}

fn apply_body(body: &TxnBody, applying: &mut Applying<'_>) -> OpResult {
    match body {
        TxnBody::Create(create) => create::apply(create, applying),
        TxnBody::Delete { path, .. } => delete::apply(path, applying),
        TxnBody::SetData { path, data, version } => {
            set_data::apply(path, data.as_deref(), *version, applying)
        }
        TxnBody::SetAcl { path, acl, version } => set_acl::apply(path, acl, *version, applying),
        TxnBody::Check { .. } => OpResult::Checked,
        TxnBody::Multi(bodies) => multi::apply(bodies, applying),
        TxnBody::CreateSession { .. } => OpResult::SessionOpened,
        TxnBody::CloseSession { paths } => session::apply_close(paths, applying),
        TxnBody::Error(code) => OpResult::Refused(*code),
    }
}

impl Applying<'_> {
    /// Reports a node that has just been created.
    pub(crate) fn created(&mut self, path: &Arc<str>, id: NodeId) {
        self.report(ChangeKind::Created, path, id);
    }

    /// Reports a node that is about to be deleted.
    pub(crate) fn deleted(&mut self, path: &Arc<str>, id: NodeId) {
        self.report(ChangeKind::Deleted, path, id);
    }

    /// Reports a node whose data has been set.
    pub(crate) fn data_changed(&mut self, path: &Arc<str>, id: NodeId) {
        self.report(ChangeKind::DataChanged, path, id);
    }

    fn report(&mut self, kind: ChangeKind, path: &Arc<str>, id: NodeId) {
        if self.interest == Interest::Nobody {
            return;
        }
        let acl = self.tree.acl(id).clone();
        let parent = self.tree.parent(id).unwrap_or(id);
        let parent_acl = self.tree.acl(parent).clone();
        debug_assert!(path::parent(path).is_some());
        self.changes.push(Change { kind, path: path.clone(), acl, parent_acl });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_128th_digest_is_kept_for_a_while() {
        let mut tree = Tree::new(0);
        tree.keep_digest(Digest::Kept);
        let mut db = Database::new(tree, []);
        let last = DIGEST_INTERVAL * (DIGESTS_MAX as u64 + 2);
        for zxid in 1..=last {
            let body = TxnBody::Error(Code::NoNode);
            let session = SessionId::NONE;
            let txn = Txn { session, cxid: 0, zxid: Zxid(zxid), time: Millis(0), body };
            db.apply(&txn, Interest::Nobody);
        }
        let noted: Vec<Zxid> = db.digests().map(|(zxid, _)| zxid).collect();
        assert_eq!(noted.len(), DIGESTS_MAX);
        assert_eq!((noted[0], noted[DIGESTS_MAX - 1]), (Zxid(3 * DIGEST_INTERVAL), Zxid(last)));
        assert!(db.digests().all(|(_, digest)| digest == db.tree.digest()));
    }
}
