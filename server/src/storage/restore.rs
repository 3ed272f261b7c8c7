//! Bringing the database back from snapshot and log.

use std::convert::Infallible;
use std::time::Instant;

use ringkeeper_engine::SessionId;
use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::device::map_in_order;
use ringkeeper_engine::log::Replay;
use ringkeeper_engine::snapshot::Start;
use ringkeeper_engine::tree::{Digest, Tree, TreeLoader};
use ringkeeper_engine::txn::Txn;

use crate::admin::Startup;

/// Nodes whose digest one thread counts at once.
const SLOTS_AT_ONCE: u32 = 4_096;
/// Threads that count a digest.
const COUNTERS_MAX: usize = 8;

/// The database while it is read.
pub struct Restore {
    seed: u64,
    loading: Option<TreeLoader>,
    sessions: Vec<(SessionId, i32)>,
    db: Option<Database>,
    times: Times,
}

/// When what began.
#[derive(Clone, Copy, Default)]
struct Times {
    snapshot: Option<Instant>,
    snapshot_ms: u64,
    log: Option<Instant>,
}

fn since_ms(since: Option<Instant>) -> u64 {
    since.map_or(0, |since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
}

impl Restore {
    /// Nothing is known yet. `seed` is the tree's hash seed.
    pub fn new(seed: u64) -> Restore {
        Restore { seed, loading: None, sessions: Vec::new(), db: None, times: Times::default() }
    }

    /// How long reading the snapshot and replaying the log behind it took. The log counts from its
    /// first transaction until now.
    pub fn loading(&self) -> Startup {
        let log_ms = since_ms(self.times.log);
        Startup { snapshot_ms: self.times.snapshot_ms, log_ms, ..Startup::default() }
    }

    /// The database, after a recovery that went well.
    pub fn finish(self) -> Database {
        self.db.expect("a recovery ends with a snapshot or from nothing")
    }
}

/// Switches the digest of a tree on or off. Where it has to be counted, several threads do that.
pub(crate) fn keep_digest(tree: &mut Tree, digest: Digest) {
    let count = digest == Digest::Kept && tree.digest_mode() == Digest::Off;
    if !count || tree.slots() <= SLOTS_AT_ONCE {
        return tree.keep_digest(digest);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
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

impl Replay for Restore {
    fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
        self.db = None;
        self.times = Times { snapshot: Some(Instant::now()), ..Times::default() };
        self.sessions = start.sessions.to_vec();
        let loader = TreeLoader::new(self.seed, start.header).map_err(|e| e.to_string())?;
        self.loading = Some(loader);
        Ok(())
    }

    fn block(&mut self, bytes: &[u8]) -> Result<(), String> {
        let loader = self.loading.as_mut().ok_or("a block stands before its header")?;
        loader.add_block(bytes).map_err(|e| e.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        let loader = self.loading.take().ok_or("the end stands before its header")?;
        let tree = loader.finish().map_err(|e| e.to_string())?;
        self.db = Some(Database::new(tree, std::mem::take(&mut self.sessions)));
        self.times.snapshot_ms = since_ms(self.times.snapshot);
        Ok(())
    }

    fn begin_empty(&mut self) {
        self.loading = None;
        self.times = Times::default();
        self.db = Some(Database::new(Tree::new(self.seed), []));
    }

    fn txn(&mut self, txn: Txn) -> Result<(), String> {
        let db = self.db.as_mut().ok_or("a transaction stands before any state")?;
        self.times.log.get_or_insert_with(Instant::now);
        db.apply(&txn, Interest::None);
        Ok(())
    }

    fn record(&mut self, payload: &[u8]) -> Result<(), String> {
        let db = self.db.as_mut().ok_or("a transaction stands before any state")?;
        self.times.log.get_or_insert_with(Instant::now);
        db.replay(payload).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::tree::NewNode;
    use ringkeeper_engine::txn::{AclList, NodeKind};
    use ringkeeper_engine::wire::Acl;
    use ringkeeper_engine::{Millis, Zxid};

    use super::*;

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
    fn several_threads_count_what_one_counts() {
        for nodes in [0, 10, 4_093, 4_096, 20_000] {
            let (mut alone, mut together) = (tree(nodes), tree(nodes));
            alone.keep_digest(Digest::Kept);
            keep_digest(&mut together, Digest::Kept);
            assert_eq!(together.digest(), alone.digest());
            assert!(together.digest() > 0 && together.digest_mode() == Digest::Kept);
            keep_digest(&mut together, Digest::Kept);
            assert_eq!(together.digest(), alone.digest());
            keep_digest(&mut together, Digest::Off);
            assert_eq!((together.digest(), together.digest_mode()), (0, Digest::Off));
        }
    }
}
