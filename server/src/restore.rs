//! Bringing the database back from snapshot and log.

use ringkeeper_engine::SessionId;
use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::log::Replay;
use ringkeeper_engine::snapshot::Start;
use ringkeeper_engine::tree::{Tree, TreeLoader};
use ringkeeper_engine::txn::Txn;

/// The database while it is read.
pub struct Restore {
    seed: u64,
    loading: Option<TreeLoader>,
    sessions: Vec<(SessionId, i32)>,
    db: Option<Database>,
}

impl Restore {
    /// Nothing is known yet. `seed` is the tree's hash seed.
    pub fn new(seed: u64) -> Restore {
        Restore { seed, loading: None, sessions: Vec::new(), db: None }
    }

    /// The database, after a recovery that went well.
    pub fn finish(self) -> Database {
        self.db.expect("a recovery ends with a snapshot or from nothing")
    }
}

impl Replay for Restore {
    fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
        self.db = None;
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
        Ok(())
    }

    fn begin_empty(&mut self) {
        self.loading = None;
        self.db = Some(Database::new(Tree::new(self.seed), []));
    }

    fn txn(&mut self, txn: Txn) -> Result<(), String> {
        let db = self.db.as_mut().ok_or("a transaction stands before any state")?;
        db.apply(&txn, Interest::Nobody);
        Ok(())
    }
}
