//! Firing: which connections a change concerns.

use super::chain::{Chain, Modes, NIL};
use super::{ChangeKind, ConnId, Subject, Table, WatchTable};
use crate::path;
use crate::wire::event::EventType;

/// How many connections one change concerned (also those that may not read the node).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Fired {
    /// Connections that the node's own event was for.
    pub node: u32,
    /// Connections that the change of the parent's children was for.
    pub parent: u32,
}

impl WatchTable {
    /// Hands every event of a change to `sink`, and removes the one-shot watches.
    ///
    /// Order: the node's own event to all whom it concerns, then that of its parent. Each
    /// connection gets each of the two at most once.
    pub fn fire(
        &mut self,
        kind: ChangeKind,
        path: &str,
        sink: &mut impl FnMut(ConnId, EventType, &str, Subject),
    ) -> Fired {
        let mut fired = Fired::default();
        if self.is_empty() {
            return fired;
        }
        let event = match kind {
            ChangeKind::Created => EventType::NodeCreated,
            ChangeKind::Deleted => EventType::NodeDeleted,
            ChangeKind::DataChanged => EventType::NodeDataChanged,
        };
        self.stamp += 1;
        let mut to_node = |conn| {
            fired.node += 1;
            sink(conn, event, path, Subject::Node);
        };
        self.fire_chain(path, Table::Data, &mut to_node);
        self.fire_ancestors(path, &mut to_node);
        if kind == ChangeKind::Deleted {
            self.fire_chain(path, Table::Child, &mut to_node);
        }
        if kind == ChangeKind::DataChanged || path == "/" {
            return fired;
        }
        let Some(parent) = path::parent(path) else { return fired };
        self.stamp += 1;
        self.fire_chain(parent, Table::Child, &mut |conn| {
            fired.parent += 1;
            sink(conn, EventType::NodeChildrenChanged, parent, Subject::Parent);
        });
        fired
    }

    /// Fires every watch of one table on exactly this path.
    fn fire_chain(&mut self, path: &str, table: Table, sink: &mut impl FnMut(ConnId)) {
        let Some(path) = self.paths.find(path) else { return };
        let mut at = self.paths.slab[path].head(table);
        if at == NIL {
            return;
        }
        let last = self.watches.last(at, Chain::Path);
        loop {
            let watch = &self.watches[at];
            let (conn, modes, next) = (watch.conn, watch.modes, watch.next(Chain::Path));
            self.fire_once(conn, sink);
            self.set_modes(at, modes.without(Modes::ONE_SHOT));
            if at == last {
                break;
            }
            at = next;
        }
    }

    /// Fires the recursive watches above `path`; they stand first in their chains.
    fn fire_ancestors(&mut self, path: &str, sink: &mut impl FnMut(ConnId)) {
        let recursive = std::mem::take(&mut self.recursive);
        for ancestor in recursive.above(path) {
            let Some(slot) = self.paths.find(ancestor) else { continue };
            let head = self.paths.slab[slot].head(Table::Data);
            let mut at = head;
            while at != NIL && self.watches[at].modes.meets(Modes::RECURSIVE) {
                self.fire_once(self.watches[at].conn, sink);
                at = self.watches[at].next(Chain::Path);
                if at == head {
                    break;
                }
            }
        }
        self.recursive = recursive;
    }

    fn fire_once(&mut self, conn: u32, sink: &mut impl FnMut(ConnId)) {
        let conn = &mut self.conns[conn];
        if conn.stamp < self.stamp {
            conn.stamp = self.stamp;
            sink(conn.id);
        }
    }
}
