//! The link of a node to its leader, and a record of what the node learns over it.

use std::cell::RefCell;
use std::rc::Rc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::Group;
use ringkeeper_replication::leader::{Acknowledgement, LearnerEvent, ToLearners};
use ringkeeper_replication::learner::FollowedLeader;
use ringkeeper_replication::node::LeaderPort;
use ringkeeper_replication::{Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment};

use super::check::recovery::MemberRecord;

/// A followed leader whose transactions are recorded.
pub(crate) struct RecordedLeader {
    /// The product's.
    pub(crate) leader: FollowedLeader,
    record: Rc<RefCell<MemberRecord>>,
}

impl RecordedLeader {
    /// Records what is learned.
    pub(crate) fn new(leader: FollowedLeader, record: Rc<RefCell<MemberRecord>>) -> RecordedLeader {
        RecordedLeader { leader, record }
    }
}

impl AsMut<FollowedLeader> for RecordedLeader {
    fn as_mut(&mut self) -> &mut FollowedLeader {
        &mut self.leader
    }
}

impl LeaderPort for RecordedLeader {
    fn receive(&mut self) -> Option<LeaderEvent> {
        let event = self.leader.receive()?;
        self.record.borrow_mut().received(&event);
        Some(event)
    }

    fn has_events(&self) -> bool {
        self.leader.has_events()
    }

    fn send(&mut self, packets: &mut Vec<u8>) {
        self.leader.send(packets);
    }

    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>) {
        self.leader.sessions(changes);
    }

    fn flushed(&mut self, durable: Zxid) {
        self.leader.flushed(durable);
    }

    fn space(&mut self, space: LogSpace) {
        self.leader.space(space);
    }

    fn fault(&mut self, fault: LeaderFault, learned: Zxid) {
        self.record.borrow_mut().unlearned(learned);
        self.leader.fault(fault, learned);
    }

    fn diverged(&mut self, divergence: Divergence) {
        self.leader.diverged(divergence);
    }

    fn applied(&mut self, zxid: Zxid, digest: u64) {
        self.leader.applied(zxid, digest);
    }

    fn learner_events(&mut self, out: &mut Vec<LearnerEvent>) {
        self.leader.learner_events(out);
    }

    fn has_learner_events(&self) -> bool {
        self.leader.has_learner_events()
    }

    fn next_ack(&mut self) -> Option<Acknowledgement> {
        self.leader.next_ack()
    }

    fn has_acks(&self) -> bool {
        self.leader.has_acks()
    }

    fn has_capacity(&self) -> bool {
        self.leader.has_capacity()
    }

    fn proposed(&mut self, group: &Group) {
        self.leader.proposed(group);
    }

    fn to_learners(&mut self, out: &mut Vec<ToLearners>) {
        self.leader.to_learners(out);
    }
}
