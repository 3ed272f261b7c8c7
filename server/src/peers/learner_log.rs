//! What a leader says of its learners: who begins to be brought in line, and who serves from now
//! on.

use std::collections::BTreeMap;

use ringkeeper_engine::Millis;
use ringkeeper_replication::leader::{LearnerSummary, LinkId};
use ringkeeper_replication::learner::{LearnerKind, SyncKind};

use super::replication_stats::ReplicationStats;

/// Learners that were heard of, by their connections.
#[derive(Default)]
pub(super) struct LearnerLog {
    known: BTreeMap<LinkId, Known>,
}

#[derive(Clone, Copy)]
struct Known {
    /// When it was seen first.
    since: Millis,
    sync: Option<SyncKind>,
    is_synced: bool,
}

impl LearnerLog {
    /// These are all learners now.
    pub(super) fn note(
        &mut self,
        learners: &[LearnerSummary],
        now: Millis,
        stats: &ReplicationStats,
    ) {
        self.known.retain(|link, _| learners.iter().any(|learner| learner.link == *link));
        for learner in learners {
            let first = Known { since: now, sync: None, is_synced: false };
            let before = self.known.insert(learner.link, first).unwrap_or(first);
            let after =
                Known { since: before.since, sync: learner.sync, is_synced: learner.is_synced };
            self.known.insert(learner.link, after);
            if let (None, Some(by)) = (before.sync, learner.sync) {
                stats.sync_began(by, inflight(learners, by));
            }
            if learner.is_synced && !before.is_synced {
                synced(learner, now.0 - before.since.0);
            }
        }
    }
}

/// Learners that are brought in line in this way.
fn inflight(learners: &[LearnerSummary], by: SyncKind) -> u64 {
    let is_state = |by: SyncKind| by == SyncKind::Snap;
    let same = |learner: &&LearnerSummary| {
        !learner.is_synced && learner.sync.is_some_and(|sync| is_state(sync) == is_state(by))
    };
    // It may be synchronized already.
    learners.iter().filter(same).count().max(1) as u64
}

fn synced(learner: &LearnerSummary, sync_ms: i64) {
    let LearnerSummary { server, sent, .. } = learner;
    let by = learner.sync.map(|by| by.to_string()).unwrap_or_default();
    let does = match learner.kind {
        LearnerKind::Follower => "follows",
        LearnerKind::Observer => "observes",
    };
    let number = server.0;
    tracing::info!(zxid = %sent, sync_ms, "server {number} {does}: synchronized by {by}");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use ringkeeper_engine::Zxid;
    use ringkeeper_engine::session::ServerId;

    use super::*;

    fn learner(link: u64, sync: Option<SyncKind>, is_synced: bool) -> LearnerSummary {
        LearnerSummary {
            link: LinkId(link),
            server: ServerId(2),
            kind: LearnerKind::Follower,
            is_synced,
            sync,
            sent: Zxid::ZERO,
            acked: Zxid::ZERO,
            unsent_bytes: 0,
            silent_ms: 0,
            differences: Vec::new(),
        }
    }

    #[test]
    fn synchronization_is_counted_once_for_each_connection() {
        let (mut log, stats) = (LearnerLog::default(), ReplicationStats::default());
        let counts = || (stats.diffs.load(Relaxed), stats.snaps.load(Relaxed));
        let mut note =
            |learners: &[LearnerSummary], ms: i64| log.note(learners, Millis(ms), &stats);
        note(&[learner(1, None, false)], 0);
        assert_eq!(counts(), (0, 0));
        note(&[learner(1, Some(SyncKind::Diff), false)], 100);
        note(&[learner(1, Some(SyncKind::Diff), true)], 200);
        assert_eq!(counts(), (1, 0));
        note(
            &[learner(1, Some(SyncKind::Diff), true), learner(3, Some(SyncKind::Snap), true)],
            300,
        );
        assert_eq!(counts(), (1, 1), "it may be through before it is seen");
        note(&[], 400);
        note(&[learner(5, Some(SyncKind::Trunc), false)], 500);
        assert_eq!(counts(), (2, 1));
        assert_eq!(stats.inflight_diffs.get().sizes().max, 1);
    }
}
