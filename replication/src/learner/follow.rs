//! A turn of a node between its log, whole states and its leader.

use ringkeeper_engine::database::CommitStatus;
use ringkeeper_engine::log::LogEvent;

use super::followed_leader::FollowedLeader;
use super::transfer::FollowTask;
use super::{DiscardedState, LinkInput, StateOutcome, StatePort};
use crate::Node;
use crate::node::{ClockPort, DatabasePort, Ports};

/// Moves on what lies between a node, its log and its leader. Once in every turn of the node,
/// between [`Node::release`] and [`Node::order`]; and before the leader's bytes are read again.
///
/// Order: a state that was installed, or read again, is the node's before the node learns what
/// follows it.
pub fn follow<P>(node: &mut Node<P>, states: &mut impl StatePort)
where
    P: Ports,
    P::Leader: AsMut<FollowedLeader>,
{
    while let Some(event) = node.log_event() {
        on_log_event(node, states, event);
    }
    while let Some(outcome) = states.poll() {
        on_state(node, states, outcome);
    }
    let now = node.world().clock.now().mono;
    leader(node).resume(now);
    leader(node).report_progress(states.progress());
    if let Some(divergence) = leader(node).take_divergence() {
        node.diverge(divergence);
    }
    if leader(node).take_established() {
        // Everything that was recovered or received is part of what the leader has committed.
        node.world().database.write().set_commit_status(CommitStatus::Committed);
    }
    while let Some(task) = leader(node).next_task() {
        match task {
            FollowTask::Command(command) => node.command(command),
            FollowTask::State(task) => states.begin(task),
        }
    }
    leader(node).hand_over(states);
    let unconfirmed = leader(node).unconfirmed();
    if !unconfirmed.is_empty() {
        node.leave_sessions(&unconfirmed);
    }
}

fn leader<P>(node: &mut Node<P>) -> &mut FollowedLeader
where
    P: Ports,
    P::Leader: AsMut<FollowedLeader>,
{
    node.world_mut().leader.as_mut()
}

fn on_log_event<P>(node: &mut Node<P>, states: &mut impl StatePort, event: LogEvent)
where
    P: Ports,
    P::Leader: AsMut<FollowedLeader>,
{
    match event {
        LogEvent::Flushed(_) => unreachable!("the node takes it"),
        LogEvent::Saved(epochs) => leader(node).on_command_done(LinkInput::Saved(epochs)),
        LogEvent::Adopted(ensemble) => {
            node.adopt(&ensemble);
            leader(node).on_command_done(LinkInput::Adopted(ensemble));
        }
        LogEvent::MarkedDiverged(_) => leader(node).on_marked(),
        LogEvent::CutTooFar(_) => leader(node).on_command_done(LinkInput::CutTooFar),
        LogEvent::NotInstalled(_) => leader(node).on_command_done(LinkInput::NotInstalled),
        LogEvent::Cut(last) => {
            let applied = node.world().database.read().applied();
            if applied > last {
                leader(node).reload(last);
            } else {
                leader(node).on_cut(last);
            }
        }
        LogEvent::Installed(zxid) => {
            let state = leader(node).take_installed();
            states.discard(DiscardedState::Whole(node.install(state)));
            leader(node).on_installed(zxid);
        }
    }
}

fn on_state<P>(node: &mut Node<P>, states: &mut impl StatePort, outcome: StateOutcome)
where
    P: Ports,
    P::Leader: AsMut<FollowedLeader>,
{
    match outcome {
        StateOutcome::Loaded(loaded) => leader(node).on_loaded(loaded),
        StateOutcome::Written(state) => leader(node).on_written(state),
        StateOutcome::Reloaded(state) => {
            let applied = state.applied();
            states.discard(DiscardedState::Whole(node.install(state)));
            leader(node).on_reloaded(applied);
        }
    }
}
