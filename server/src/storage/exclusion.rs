//! Keeps snapshots and changes of the log's history apart: both remove and rename the same files.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// One of them is under way at a time. A snapshot gives way.
#[derive(Default)]
pub struct SnapshotExclusion {
    /// Changes that wait, or are under way.
    changes: AtomicU32,
    turn: Mutex<()>,
}

/// A change of the log's history is under way until it is dropped.
pub struct HistoryChange<'a> {
    exclusion: &'a SnapshotExclusion,
    _turn: MutexGuard<'a, ()>,
}

impl Drop for HistoryChange<'_> {
    fn drop(&mut self) {
        self.exclusion.changes.fetch_sub(1, Ordering::Release);
    }
}

impl SnapshotExclusion {
    /// Begins a change of the history, as soon as the snapshot under way has given way.
    pub fn change(&self) -> HistoryChange<'_> {
        self.changes.fetch_add(1, Ordering::Release);
        HistoryChange { exclusion: self, _turn: self.turn.lock() }
    }

    /// Begins a snapshot or a purge, once no change is under way.
    pub fn snapshot(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// Whether a change waits for the snapshot under way.
    pub fn is_wanted(&self) -> bool {
        self.changes.load(Ordering::Acquire) > 0
    }
}
