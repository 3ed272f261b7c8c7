//! A turn of a member between its node, the log, whole states and what learners are fed with.

use ringkeeper_engine::Millis;
use ringkeeper_engine::database::CommitStatus;
use ringkeeper_engine::log::{LogCommand, LogEvent};
use ringkeeper_engine::session::ServerId;

use super::role::{Joining, Role};
use super::{Member, MemberAction, MemberEvent};
use crate::election::ElectedRole;
use crate::leader::{FeedPort, LeaderTask, StepDown};
use crate::learner::{
    FollowedLeader, LearnerOffer, LearnerPosition, RetryDelay, StatePort, follow,
};
use crate::node::{DatabasePort, Ports};
use crate::plant::{Bug, is_planted};
use crate::{Divergence, ElectionReason, Node, ZabState};

/// Milliseconds before a leader is looked for again that has just not helped.
const LONG_PAUSE_MS: i64 = 30_000;
/// As after a link that has ended before clients were served, doubled with each one in a row; and
/// after a leader that could not be connected to.
pub(super) const PAUSE_MS: i64 = 20;
/// At most.
const PAUSE_MS_MAX: i64 = 2_000;

/// Milliseconds that a leader waits for a quorum to have what it has ordered, before it hands over.
pub(super) const HANDOVER_MS: i64 = 200;

/// Moves a member on. Once in every turn of its node, between [`Node::release`] and
/// [`Node::order`]; and again before the bytes of connections are read once more.
pub fn take_turn<P>(
    node: &mut Node<P>,
    states: &mut impl StatePort,
    feeds: &mut impl FeedPort,
    now: Millis,
) where
    P: Ports,
    P::Leader: AsMut<Member> + AsMut<FollowedLeader>,
{
    member(node).now = now;
    if member(node).is_log_of_leadership() {
        take_saved(node);
    } else {
        follow(node, states);
    }
    while let Some((link, event)) = feeds.poll() {
        if let Some(leadership) = &mut member(node).leadership {
            leadership.on_feed(link, event);
        }
    }
    match member(node).role {
        Role::Leading => lead(node, feeds),
        Role::Following(_) => member(node).watch_leader(),
        Role::Joining(joining) => member(node).watch_dial(joining),
        Role::Looking => {
            member(node).search_on();
            member(node).election.on_time(now);
            member(node).after_election_input();
        }
        Role::Resting { .. } => {}
    }
    member(node).expire_early();
    rest(node, feeds);
}

fn member<P>(node: &mut Node<P>) -> &mut Member
where
    P: Ports,
    P::Leader: AsMut<Member>,
{
    node.world_mut().leader.as_mut()
}

/// The log's events while a leadership has the log.
fn take_saved<P>(node: &mut Node<P>)
where
    P: Ports,
    P::Leader: AsMut<Member>,
{
    while let Some(event) = node.log_event() {
        if let LogEvent::Adopted(ensemble) = event {
            node.adopt(&ensemble);
        }
        let member = member(node);
        member.saves -= 1;
        let leadership = member.leadership.as_mut().expect("it has requested it");
        match event {
            LogEvent::Saved(epochs) => leadership.on_saved(epochs),
            LogEvent::Adopted(ensemble) => leadership.on_adopted(ensemble),
            other => unreachable!("{other:?} was not requested by a leader"),
        }
    }
}

