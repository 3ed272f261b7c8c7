//! Nodes that go by themselves: containers after their last child, TTL nodes after their time.
//!
//! Candidates are kept ordered by when they are due, so that looking for them costs nothing in a
//! tree of ten million TTL nodes none of which is due.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Tree;
use super::node::NodeId;
use super::store::Store;
use crate::Millis;
use crate::txn::NodeKind;

/// The candidates: only nodes without children.
#[derive(Default)]
pub(super) struct Expiry {
    /// Containers that had a child.
    emptied: BTreeSet<NodeId>,
    /// Containers that never had one, by the time of their last change.
    unused: BTreeSet<(Millis, NodeId)>,
    /// TTL nodes, by the last millisecond of their time.
    timed: BTreeSet<(Millis, NodeId)>,
}

/// Where a node belongs among the candidates.
enum Slot {
    None,
    Emptied,
    Unused(Millis),
    Timed(Millis),
}

impl Tree {
    /// At most `most` paths of nodes that are to be deleted at the wall time `now`: containers
    /// that had a child and have none, containers that had none for longer than `never_used_ms`
    /// (0: those stay), TTL nodes without children whose time since their last change is over.
    pub fn spent(&self, now: Millis, never_used_ms: i64, most: usize) -> Vec<Arc<str>> {
        let Expiry { emptied, unused, timed } = &self.expiry;
        let never_used = |&&(mtime, _): &&(Millis, NodeId)| {
            never_used_ms > 0 && now.0.saturating_sub(mtime.0) > never_used_ms
        };
        let unused = unused.iter().take_while(never_used).map(|(_, id)| id);
        let timed = timed.iter().take_while(|(last, _)| *last < now).map(|(_, id)| id);
        let spent = emptied.iter().chain(unused).chain(timed).take(most);
        spent.map(|id| self.path_of(*id).into()).collect()
    }

    /// Takes a node out of the candidates, before it changes.
    pub(super) fn forget_candidate(&mut self, id: NodeId) {
        let expiry = &mut self.expiry;
        let was_there = match Slot::of(&self.store, id) {
            Slot::None => true,
            Slot::Emptied => expiry.emptied.remove(&id),
            Slot::Unused(mtime) => expiry.unused.remove(&(mtime, id)),
            Slot::Timed(last) => expiry.timed.remove(&(last, id)),
        };
        assert!(was_there, "every change notes its candidates");
    }

    /// Puts a node among the candidates if it belongs there, after it has changed.
    pub(super) fn note_candidate(&mut self, id: NodeId) {
        let expiry = &mut self.expiry;
        let is_new = match Slot::of(&self.store, id) {
            Slot::None => true,
            Slot::Emptied => expiry.emptied.insert(id),
            Slot::Unused(mtime) => expiry.unused.insert((mtime, id)),
            Slot::Timed(last) => expiry.timed.insert((last, id)),
        };
        assert!(is_new, "every change forgets its candidates first");
    }
}

impl Slot {
    fn of(store: &Store, id: NodeId) -> Slot {
        if store.children(id) > 0 {
            return Slot::None;
        }
        let mtime = || store.last_change(id).mtime;
        match store.kind(id) {
            NodeKind::Persistent | NodeKind::Ephemeral(_) | NodeKind::Ttl(0) => Slot::None,
            NodeKind::Container if store.created(id) > 0 => Slot::Emptied,
            NodeKind::Container => Slot::Unused(mtime()),
            NodeKind::Ttl(ms) => Slot::Timed(Millis(mtime().0.saturating_add(ms))),
        }
    }
}
