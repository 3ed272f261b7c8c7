//! A tree out of a snapshot.
//!
//! Snapshots come from disks and from peers, so nothing in them is believed: whatever does not
//! make a tree is reported, and memory grows with the bytes that came, not with the numbers in
//! them.

use super::acls::AclId;
use super::digest::Digest;
use super::image::{Corrupt, Image, Record, SnapshotHeader};
use super::node::{Node, NodeId};
use super::payload::Payload;
use super::{BUILT_IN, Tree};
use crate::limits::PATH_DEPTH_MAX;
use crate::txn::NodeKind;
use crate::wire::Reader;

/// Takes the blocks of a snapshot, in their order.
pub struct TreeLoader {
    header: SnapshotHeader,
    /// Holds the nodes, each with its parent's old slot in place of its parent.
    tree: Tree,
    nodes: u32,
    /// The new slot of each old one: the tree is built without holes.
    slots: Renumbering,
    /// The new number of each list.
    acls: Renumbering,
    /// The new numbers, which the loader uses itself until it is done.
    acls_held: Vec<AclId>,
}

impl TreeLoader {
    /// Starts with the header that [`SnapshotHeader::encode`] made.
    pub fn new(seed: u64, header: &[u8]) -> Result<TreeLoader, Corrupt> {
        let header = SnapshotHeader::decode(header)?;
        let mut tree = Tree::bare(seed);
        tree.digest = if header.digest.is_some() { Digest::Kept } else { Digest::Off };
        let (slots, acls) = (Renumbering::default(), Renumbering::default());
        Ok(TreeLoader { header, tree, nodes: 0, slots, acls, acls_held: Vec::new() })
    }

    /// Takes a block. Blocks may be joined, or cut between records.
    pub fn add_block(&mut self, block: &[u8]) -> Result<(), Corrupt> {
        let mut reader = Reader::new(block);
        while !reader.rest().is_empty() {
            match Record::read(&mut reader)? {
                Record::Acl { id, list } => {
                    let new = self.tree.acls.intern(&list);
                    self.acls_held.push(new);
                    self.acls.put(id, new.0, "an access control list comes twice")?;
                }
                Record::Node(image) => self.add_node(&image)?,
            }
        }
        Ok(())
    }

    /// Makes the tree.
    pub fn finish(mut self) -> Result<Tree, Corrupt> {
        check(self.nodes == self.header.nodes, "the count of nodes differs")?;
        check(self.slots.get(0) == Some(0), "there is no root")?;
        self.acls_held.iter().for_each(|acl| self.tree.acls.release(*acl));
        for slot in 1..self.nodes {
            self.link(NodeId::of_slot(slot))?;
        }
        let SnapshotHeader { zxid, nodes, digest, approximate_data_size } = self.header;
        let mut tree = self.tree;
        check(tree.walk_loaded()? == nodes, "some nodes are not below the root")?;
        for path in BUILT_IN {
            check(tree.find(path).is_some(), "a node that every tree has is missing")?;
        }
        check(tree.approximate_data_size() == approximate_data_size, "the size differs")?;
        check(tree.kept_digest() == digest, "the digest differs")?;
        if zxid > crate::Zxid::ZERO {
            tree.set_applied(zxid);
        }
        Ok(tree)
    }

    fn add_node(&mut self, image: &Image<'_>) -> Result<(), Corrupt> {
        let name = std::str::from_utf8(image.parts.name);
        let name = name.map_err(|_| Corrupt::Inconsistent("a name is not text"))?;
        match image.parent {
            None => check(image.slot == 0 && name.is_empty(), "a node has no parent")?,
            Some(u32::MAX) => check(false, "a parent's slot is out of range")?,
            Some(_) => check(
                image.slot != 0 && !name.is_empty() && !name.contains('/'),
                "a name is empty or holds a slash",
            )?,
        }
        let acl = self.acl_of(image)?;
        if self.nodes == 0 && image.parent.is_some() {
            // The root takes the first slot, also if it comes later.
            self.tree.store.insert(Node::root());
        }
        let store = &mut self.tree.store;
        let node = Node {
            parent: image.parent.map(NodeId::of_slot),
            dir: image.dir.map(|dir| store.insert_dir(dir)),
            change: image.change.map(|change| store.insert_change(change)),
            ..Node::new(image.czxid, image.ctime, Payload::new(&image.parts), acl)
        };
        self.nodes += 1;
        let slot = match image.parent {
            None if self.nodes > 1 => {
                *store.node_mut(NodeId::ROOT) = node;
                0
            }
            None | Some(_) => store.insert(node).slot(),
        };
        self.slots.put(image.slot, slot, "a node comes twice")
    }

