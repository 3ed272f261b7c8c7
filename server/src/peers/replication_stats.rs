//! How fast and how often this server replicates, for reports.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use ringkeeper_engine::session::ServerId;
use ringkeeper_replication::learner::SyncKind;

use crate::admin::{Distribution, Latencies};

/// Written by the node's thread, once for a group of transactions or less often, and read by
/// reports. Times are in microseconds.
#[derive(Default)]
pub struct ReplicationStats {
    /// Of a leader: from the proposal of a group until a quorum has it on its disks.
    pub quorum_acks: Distribution,
    /// Of a leader: from the proposal of a group until this server has it on its disk. Of a
    /// follower: from the arrival of a proposal until it has it on its disk.
    pub own_acks: Distribution,
    /// Of a leader: from the proposal of a group until a follower has acknowledged it.
    acks: Mutex<BTreeMap<ServerId, Latencies>>,
    /// Of a follower: from the time that its leader gave to a transaction until it came here. It
    /// compares the clocks of two hosts.
    pub proposals: Distribution,
    /// Of a follower: from the arrival of a proposal until that of its commit.
    pub commits: Distribution,
    /// From the time that the leader gave to a transaction, or from its proposal where this server
    /// leads, until it was committed here.
    pub propagation: Distribution,
    /// Learners that were sent what they lacked, and those that were sent a whole state.
    pub diffs: AtomicU64,
    /// See [`ReplicationStats::diffs`].
    pub snaps: AtomicU64,
    /// How many of them there were when one more began.
    pub inflight_diffs: Distribution,
    /// See [`ReplicationStats::inflight_diffs`].
    pub inflight_snaps: Distribution,
    /// Leaderships that ended because a voter had promised a later epoch to another server.
    pub disloyal_voters: AtomicU64,
    /// States that were not the leader's.
    pub divergences: AtomicU64,
}

impl ReplicationStats {
    /// A follower has acknowledged a group.
    pub fn acked(&self, server: ServerId, micros: u64) {
        self.acks.lock().entry(server).or_default().record(micros);
    }

    /// The same, by follower.
    pub fn acks(&self) -> BTreeMap<ServerId, Latencies> {
        self.acks.lock().clone()
    }

    /// The synchronization of a learner has begun, as one of so many of its kind.
    pub fn sync_began(&self, by: SyncKind, inflight: u64) {
        match by {
            SyncKind::Diff | SyncKind::Trunc => {
                self.diffs.fetch_add(1, Relaxed);
                self.inflight_diffs.record(inflight);
            }
            SyncKind::Snap => {
                self.snaps.fetch_add(1, Relaxed);
                self.inflight_snaps.record(inflight);
            }
        }
    }

    /// Forgets everything.
    pub fn reset(&self) {
        let ReplicationStats { quorum_acks, own_acks, proposals, commits, propagation, .. } = self;
        let times = [quorum_acks, own_acks, proposals, commits, propagation];
        let sizes = [&self.inflight_diffs, &self.inflight_snaps];
        times.into_iter().chain(sizes).for_each(Distribution::clear);
        self.acks.lock().clear();
        for counter in [&self.diffs, &self.snaps, &self.disloyal_voters, &self.divergences] {
            counter.store(0, Relaxed);
        }
    }
}
