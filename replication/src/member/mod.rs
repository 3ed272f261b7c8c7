//! A voting member: it takes part in elections, follows a leader, or leads.
//!
//! A [`Member`] is a value between the bytes of its connections and its node: the node's
//! [`crate::node::LeaderPort`]. [`take_turn`] moves it on, once in every turn of the node.

mod driver_side;
mod election_side;
mod event;
mod leader_port;
mod outsider;
mod role;
mod schedule;
mod settings;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringkeeper_engine::Millis;
use ringkeeper_engine::device::EnsembleId;
use ringkeeper_engine::session::ServerId;

pub use self::event::{MemberAction, MemberEvent};
pub use self::role::MemberRole;
use self::role::Role;
pub use self::schedule::{has_work, wait_ms};
pub use self::settings::MemberSettings;
pub use self::turn::take_turn;
use crate::ZabState;
use crate::election::Election;
use crate::leader::{Leadership, LinkId};
use crate::learner::{ConfigEvent, FollowedLeader, LeaderSearch, LearnerPosition};

/// A voting member of an ensemble.
///
/// It is in one role at a time, and a role ends before the next one begins: the next election waits
/// until everything that was learned, or ordered, is on the disk. So the position that it votes
/// with, reports to a leader or leads with is what is on the disk.
pub struct Member {
    settings: MemberSettings,
    role: Role,
    followed: FollowedLeader,
    leadership: Option<Box<Leadership>>,
    election: Election,
    /// Without a vote the leader is only searched for.
    search: Option<LeaderSearch>,
    searches: i64,
    /// Servers whose last notification was of another ensemble.
    strangers: BTreeSet<ServerId>,
    /// The ensemble of the other servers, where this one has a history of its own.
    outside_of: Option<EnsembleId>,
    /// When voters are requested once more to say who leads: the request may be forgotten or lost.
    search_again: Millis,
    /// Epochs and identities of a leadership that the log is saving.
    saves: usize,
    /// The node orders.
    is_node_leading: bool,
    /// A quorum has the history, and the node has not applied all of it.
    is_lead_due: bool,
    /// Connections of learners that came before it was known whether this server leads.
    early: BTreeMap<LinkId, Millis>,
    actions: VecDeque<MemberAction>,
    events: VecDeque<MemberEvent>,
    /// When the leader was heard of last.
    heard: Millis,
    /// When the leader took bytes last, or there were none for it.
    taken: Millis,
    /// When the election, and the leadership, began.
    looked: Millis,
    led: Millis,
    /// When the process began.
    began: Millis,
    /// Whether the link to the leader has served clients.
    has_served: bool,
    /// Links in a row that have ended before clients were served.
    failures: u32,
    /// It takes no part any more, or will not when it leads no more.
    is_leaving: bool,
    /// Since when it orders nothing, to hand over.
    handing_over: Option<Millis>,
    now: Millis,
}

impl Member {
    /// A member that has just started.
    pub fn new(settings: MemberSettings, position: LearnerPosition, now: Millis) -> Member {
        let leader = &settings.leader;
        let voters = leader.voters.iter().copied();
        let election = Election::new(leader.server, voters, settings.election);
        Member {
            followed: FollowedLeader::new(position, settings.follow),
            role: Role::Resting { has_led: false, not_before: now },
            leadership: None,
            election,
            search: None,
            searches: 0,
            strangers: BTreeSet::new(),
            outside_of: None,
            began: now,
            search_again: now,
            saves: 0,
            is_node_leading: false,
            is_lead_due: false,
            early: BTreeMap::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
            heard: now,
            taken: now,
            looked: now,
            led: now,
            has_served: false,
            failures: 0,
            is_leaving: false,
            handing_over: None,
            now,
            settings,
        }
    }

    /// What it is doing.
    pub fn role(&self) -> MemberRole {
        match self.role {
            Role::Resting { .. } | Role::Looking => MemberRole::Looking,
            Role::Joining(joining) => MemberRole::Following(joining.leader),
            Role::Following(leader) => MemberRole::Following(leader),
            Role::Leading => MemberRole::Leading,
        }
    }

    /// The phase of Zab.
    pub fn state(&self) -> ZabState {
        match (&self.role, &self.leadership) {
            (Role::Leading, Some(leadership)) => leadership.state(),
            _ => self.followed.state(),
        }
    }

    /// Whether clients are served: it follows and is synchronized, or leads and orders.
    pub fn is_serving(&self) -> bool {
        match self.role {
            Role::Leading => self.is_node_leading,
            Role::Following(_) => self.followed.state() == ZabState::Broadcast,
            Role::Resting { .. } | Role::Looking | Role::Joining(_) => false,
        }
    }

    /// The leadership, while there is one.
    pub fn leadership(&self) -> Option<&Leadership> {
        self.leadership.as_deref()
    }

    /// The link to a leader.
    pub fn followed(&self) -> &FollowedLeader {
        &self.followed
    }

    /// The election.
    pub fn election(&self) -> &Election {
        &self.election
    }

    /// Whom it follows, or itself.
    pub fn leader(&self) -> Option<ServerId> {
        match self.role {
            Role::Leading => Some(self.settings.leader.server),
            Role::Joining(joining) => Some(joining.leader),
            Role::Following(leader) => Some(leader),
            Role::Resting { .. } | Role::Looking => None,
        }
    }

    /// What it was made with.
    pub fn settings(&self) -> &MemberSettings {
        &self.settings
    }

    /// What a leader has said of the members, in order.
    pub fn next_config_event(&mut self) -> Option<ConfigEvent> {
        self.followed.next_config_event()
    }

    /// The server is about to end, and has no clients any more. A leader hands over in one of the
    /// next turns: it orders nothing more, and steps down when a quorum has what it has ordered, so
    /// that no learner has something that the next leader may not have. It takes part in no
    /// election any more. Nothing happens where it does not lead: a follower can serve to the end.
    pub fn leave(&mut self) {
        if self.role == Role::Leading {
            self.is_leaving = true;
        }
    }

    /// Whether [`Member::leave`] has nothing to wait for.
    pub fn has_left(&self) -> bool {
        self.role != Role::Leading
    }

    /// What the driver is to do next.
    pub fn next_action(&mut self) -> Option<MemberAction> {
        self.actions.pop_front()
    }

    /// What has happened, in order.
    pub fn next_event(&mut self) -> Option<MemberEvent> {
        self.events.pop_front()
    }
}

impl AsRef<Member> for Member {
    fn as_ref(&self) -> &Member {
        self
    }
}

impl AsMut<Member> for Member {
    fn as_mut(&mut self) -> &mut Member {
        self
    }
}

impl AsMut<FollowedLeader> for Member {
    fn as_mut(&mut self) -> &mut FollowedLeader {
        &mut self.followed
    }
}

#[cfg(test)]
mod tests;
