//! What a member of an ensemble is doing, for reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use ringkeeper_engine::Millis;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::SettingDifference;
use ringkeeper_replication::ZabState;
use ringkeeper_replication::leader::LearnerSummary;
use ringkeeper_replication::learner::{LearnerKind, StateProgress};

use super::replication_stats::ReplicationStats;
use crate::admin::Distribution;
use crate::config::PeerRole;

/// The leader of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderAddress {
    /// Its number.
    pub id: ServerId,
    /// The epoch that the election named.
    pub epoch: u32,
    /// `host:port`, where it takes learners.
    pub address: String,
}

/// Whether clients are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientService {
    /// Not since the start, or not any more: the leader was not found in time. Connections wait, or
    /// are closed.
    None,
    /// The leader is lost. Sessions read on, and writes wait for the next one.
    Reads,
    /// This server is as far as its leader.
    All,
}

/// What a leader knows of its learners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeadingReport {
    /// The learners that have said who they are.
    pub learners: Vec<LearnerSummary>,
    /// A quorum has its history.
    pub is_established: bool,
}

impl LeadingReport {
    /// How many learners of a kind there are, and how many of them are synchronized.
    pub fn count(&self, kind: LearnerKind) -> (usize, usize) {
        let all = self.learners.iter().filter(|learner| learner.kind == kind);
        (all.clone().count(), all.filter(|learner| learner.is_synced).count())
    }
}

/// How a member stands to its ensemble.
#[derive(Clone, Debug)]
pub struct MemberReport {
    /// Whether it votes.
    pub role: PeerRole,
    /// What its link is doing: election while it looks for a leader.
    pub zab: ZabState,
    /// The leader of the link, if there is one.
    pub leader: Option<LeaderAddress>,
    /// Whether clients are served.
    pub clients: ClientService,
    /// Since when `zab` and `leader` are what they are. Monotonic milliseconds.
    pub since: Millis,
    /// How far a whole state is on its way, if there is one.
    pub progress: Option<StateProgress>,
    /// No link begins because the disk has no space for what a leader sends.
    pub is_full: bool,
    /// Bytes that have come over the link.
    pub received_bytes: u64,
    /// Milliseconds that the last search for a leader took, if one has ended.
    pub search_ms: Option<i64>,
    /// Milliseconds that the last synchronization took, if one has ended.
    pub sync_ms: Option<i64>,
    /// Links that were synchronized with.
    pub synced: u64,
    /// Whole states that were taken over.
    pub states_installed: u64,
    /// Why the last link ended, if one has: one sentence.
    pub last_end: Option<String>,
    /// The leader's settings that are not those of this server.
    pub leader_differences: Vec<SettingDifference>,
    /// What it knows as the leader; nothing where it does not lead.
    pub leading: Option<LeadingReport>,
    /// Other voters whose election connections are open. One without a vote has none.
    pub linked_voters: usize,
}

impl MemberReport {
    /// The servers that have other settings than this one, as far as it knows: a leader, of those
    /// that are connected to it; any other, of its leader.
    pub fn other_settings(&self) -> Vec<(ServerId, &[SettingDifference])> {
        let learners = self.leading.iter().flat_map(|leading| &leading.learners);
        let mut others: Vec<_> =
            learners.map(|learner| (learner.server, &learner.differences[..])).collect();
        if let (None, Some(leader)) = (&self.leading, &self.leader) {
            others.push((leader.id, &self.leader_differences));
        }
        others.retain(|(_, differences)| !differences.is_empty());
        others
    }

    /// How many voters there would be without this one, as far as it knows: a leader, those that
    /// have its history; any other, those that it can speak to.
    pub fn voters_left(&self) -> usize {
        let leading = self.leading.as_ref();
        leading.map_or(self.linked_voters, |leading| leading.count(LearnerKind::Follower).1)
    }
}

/// Written by the node's thread, read by reports.
pub struct MemberStatus {
    kept: Mutex<Kept>,
    /// Searches for a leader that have begun, since the last reset.
    pub looks: AtomicU64,
    /// Milliseconds that elections took, since the last reset.
    pub elections: Distribution,
    /// Milliseconds that synchronizations took, since the last reset.
    pub syncs: Distribution,
    /// Milliseconds without a leader to follow, from the loss of one, or the start, until the next
    /// one is followed; since the last reset.
    pub unavailable: Distribution,
    /// Those of them that ended when this server led.
    pub leader_unavailable: Distribution,
    /// Connections with servers that had other settings where they should be the same.
    pub setting_differences: AtomicU64,
    /// Times that the state of another member, or this one's, was found to be another one.
    pub state_mismatches: AtomicU64,
    /// How fast it replicates, since the last reset.
    pub replication: Arc<ReplicationStats>,
}

