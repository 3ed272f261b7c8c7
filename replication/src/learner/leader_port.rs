//! The leader as its node has it: the side of the node.

use ringkeeper_engine::log::Group;
use ringkeeper_engine::{SessionId, Zxid};

use super::{FollowEnd, FollowedLeader, LinkInput};
use crate::leader::{Acknowledgement, LearnerEvent, ToLearners};
use crate::node::LeaderPort;
use crate::plant::{Bug, is_planted};
use crate::{Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment};

impl LeaderPort for FollowedLeader {
    fn receive(&mut self) -> Option<LeaderEvent> {
        let event = self.events.pop()?;
        if let LeaderEvent::Serving(..) = event {
            self.is_serving = self.is_connected;
        }
        Some(event)
    }

    fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    fn send(&mut self, packets: &mut Vec<u8>) {
        if self.is_serving || is_planted(Bug::StaleRequests) {
            self.outgoing.append(packets);
        }
        packets.clear();
    }

    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>) {
        for change in changes.drain(..) {
            match change {
                SessionAttachment::Attached(session, timeout_ms, last_heard) => {
                    self.touched.attach(session, timeout_ms, last_heard);
                }
                SessionAttachment::Ended(session) => self.touched.detach(session),
            }
        }
    }

    fn flushed(&mut self, durable: Zxid) {
        self.events.flushed(durable);
        self.step(LinkInput::Flushed(durable));
    }

    /// A link that brings nothing for the log goes on without space.
    fn space(&mut self, space: LogSpace) {
        self.space = space;
        match space {
            LogSpace::Enough => self.is_full = false,
            LogSpace::Full if self.events.has_learned() => self.leave_full(),
            LogSpace::Full => {}
        }
    }

    fn fault(&mut self, fault: LeaderFault, learned: Zxid) {
        self.events.give_back(learned);
        self.drop_link(FollowEnd::Fault(fault));
    }

    fn diverged(&mut self, divergence: Divergence) {
        self.offers_nothing = true;
        self.unmarked = Some(divergence.zxid());
        self.drop_link(FollowEnd::Diverged(divergence));
    }

    fn applied(&mut self, zxid: Zxid, digest: u64) {
        if self.is_connected {
            self.report_digest(zxid, digest);
        }
    }

    fn learner_events(&mut self, _: &mut Vec<LearnerEvent>) {}

    fn has_learner_events(&self) -> bool {
        false
    }

    fn next_ack(&mut self) -> Option<Acknowledgement> {
        None
    }

    fn has_acks(&self) -> bool {
        false
    }

    fn has_capacity(&self) -> bool {
        true
    }

    fn proposed(&mut self, _: &Group) {
        unreachable!("who has a leader proposes nothing");
    }

    fn to_learners(&mut self, _: &mut Vec<ToLearners>) {
        unreachable!("who has a leader has no learners");
    }
}

impl FollowedLeader {
    /// Sessions of clients here that no leader has confirmed for as long as they live, each once.
    pub(super) fn unconfirmed(&mut self) -> Vec<SessionId> {
        self.touched.unconfirmed(self.now)
    }
}

impl AsRef<FollowedLeader> for FollowedLeader {
    fn as_ref(&self) -> &FollowedLeader {
        self
    }
}

impl AsMut<FollowedLeader> for FollowedLeader {
    fn as_mut(&mut self) -> &mut FollowedLeader {
        self
    }
}
