//! The leader as the node of this server has it: none, or one that it follows.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::Group;
use ringkeeper_replication::leader::{Acknowledgement, LearnerEvent, ToLearners};
use ringkeeper_replication::learner::FollowedLeader;
use ringkeeper_replication::node::{LeaderPort, NoLeader};
use ringkeeper_replication::{Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment};

/// Whether this server has a leader.
pub(crate) enum ServerLeader {
    /// It orders by itself.
    None(NoLeader),
    /// It follows one, or looks for one.
    Followed(Box<FollowedLeader>),
}

impl LeaderPort for ServerLeader {
    fn receive(&mut self) -> Option<LeaderEvent> {
        match self {
            ServerLeader::None(none) => none.receive(),
            ServerLeader::Followed(leader) => leader.receive(),
        }
    }

    fn has_events(&self) -> bool {
        match self {
            ServerLeader::None(none) => none.has_events(),
            ServerLeader::Followed(leader) => leader.has_events(),
        }
    }

    fn send(&mut self, packets: &mut Vec<u8>) {
        match self {
            ServerLeader::None(none) => none.send(packets),
            ServerLeader::Followed(leader) => leader.send(packets),
        }
    }

    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>) {
        match self {
            ServerLeader::None(none) => none.sessions(changes),
            ServerLeader::Followed(leader) => leader.sessions(changes),
        }
    }

    fn flushed(&mut self, durable: Zxid) {
        match self {
            ServerLeader::None(none) => none.flushed(durable),
            ServerLeader::Followed(leader) => leader.flushed(durable),
        }
    }

    fn space(&mut self, space: LogSpace) {
        match self {
            ServerLeader::None(none) => none.space(space),
            ServerLeader::Followed(leader) => leader.space(space),
        }
    }

    fn fault(&mut self, fault: LeaderFault) {
        match self {
            ServerLeader::None(none) => none.fault(fault),
            ServerLeader::Followed(leader) => leader.fault(fault),
        }
    }

    fn diverged(&mut self, divergence: Divergence) {
        match self {
            ServerLeader::None(none) => none.diverged(divergence),
            ServerLeader::Followed(leader) => leader.diverged(divergence),
        }
    }

    fn learner_events(&mut self, out: &mut Vec<LearnerEvent>) {
        match self {
            ServerLeader::None(none) => none.learner_events(out),
            ServerLeader::Followed(leader) => leader.learner_events(out),
        }
    }

    fn has_learner_events(&self) -> bool {
        match self {
            ServerLeader::None(none) => none.has_learner_events(),
            ServerLeader::Followed(leader) => leader.has_learner_events(),
        }
    }

    fn next_ack(&mut self) -> Option<Acknowledgement> {
        match self {
            ServerLeader::None(none) => none.next_ack(),
            ServerLeader::Followed(leader) => leader.next_ack(),
        }
    }

    fn has_acks(&self) -> bool {
        match self {
            ServerLeader::None(none) => none.has_acks(),
            ServerLeader::Followed(leader) => leader.has_acks(),
        }
    }

    fn proposed(&mut self, group: &Group) {
        match self {
            ServerLeader::None(none) => none.proposed(group),
            ServerLeader::Followed(leader) => leader.proposed(group),
        }
    }

    fn to_learners(&mut self, out: &mut Vec<ToLearners>) {
        match self {
            ServerLeader::None(none) => none.to_learners(out),
            ServerLeader::Followed(leader) => leader.to_learners(out),
        }
    }
}

impl AsRef<FollowedLeader> for ServerLeader {
    fn as_ref(&self) -> &FollowedLeader {
        match self {
            ServerLeader::None(_) => panic!("a server that orders follows nobody"),
            ServerLeader::Followed(leader) => leader,
        }
    }
}

impl AsMut<FollowedLeader> for ServerLeader {
    fn as_mut(&mut self) -> &mut FollowedLeader {
        match self {
            ServerLeader::None(_) => panic!("a server that orders follows nobody"),
            ServerLeader::Followed(leader) => leader,
        }
    }
}
