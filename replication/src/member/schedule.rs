//! When a member has to be moved on although nothing has come for it.

use ringkeeper_engine::Millis;

use super::Member;
use super::role::Role;
use super::turn::HANDOVER_MS;
use crate::node::Ports;
use crate::{Node, ZabState};

/// Whether a turn of the node would find something to do that nothing has to come for: see
/// [`super::take_turn`]. Together with [`Node::has_work`], and with the driver's own look at
/// sockets, states and feeds, that is everything a thread has to look at before it sleeps.
pub fn has_work<P>(node: &Node<P>, now: Millis) -> bool
where
    P: Ports,
    P::Leader: AsRef<Member>,
{
    let member = node.world().leader.as_ref();
    let lead = member.is_lead_due && node.is_caught_up();
    lead || is_rested(node, member, now) || member.has_own_work() || member.wait_ms(now) == 0
}

/// Milliseconds until time alone gives a member something to do.
pub fn wait_ms<P>(node: &Node<P>, now: Millis) -> i64
where
    P: Ports,
    P::Leader: AsRef<Member>,
{
    node.world().leader.as_ref().wait_ms(now)
}

/// Whether the next election can begin.
fn is_rested<P: Ports>(node: &Node<P>, member: &Member, now: Millis) -> bool {
    match member.role {
        Role::Resting { has_led: true, .. } => member.saves == 0 && node.is_log_at_rest(),
        Role::Resting { has_led: false, not_before } => {
            now >= not_before && member.followed.can_connect() && !member.is_leaving
        }
        Role::Looking | Role::Joining(_) | Role::Following(_) | Role::Leading => false,
    }
}

impl Member {
    fn has_own_work(&self) -> bool {
        let leadership = self.leadership.as_ref();
        let leads = self.role == Role::Leading;
        let tasks = leadership.is_some_and(|it| it.has_tasks() || (leads && it.has_ended()));
        let follows = leadership.is_none() && self.followed.has_work();
        let lost = matches!(self.role, Role::Following(_)) && self.followed.has_ended();
        lost || tasks || follows || !self.actions.is_empty() || !self.events.is_empty()
    }

    /// 0 where something is due.
    pub(super) fn wait_ms(&self, now: Millis) -> i64 {
        let until = |at: Millis| (at.0 - now.0).max(0);
        let role_ms = match self.role {
            // Without anything left of the role before, and then it is not before this moment.
            Role::Resting { not_before, .. } if not_before > now => until(not_before),
            Role::Resting { .. } => i64::MAX,
            Role::Looking if self.search.is_some() => {
                let votes_ms = self.votes_again().map_or(i64::MAX, until);
                votes_ms.min(until(self.search_again))
            }
            Role::Looking => self.election.next_due().map_or(i64::MAX, until),
            Role::Joining(joining) => until(joining.until),
            Role::Following(_) => self.silence_ms(now),
            Role::Leading => {
                let leadership = self.leadership.as_ref();
                let own = leadership.map_or(i64::MAX, |leadership| leadership.wait_ms(now));
                let given_up = match self.handing_over {
                    Some(since) => until(Millis(since.0 + HANDOVER_MS)),
                    None if self.is_leaving => 0,
                    None => i64::MAX,
                };
                own.min(given_up)
            }
        };
        let init_ms = self.settings.leader.init_ms;
        let early = self.early.values().map(|since| until(Millis(since.0 + init_ms))).min();
        role_ms.min(early.unwrap_or(i64::MAX))
    }

    /// Until the leader has been silent for too long.
    fn silence_ms(&self, now: Millis) -> i64 {
        if !self.followed.is_connected() || !self.followed.wants_bytes() {
            return i64::MAX;
        }
        (self.heard.0 + self.silence_limit_ms() - now.0).max(0)
    }

    /// How long the leader may be silent, milliseconds.
    pub(super) fn silence_limit_ms(&self) -> i64 {
        let settings = &self.settings.leader;
        match self.followed.state() {
            ZabState::Broadcast => settings.sync_ms,
            ZabState::Election | ZabState::Discovery | ZabState::Synchronization => {
                settings.init_ms
            }
        }
    }
}
