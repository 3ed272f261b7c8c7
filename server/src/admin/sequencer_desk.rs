//! The sequencer's place where reports ask for its part.

use std::sync::Arc;

use super::hub::{Errand, Hub};
use super::job::SessionJobs;
use crate::node::driver::NodeDriver;

/// The desk of a sequencer that has a thread of its own.
pub struct SequencerDesk {
    hub: Arc<Hub>,
    jobs: SessionJobs,
}

impl SequencerDesk {
    pub(super) fn new(hub: Arc<Hub>) -> SequencerDesk {
        SequencerDesk { hub, jobs: SessionJobs::default() }
    }

    /// Whether somebody asks for something.
    pub fn has_work(&self) -> bool {
        !self.jobs.is_empty() || self.hub.sequencer_has_errands()
    }

    /// Does one slice of what is asked for.
    pub fn serve(&mut self, sequencer: &NodeDriver) {
        while let Some(errand) = self.hub.sequencer_errand() {
            match errand {
                Errand::Sessions(gather) => self.jobs.push(gather),
                Errand::Part(_) | Errand::Turn(..) | Errand::Text(..) => {
                    unreachable!("those are for shards")
                }
            }
        }
        if let Some((gather, part)) = self.jobs.step(sequencer.replica()) {
            self.hub.add(&gather, part);
        }
    }
}
