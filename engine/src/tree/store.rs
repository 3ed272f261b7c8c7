//! Where the znodes lie: their common part, and the parts that only some of them have.

use super::node::{Change, Dir, Link, Node, NodeId, link, slot};
use super::slots::Slots;
use crate::Zxid;
use crate::txn::NodeKind;

/// All nodes. Links between them are kept by those who change them.
pub(super) struct Store {
    nodes: Slots<Node>,
    dirs: Slots<Dir>,
    changes: Slots<Change>,
}

impl Store {
    /// Without nodes.
    pub(super) fn new() -> Store {
        Store { nodes: Slots::new(), dirs: Slots::new(), changes: Slots::new() }
    }

    /// Nodes.
    pub(super) fn len(&self) -> u32 {
        self.nodes.len()
    }

    /// Directory parts and changes.
    #[cfg(test)]
    pub(super) fn parts_len(&self) -> (u32, u32) {
        (self.dirs.len(), self.changes.len())
    }

    /// One past the highest slot ever used.
    pub(super) fn end(&self) -> u32 {
        self.nodes.end()
    }

    /// The node in a slot, if there is one.
    pub(super) fn node_in(&self, slot: u32) -> Option<NodeId> {
        self.nodes.get(slot).map(|_| NodeId::of_slot(slot))
    }

    /// A node.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.at(id.slot())
    }

    /// A node, to change it.
    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.at_mut(id.slot())
    }

    /// Begins to fetch a node.
    pub(super) fn prefetch_node(&self, id: NodeId) {
        self.nodes.prefetch(id.slot());
    }

    /// Begins to fetch the parts of a node that its lookup and its stat read.
    pub(super) fn prefetch_parts(&self, id: NodeId) {
        let node = self.node(id);
        node.payload.prefetch();
        if let Some(change) = node.change {
            self.changes.prefetch(slot(change));
        }
        if let Some(dir) = node.dir {
            self.dirs.prefetch(slot(dir));
        }
    }

    /// Puts a node in.
    pub(super) fn insert(&mut self, node: Node) -> NodeId {
        NodeId::of_slot(self.nodes.insert(node))
    }

    /// Takes a node out, with all its parts.
    pub(super) fn remove(&mut self, id: NodeId) -> Node {
        let node = self.nodes.remove(id.slot());
        if let Some(dir) = node.dir {
            self.dirs.remove(slot(dir));
        }
        if let Some(change) = node.change {
            self.changes.remove(slot(change));
        }
        node
    }

    /// Puts a directory part in, for a node that is going to carry it.
    pub(super) fn insert_dir(&mut self, dir: Dir) -> Link {
        link(self.dirs.insert(dir))
    }

    /// Puts a change in, for a node that is going to carry it.
    pub(super) fn insert_change(&mut self, change: Change) -> Link {
        link(self.changes.insert(change))
    }

    /// The directory part of a node, if it has one.
    pub(super) fn dir(&self, id: NodeId) -> Option<&Dir> {
        self.node(id).dir.map(|dir| self.dirs.at(slot(dir)))
    }

    /// The directory part of a node, made if it has none yet.
    pub(super) fn dir_mut(&mut self, id: NodeId) -> &mut Dir {
        let node = self.nodes.at_mut(id.slot());
        let new_dir = || link(self.dirs.insert(Dir::new(node.czxid, 0)));
        let dir = *node.dir.get_or_insert_with(new_dir);
        self.dirs.at_mut(slot(dir))
    }

    /// The last change of the data, if there was one since the creation.
    pub(super) fn change(&self, id: NodeId) -> Option<Change> {
        self.node(id).change.map(|change| *self.changes.at(slot(change)))
    }

    /// The last change of the data; the creation counts as one.
    pub(super) fn last_change(&self, id: NodeId) -> Change {
        let node = self.node(id);
        self.change(id).unwrap_or(Change::new(node.czxid, node.ctime, 0))
    }

    /// Notes a change of the data.
    pub(super) fn set_change(&mut self, id: NodeId, new: Change) {
        let node = self.nodes.at_mut(id.slot());
        match node.change {
            Some(change) => *self.changes.at_mut(slot(change)) = new,
            None => node.change = Some(link(self.changes.insert(new))),
        }
    }

    /// The kind of node.
    pub(super) fn kind(&self, id: NodeId) -> NodeKind {
        NodeKind::from_owner(self.node(id).payload.owner())
    }

    /// Zxid of the last change of the children; the creation counts as one.
    pub(super) fn pzxid(&self, id: NodeId) -> Zxid {
        self.dir(id).map_or(self.node(id).czxid, |dir| dir.pzxid)
    }

    /// Children ever created.
    pub(super) fn created(&self, id: NodeId) -> u64 {
        self.dir(id).map_or(0, |dir| dir.created)
    }

    /// Direct children.
    pub(super) fn children(&self, id: NodeId) -> u32 {
        self.dir(id).map_or(0, |dir| dir.children)
    }
}
