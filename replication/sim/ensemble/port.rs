//! A member as its node has it, and a record of everything that passes between the two.

use std::cell::RefCell;
use std::rc::Rc;

use ringkeeper_engine::log::{Group, TxnChunk};
use ringkeeper_engine::{Millis, Zxid};
use ringkeeper_replication::leader::{Acknowledgement, LearnerEvent, LearnerEventKind, ToLearners};
use ringkeeper_replication::learner::FollowedLeader;
use ringkeeper_replication::member::{Member, MemberAction};
use ringkeeper_replication::node::LeaderPort;
use ringkeeper_replication::{Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment};

use super::super::check::expiry::HeardSessions;
use super::super::check::proposals::Proposals;
use super::super::check::recovery::MemberRecord;
use super::super::ports::through_the_log;
use super::observer::Observer;

/// As which it takes part.
pub(crate) enum Side {
    Voter(Box<Member>),
    Observer(Box<Observer>),
}

/// The product's member, and what is recorded of it.
pub(crate) struct MemberPort {
    pub(crate) side: Side,
    record: Rc<RefCell<MemberRecord>>,
    proposals: Rc<RefCell<Proposals>>,
    /// While its node leads.
    pub(crate) heard: Option<HeardSessions>,
    /// The node's clock, as of this turn.
    pub(crate) now: Millis,
    pub(crate) wall: Millis,
    /// What it has told its learners is committed, since the last look.
    pub(crate) committed: Vec<Zxid>,
    /// Sessions that have expired.
    pub(crate) expired: usize,
}

impl MemberPort {
    /// Records what passes.
    pub(crate) fn new(
        side: Side,
        record: Rc<RefCell<MemberRecord>>,
        proposals: Rc<RefCell<Proposals>>,
        now: Millis,
    ) -> MemberPort {
        MemberPort {
            side,
            record,
            proposals,

            heard: None,
            now,
            wall: now,
            committed: Vec::new(),
            expired: 0,
        }
    }

    /// The link to a leader.
    pub(crate) fn followed(&self) -> &FollowedLeader {
        match &self.side {
            Side::Voter(member) => member.followed(),
            Side::Observer(observer) => &observer.followed,
        }
    }

    pub(crate) fn voter(&self) -> Option<&Member> {
        match &self.side {
            Side::Voter(member) => Some(member),
            Side::Observer(_) => None,
        }
    }

    /// Its node orders a transaction.
    fn ordered(&mut self, bytes: &[u8]) {
        let txn = Rc::new(through_the_log(bytes));
        let mut proposals = self.proposals.borrow_mut();
        proposals.ordered((&txn, bytes), self.record.borrow().last());
        drop(proposals);
        self.record.borrow_mut().learned(&txn);
        let proposals = self.proposals.borrow();
        let heard = self.heard.as_mut().expect("who orders leads");
        let timeout_ms = || proposals.timeout_ms(txn.session);
        self.expired += usize::from(heard.ordered(&txn, timeout_ms, self.now));
    }

    pub(crate) fn next_action(&mut self) -> Option<MemberAction> {
        match &mut self.side {
            Side::Voter(member) => member.next_action(),
            Side::Observer(observer) => observer.actions.pop_front(),
        }
    }
}

impl AsMut<FollowedLeader> for MemberPort {
    fn as_mut(&mut self) -> &mut FollowedLeader {
        match &mut self.side {
            Side::Voter(member) => (**member).as_mut(),
            Side::Observer(observer) => &mut observer.followed,
        }
    }
}

impl AsRef<Member> for MemberPort {
    fn as_ref(&self) -> &Member {
        self.voter().expect("an observer is no voter")
    }
}

impl AsMut<Member> for MemberPort {
    fn as_mut(&mut self) -> &mut Member {
        match &mut self.side {
            Side::Voter(member) => member,
            Side::Observer(_) => panic!("an observer takes no turn of a voter"),
        }
    }
}

/// Calls a method of whatever is the node's port.
macro_rules! port {
    ($self:ident, $name:ident $(, $argument:expr)*) => {
        match &mut $self.side {
            Side::Voter(member) => member.$name($($argument),*),
            Side::Observer(observer) => observer.followed.$name($($argument),*),
        }
    };
}

impl LeaderPort for MemberPort {
    fn receive(&mut self) -> Option<LeaderEvent> {
        let event = port!(self, receive)?;
        self.record.borrow_mut().received(&event);
        Some(event)
    }

    fn has_events(&self) -> bool {
        match &self.side {
            Side::Voter(member) => member.has_events(),
            Side::Observer(observer) => observer.followed.has_events(),
        }
    }

    fn send(&mut self, packets: &mut Vec<u8>) {
        port!(self, send, packets);
    }

    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>) {
        port!(self, sessions, changes);
    }

    fn flushed(&mut self, durable: Zxid) {
        port!(self, flushed, durable);
    }

    fn space(&mut self, space: LogSpace) {
        port!(self, space, space);
    }

    fn fault(&mut self, fault: LeaderFault, learned: Zxid) {
        self.record.borrow_mut().unlearned(learned);
        port!(self, fault, fault, learned);
    }

    fn applied(&mut self, zxid: Zxid, digest: u64) {
        port!(self, applied, zxid, digest);
    }

    fn diverged(&mut self, divergence: Divergence) {
        port!(self, diverged, divergence);
    }

    fn learner_events(&mut self, out: &mut Vec<LearnerEvent>) {
        let before = out.len();
        port!(self, learner_events, out);
        let Some(heard) = &mut self.heard else { return };
        for event in &out[before..] {
            match &event.kind {
                LearnerEventKind::Request(request) => {
                    heard.heard_at(request.session, "a request", (self.now, self.wall));
                }
                LearnerEventKind::Revalidate { session, .. } => {
                    heard.heard_at(*session, "a move", (self.now, self.wall));
                }
                LearnerEventKind::Touched(all) => {
                    let at = (self.now, self.wall);
                    all.iter().for_each(|(session, _)| heard.heard_at(*session, "a ping", at));
                }
            }
        }
    }

    fn has_learner_events(&self) -> bool {
        match &self.side {
            Side::Voter(member) => member.has_learner_events(),
            Side::Observer(observer) => observer.followed.has_learner_events(),
        }
    }

    fn next_ack(&mut self) -> Option<Acknowledgement> {
        port!(self, next_ack)
    }

    fn has_acks(&self) -> bool {
        match &self.side {
            Side::Voter(member) => member.has_acks(),
            Side::Observer(observer) => observer.followed.has_acks(),
        }
    }

    fn has_capacity(&self) -> bool {
        match &self.side {
            Side::Voter(member) => member.has_capacity(),
            Side::Observer(observer) => observer.followed.has_capacity(),
        }
    }

    fn proposed(&mut self, group: &Group) {
        if let Some(chunk) = TxnChunk::of_group(group) {
            for (_, bytes) in chunk.txns(0) {
                self.ordered(bytes);
            }
        }
        port!(self, proposed, group);
    }

    fn to_learners(&mut self, out: &mut Vec<ToLearners>) {
        for said in out.iter() {
            if let ToLearners::Committed(upto) = said {
                self.committed.push(*upto);
            }
        }
        port!(self, to_learners, out);
    }
}
