//! The numbers for Prometheus: those of ZooKeeper under its names and types, then our own.

mod exposition;
mod group_commit;
mod own;
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
    group_commit::write(&state.sources, &mut out);
    out.finish()
}
