//! The numbers for Prometheus: those of ZooKeeper under its names and types, then our own.

mod exposition;
mod group_commit;
mod own;
mod replication;
mod zookeeper;

use super::numbers::Numbers;
use super::partial::PartialReport;
use super::state::ServerState;
use exposition::Exposition;

/// All metrics, in Prometheus's text format.
pub(super) fn text(state: &ServerState, report: &PartialReport) -> String {
    let numbers = Numbers::of(state, &report.counts);
    let mut out = Exposition::default();
    zookeeper::write(&numbers, &mut out);
    own::write(&state.sources, &numbers, &mut out);
    if let Some(member) = &numbers.member {
        replication::write(member, &numbers, &mut out);
    }
    group_commit::write(&state.sources, &mut out);
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::state_of_observer;

    #[test]
    fn member_exports_zookeepers_names_and_its_own() {
        let (state, _) = state_of_observer();
        let text = text(&state, &PartialReport::default());
        for line in [
            "# TYPE quorum_size gauge\nquorum_size 3\n",
            "# TYPE looking_count counter\nlooking_count 1\n",
            "unavailable_time_sum 1620\nunavailable_time_count 1\n",
            "observer_sync_time{quantile=\"0.5\"} 48\n",
            "ringkeeper_clients_served 2\n",
            "ringkeeper_leader_id 3\n",
            "ringkeeper_leader_search_last_seconds 1.572\n",
            "ringkeeper_sync_last_seconds 0.048\n",
            "# TYPE ringkeeper_syncs_total counter\nringkeeper_syncs_total 1\n",
            "ringkeeper_sync_seconds_bucket{le=\"0.05\"} 1\n",
            "ringkeeper_sync_seconds_sum 0.048\nringkeeper_sync_seconds_count 1\n",
        ] {
            assert!(text.contains(line), "{line}");
        }
        assert!(!text.contains("peer_state") && !text.contains("observer_master_id"));
    }
}
