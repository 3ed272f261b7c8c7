//! One znode as it lies in memory: 56 bytes, its payload, and a directory part if it ever had a
//! child.

use std::num::NonZeroU32;

use super::acls::AclId;
use super::payload::{Change, Parts, Payload};
use crate::txn::NodeKind;
use crate::{Millis, Zxid};

/// The handle of a znode, valid until that znode is deleted. It means nothing outside this tree:
/// another replica, or the same tree after a restart, numbers its nodes otherwise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    /// The root is the first node of every tree.
    pub(super) const ROOT: NodeId = NodeId(NonZeroU32::MIN);

    /// The id of a slot. It is one more than the slot, so that `Option<NodeId>` takes 4 bytes.
    pub(super) fn of_slot(slot: u32) -> NodeId {
        let raw = slot.checked_add(1).and_then(NonZeroU32::new);
        NodeId(raw.expect("Slots hands out fewer than u32::MAX slots"))
    }

    /// Where the node lies.
    pub(super) fn slot(self) -> u32 {
        self.0.get() - 1
    }
}

/// A znode. What few nodes have is in the payload or in the directory part.
pub(super) struct Node {
    /// Zxid of the creating transaction.
    pub(super) czxid: Zxid,
    /// Wall clock of the creation.
    pub(super) ctime: Millis,
    /// Name, data, owner, and what has changed since the creation.
    pub(super) payload: Payload,
    /// Present from the first child on, also after the last one has gone.
    pub(super) dir: Option<Box<Dir>>,
    /// The access control list.
    pub(super) acl: AclId,
    /// `None` for the root only.
    pub(super) parent: Option<NodeId>,
    /// The sibling created before this node.
    pub(super) prev: Option<NodeId>,
    /// The sibling created after this node.
    pub(super) next: Option<NodeId>,
}

/// What a node has because it has, or had, children.
pub(super) struct Dir {
    /// Zxid of the last creation or deletion of a child.
    pub(super) pzxid: Zxid,
    /// Children ever created; its low half is ZooKeeper's internal cversion.
    pub(super) created: u64,
    /// Nodes below this one, at any depth.
    pub(super) descendants: u64,
    /// Bytes of data of all nodes below this one.
    pub(super) bytes_below: u64,
    /// Direct children.
    pub(super) children: u32,
    /// The oldest child.
    pub(super) first: Option<NodeId>,
    /// The youngest child.
    pub(super) last: Option<NodeId>,
}

impl Node {
    /// The kind of node.
    pub(super) fn kind(&self) -> NodeKind {
        NodeKind::from_owner(self.payload.owner())
    }

    /// Zxid of the last change of the children; the creation counts as one.
    pub(super) fn pzxid(&self) -> Zxid {
        self.dir.as_ref().map_or(self.czxid, |dir| dir.pzxid)
    }

    /// Children ever created.
    pub(super) fn created(&self) -> u64 {
        self.dir.as_ref().map_or(0, |dir| dir.created)
    }

    /// The last change of the data; the creation counts as one. `parts` are this node's own.
    pub(super) fn last_change(&self, parts: &Parts<'_>) -> Change {
        parts.change.unwrap_or(Change { mzxid: self.czxid, mtime: self.ctime, version: 0 })
    }

    /// Direct children.
    pub(super) fn children(&self) -> u32 {
        self.dir.as_ref().map_or(0, |dir| dir.children)
    }

    /// The directory part, made if this node has none yet.
    pub(super) fn dir_mut(&mut self) -> &mut Dir {
        let pzxid = self.czxid;
        self.dir.get_or_insert_with(|| Box::new(Dir::new(pzxid, 0)))
    }
}

impl Dir {
    /// A directory without children.
    pub(super) fn new(pzxid: Zxid, created: u64) -> Dir {
        let (descendants, bytes_below, children) = (0, 0, 0);
        Dir { pzxid, created, descendants, bytes_below, children, first: None, last: None }
    }

    /// Raises the count of creations to ZooKeeper's 32-bit one, if that is ahead. "Ahead" is taken
    /// modulo 2^32, so that the counter goes on where a signed 32-bit one would overflow.
    /// Returns whether it was ahead.
    pub(super) fn raise_created(&mut self, cversion: i32) -> bool {
        let ahead = cversion.wrapping_sub(self.created as i32);
        if ahead > 0 {
            self.created = self.created.wrapping_add(ahead.unsigned_abs().into());
        }
        ahead > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size_of::<Node>(), 56);
        assert_eq!(size_of::<Option<NodeId>>(), 4);
        assert!(size_of::<Dir>() <= 48);
    }

    #[test]
    fn ids_and_slots() {
        assert_eq!(NodeId::ROOT.slot(), 0);
        assert_eq!(NodeId::of_slot(0), NodeId::ROOT);
        assert_eq!(NodeId::of_slot(7).slot(), 7);
    }

    #[test]
    fn the_count_of_creations_passes_the_signed_limit() {
        let mut dir = Dir::new(Zxid::ZERO, i32::MAX as u64);
        assert!(!dir.raise_created(i32::MAX));
        assert!(dir.raise_created(i32::MIN));
        assert_eq!(dir.created, 1 << 31);
        dir.created = u64::from(u32::MAX);
        assert!(dir.raise_created(0));
        assert_eq!(dir.created, 1 << 32);
        assert!(!dir.raise_created(-1));
    }
}
