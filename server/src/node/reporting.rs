//! The node and its side of reports.

use super::driver::NodeDriver;
use crate::admin::NodeReporter;

/// The node and its side of reports, on the thread that has them.
pub struct NodeParts {
    /// The node.
    pub driver: NodeDriver,
    /// Its side of reports.
    pub reporter: NodeReporter,
}

impl NodeParts {
    /// Makes a slice of its part of a report, where one is wanted.
    pub fn report(&mut self) {
        if self.reporter.has_work() {
            self.reporter.serve(self.driver.replica());
        }
    }

    /// Whether its next turn has something to do.
    pub fn has_work(&self) -> bool {
        self.driver.has_work() || self.reporter.has_work()
    }
}
