//! Bringing the database back from snapshot and log.

use std::time::Instant;

use ringkeeper_engine::SessionId;
use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::log::Replay;
use ringkeeper_engine::snapshot::Start;
use ringkeeper_engine::tree::{Tree, TreeLoader};
use ringkeeper_engine::txn::Txn;

use crate::admin::Startup;

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
        db.apply(&txn, Interest::Nobody);
        Ok(())
    }
}
