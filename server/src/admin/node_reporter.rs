//! The node's side of reports.

use std::collections::VecDeque;
use std::sync::Arc;

use ringkeeper_replication::Replica;

use super::collection::NodeJob;
use super::coordinator::ReportCoordinator;
use super::slices::Progress;

/// The reporter of the node, on the thread of the node.
pub struct NodeReporter {
    coordinator: Arc<ReportCoordinator>,
    jobs: VecDeque<NodeJob>,
}

impl NodeReporter {
    /// The reporter of the node. There is one.
    pub fn new(coordinator: Arc<ReportCoordinator>) -> NodeReporter {
        NodeReporter { coordinator, jobs: VecDeque::new() }
    }

    /// Whether a report waits for the node.
    pub fn has_work(&self) -> bool {
        !self.jobs.is_empty() || !self.coordinator.node.is_empty()
    }

    /// Makes one slice of its part of a report.
    pub fn serve(&mut self, replica: &Replica) {
        self.jobs.extend(std::iter::from_fn(|| self.coordinator.node.pop()));
        let Some(job) = self.jobs.front_mut() else { return };
        if job.step(replica) == Progress::Done {
            self.jobs.pop_front().into_iter().for_each(NodeJob::finish);
        }
    }
}
