//! The side of the sockets.

use ringkeeper_engine::Millis;
use ringkeeper_engine::session::ServerId;

use super::role::Role;
use super::turn::PAUSE_MS;
use super::{Member, MemberAction, MemberEvent};
use crate::leader::{LearnerEnd, LinkId};
use crate::learner::{Dialect, Learner, LearnerKind};

/// Connections of learners that wait for this server to know whether it leads.
const EARLY_MAX: usize = 64;

/// Connections of learners to this server.
impl Member {
    /// A learner has connected to the quorum port.
    pub fn accepted(&mut self, link: LinkId, now: Millis) {
        self.now = now;
        match (&mut self.leadership, self.role) {
            (Some(leadership), Role::Leading) => leadership.opened(link, now),
            // It does not lead.
            (_, Role::Following(_) | Role::Joining(_)) => {
                self.actions.push_back(MemberAction::Close(link));
            }
            _ if self.early.len() >= EARLY_MAX => {
                self.actions.push_back(MemberAction::Close(link));
            }
            _ => {
                self.early.insert(link, now);
            }
        }
    }

    /// Whether a learner's bytes are to be read.
    pub fn wants_learner_bytes(&self, link: LinkId) -> bool {
        self.leadership.as_ref().is_some_and(|leadership| leadership.wants_bytes(link))
    }

    /// Takes a learner's next bytes.
    pub fn learner_received(&mut self, link: LinkId, bytes: &[u8], now: Millis) {
        self.now = now;
        if let Some(leadership) = &mut self.leadership {
            leadership.received(link, bytes, now);
        }
    }

    /// What is to be sent to a learner.
    pub fn learner_outgoing(&self, link: LinkId) -> impl Iterator<Item = &[u8]> {
        self.leadership.iter().flat_map(move |leadership| leadership.outgoing(link))
    }

    /// Whether something is to be sent to it.
    pub fn has_learner_outgoing(&self, link: LinkId) -> bool {
        self.leadership.as_ref().is_some_and(|leadership| leadership.has_outgoing(link))
    }

    /// So many bytes of it were sent.
    pub fn learner_sent(&mut self, link: LinkId, bytes: usize, now: Millis) {
        self.now = now;
        if let Some(leadership) = &mut self.leadership {
            leadership.sent(link, bytes, now);
        }
    }

    /// The connection is gone.
    pub fn learner_closed(&mut self, link: LinkId, now: Millis) {
        self.now = now;
        self.early.remove(&link);
        if let Some(leadership) = &mut self.leadership {
            leadership.closed(link);
        }
    }

    /// What the leadership has to close.
    pub(super) fn take_learner_ends(&mut self) {
        let Some(leadership) = &mut self.leadership else { return };
        while let Some((link, server, end)) = leadership.next_end() {
            self.actions.push_back(MemberAction::Close(link));
            if end != LearnerEnd::SteppedDown {
                self.events.push_back(MemberEvent::LearnerLost(link, server, end));
            }
        }
        while let Some(comparison) = leadership.next_comparison() {
            self.events.push_back(MemberEvent::StatesDiffer(comparison));
        }
        while let Some((link, server, differences)) = leadership.next_differences() {
            self.events.push_back(MemberEvent::LearnerDiffers(link, server, differences));
        }
    }
}

/// The connection to the leader.
impl Member {
    /// The connection of [`MemberAction::Dial`] is there, or could not be opened.
    pub fn dialed(&mut self, leader: ServerId, is_open: bool, now: Millis) {
        self.now = now;
        let Role::Joining(joining) = self.role else {
            return self.hang_up_if(is_open);
        };
        if joining.leader != leader {
            return self.hang_up_if(is_open);
        }
        if !is_open {
            return self.not_reached(leader);
        }
        if !self.followed.can_connect() {
            // The state has turned out not to be the one that the log makes.
            self.actions.push_back(MemberAction::HangUp);
            return self.rest(0);
        }
        self.role = Role::Following(leader);
        (self.heard, self.taken, self.has_served) = (now, now, false);
        // Without anything to vouch for it is no voter: its acknowledgements would count for what
        // it has once promised and lost.
        let kind = match self.has_vote() {
            true => LearnerKind::Follower,
            false => LearnerKind::Observer,
        };
        let (server, config_version) =
            (self.settings.leader.server, self.settings.leader.config_version);
        let (dialect, settings) = (Dialect::Extended, self.settings.leader.common);
        self.followed.connect(Learner { kind, server, config_version, dialect, settings });
    }

    fn hang_up_if(&mut self, is_open: bool) {
        if is_open {
            self.actions.push_back(MemberAction::HangUp);
        }
    }

    /// It may not know yet that it leads, be gone, or not be reachable from here. The next election
    /// does without it, if it can.
    pub(super) fn not_reached(&mut self, leader: ServerId) {
        self.events.push_back(MemberEvent::NotReached(leader));
        self.election.avoid(leader);
        self.rest(PAUSE_MS);
    }

    /// Whether the leader's bytes are to be read.
    pub fn wants_leader_bytes(&self) -> bool {
        self.followed.wants_bytes()
    }

    /// Takes the leader's next bytes.
    pub fn leader_received(&mut self, bytes: &[u8], now: Millis) {
        (self.now, self.heard) = (now, now);
        self.followed.received(bytes);
    }

    /// What is to be sent to the leader.
    pub fn leader_outgoing(&self) -> &[u8] {
        self.followed.outgoing()
    }

    /// So many bytes of it were sent.
    pub fn leader_sent(&mut self, bytes: usize) {
        self.taken = self.now;
        self.followed.sent(bytes);
    }

    /// The connection to the leader is gone.
    pub fn leader_closed(&mut self, now: Millis) {
        self.now = now;
        self.followed.disconnect();
    }

    /// The role is over: the next election begins when everything is on the disk, and not before
    /// so many milliseconds.
    pub(super) fn rest(&mut self, pause_ms: i64) {
        let has_led = self.is_led();
        self.election.rest();
        let not_before = Millis(self.now.0 + pause_ms);
        self.role = Role::Resting { has_led, not_before };
    }

    fn is_led(&self) -> bool {
        self.leadership.is_some()
    }
}
