//! One znode as it lies in memory: 56 bytes and its payload, and two parts that only some nodes
//! have.

use std::num::NonZeroU32;

use super::acls::AclId;
use super::payload::{Parts, Payload};
use crate::{Millis, Zxid};

/// The handle of a znode, valid until that znode is deleted. It means nothing outside this tree:
/// another replica, or the same tree after a restart, numbers its nodes otherwise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(Link);

/// One more than a slot, so that `Option<Link>` takes 4 bytes.
pub(super) type Link = NonZeroU32;

impl NodeId {
    /// The root is the first node of every tree.
    pub(super) const ROOT: NodeId = NodeId(NonZeroU32::MIN);

    /// The id of a slot.
    pub(super) fn of_slot(slot: u32) -> NodeId {
        NodeId(link(slot))
    }

    /// Where the node lies.
    pub(super) fn slot(self) -> u32 {
        slot(self.0)
    }
}

/// The link to a slot.
pub(super) fn link(slot: u32) -> Link {
    let raw = slot.checked_add(1).and_then(NonZeroU32::new);
    raw.expect("Slots hands out fewer than u32::MAX slots")
}

/// The slot of a link.
pub(super) fn slot(link: Link) -> u32 {
    link.get() - 1
}

/// What every znode has.
pub(super) struct Node {
    /// Zxid of the creating transaction.
    pub(super) czxid: Zxid,
    /// Wall clock of the creation.
    pub(super) ctime: Millis,
    /// Name, data and owner.
    pub(super) payload: Payload,
    /// The access control list.
    pub(super) acl: AclId,
    /// `None` for the root only.
    pub(super) parent: Option<NodeId>,
    /// The sibling created before this node.
    pub(super) prev: Option<NodeId>,
    /// The sibling created after this node.
    pub(super) next: Option<NodeId>,
    /// Its [`Dir`]: there from the first child on, also after the last one has gone.
    pub(super) dir: Option<Link>,
    /// Its [`Change`]: there from the first change of the data on.
    pub(super) change: Option<Link>,
}

/// What a node has because it has, or had, children.
#[derive(Clone, Copy)]
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
    _used: Used,
}

/// The last change of a node's data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Change {
    /// Its transaction.
    pub(super) mzxid: Zxid,
    /// Its wall clock.
    pub(super) mtime: Millis,
    /// The resulting version.
    pub(super) version: i32,
    _used: Used,
}

/// Takes one byte that has one value, so that a free slot needs no byte of its own to be told
/// apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Used {
    Yes,
}

impl Node {
    /// A node without links and parts.
    pub(super) fn new(czxid: Zxid, ctime: Millis, payload: Payload, acl: AclId) -> Node {
        let (parent, prev, next) = (None, None, None);
        Node { czxid, ctime, payload, acl, parent, prev, next, dir: None, change: None }
    }

    /// The root of a fresh tree.
    pub(super) fn root() -> Node {
        let parts = Parts { aversion: 0, owner: 0, name: b"", data: Some(b"") };
        Node::new(Zxid::ZERO, Millis(0), Payload::new(&parts), AclId::OPEN)
    }
}

impl Dir {
    /// A directory without children.
    pub(super) fn new(pzxid: Zxid, created: u64) -> Dir {
        Dir {
            pzxid,
            created,
            descendants: 0,
            bytes_below: 0,
            children: 0,
            first: None,
            last: None,
            _used: Used::Yes,
        }
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

impl Change {
    /// A change.
    pub(super) fn new(mzxid: Zxid, mtime: Millis, version: i32) -> Change {
        Change { mzxid, mtime, version, _used: Used::Yes }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::slot_bytes;
    use super::*;

    #[test]
    fn sizes() {
        // A free slot is told apart without a byte of its own.
        assert_eq!((size_of::<Node>(), slot_bytes::<Node>()), (56, 56));
        assert_eq!((size_of::<Dir>(), slot_bytes::<Dir>()), (48, 48));
        assert_eq!((size_of::<Change>(), slot_bytes::<Change>()), (24, 24));
        assert_eq!(size_of::<Option<NodeId>>(), 4);
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
