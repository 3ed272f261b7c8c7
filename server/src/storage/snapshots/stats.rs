//! What reports know of snapshots, and how one is requested.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::queue::SegQueue;
use ringkeeper_engine::Zxid;
use ringkeeper_engine::snapshot::Finished;
use tokio::sync::oneshot;

type Answer = Result<Finished, String>;

/// Counters for reports, and the queue of requested snapshots.
#[derive(Default)]
pub struct SnapshotStats {
    /// Snapshots taken.
    pub taken: AtomicU64,
    /// Snapshots that failed.
    pub failed: AtomicU64,
    /// Milliseconds of the last one, of all, and of the extremes.
    pub last_ms: AtomicU64,
    /// See [`SnapshotStats::last_ms`].
    pub sum_ms: AtomicU64,
    /// See [`SnapshotStats::last_ms`].
    pub min_ms: AtomicU64,
    /// See [`SnapshotStats::last_ms`].
    pub max_ms: AtomicU64,
    /// The zxid of the last one.
    pub zxid: AtomicU64,
    /// Requests that were refused because they came too soon.
    pub limited: AtomicU64,
    /// Snapshots that were requested.
    pub requests: SnapshotRequests,
}

/// Snapshots that were requested. The thread looks for them as often as for one that is due.
#[derive(Default)]
pub struct SnapshotRequests(SegQueue<oneshot::Sender<Answer>>);

impl SnapshotRequests {
    /// Requests one. The answer is the snapshot, or why there is none. A server that stops sends
    /// no answer.
    pub fn request(&self) -> oneshot::Receiver<Answer> {
        let (caller, finished) = oneshot::channel();
        self.0.push(caller);
        finished
    }

    pub(super) fn take(&self) -> Vec<oneshot::Sender<Answer>> {
        std::iter::from_fn(|| self.0.pop()).collect()
    }
}

impl SnapshotStats {
    /// A regular snapshot was taken.
    pub(super) fn note(&self, took: Duration, zxid: Zxid) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let first = self.taken.fetch_add(1, Ordering::Relaxed) == 0;
        self.last_ms.store(ms, Ordering::Relaxed);
        self.sum_ms.fetch_add(ms, Ordering::Relaxed);
        self.max_ms.fetch_max(ms, Ordering::Relaxed);
        if first {
            self.min_ms.store(ms, Ordering::Relaxed);
        }
        self.min_ms.fetch_min(ms, Ordering::Relaxed);
        self.zxid.store(zxid.0, Ordering::Relaxed);
    }
}

/// Answers requests. A caller that does not wait any more is passed over.
pub(super) fn answer(requests: Vec<oneshot::Sender<Answer>>, result: &Answer) {
    for request in requests {
        let _ = request.send(result.clone());
    }
}
