//! The tree of znodes: what all reads are answered from and all transactions change.
//!
//! Nodes lie in fixed chunks (`slots`) and are found through an index over the hashes of their
//! full paths (`index`); siblings are chained, so that adding and removing a child costs the
//! same in a directory of three as of three million. Nothing here ever copies or rehashes
//! everything at once, because a pause of a second expires sessions.
//!
//! The tree is changed by applied transactions only, and they cannot be refused: whoever ordered
//! them has checked them, so one that does not fit ([`Misfit`]) is a bug of ours and stops the
//! process, or comes from a leader with another state.

mod acls;
mod change;
mod digest;
mod ephemerals;
mod expiry;
mod foreign;
mod image;
mod index;
mod load;
mod misfit;
mod node;
mod payload;
mod prefetch;
mod quota;
mod slots;
mod snapshot;
mod store;
mod walk;

use std::ops::Bound;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

pub use change::NewNode;
pub use digest::Digest;
pub use foreign::ForeignNode;
pub use image::{Corrupt, SnapshotHeader};
pub use load::TreeLoader;
pub use misfit::Misfit;
pub use node::NodeId;
pub use prefetch::Prefetch;
pub use quota::{QuotaExcess, QuotaLimit, QuotaOf, QuotaSum, QuotaVerdict, is_quota_text};
pub use snapshot::Progress;

use acls::AclTable;
use ephemerals::Ephemerals;
use expiry::Expiry;
use index::Index;
use node::Node;
use quota::Quotas;
use snapshot::Run;
use store::Store;

use crate::txn::{AclList, NodeKind};
use crate::wire::Stat;
use crate::{SessionId, Zxid};

