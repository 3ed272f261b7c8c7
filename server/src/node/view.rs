//! The one database, written by the sequencer and read by every shard.

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use ringkeeper_engine::database::Database;

/// The database behind its lock. Readers take one guard for a whole sweep, so the lock costs
/// nothing per request; the writer holds it for a bounded number of transactions at a time.
pub struct View {
    db: RwLock<Database>,
}

impl View {
    /// Takes the recovered state.
    pub fn new(db: Database) -> View {
        View { db: RwLock::new(db) }
    }

    /// The state for one sweep.
    pub fn read(&self) -> RwLockReadGuard<'_, Database> {
        self.db.read()
    }

    /// The state, to change it: for the sequencer, and for the snapshot to take its slices.
    pub fn write(&self) -> RwLockWriteGuard<'_, Database> {
        self.db.write()
    }
}