/// What is known of the member.
struct Kept {
    report: MemberReport,
    /// Since when no leader is followed. Monotonic milliseconds.
    unavailable_since: Option<Millis>,
}

impl MemberStatus {
    /// A member that begins to look for a leader.
    pub fn new(role: PeerRole) -> MemberStatus {
        let report = MemberReport {
            role,
            zab: ZabState::Election,
            leader: None,
            clients: ClientService::None,
            since: Millis(0),
            progress: None,
            is_full: false,
            received_bytes: 0,
            search_ms: None,
            sync_ms: None,
            synced: 0,
            states_installed: 0,
            last_end: None,
            leader_differences: Vec::new(),
            leading: None,
            linked_voters: 0,
        };
        MemberStatus {
            kept: Mutex::new(Kept { report, unavailable_since: Some(Millis(0)) }),
            looks: AtomicU64::new(1),
            elections: Distribution::default(),
            syncs: Distribution::default(),
            unavailable: Distribution::default(),
            leader_unavailable: Distribution::default(),
            setting_differences: AtomicU64::new(0),
            state_mismatches: AtomicU64::new(0),
            replication: Arc::default(),
        }
    }

    /// What holds now.
    pub fn report(&self) -> MemberReport {
        self.kept.lock().report.clone()
    }

    /// Changes it. What the change says is counted as well: a search that begins with election, a
    /// synchronization by `synced` with its `sync_ms`, and the time until broadcast by `since`.
    pub fn update(&self, change: impl FnOnce(&mut MemberReport)) {
        let mut kept = self.kept.lock();
        let (zab, synced) = (kept.report.zab, kept.report.synced);
        change(&mut kept.report);
        let (now, since) = (kept.report.zab, kept.report.since);
        if now == ZabState::Election && zab != ZabState::Election {
            self.looks.fetch_add(1, Relaxed);
        }
        if now == ZabState::Broadcast {
            if let Some(lost) = kept.unavailable_since.take() {
                let took = millis(since.0 - lost.0);
                self.unavailable.record(took);
                if kept.report.leading.is_some() {
                    self.leader_unavailable.record(took);
                }
            }
        } else if kept.unavailable_since.is_none() {
            kept.unavailable_since = Some(since);
        }
        if kept.report.synced > synced {
            kept.report.sync_ms.into_iter().for_each(|took| self.syncs.record(millis(took)));
        }
    }

    /// Forgets what was counted.
    pub fn reset(&self) {
        self.looks.store(0, Relaxed);
        self.elections.clear();
        self.syncs.clear();
        self.unavailable.clear();
        self.leader_unavailable.clear();
        self.replication.reset();
    }
}

/// A clock that goes back has measured nothing.
fn millis(took: i64) -> u64 {
    u64::try_from(took).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_synchronizations_and_time_without_a_leader_are_counted_until_a_reset() {
        let status = MemberStatus::new(PeerRole::Observer);
        let follows = |at: i64, sync_ms: i64| {
            status.update(|report| {
                (report.zab, report.since) = (ZabState::Synchronization, Millis(at - 1));
            });
            status.update(|report| {
                (report.zab, report.since) = (ZabState::Broadcast, Millis(at));
                report.sync_ms = Some(sync_ms);
                report.synced += 1;
            });
            status.update(|report| report.received_bytes += 8);
        };
        follows(300, 40);
        status.update(|report| (report.zab, report.since) = (ZabState::Election, Millis(1_000)));
        // The first leader that is found turns this server away.
        status.update(|report| (report.zab, report.since) = (ZabState::Discovery, Millis(1_100)));
        status.update(|report| (report.zab, report.since) = (ZabState::Election, Millis(1_200)));
        follows(1_500, 60);
        let (unavailable, syncs) = (status.unavailable.get().sizes(), status.syncs.get().sizes());
        assert_eq!((unavailable.min, unavailable.max, unavailable.count), (300, 500, 2));
        assert_eq!((syncs.sum, syncs.count), (100, 2));
        assert_eq!(status.looks.load(Relaxed), 3);
        status.reset();
        assert_eq!(status.unavailable.get().sizes().count, 0);
        assert_eq!(status.syncs.get().sizes().count, 0);
        assert_eq!(status.looks.load(Relaxed), 0);
    }
}
