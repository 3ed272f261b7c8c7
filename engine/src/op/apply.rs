//! Applying a transaction: what an operation changes, and what it answers.

use std::sync::Arc;

use crate::tree::{NodeId, Tree};
use crate::txn::{AclList, CreateOp};
use crate::watch::ChangeKind;
use crate::wire::Stat;
use crate::{Code, Millis, Zxid, path};

/// The result of one operation. Stats are boxed: most results carry none.
#[derive(Clone, PartialEq, Debug)]
pub enum OpResult {
    /// A node was created.
    Created {
        /// The operation of the request.
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
    /// The members of the ensemble were changed; the reply is that of a getData.
    Reconfigured {
        /// The configuration as text.
        data: Option<Box<[u8]>>,
        /// The stat of the node that shows it.
        stat: Box<Stat>,
    },
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
    None,
    /// Some shard holds a watch.
    Watched,
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

impl<'a> Applying<'a> {
    pub(crate) fn new(
        tree: &'a mut Tree,
        zxid: Zxid,
        time: Millis,
        interest: Interest,
    ) -> Applying<'a> {
        Applying { tree, zxid, time, interest, changes: Vec::new() }
    }

    /// The changes reported, in order.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

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
        if self.interest == Interest::None {
            return;
        }
        let acl = self.tree.acl(id).clone();
        let parent = self.tree.parent(id).unwrap_or(id);
        let parent_acl = self.tree.acl(parent).clone();
        debug_assert!(path::parent(path).is_some());
        self.changes.push(Change { kind, path: path.clone(), acl, parent_acl });
    }
}
