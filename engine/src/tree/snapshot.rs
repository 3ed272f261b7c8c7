//! Snapshots of one zxid, taken while the tree goes on changing.
//!
//! A snapshot walks over the slots, a slice at a time. A node that changes ahead of the walk is
//! saved first, as it was; nodes that come to be ahead of the walk are marked to be passed over.
//! So what is written is the tree at the zxid at which the snapshot began, and nobody waits longer
//! than one slice.

use std::collections::VecDeque;

use super::Tree;
use super::acls::{AclId, AclTable};
use super::image::{self, SnapshotHeader};
use super::node::NodeId;
use super::store::Store;

/// Bytes after which a slice ends, however few nodes it holds.
const SLICE_BYTES: usize = 1 << 20;
/// Slots looked at for each node that a slice may hold: freed slots are passed over quickly.
const SLOTS_PER_NODE: usize = 16;

/// Whether a snapshot goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Progress {
    /// There is more to come.
    More,
    /// This was all.
    Done,
}

/// A snapshot under way.
pub(super) struct Run {
    /// The first slot that has not been looked at.
    cursor: u32,
    /// One past the last slot at the beginning.
    end: u32,
    /// Slots ahead of the cursor that were saved already, or were free at the beginning.
    settled: Bits,
    /// Lists that were written already. A list that is freed and whose number is given away again
    /// needs no care: all nodes that carried it at the beginning have been saved by then.
    acls: Bits,
    /// Images of nodes that have changed, in chunks of about a slice, as they were.
    saved: VecDeque<Vec<u8>>,
    saved_bytes: usize,
    /// Images still to come.
    nodes_left: u32,
}

struct Bits(Vec<u64>);

impl Tree {
    /// Begins a snapshot at [`Tree::applied`]; it is made up by the slices that follow. There is
    /// one at a time.
    pub fn begin_snapshot(&mut self) -> SnapshotHeader {
        assert!(self.run.is_none(), "one snapshot at a time");
        let end = self.store.end();
        self.run = Some(Box::new(Run {
            cursor: 0,
            end,
            settled: Bits::new(end),
            acls: Bits::new(self.acls.end()),
            saved: VecDeque::new(),
            saved_bytes: 0,
            nodes_left: self.store.len(),
        }));
        SnapshotHeader {
            zxid: self.applied,
            nodes: self.store.len(),
            digest: self.kept_digest(),
            approximate_data_size: self.approximate_data_size(),
        }
    }

    /// Appends the next block of images: a chunk of what has changed, and about `nodes_most` nodes
    /// more. However much has changed, no slice is longer than two chunks.
    pub fn snapshot_slice(&mut self, nodes_most: usize, out: &mut Vec<u8>) -> Progress {
        let run = self.run.as_mut().expect("begin_snapshot() comes first");
        if let Some(mut chunk) = run.saved.pop_front() {
            run.saved_bytes -= chunk.len();
            if out.is_empty() {
                std::mem::swap(out, &mut chunk);
            } else {
                out.append(&mut chunk);
            }
        }
        run.walk(&self.store, &self.acls, nodes_most, out);
        if run.cursor < run.end || !run.saved.is_empty() {
            return Progress::More;
        }
        assert!(run.nodes_left == 0, "{} nodes were missed", run.nodes_left);
        self.run = None;
        Progress::Done
    }

    /// Bytes of images that wait for the snapshot under way. Whoever changes nodes has to wait
    /// while these are too many.
    pub fn snapshot_backlog(&self) -> usize {
        self.run.as_ref().map_or(0, |run| run.saved_bytes)
    }

    /// Gives the snapshot up.
    pub fn abandon_snapshot(&mut self) {
        self.run = None;
    }

    /// Whether a snapshot is under way.
    pub fn is_snapshot_running(&self) -> bool {
        self.run.is_some()
    }

    /// Saves a node for the snapshot that is under way, before it changes.
    pub(super) fn save_before_change(&mut self, id: NodeId) {
        if let Some(run) = &mut self.run {
            run.save(id, &self.store, &self.acls);
        }
    }

    /// Keeps a node that has just come to be out of the snapshot that is under way.
    pub(super) fn pass_over_new(&mut self, id: NodeId) {
        if let Some(run) = &mut self.run
            && run.is_ahead(id.slot())
        {
            run.settled.set(id.slot());
        }
    }
}

impl Run {
    fn is_ahead(&self, slot: u32) -> bool {
        (self.cursor..self.end).contains(&slot)
    }

    fn save(&mut self, id: NodeId, store: &Store, acls: &AclTable) {
        if self.is_ahead(id.slot()) && !self.settled.get(id.slot()) {
            self.settled.set(id.slot());
            let last = self.saved.pop_back();
            let mut chunk = match last {
                Some(chunk) if chunk.len() < SLICE_BYTES => chunk,
                last => {
                    self.saved.extend(last);
                    Vec::new()
                }
            };
            let before = chunk.len();
            self.write(id, store, acls, &mut chunk);
            self.saved_bytes += chunk.len() - before;
            self.saved.push_back(chunk);
        }
    }

    fn walk(&mut self, store: &Store, acls: &AclTable, most: usize, out: &mut Vec<u8>) {
        let mut left = most;
        let last = self.cursor as usize + most.saturating_mul(SLOTS_PER_NODE).max(1);
        let last = self.end.min(u32::try_from(last).unwrap_or(u32::MAX));
        let full = out.len() + SLICE_BYTES;
        while self.cursor < last && left > 0 && out.len() < full {
            if !self.settled.get(self.cursor)
                && let Some(id) = store.node_in(self.cursor)
            {
                self.write(id, store, acls, out);
                left -= 1;
            }
            self.cursor += 1;
        }
    }

    fn write(&mut self, id: NodeId, store: &Store, acls: &AclTable, out: &mut Vec<u8>) {
        let acl = store.node(id).acl;
        if acl != AclId::OPEN && !self.acls.get(acl.0) {
            self.acls.set(acl.0);
            image::write_acl(acl, acls.get(acl), out);
        }
        image::write_node(store, id, out);
        self.nodes_left -= 1;
    }
}

impl Bits {
    /// All unset. The memory is only touched where bits are.
    fn new(len: u32) -> Bits {
        Bits(vec![0; (len as usize).div_ceil(64)])
    }

    fn get(&self, at: u32) -> bool {
        self.0[at as usize / 64] & 1 << (at % 64) != 0
    }

    fn set(&mut self, at: u32) {
        self.0[at as usize / 64] |= 1 << (at % 64);
    }
}
