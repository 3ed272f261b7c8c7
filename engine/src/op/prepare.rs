//! What a write is checked against: the tree as it will be when everything ordered is applied.

use std::sync::Arc;

use super::OpSettings;
use super::outstanding::{OutstandingChanges, Znode};
use super::quota_notes::QuotaNotes;
use crate::acl;
use crate::limits::QUOTA_TEXT_BYTES_MAX;
use crate::tree::{QuotaLimit, QuotaVerdict, Tree, is_quota_text};
use crate::txn::AclList;
use crate::wire::{Id, SentAcl};
use crate::{Code, SessionId, Zxid};

/// The view and the tools of one request that is being prepared.
pub struct Prepare<'a> {
    /// The committed tree.
    pub tree: &'a Tree,
    /// What is ordered but not applied yet.
    pub pending: &'a mut OutstandingChanges,
    /// The settings.
    pub settings: &'a OpSettings,
    /// Quotas that requests exceed, for the log and the metrics.
    pub notes: &'a mut QuotaNotes,
    /// The identities of the connection that sent the request.
    pub ids: &'a [Id],
    /// The session of the request.
    pub session: SessionId,
    /// The zxid that this request will have.
    pub zxid: Zxid,
    /// Bytes of identities that `auth` may still put into the lists of this request.
    pub expandable: usize,
}

impl Prepare<'_> {
    /// The node as it will be.
    pub fn node(&self, path: &str) -> Result<Znode, Code> {
        match self.pending.get(path) {
            Some(Some(node)) => Ok(node.clone()),
            Some(None) => Err(Code::NoNode),
            None => self.committed(path).ok_or(Code::NoNode),
        }
    }

    /// Whether the node will exist.
    pub fn exists(&self, path: &str) -> bool {
        match self.pending.get(path) {
            Some(node) => node.is_some(),
            None => self.tree.find(path).is_some(),
        }
    }

    fn committed(&self, path: &str) -> Option<Znode> {
        let id = self.tree.find(path)?;
        Some(Znode {
            version: self.tree.version(id),
            aversion: self.tree.aversion(id),
            acl: self.tree.acl(id).clone(),
            kind: self.tree.kind(id),
            children: self.tree.child_count(id),
            created: self.tree.created_children(id),
        })
    }

    /// Notes what the node at `path` will be, for the requests behind this one.
    pub fn put(&mut self, path: &Arc<str>, node: Znode) {
        self.pending.put(path, path.len(), self.zxid, Some(node));
    }

    /// As [`Prepare::put`], for the parent of `path`: the key shares the child's path.
    pub fn put_parent(&mut self, path: &Arc<str>, node: Znode) {
        let len = crate::path::parent(path).expect("a prepared path has a parent").len();
        self.pending.put(path, len, self.zxid, Some(node));
    }

    /// Notes that the node at `path` will be gone.
    pub fn remove(&mut self, path: &Arc<str>) {
        self.pending.put(path, path.len(), self.zxid, None);
    }

    /// The list that a node gets where the request sets `list`. Refuses lists that are wrong or too
    /// large, and large ones where those of the tree take too much memory already.
    pub fn fix_up(&mut self, list: &[SentAcl]) -> Result<AclList, Code> {
        let fixed = acl::fix_up(list, self.ids, &self.settings.auth, &mut self.expandable)?;
        if self.tree.has_acl_capacity(&fixed) { Ok(fixed) } else { Err(Code::QuotaExceeded) }
    }

    /// Refuses data of a quota's node that is longer than what is read of it.
    pub fn permit_quota_text(&self, path: &str, data: Option<&[u8]>) -> Result<(), Code> {
        let bytes = data.map_or(0, <[u8]>::len);
        let is_too_long = bytes > QUOTA_TEXT_BYTES_MAX && is_quota_text(path);
        if is_too_long { Err(Code::BadArguments) } else { Ok(()) }
    }

    /// Refuses where the connection lacks the permission on a node with this ACL.
    pub fn permit(&self, acl: &AclList, perm: i32) -> Result<(), Code> {
        if acl::allowed(acl, perm, self.ids, &self.settings.auth) {
            Ok(())
        } else {
            Err(Code::NoAuth)
        }
    }

    /// Refuses where a hard quota would be exceeded. Usage is the committed one, so one multi can
    /// overshoot, as in ZooKeeper.
    pub fn check_quota(&mut self, path: &str, count: i64, bytes: i64) -> Result<(), Code> {
        if !self.settings.enforce_quota {
            return Ok(());
        }
        match self.tree.quota_excess(path, count, bytes) {
            QuotaVerdict::HardExceeded(excess) => {
                self.notes.note(QuotaLimit::Hard, excess);
                Err(Code::QuotaExceeded)
            }
            QuotaVerdict::SoftExceeded(excess) => {
                self.notes.note(QuotaLimit::Soft, excess);
                Ok(())
            }
            QuotaVerdict::Unreadable { .. } => Err(Code::MarshallingError),
            QuotaVerdict::Within => Ok(()),
        }
    }
}
