//! A whole state on its way from the leader, or from a log that was cut, to the node.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::LogCommand;
use ringkeeper_engine::zookeeper::{Bad, Entry, Rebuild, StateForm};

use super::followed_leader::FollowedLeader;
use super::incoming_state::{IncomingState, IntakeEnd};
use super::transfer::{FollowTask, StateProgress, Transfer};
use super::{DiscardedState, LearnerLink, LinkInput, StatePort, StateTask};
use crate::LogSpace;
use crate::plant::{Bug, is_planted};

/// A state that is received.
impl FollowedLeader {
    /// How far a state is; `None` where there is none.
    pub fn state_progress(&self) -> Option<StateProgress> {
        match &self.transfer {
            Transfer::None => None,
            Transfer::Incoming(state) if state.is_receiving() => {
                Some(StateProgress::Receiving(state.zxid(), state.received()))
            }
            Transfer::Incoming(_) | Transfer::Loaded(_) | Transfer::Unusable => {
                Some(StateProgress::Loading)
            }
            Transfer::Writing | Transfer::Installing(_) => Some(StateProgress::Writing),
            Transfer::Reloading(_) => Some(StateProgress::Reloading),
        }
    }

    /// A state follows on the link: what makes a tree of it begins now.
    pub(super) fn begin_state(&mut self, zxid: Zxid) {
        let state = IncomingState::new(zxid, self.limits.state_bytes_max);
        self.transfer = Transfer::Incoming(state);
        let form = match self.link.as_ref().is_some_and(LearnerLink::is_leader_ours) {
            true => StateForm::Exact,
            false => StateForm::Fuzzy,
        };
        self.tasks.push_back(FollowTask::State(StateTask::Load { zxid, form }));
        let pending = self.decoder.take_pending();
        self.receive_state(&pending);
    }

    pub(super) fn receive_state(&mut self, bytes: &[u8]) {
        let Transfer::Incoming(state) = &mut self.transfer else {
            unreachable!("a state is received");
        };
        match state.push(bytes) {
            Ok(None) => {}
            Ok(Some(end)) => self.decoder.push(&bytes[end..]),
            Err(bad) => self.step(LinkInput::Malformed(bad)),
        }
    }

    /// Hands over what has come, as much as there is space for.
    pub(super) fn hand_over(&mut self, states: &mut impl StatePort) {
        if let Transfer::Incoming(state) = &mut self.transfer {
            while states.has_space()
                && let Some(piece) = state.next_piece()
            {
                states.push(piece);
            }
            match state.take_end() {
                Some(IntakeEnd::Whole) => states.end_of_state(),
                Some(IntakeEnd::Abandoned) => states.abandon(),
                None => {}
            }
        }
        self.discarded.drain(..).for_each(|state| states.discard(state));
    }

    pub(super) fn on_loaded(&mut self, loaded: Result<Box<Rebuild>, Bad>) {
        let transfer = std::mem::replace(&mut self.transfer, Transfer::None);
        let Transfer::Incoming(state) = transfer else { panic!("no state was to be loaded") };
        match loaded {
            Ok(rebuild) if self.is_connected && !state.is_receiving() => {
                self.transfer = Transfer::Loaded(rebuild);
            }
            loaded => {
                self.discarded.extend(loaded.ok().map(DiscardedState::Partial));
                if self.is_connected {
                    self.step(LinkInput::NotInstalled);
                }
            }
        }
    }

    /// What is committed behind a state that does not fit it ends the link.
    pub(super) fn add_to_state(&mut self, entry: &Entry) {
        if let Transfer::Loaded(rebuild) = &mut self.transfer
            && rebuild.take(entry).is_err()
        {
            self.discard_transfer();
            self.transfer = Transfer::Unusable;
        }
    }

    pub(super) fn write_state(&mut self, zxid: Zxid) {
        let transfer = std::mem::replace(&mut self.transfer, Transfer::Writing);
        let Transfer::Loaded(rebuild) = transfer else { unreachable!("no packet came before") };
        self.tasks.push_back(FollowTask::State(StateTask::Write { zxid, rebuild }));
    }

    pub(super) fn on_written(&mut self, written: Option<Box<Database>>) {
        assert!(matches!(self.transfer, Transfer::Writing), "no state was to be written");
        self.transfer = Transfer::None;
        match written {
            Some(state) if self.is_connected => {
                let (zxid, committed) = (state.applied(), self.position().committed);
                self.transfer = Transfer::Installing(state);
                self.push_command(LogCommand::Install { zxid, committed });
            }
            // The link that it came over has ended: the next leader may have another history.
            written => {
                let has_no_space = written.is_none() && self.space == LogSpace::Full;
                self.discarded.extend(written.map(DiscardedState::Whole));
                if has_no_space && self.is_connected {
                    self.leave_full();
                }
                self.step(LinkInput::NotInstalled);
            }
        }
    }

    /// The log begins behind the state that was received, which the node gets next.
    pub(super) fn take_installed(&mut self) -> Box<Database> {
        match std::mem::replace(&mut self.transfer, Transfer::None) {
            Transfer::Installing(state) => state,
            _ => panic!("no state was to be installed"),
        }
    }

    /// The node has it.
    pub(super) fn on_installed(&mut self, zxid: Zxid) {
        self.events.drop_cuts();
        self.on_log_ends(zxid);
        (self.offers_nothing, self.unmarked, self.withheld) = (false, None, 0);
        self.touched = super::TouchedSessions::new();
        self.step(LinkInput::Installed(zxid));
    }

    /// The link has ended. What is under way at the disk ends first.
    pub(super) fn give_up_state(&mut self) {
        match &mut self.transfer {
            Transfer::Incoming(_) if is_planted(Bug::LoadForgotten) => {
                self.transfer = Transfer::None;
            }
            Transfer::Incoming(state) => state.abandon(),
            Transfer::Loaded(_) | Transfer::Unusable => self.discard_transfer(),
            Transfer::None => {}
            Transfer::Writing | Transfer::Installing(_) | Transfer::Reloading(_) => {}
        }
    }

    /// Nothing needs what is on its way.
    pub(super) fn discard_transfer(&mut self) {
        match std::mem::replace(&mut self.transfer, Transfer::None) {
            Transfer::Loaded(state) => self.discarded.push(DiscardedState::Partial(state)),
            Transfer::Installing(state) => self.discarded.push(DiscardedState::Whole(state)),
            Transfer::None | Transfer::Incoming(_) | Transfer::Unusable => {}
            Transfer::Writing | Transfer::Reloading(_) => {}
        }
    }
}

/// A state that is read again.
impl FollowedLeader {
    /// The log was cut, and the tree holds more.
    pub(super) fn reload(&mut self, last: Zxid) {
        self.transfer = Transfer::Reloading(last);
        self.tasks.push_back(FollowTask::State(StateTask::Reload { zxid: last }));
    }

    /// The node has the tree of the log that was cut.
    pub(super) fn on_reloaded(&mut self, applied: Zxid) {
        let transfer = std::mem::replace(&mut self.transfer, Transfer::None);
        let Transfer::Reloading(last) = transfer else { panic!("no state was to be read again") };
        assert_eq!(applied, last, "the state is not that of the log");
        self.events.drop_cuts();
        self.on_log_ends(last);
        self.step(LinkInput::Cut(last));
    }
}
