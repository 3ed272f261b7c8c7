//! Which session owns which ephemeral nodes.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::node::NodeId;
use crate::SessionId;

/// The ephemeral nodes by owner and path: a prefix is found without a look at the others. Ordered,
/// so that what is derived from it does not depend on a hash.
#[derive(Default)]
pub(super) struct Ephemerals {
    owners: BTreeMap<SessionId, Owned>,
    count: u64,
    /// Of all sessions, so that no number comes again.
    changes: u64,
}

#[derive(Default)]
struct Owned {
    paths: BTreeMap<Box<str>, NodeId>,
    changed: u64,
}

impl Ephemerals {
    pub(super) fn insert(&mut self, session: SessionId, path: &str, id: NodeId) {
        self.changes += 1;
        let owned = self.owners.entry(session).or_default();
        owned.changed = self.changes;
        let before = owned.paths.insert(path.into(), id);
        assert!(before.is_none(), "a path has one node");
        self.count += 1;
    }

    pub(super) fn remove(&mut self, session: SessionId, path: &str) {
        self.changes += 1;
        let owned = self.owners.get_mut(&session).expect("insert() noted the owner");
        owned.changed = self.changes;
        owned.paths.remove(path).expect("insert() noted the node");
        if owned.paths.is_empty() {
            self.owners.remove(&session);
        }
        self.count -= 1;
    }

    pub(super) fn of(&self, session: SessionId) -> impl Iterator<Item = (&str, NodeId)> {
        let owned = self.owners.get(&session).into_iter();
        owned.flat_map(|owned| owned.paths.iter().map(|(path, id)| (&**path, *id)))
    }

    pub(super) fn paths<'a>(
        &'a self,
        session: SessionId,
        from: Bound<&str>,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let owned = self.owners.get(&session);
        let behind = owned.map(|owned| owned.paths.range::<str, _>((from, Bound::Unbounded)));
        behind.into_iter().flatten().map(|(path, _)| &**path)
    }

    pub(super) fn state(&self, session: SessionId) -> (usize, u64) {
        self.owners.get(&session).map_or((0, 0), |owned| (owned.paths.len(), owned.changed))
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.owners.keys().copied()
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }
}