    fn acl_of(&mut self, image: &Image<'_>) -> Result<AclId, Corrupt> {
        if image.acl == AclId::OPEN.0 {
            return Ok(AclId::OPEN);
        }
        let acl = self.acls.get(image.acl).map(AclId);
        let acl = acl.ok_or(Corrupt::Inconsistent("an access control list is missing"))?;
        self.tree.acls.retain(acl);
        Ok(acl)
    }

    /// Replaces the parent's old slot with the parent, and makes the node its child.
    fn link(&mut self, id: NodeId) -> Result<(), Corrupt> {
        let old = self.tree.parent(id).expect("only the first node is a root").slot();
        let parent = self.slots.get(old).map(NodeId::of_slot);
        let parent = parent.ok_or(Corrupt::Inconsistent("a parent is missing"))?;
        let kind = self.tree.kind(parent);
        check(!matches!(kind, NodeKind::Ephemeral(_)), "an ephemeral node has a child")?;
        self.tree.node_mut(id).parent = Some(parent);
        self.tree.link_last(parent, id);
        Ok(())
    }
}

impl Tree {
    /// Visits all nodes from the root down and derives the rest; returns how many there are.
    fn walk_loaded(&mut self) -> Result<u32, Corrupt> {
        let (mut path, mut depth, mut visited) = (String::new(), 0, 1);
        let mut at = NodeId::ROOT;
        self.derive(at, "")?;
        loop {
            let mut next = self.store.dir(at).and_then(|dir| dir.first);
            depth += 1;
            while next.is_none() {
                depth -= 1;
                let Some(parent) = self.parent(at) else { return Ok(visited) };
                self.add_to_parent(at, parent);
                path.truncate(path.len() - self.name(at).len() - 1);
                (at, next) = (parent, self.node(at).next);
            }
            let child = next.expect("the loop above ends with a node");
            check(depth <= PATH_DEPTH_MAX, "a path has too many components")?;
            path.push('/');
            path.push_str(self.name(child));
            self.derive(child, &path)?;
            visited += 1;
            at = child;
        }
    }

    /// Enters a loaded node wherever a created one is entered.
    fn derive(&mut self, id: NodeId, path: &str) -> Result<(), Corrupt> {
        let kind = self.kind(id);
        if id == NodeId::ROOT {
            self.path_units = 1;
            check(kind == NodeKind::Persistent, "the root is not persistent")?;
        } else {
            let hash = self.hash(path);
            check(self.find_hashed(hash, path).is_none(), "two nodes have the same path")?;
            self.index.insert(hash, id.slot());
            self.path_units += super::change::utf16_len(path);
        }
        self.note_owner(id, kind, path);
        self.arm_if_limits(path);
        self.enter(id, path);
        Ok(())
    }

    /// Counts a node whose subtree is complete into its parent's totals.
    fn add_to_parent(&mut self, id: NodeId, parent: NodeId) {
        let (nodes, bytes) = (self.descendants(id) + 1, self.subtree_bytes(id));
        let dir = self.store.dir_mut(parent);
        dir.descendants += nodes;
        dir.bytes_below += bytes;
    }
}

fn check(holds: bool, otherwise: &'static str) -> Result<(), Corrupt> {
    if holds { Ok(()) } else { Err(Corrupt::Inconsistent(otherwise)) }
}

/// From old numbers to new ones. Room is made where numbers are, in pages, so that a hostile
/// number costs a page and not a table up to it.
#[derive(Default)]
struct Renumbering {
    pages: Vec<Option<Box<[u32; PAGE]>>>,
}

const PAGE: usize = 1_024;
const UNUSED: u32 = u32::MAX;

impl Renumbering {
    fn put(&mut self, old: u32, new: u32, if_taken: &'static str) -> Result<(), Corrupt> {
        let (page, at) = (old as usize / PAGE, old as usize % PAGE);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Box::new([UNUSED; PAGE]));
        check(page[at] == UNUSED, if_taken)?;
        page[at] = new;
        Ok(())
    }

    fn get(&self, old: u32) -> Option<u32> {
        let page = self.pages.get(old as usize / PAGE)?.as_ref()?;
        Some(page[old as usize % PAGE]).filter(|new| *new != UNUSED)
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
