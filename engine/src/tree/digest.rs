//! The digest of a tree: a number that is equal on all replicas at one zxid.
//!
//! It is ZooKeeper's (version 2), so that the two can be compared: the sum over all nodes of the
//! CRC-32 of path, data and stat, where the root has the path `""` and nodes below `/zookeeper`
//! count nothing (quota stats change there without a transaction).
//!
//! What a node adds is taken out of the sum when it changes first, and put back in when the sum is
//! settled: a parent under which a hundred nodes are created is counted once, and a node that
//! comes and goes in between not at all.

use std::ops::Range;

use crc32fast::Hasher;
use smallvec::SmallVec;

use super::Tree;
use super::node::NodeId;

/// Longer data is not copied to be summed.
const COPIED_BYTES_MAX: usize = 4_096;
/// Nodes from which on the sum is settled.
const UNSETTLED_MAX: usize = 256;

/// Whether a tree keeps its digest. It costs up to two checksums per change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Digest {
    /// Kept, change by change.
    Kept,
    /// Not kept: it reads 0.
    Off,
}

/// Nodes that have changed since the sum was settled: what they add now is not in it.
#[derive(Default)]
pub(super) struct Unsettled {
    /// Each once, and all of them are there.
    nodes: Vec<NodeId>,
    /// A bit for each slot: whether its node is one of them.
    marks: Vec<u64>,
    /// Room to spell paths in, kept to save allocations.
    path: String,
}

impl Unsettled {
    /// Adds a node. Returns whether it was not there.
    fn add(&mut self, id: NodeId) -> bool {
        let (word, bit) = mark(id);
        if self.marks.len() <= word {
            self.marks.resize(word + 1, 0);
        }
        let is_new = self.marks[word] & bit == 0;
        if is_new {
            self.marks[word] |= bit;
            self.nodes.push(id);
        }
        is_new
    }

    /// Takes a node out that is going to be deleted.
    fn remove(&mut self, id: NodeId) {
        // The newest are the likeliest.
        let at = self.nodes.iter().rposition(|node| *node == id);
        self.nodes.swap_remove(at.expect("a node is marked while it is listed"));
        self.unmark(id);
    }

    fn unmark(&mut self, id: NodeId) {
        let (word, bit) = mark(id);
        self.marks[word] &= !bit;
    }
}

/// The word and the bit of a node's mark.
fn mark(id: NodeId) -> (usize, u64) {
    ((id.slot() / u64::BITS) as usize, 1 << (id.slot() % u64::BITS))
}

impl Tree {
    /// ZooKeeper's digest of this tree, or 0 if it is not kept. It costs a checksum for each node
    /// that has changed since [`Tree::settle_digest`].
    pub fn digest(&self) -> u64 {
        let mut path = String::new();
        self.unsettled.nodes.iter().fold(self.digest_sum, |sum, id| {
            self.spell(*id, &mut path);
            sum.wrapping_add(self.node_digest(*id, &path))
        })
    }

    /// Counts what has changed, so that [`Tree::digest`] has nothing to count.
    pub fn settle_digest(&mut self) {
        let mut unsettled = std::mem::take(&mut self.unsettled);
        while let Some(id) = unsettled.nodes.pop() {
            self.spell(id, &mut unsettled.path);
            let added = self.node_digest(id, &unsettled.path);
            self.digest_sum = self.digest_sum.wrapping_add(added);
            unsettled.unmark(id);
        }
        self.unsettled = unsettled;
    }

    /// A node is going to change: what it adds is taken out.
    pub(super) fn leave_digest(&mut self, id: NodeId, path: &str) {
        if self.digest == Digest::Kept && self.unsettled.add(id) {
            self.digest_sum = self.digest_sum.wrapping_sub(self.node_digest(id, path));
        }
    }

    /// A node has changed, or is new: it is counted when the sum is settled.
    pub(super) fn enter_digest(&mut self, id: NodeId) {
        if self.digest == Digest::Kept {
            self.unsettled.add(id);
            if self.unsettled.nodes.len() >= UNSETTLED_MAX {
                self.settle_digest();
            }
        }
    }

    /// A node has left and does not come back.
    pub(super) fn forget_digest(&mut self, id: NodeId) {
        if self.digest == Digest::Kept {
            self.unsettled.remove(id);
        }
    }