/// The nodes that every tree has, beside the root.
const BUILT_IN: [&str; 3] = ["/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

/// All znodes at one zxid.
pub struct Tree {
    applied: Zxid,
    /// What replies say: see [`Tree::reply_zxid`].
    reply_zxid: Zxid,
    store: Store,
    index: Index,
    secrets: RapidSecrets,
    acls: AclTable,
    ephemerals: Ephemerals,
    expiry: Expiry,
    quotas: Quotas,
    digest: Digest,
    digest_sum: u64,
    /// The snapshot under way.
    run: Option<Box<Run>>,
    /// Lengths of all paths in UTF-16 units, as ZooKeeper counts them.
    path_units: u64,
    /// Room to spell paths in, kept to save allocations.
    scratch: String,
}

impl Tree {
    /// The zxid of the last transaction applied.
    pub fn applied(&self) -> Zxid {
        self.applied
    }

    /// Notes that a transaction was applied as a whole.
    pub fn set_applied(&mut self, zxid: Zxid) {
        assert!(zxid > self.applied, "{zxid} is applied after {}", self.applied);
        self.applied = zxid;
        match zxid.counter() {
            0 => self.note_newest(),
            _ => self.reply_zxid = zxid,
        }
    }

    /// The zxid that replies carry: that of the last transaction, as far as it is known.
    ///
    /// A state that came from a leader which had ordered nothing in its epoch is at the beginning
    /// of that epoch. That is no transaction, and the next leader's state may be the same at a
    /// smaller zxid: a client that had seen it would be refused as one from the future. So the
    /// newest zxid in such a state stands for it, and what a client has seen elsewhere.
    pub fn reply_zxid(&self) -> Zxid {
        self.reply_zxid
    }

    /// Looks at every node: for the beginning of an epoch only.
    fn note_newest(&mut self) {
        let (mut newest, mut nodes) = (self.reply_zxid, vec![NodeId::ROOT]);
        while let Some(id) = nodes.pop() {
            nodes.extend(self.child_nodes(id));
            let stat = self.stat(id);
            let zxids = [stat.czxid, stat.mzxid, stat.pzxid].map(Zxid::from_wire);
            newest = zxids.into_iter().filter(|zxid| *zxid <= self.applied).fold(newest, Zxid::max);
        }
        self.reply_zxid = newest;
    }

    /// The node of a path; `""` is the root as well, which clients may ask for.
    pub fn find(&self, path: &str) -> Option<NodeId> {
        if path.is_empty() || path == "/" {
            return Some(NodeId::ROOT);
        }
        self.find_hashed(self.hash(path), path)
    }

    /// What clients see of a node beside its data.
    pub fn stat(&self, id: NodeId) -> Stat {
        let node = self.node(id);
        let parts = node.payload.parts();
        let (change, children) = (self.store.last_change(id), self.store.children(id));
        Stat {
            czxid: node.czxid.to_wire(),
            mzxid: change.mzxid.to_wire(),
            ctime: node.ctime.0,
            mtime: change.mtime.0,
            version: change.version,
            cversion: self.store.created(id).wrapping_mul(2).wrapping_sub(children.into()) as i32,
            aversion: parts.aversion,
            ephemeral_owner: NodeKind::from_owner(parts.owner).visible_owner(),
            data_length: parts.data.map_or(0, <[u8]>::len) as i32,
            num_children: children as i32,
            pzxid: self.store.pzxid(id).to_wire(),
        }
    }

    /// The data; null and empty differ.
    pub fn data(&self, id: NodeId) -> Option<&[u8]> {
        self.node(id).payload.data()
    }

    /// Changes of the data.
    pub fn version(&self, id: NodeId) -> i32 {
        self.store.change(id).map_or(0, |change| change.version)
    }

    /// Changes of the ACL.
    pub fn aversion(&self, id: NodeId) -> i32 {
        self.node(id).payload.parts().aversion
    }

    /// The access control list.
    pub fn acl(&self, id: NodeId) -> &AclList {
        self.acls.get(self.node(id).acl)
    }

    /// Whether a node may get this list: whether it is small, or is there already, or large lists
    /// do not take more memory than they may.
    pub fn has_acl_capacity(&self, list: &AclList) -> bool {
        self.acls.has_capacity(list)
    }

    /// The kind of node.
    pub fn kind(&self, id: NodeId) -> NodeKind {
        self.store.kind(id)
    }

    /// Children ever created: ZooKeeper's internal cversion, and the next sequence number. It
    /// wraps at 32 bits and keeps counting, where ZooKeeper's own sticks.
    pub fn created_children(&self, id: NodeId) -> i32 {
        self.store.created(id) as i32
    }

    /// Direct children.
    pub fn child_count(&self, id: NodeId) -> u32 {
        self.store.children(id)
    }

    /// Names of the direct children: in the order of their creation, or in any order if they came
    /// out of a snapshot.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = &str> {
        self.child_nodes(id).map(|child| self.name(child))
    }

    /// The direct children, in the same order.
    pub fn child_nodes(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let first = self.store.dir(id).and_then(|dir| dir.first);
        std::iter::successors(first, |&child| self.node(child).next)
    }

    /// The last component of the path; empty for the root.
    pub fn name(&self, id: NodeId) -> &str {
        let name = std::str::from_utf8(self.node(id).payload.name());
        name.expect("names were text when they came in")
    }

    /// Nodes below this one at any depth (getAllChildrenNumber).
    pub fn descendants(&self, id: NodeId) -> u64 {
        self.store.dir(id).map_or(0, |dir| dir.descendants)
    }

    /// Bytes of data in this node and all nodes below it.
    pub fn subtree_bytes(&self, id: NodeId) -> u64 {
        let below = self.store.dir(id).map_or(0, |dir| dir.bytes_below);
        self.node(id).payload.data_len() as u64 + below
    }

    /// The parent; `None` for the root.
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).parent
    }

    /// The full path.
    pub fn path_of(&self, id: NodeId) -> String {
        let mut path = String::new();
        self.spell(id, &mut path);
        path
    }

    /// The ephemeral nodes of a session, in the order of their paths.
    pub fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = NodeId> {
        self.ephemerals.of(session).map(|(_, id)| id)
    }

    /// Their paths, from one that is `from` or behind it on.
    pub fn ephemeral_paths<'a>(
        &'a self,
        session: SessionId,
        from: Bound<&str>,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        self.ephemerals.paths(session, from)
    }

    /// How many ephemeral nodes a session has, and a number that is another one whenever they have
    /// changed.
    pub fn ephemerals_of(&self, session: SessionId) -> (usize, u64) {
        self.ephemerals.state(session)
    }

    /// The sessions that own ephemeral nodes.
    pub fn ephemeral_sessions(&self) -> impl Iterator<Item = SessionId> {
        self.ephemerals.sessions()
    }

    /// Ephemeral nodes.
    pub fn ephemerals_count(&self) -> u64 {
        self.ephemerals.count()
    }

    /// Nodes as ZooKeeper counts them: the root has two names there and counts twice.
    pub fn node_count(&self) -> u64 {
        u64::from(self.store.len()) + 1
    }

    /// Lengths of all paths and data, as ZooKeeper counts them: paths in UTF-16 units.
    pub fn approximate_data_size(&self) -> u64 {
        self.path_units + self.subtree_bytes(NodeId::ROOT)
    }

    fn node(&self, id: NodeId) -> &Node {
        self.store.node(id)
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.store.node_mut(id)
    }

    fn hash(&self, path: &str) -> u64 {
        self.hash_bytes(path.as_bytes())
    }

    fn hash_bytes(&self, path: &[u8]) -> u64 {
        rapidhash_v3_seeded(path, &self.secrets)
    }

    fn find_hashed(&self, hash: u64, path: &str) -> Option<NodeId> {
        let slot = self.index.find(hash, |slot| self.is_at(NodeId::of_slot(slot), path))?;
        Some(NodeId::of_slot(slot))
    }

    /// Compares the path from its end, name by name, on the way to the root.
    fn is_at(&self, id: NodeId, path: &str) -> bool {
        let (mut id, mut rest) = (id, path.as_bytes());
        loop {
            let node = self.node(id);
            let Some(parent) = node.parent else { return rest.is_empty() };
            let before = rest.strip_suffix(node.payload.name());
            let Some(head) = before.and_then(|rest| rest.strip_suffix(b"/")) else { return false };
            (id, rest) = (parent, head);
        }
    }

    /// Writes the full path into `out`, replacing what it holds. The names are met from the last
    /// to the first, so the bytes are put in from the end.
    fn spell(&self, id: NodeId, out: &mut String) {
        let name = |id: NodeId| self.node(id).payload.name();
        let up = |id: &NodeId| self.parent(*id);
        let named = || std::iter::successors(Some(id), up).take_while(|id| *id != NodeId::ROOT);
        let len: usize = named().map(|id| name(id).len() + 1).sum();
        let mut bytes = std::mem::take(out).into_bytes();
        bytes.clear();
        bytes.resize(len.max(1), b'/');
        let mut end = len;
        for name in named().map(name) {
            bytes[end - name.len()..end].copy_from_slice(name);
            end -= name.len() + 1;
        }
        *out = String::from_utf8(bytes).expect("names were text when they came in");
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod state_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