/// The turn of a member that leads, or is about to.
fn lead<P>(node: &mut Node<P>, feeds: &mut impl FeedPort)
where
    P: Ports,
    P::Leader: AsMut<Member>,
{
    let now = member(node).now;
    let wanted = node.wants_election();
    let Some(leadership) = &mut member(node).leadership else { return };
    leadership.tick(now);
    match wanted {
        Some(ElectionReason::EpochUsedUp) => hand_over(node, StepDown::EpochUsedUp),
        Some(ElectionReason::SpaceAgain) => hand_over(node, StepDown::SpaceAgain),
        None if member(node).is_leaving => hand_over(node, StepDown::HandedOver),
        None => {}
    }
    let Some(leadership) = &mut member(node).leadership else { return };
    let divergence = leadership.own_divergence();
    if divergence.is_some() {
        leadership.step_down(StepDown::Diverged);
    }
    let is_established = leadership.take_established();
    take_tasks(node, feeds);
    if is_established {
        establish(node);
    }
    if member(node).is_lead_due && node.is_caught_up() {
        begin_to_order(node);
    }
    member(node).take_learner_ends();
    let Some(end) = member(node).leadership.as_ref().and_then(|leadership| leadership.end()) else {
        return;
    };
    let member = member(node);
    member.events.push_back(MemberEvent::SteppedDown(end));
    (member.is_lead_due, member.handing_over) = (false, None);
    member.rest(0);
    if std::mem::take(&mut member.is_node_leading) {
        node.stop_leading();
    }
    if let Some((zxid, expected, found)) = divergence {
        node.diverge(Divergence::Digest { zxid, expected, found });
    }
}

/// A leader that goes of its own accord first sees to it that a quorum has what it has ordered: no
/// client's write is cut off then, whoever leads next.
fn hand_over<P>(node: &mut Node<P>, why: StepDown)
where
    P: Ports,
    P::Leader: AsMut<Member>,
{
    node.order_no_more();
    let now = member(node).now;
    let since = *member(node).handing_over.get_or_insert(now);
    if node.replica().uncommitted() == 0 || now.0 - since.0 >= HANDOVER_MS {
        step_down(node, why);
    }
}

fn step_down<P>(node: &mut Node<P>, why: StepDown)
where
    P: Ports,
    P::Leader: AsMut<Member>,
{
    if let Some(leadership) = &mut member(node).leadership {
        leadership.step_down(why);
    }
}

fn take_tasks<P>(node: &mut Node<P>, feeds: &mut impl FeedPort)
where
    P: Ports,
    P::Leader: AsMut<Member>,
{
    loop {
        let member = member(node);
        let task = member.leadership.as_mut().and_then(|leadership| leadership.next_task());
        match task {
            None => return,
            Some(LeaderTask::Save(epochs)) if is_planted(Bug::LeadersEpochUnsaved) => {
                let leadership = member.leadership.as_mut().expect("its task was taken");
                leadership.on_saved(epochs);
            }
            Some(LeaderTask::Save(epochs)) => {
                member.saves += 1;
                node.command(LogCommand::Save(epochs));
            }
            Some(LeaderTask::Adopt(ensemble)) => {
                member.saves += 1;
                node.command(LogCommand::Adopt(ensemble));
            }
            Some(LeaderTask::Feed(task)) => feeds.begin(task),
            Some(LeaderTask::Request(link)) => feeds.request(link),
            Some(LeaderTask::StopFeed(link)) => feeds.stop(link),
        }
    }
}

/// A quorum has the history: all of it is committed.
fn establish<P>(node: &mut Node<P>)
where
    P: Ports,
    P::Leader: AsMut<Member>,
{
    node.world().database.write().set_commit_status(CommitStatus::Committed);
    let member = member(node);
    let leadership = member.leadership.as_ref().expect("it is established");
    let history = leadership.committed();
    if history.counter() != 0 {
        member.followed.push_committed(history);
    }
    member.is_lead_due = true;
}

/// All of the history is applied: the node orders from now on.
fn begin_to_order<P>(node: &mut Node<P>)
where
    P: Ports,
    P::Leader: AsMut<Member>,
{
    let member = member(node);
    let leadership = member.leadership.as_ref().expect("it is established");
    let epoch = leadership.epoch().expect("it is established");
    let last = leadership.committed();
    let voters = member.settings.leader.voters.iter().copied().collect();
    (member.is_lead_due, member.is_node_leading) = (false, true);
    member.failures = 0;
    let sync_ms = member.now.0 - member.led.0;
    member.events.push_back(MemberEvent::Established { epoch, last, sync_ms });
    member.election.take_role(ElectedRole::Lead, epoch);
    member.after_election_input();
    node.lead(epoch, voters);
}