    /// Whether the digest is kept.
    pub fn digest_mode(&self) -> Digest {
        self.digest
    }

    /// The digest, if it is kept.
    pub(super) fn kept_digest(&self) -> Option<u64> {
        match self.digest {
            Digest::Kept => Some(self.digest()),
            Digest::Off => None,
        }
    }

    /// Switches the digest on or off. Switching it on reads the whole tree: at the start of a
    /// server, not later.
    pub fn keep_digest(&mut self, digest: Digest) {
        if digest == self.digest {
            return;
        }
        self.digest = digest;
        self.unsettled = Unsettled::default();
        self.digest_sum = match digest {
            Digest::Kept => self.count_digest(),
            Digest::Off => 0,
        };
    }

    /// Switches the digest on, where it was counted already: it is the sum of
    /// [`Tree::count_digest_of`] over all slots, and nothing has changed since.
    pub fn keep_counted_digest(&mut self, sum: u64) {
        assert!(self.digest == Digest::Off, "a digest that is kept needs no counting");
        (self.digest, self.digest_sum) = (Digest::Kept, sum);
    }

    /// One past the highest slot in use.
    pub fn slots(&self) -> u32 {
        self.store.end()
    }

    /// The digest, counted from nothing.
    pub(super) fn count_digest(&self) -> u64 {
        self.count_digest_of(0..self.slots())
    }

    /// What the nodes in these slots add to the digest. Parts may be counted by several threads;
    /// their sum, which wraps, is the digest.
    pub fn count_digest_of(&self, slots: Range<u32>) -> u64 {
        let mut path = String::new();
        let mut sum = 0_u64;
        for id in slots.filter_map(|slot| self.store.node_in(slot)) {
            self.spell(id, &mut path);
            sum = sum.wrapping_add(self.node_digest(id, &path));
        }
        sum
    }

    /// How much more the digest would be, wrapping, if this node had another internal owner. None
    /// if the last transaction has not created it.
    pub fn digest_with_owner(&self, path: &str, owner: i64) -> Option<u64> {
        let id = self.find(path).filter(|id| self.node(*id).czxid == self.applied)?;
        let other = self.digest_of(id, path, owner);
        Some(other.wrapping_sub(self.node_digest(id, path)))
    }

    /// What one node adds to the digest.
    pub(super) fn node_digest(&self, id: NodeId, path: &str) -> u64 {
        self.digest_of(id, path, self.node(id).payload.parts().owner)
    }

    fn digest_of(&self, id: NodeId, path: &str, owner: i64) -> u64 {
        if path.starts_with("/zookeeper/") {
            return 0;
        }
        let path = if path == "/" { "" } else { path };
        let (data, stat) = (self.data(id).unwrap_or_default(), self.persisted(id, owner));
        if data.len() > COPIED_BYTES_MAX {
            let mut crc = Hasher::new();
            [path.as_bytes(), data, &stat].iter().for_each(|part| crc.update(part));
            return crc.finalize().into();
        }
        // One call over a copy takes half the time of three calls that keep a state.
        let mut bytes = SmallVec::<[u8; 512]>::new();
        [path.as_bytes(), data, &stat].iter().for_each(|part| bytes.extend_from_slice(part));
        crc32fast::hash(&bytes).into()
    }

    /// The stat as ZooKeeper stores it: with the internal count of children created and the
    /// internal owner, and without what can be derived.
    fn persisted(&self, id: NodeId, owner: i64) -> [u8; 60] {
        let (node, change) = (self.node(id), self.store.last_change(id));
        let parts = node.payload.parts();
        let longs = [
            node.czxid.to_wire(),
            change.mzxid.to_wire(),
            self.store.pzxid(id).to_wire(),
            node.ctime.0,
            change.mtime.0,
        ];
        let ints = [change.version, self.store.created(id) as i32, parts.aversion];
        let mut out = [0; 60];
        for (place, long) in out.chunks_exact_mut(8).zip(longs) {
            place.copy_from_slice(&long.to_be_bytes());
        }
        for (place, int) in out[40..52].chunks_exact_mut(4).zip(ints) {
            place.copy_from_slice(&int.to_be_bytes());
        }
        out[52..].copy_from_slice(&owner.to_be_bytes());
        out
    }
}
