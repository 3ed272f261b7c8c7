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
        // What a leader has ordered is not of the link before.
        if self.leadership.is_none() {
            self.followed.flushed(durable);
        }
    }

    fn space(&mut self, space: LogSpace) {
        self.followed.space(space);
        if let (LogSpace::Full, Some(leadership)) = (space, &mut self.leadership)
            && leadership.is_dispensable()
        {
            leadership.step_down(StepDown::Full);
            self.followed.stay_away();
        }
    }

    fn fault(&mut self, fault: LeaderFault, learned: Zxid) {
        self.followed.fault(fault, learned);
    }

    fn diverged(&mut self, divergence: Divergence) {
        assert!(!self.is_node_leading, "a leader's state does not fit what it has ordered");
        if let Some(leadership) = &mut self.leadership {
            leadership.step_down(StepDown::Diverged);
        }
        self.followed.diverged(divergence);
    }

    fn applied(&mut self, zxid: Zxid, digest: u64) {
        match &mut self.leadership {
            Some(leadership) => leadership.applied(zxid, digest),
            None => self.followed.applied(zxid, digest),
        }
    }

    fn learner_events(&mut self, out: &mut Vec<LearnerEvent>) {
        if let Some(leadership) = &mut self.leadership {
            leadership.take_events(EVENTS_MAX, out);
        }
    }

    fn has_learner_events(&self) -> bool {
        self.is_node_leading && self.leadership.as_ref().is_some_and(|it| it.has_events())
    }

    fn next_ack(&mut self) -> Option<Acknowledgement> {
        if !self.is_node_leading {
            return None;
        }
        self.leadership.as_mut().and_then(|leadership| leadership.next_ack())
    }

    fn has_acks(&self) -> bool {
        self.is_node_leading && self.leadership.as_ref().is_some_and(|it| it.has_acks())
    }

    fn has_capacity(&self) -> bool {
        self.leadership.as_ref().is_none_or(|leadership| leadership.has_capacity())
    }

    fn proposed(&mut self, group: &Group) {
        let leadership = self.leadership.as_mut().expect("the node leads");
        leadership.propose(group);
    }

    fn to_learners(&mut self, out: &mut Vec<ToLearners>) {
        match &mut self.leadership {
            Some(leadership) => leadership.answer(out),
            None => out.clear(),
        }
    }
}
