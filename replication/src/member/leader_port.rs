//! A member as its node has it.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::Group;

use super::Member;
use crate::leader::{Acknowledgement, LearnerEvent, StepDown, ToLearners};
use crate::node::LeaderPort;
use crate::{Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment};

/// Requests of learners that one step orders.
const EVENTS_MAX: usize = 256;

impl LeaderPort for Member {
    fn receive(&mut self) -> Option<LeaderEvent> {
        self.followed.receive()
    }

    fn has_events(&self) -> bool {
        self.followed.has_events()
    }

    fn send(&mut self, packets: &mut Vec<u8>) {
        self.followed.send(packets);
    }

    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>) {
        self.followed.sessions(changes);
    }

    fn flushed(&mut self, durable: Zxid) {
        if !self.is_node_leading {
            self.followed.flushed(durable);
        }
    }

    fn space(&mut self, space: LogSpace) {
        self.followed.space(space);
    }

    fn fault(&mut self, fault: LeaderFault) {
        self.followed.fault(fault);
    }

    fn diverged(&mut self, divergence: Divergence) {
        assert!(!self.is_node_leading, "a leader's state does not fit what it has ordered");
        if let Some(leadership) = &mut self.leadership {
            leadership.step_down(StepDown::Diverged);
        }
        self.followed.diverged(divergence);
    }
}