/// The next election begins when everything is on the disk.
fn rest<P>(node: &mut Node<P>, feeds: &mut impl FeedPort)
where
    P: Ports,
    P::Leader: AsMut<Member>,
{
    let Role::Resting { has_led, not_before } = member(node).role else { return };
    take_tasks(node, feeds);
    if has_led {
        if member(node).saves > 0 || !node.is_log_at_rest() {
            return;
        }
        let last = node.replica().last();
        let member = member(node);
        if let Some(leadership) = member.leadership.take() {
            let (committed, saved) = (leadership.known_committed(), leadership.epochs());
            let (offer, ensemble) = (LearnerOffer::Log, leadership.ensemble());
            let alone = leadership.alone();
            let position = LearnerPosition { last, offer, committed, saved, ensemble, alone };
            member.followed.rebase(position, leadership.quorum_heard());
        }
        member.role = Role::Resting { has_led: false, not_before };
    }
    let member = member(node);
    if member.now >= not_before && member.followed.can_connect() && !member.is_leaving {
        member.look();
    }
}

impl Member {
    /// Whether the log works for a leadership, or did until a moment ago.
    fn is_log_of_leadership(&self) -> bool {
        self.leadership.is_some()
    }

    /// Gives up a connection to the leader that does not come.
    fn watch_dial(&mut self, joining: Joining) {
        if self.now >= joining.until {
            self.actions.push_back(MemberAction::HangUp);
            self.not_reached(joining.leader);
        }
    }

    /// Looks after the link to the leader: whether it is silent, serves, or has ended.
    fn watch_leader(&mut self) {
        let Role::Following(leader) = self.role else { return };
        if !self.followed.wants_bytes() {
            // What this side does not read is no silence.
            self.heard = self.now;
        }
        if self.followed.outgoing().is_empty() {
            self.taken = self.now;
        }
        let differences = self.followed.take_differences();
        if !differences.is_empty() {
            self.events.push_back(MemberEvent::LeaderDiffers(leader, differences));
        }
        let serves = self.followed.state() == ZabState::Broadcast;
        // One that pings and reads nothing is of no more use than one that is silent.
        let silent_ms = self.now.0 - self.heard.0.min(self.taken.0);
        if self.followed.is_connected() && silent_ms >= self.silence_limit_ms() {
            self.events.push_back(MemberEvent::LeaderSilent(leader, silent_ms));
            self.followed.disconnect();
        }
        if serves && !self.has_served {
            self.synchronized(leader);
        }
        let Some(end) = self.followed.take_end() else { return };
        self.events.push_back(MemberEvent::FollowEnded(leader, end));
        self.actions.push_back(MemberAction::HangUp);
        self.failures = if self.has_served { 0 } else { self.failures.saturating_add(1) };
        let pause_ms = match (end.retry_delay(), self.failures) {
            (RetryDelay::Long, _) => LONG_PAUSE_MS,
            (RetryDelay::Usual, 0) => 0,
            (RetryDelay::Usual, times) => (PAUSE_MS << times.min(10)).min(PAUSE_MS_MAX),
        };
        self.rest(pause_ms);
    }

    fn synchronized(&mut self, leader: ServerId) {
        self.has_served = true;
        self.failures = 0;
        let position = self.followed.position();
        let (by, last) = (self.followed.synchronized_by(), position.last);
        let epoch = position.saved.current;
        self.events.push_back(MemberEvent::Synchronized { leader, epoch, by, last });
        if self.followed.is_voting() {
            let role = ElectedRole::Follow(leader);
            self.election.take_role(role, epoch);
            self.after_election_input();
        } else {
            // It can vouch for what it has from now on.
            self.followed.disconnect();
        }
    }

    fn expire_early(&mut self) {
        let (now, init_ms) = (self.now, self.settings.leader.init_ms);
        let is_late = |since: &Millis| now.0 - since.0 >= init_ms;
        while let Some(link) =
            self.early.iter().find_map(|(link, since)| is_late(since).then_some(*link))
        {
            self.early.remove(&link);
            self.actions.push_back(MemberAction::Close(link));
        }
    }
}
