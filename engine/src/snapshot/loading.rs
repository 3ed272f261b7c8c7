//! Restoring the database from a snapshot and the log behind it.

use std::convert::Infallible;

use super::{Replay, Start};
use crate::database::{Database, Interest, NotReplayed};
use crate::device::map_in_order;
use crate::tree::{Digest, Misfit, Tree, TreeLoader};
use crate::txn::Txn;
use crate::{SessionId, Zxid};

/// Slots whose digest one thread counts at once.
const SLOTS_AT_ONCE: u32 = 4_096;
/// Threads that count a digest.
const COUNTERS_MAX: usize = 8;

/// What a recovery comes to; for reports of how long each part took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// A snapshot begins. Another one may have begun before, and turned out to be damaged.
    Snapshot,
    /// The snapshot was loaded.
    Loaded,
    /// There is no snapshot: the database is empty.
    Empty,
    /// The first transaction of the log is replayed.
    Log,
    /// The last one was, and the log is open.
    Recovered,
}

/// The database while it is restored.
pub struct Loading<S> {
    seed: u64,
    loader: Option<TreeLoader>,
    sessions: Vec<(SessionId, i32)>,
    db: Option<Database>,
    replays: bool,
    on_misfit: OnMisfit,
    misfit: Option<(Zxid, Misfit)>,
    on_stage: S,
}

/// What is done about a transaction of the log that does not fit the state before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OnMisfit {
    Refuse,
    Stop,
}

impl<S: FnMut(Stage)> Loading<S> {
    /// Nothing is known yet. `seed` keys the tree's hash table.
    pub fn new(seed: u64, on_stage: S) -> Loading<S> {
        Loading {
            seed,
            loader: None,
            sessions: Vec::new(),
            db: None,
            replays: false,
            on_misfit: OnMisfit::Refuse,
            misfit: None,
            on_stage,
        }
    }

    /// For a member, whose log comes from its leader: it may hold transactions for another state
    /// than this one. The database ends before the first one that does not fit, and
    /// [`Loading::misfit`] says so; otherwise it is refused.
    #[must_use]
    pub fn ending_before_misfit(mut self) -> Loading<S> {
        self.on_misfit = OnMisfit::Stop;
        self
    }

    /// The first transaction that does not fit the state before it, in which the database ends.
    pub fn misfit(&self) -> Option<(Zxid, Misfit)> {
        self.misfit
    }

    /// The database, after a recovery that succeeded.
    pub fn finish(mut self) -> Database {
        (self.on_stage)(Stage::Recovered);
        self.db.expect("a recovery begins with a snapshot or from nothing")
    }

    fn replaying(&mut self) -> Result<&mut Database, String> {
        if !self.replays {
            self.replays = true;
            (self.on_stage)(Stage::Log);
        }
        self.db.as_mut().ok_or_else(|| "a transaction stands before any state".to_owned())
    }

    /// Replays one transaction, unless the database has ended.
    fn replay(
        &mut self,
        one: impl FnOnce(&mut Database) -> Result<(), NotReplayed>,
    ) -> Result<(), String> {
        if self.misfit.is_some() {
            return Ok(());
        }
        match (one(self.replaying()?), self.on_misfit) {
            (Ok(()), _) => Ok(()),
            (Err(NotReplayed::Misfit(zxid, why)), OnMisfit::Stop) => {
                self.misfit = Some((zxid, why));
                Ok(())
            }
            (Err(error), _) => Err(error.to_string()),
        }
    }
}

impl<S: FnMut(Stage)> Replay for Loading<S> {
    fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
        (self.on_stage)(Stage::Snapshot);
        (self.db, self.misfit) = (None, None);
        self.sessions = start.sessions.to_vec();
        let loader = TreeLoader::new(self.seed, start.header).map_err(|e| e.to_string())?;
        self.loader = Some(loader);
        Ok(())
    }

    fn block(&mut self, bytes: &[u8]) -> Result<(), String> {
        let loader = self.loader.as_mut().ok_or("a block stands before its header")?;
        loader.add_block(bytes).map_err(|e| e.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        let loader = self.loader.take().ok_or("the end stands before its header")?;
        let tree = loader.finish().map_err(|e| e.to_string())?;
        self.db = Some(Database::new(tree, std::mem::take(&mut self.sessions)));
        (self.on_stage)(Stage::Loaded);
        Ok(())
    }

    fn begin_empty(&mut self) {
        (self.on_stage)(Stage::Empty);
        self.loader = None;
        self.db = Some(Database::new(Tree::new(self.seed), []));
    }

    fn txn(&mut self, txn: Txn) -> Result<(), String> {
        let zxid = txn.zxid;
        self.replay(|db| {
            let applied = db.try_apply(&txn, Interest::None);
            applied.map(drop).map_err(|why| NotReplayed::Misfit(zxid, why))
        })
    }

    fn record(&mut self, payload: &[u8]) -> Result<(), String> {
        self.replay(|db| db.replay(payload))
    }
}

/// Switches the digest of a tree on or off. Where it has to be counted, so many threads do that.
pub fn keep_digest(tree: &mut Tree, digest: Digest, threads: usize) {
    let count = digest == Digest::Kept && tree.digest_mode() == Digest::Off;
    if !count || tree.slots() <= SLOTS_AT_ONCE {
        return tree.keep_digest(digest);
    }
    let parts = (0..tree.slots()).step_by(SLOTS_AT_ONCE as usize);
    let part = |start: u32| start..start.saturating_add(SLOTS_AT_ONCE).min(tree.slots());
    let mut sum = 0_u64;
    let counted: Result<(), Infallible> = map_in_order(
        threads.min(COUNTERS_MAX),
        parts.map(part).map(Ok),
        |slots| tree.count_digest_of(slots),
        |part| {
            sum = sum.wrapping_add(part);
            Ok(())
        },
    );
    match counted {
        Ok(()) => tree.keep_counted_digest(sum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::NewNode;
    use crate::txn::{AclList, NodeKind};
    use crate::wire::Acl;
    use crate::{Millis, Zxid};

    fn tree(nodes: i32) -> Tree {
        let (mut tree, acl) = (Tree::new(1), AclList::from([Acl::open()]));
        for n in 1..=nodes {
            let id = tree.create(NewNode {
                path: &format!("/node{n}"),
                data: Some(&n.to_le_bytes()),
                acl: &acl,
                kind: NodeKind::Persistent,
                zxid: Zxid(n as u64),
                time: Millis(7),
                parent_cversion: n,
            });
            if n % 3 == 0 {
                tree.delete(id, Zxid(n as u64));
            }
        }
        tree
    }

    #[test]
    fn digest_counted_by_several_threads_equals_that_of_one() {
        for nodes in [0, 10, 4_093, 4_096, 20_000] {
            let (mut alone, mut together) = (tree(nodes), tree(nodes));
            alone.keep_digest(Digest::Kept);
            keep_digest(&mut together, Digest::Kept, 3);
            assert_eq!(together.digest(), alone.digest());
            assert!(together.digest() > 0 && together.digest_mode() == Digest::Kept);
            keep_digest(&mut together, Digest::Kept, 3);
            assert_eq!(together.digest(), alone.digest());
            keep_digest(&mut together, Digest::Off, 3);
            assert_eq!((together.digest(), together.digest_mode()), (0, Digest::Off));
        }
    }
}
