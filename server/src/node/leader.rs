//! The leader as the node of this server has it: none, one that it follows, or the member that
//! finds out who leads.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::Group;
use ringkeeper_replication::leader::{Acknowledgement, LearnerEvent, ToLearners};
use ringkeeper_replication::learner::FollowedLeader;
use ringkeeper_replication::member::Member;
use ringkeeper_replication::node::{LeaderPort, NoLeader};
use ringkeeper_replication::{Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment};

use super::timed::Timed;

/// Whether this server has a leader.
pub(crate) enum ServerLeader {
    /// It orders by itself.
    None(NoLeader),
    /// It follows one, or looks for one.
    Followed(Box<Timed<FollowedLeader>>),
    /// It votes: it follows one, looks for one, or leads.
    Member(Box<Timed<Member>>),
}

impl LeaderPort for ServerLeader {
    fn receive(&mut self) -> Option<LeaderEvent> {
        match self {
            ServerLeader::None(none) => none.receive(),
            ServerLeader::Followed(leader) => leader.receive(),
            ServerLeader::Member(member) => member.receive(),
        }
    }

    fn has_events(&self) -> bool {
        match self {
            ServerLeader::None(none) => none.has_events(),
            ServerLeader::Followed(leader) => leader.has_events(),
            ServerLeader::Member(member) => member.has_events(),
        }
    }

    fn send(&mut self, packets: &mut Vec<u8>) {
        match self {
            ServerLeader::None(none) => none.send(packets),
            ServerLeader::Followed(leader) => leader.send(packets),
            ServerLeader::Member(member) => member.send(packets),
        }
    }

    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>) {
        match self {
            ServerLeader::None(none) => none.sessions(changes),
            ServerLeader::Followed(leader) => leader.sessions(changes),
            ServerLeader::Member(member) => member.sessions(changes),
        }
    }

    fn flushed(&mut self, durable: Zxid) {
        match self {
            ServerLeader::None(none) => none.flushed(durable),
            ServerLeader::Followed(leader) => leader.flushed(durable),
            ServerLeader::Member(member) => member.flushed(durable),
        }
    }

    fn space(&mut self, space: LogSpace) {
        match self {
            ServerLeader::None(none) => none.space(space),
            ServerLeader::Followed(leader) => leader.space(space),
            ServerLeader::Member(member) => member.space(space),
        }
    }

    fn fault(&mut self, fault: LeaderFault, learned: Zxid) {
        match self {
            ServerLeader::None(none) => none.fault(fault, learned),
            ServerLeader::Followed(leader) => leader.fault(fault, learned),
            ServerLeader::Member(member) => member.fault(fault, learned),
        }
    }

    fn diverged(&mut self, divergence: Divergence) {
        match self {
            ServerLeader::None(none) => none.diverged(divergence),
            ServerLeader::Followed(leader) => leader.diverged(divergence),
            ServerLeader::Member(member) => member.diverged(divergence),
        }
    }

    fn applied(&mut self, zxid: Zxid, digest: u64) {
        match self {
            ServerLeader::None(none) => none.applied(zxid, digest),
            ServerLeader::Followed(leader) => leader.applied(zxid, digest),
            ServerLeader::Member(member) => member.applied(zxid, digest),
        }
    }

    fn learner_events(&mut self, out: &mut Vec<LearnerEvent>) {
        match self {
            ServerLeader::None(none) => none.learner_events(out),
            ServerLeader::Followed(leader) => leader.learner_events(out),
            ServerLeader::Member(member) => member.learner_events(out),
        }
    }

    fn has_learner_events(&self) -> bool {
        match self {
            ServerLeader::None(none) => none.has_learner_events(),
            ServerLeader::Followed(leader) => leader.has_learner_events(),
            ServerLeader::Member(member) => member.has_learner_events(),
        }
    }

    fn next_ack(&mut self) -> Option<Acknowledgement> {
        match self {
            ServerLeader::None(none) => none.next_ack(),
            ServerLeader::Followed(leader) => leader.next_ack(),
            ServerLeader::Member(member) => member.next_ack(),
        }
    }

    fn has_acks(&self) -> bool {
        match self {
            ServerLeader::None(none) => none.has_acks(),
            ServerLeader::Followed(leader) => leader.has_acks(),
            ServerLeader::Member(member) => member.has_acks(),
        }
    }

    fn has_capacity(&self) -> bool {
        match self {
            ServerLeader::None(none) => none.has_capacity(),
            ServerLeader::Followed(leader) => leader.has_capacity(),
            ServerLeader::Member(member) => member.has_capacity(),
        }
    }

    fn proposed(&mut self, group: &Group) {
        match self {
            ServerLeader::None(none) => none.proposed(group),
            ServerLeader::Followed(leader) => leader.proposed(group),
            ServerLeader::Member(member) => member.proposed(group),
        }
    }

    fn to_learners(&mut self, out: &mut Vec<ToLearners>) {
        match self {
            ServerLeader::None(none) => none.to_learners(out),
            ServerLeader::Followed(leader) => leader.to_learners(out),
            ServerLeader::Member(member) => member.to_learners(out),
        }
    }
}

impl AsRef<FollowedLeader> for ServerLeader {
    fn as_ref(&self) -> &FollowedLeader {
        match self {
            ServerLeader::None(_) => panic!("a server that orders follows nobody"),
            ServerLeader::Followed(leader) => &leader.link,
            ServerLeader::Member(member) => member.link.followed(),
        }
    }
}

impl AsMut<FollowedLeader> for ServerLeader {
    fn as_mut(&mut self) -> &mut FollowedLeader {
        match self {
            ServerLeader::None(_) => panic!("a server that orders follows nobody"),
            ServerLeader::Followed(leader) => &mut leader.link,
            ServerLeader::Member(member) => AsMut::<FollowedLeader>::as_mut(&mut member.link),
        }
    }
}

impl AsRef<Member> for ServerLeader {
    fn as_ref(&self) -> &Member {
        match self {
            ServerLeader::Member(member) => &member.link,
            ServerLeader::None(_) | ServerLeader::Followed(_) => panic!("this server has no vote"),
        }
    }
}

impl AsMut<Member> for ServerLeader {
    fn as_mut(&mut self) -> &mut Member {
        match self {
            ServerLeader::Member(member) => &mut member.link,
            ServerLeader::None(_) | ServerLeader::Followed(_) => panic!("this server has no vote"),
        }
    }
}
