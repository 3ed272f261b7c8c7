//! What a member has on its disk, and who works with whole states.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Epochs;
use ringkeeper_engine::log::{LogCommand, LogEvent};
use ringkeeper_engine::txn::Txn;
use ringkeeper_replication::learner::{
    DiscardedState, FollowedLeader, StateOutcome, StatePiece, StatePort, StateReader, StateTask,
    whole_state,
};
use ringkeeper_replication::node::LeaderPort;
use ringkeeper_replication::{Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment};

use crate::server::{HASH_SEED, database_of};

/// Pieces of a state that wait for the thread that loads it.
const PIECES_MAX: usize = 2;

/// A directory.
#[derive(Default, Debug)]
pub(crate) struct MemberDisk {
    /// The log begins behind this transaction.
    pub(crate) base: Zxid,
    /// What the state at `base` holds, and everything that was handed to the log. What is not
    /// durable of it is lost in a crash.
    pub(crate) txns: Vec<Txn>,
    /// What the state holds that was received, beside that.
    received: Option<Vec<Txn>>,
    /// The epochs.
    pub(crate) epochs: Epochs,
    /// What is durable, as of when the leader was heard or spoken to last.
    pub(crate) durable: Zxid,
    /// What must be durable before the epoch is current.
    pub(crate) history_end: Zxid,
    /// It is noted that the state is not the leader's.
    pub(crate) diverged: Option<Zxid>,
    /// The next install finds what was received damaged.
    pub(crate) spoils_install: bool,
}

impl MemberDisk {
    /// Where the log ends, with what is not durable.
    pub(crate) fn last(&self) -> Zxid {
        self.txns.last().map_or(self.base, |txn| txn.zxid.max(self.base))
    }

    /// The process ends.
    pub(crate) fn crash(&mut self, durable: Zxid) {
        self.txns.retain(|txn| txn.zxid <= durable);
        self.received = None;
    }

    /// What a log does with a command.
    pub(crate) fn execute(&mut self, command: LogCommand, durable: Zxid) -> LogEvent {
        match command {
            LogCommand::Cut { after, committed } => {
                assert!(after >= committed, "what is committed is cut");
                if after < self.base {
                    return LogEvent::CutTooFar(after);
                }
                self.txns.retain(|txn| txn.zxid <= after);
                LogEvent::Cut(self.last())
            }
            LogCommand::Install { zxid, committed } => {
                assert!(zxid >= committed, "what is committed is replaced by less");
                let received = self.received.take().expect("a state was written before");
                if std::mem::take(&mut self.spoils_install) {
                    return LogEvent::NotInstalled(zxid);
                }
                (self.base, self.txns, self.diverged) = (zxid, received, None);
                LogEvent::Installed(zxid)
            }
            LogCommand::Save(epochs) => {
                let Epochs { promised, current } = self.epochs;
                assert!(epochs.promised >= promised && epochs.current >= current);
                let is_here = epochs.current == current || durable >= self.history_end;
                assert!(is_here, "the epoch is current before its history is durable");
                self.epochs = epochs;
                LogEvent::Saved(epochs)
            }
            LogCommand::MarkDiverged(zxid) => {
                self.diverged = Some(zxid);
                LogEvent::MarkedDiverged(zxid)
            }
        }
    }
}

/// A followed leader, and a disk that keeps what the node learns from it.
pub(crate) struct RecordedLeader {
    /// The product's.
    pub(crate) leader: FollowedLeader,
    disk: Rc<RefCell<MemberDisk>>,
    is_learning: bool,
}

impl RecordedLeader {
    /// Records what is learned.
    pub(crate) fn new(leader: FollowedLeader, disk: Rc<RefCell<MemberDisk>>) -> RecordedLeader {
        RecordedLeader { leader, disk, is_learning: false }
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
        self.is_learning = false;
        if let LeaderEvent::Learned(entry) = &event {
            self.disk.borrow_mut().txns.push(entry.txn.clone());
            self.is_learning = true;
        }
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

    fn fault(&mut self, fault: LeaderFault) {
        if std::mem::take(&mut self.is_learning) {
            self.disk.borrow_mut().txns.pop();
        }
        self.leader.fault(fault);
    }

    fn diverged(&mut self, divergence: Divergence) {
        self.leader.diverged(divergence);
    }
}

/// A thread that works with whole states when the test says so.
pub(crate) struct MemoryStates {
    disk: Rc<RefCell<MemberDisk>>,
    /// The history of the leader that sends states.
    history: Rc<RefCell<Vec<Txn>>>,
    task: Option<StateTask>,
    /// Pieces of a state that the thread has not taken.
    pieces: VecDeque<StatePiece>,
    /// What it has taken.
    taken: VecDeque<StatePiece>,
    is_abandoned: bool,
    /// The next load ends before the state does.
    pub(crate) breaks_load: bool,
    /// States that nothing needs any more.
    pub(crate) discarded: usize,
    outcome: Option<StateOutcome>,
    /// The disk has no space for the next state.
    pub(crate) is_full: bool,
    /// States that were read again behind a cut.
    pub(crate) reloads: usize,
}

impl MemoryStates {
    /// Nothing to do yet.
    pub(crate) fn new(
        disk: Rc<RefCell<MemberDisk>>,
        history: Rc<RefCell<Vec<Txn>>>,
    ) -> MemoryStates {
        MemoryStates {
            disk,
            history,
            task: None,
            pieces: VecDeque::new(),
            taken: VecDeque::new(),
            is_abandoned: false,
            breaks_load: false,
            discarded: 0,
            outcome: None,
            is_full: false,
            reloads: 0,
        }
    }

    /// Takes the pieces that wait. A load ends with the last one, or when it is abandoned.
    fn load(&mut self, zxid: Zxid) -> Option<StateOutcome> {
        self.taken.append(&mut self.pieces);
        let is_broken = !self.taken.is_empty() && std::mem::take(&mut self.breaks_load);
        let is_whole = self.taken.back() == Some(&StatePiece::End);
        if !is_whole && !self.is_abandoned && !is_broken {
            return None;
        }
        let mut taken = std::mem::take(&mut self.taken);
        if is_broken {
            taken.clear();
        }
        let loaded = StateReader::new(|| taken.pop_front()).load(zxid, HASH_SEED);
        Some(StateOutcome::Loaded(loaded.map(Box::new)))
    }

    /// Does what was begun.
    pub(crate) fn work(&mut self) {
        let Some(task) = self.task.take() else { return };
        let outcome = match task {
            StateTask::Load { zxid } => match self.load(zxid) {
                Some(outcome) => outcome,
                None => return self.task = Some(StateTask::Load { zxid }),
            },
            StateTask::Write { .. } if std::mem::take(&mut self.is_full) => {
                StateOutcome::Written(None)
            }
            StateTask::Write { zxid, rebuild } => {
                let state = whole_state(*rebuild, zxid).expect("the leader's state is one");
                let mut received = self.history.borrow().clone();
                received.retain(|txn| txn.zxid <= zxid);
                self.disk.borrow_mut().received = Some(received);
                StateOutcome::Written(Some(Box::new(state)))
            }
            StateTask::Reload { zxid } => {
                let disk = self.disk.borrow();
                assert_eq!(disk.last(), zxid, "the log was cut");
                self.reloads += 1;
                StateOutcome::Reloaded(Box::new(database_of(&disk.txns)))
            }
        };
        self.outcome = Some(outcome);
    }
}

impl MemoryStates {
    /// A load that has ended takes nothing any more.
    fn push_piece(&mut self, piece: StatePiece) {
        match &self.task {
            Some(StateTask::Load { .. }) => self.pieces.push_back(piece),
            Some(_) => panic!("a piece comes while no state is loaded"),
            None => assert!(self.outcome.is_some(), "a piece comes while no state is loaded"),
        }
    }
}

impl StatePort for MemoryStates {
    fn begin(&mut self, task: StateTask) {
        assert!(self.task.is_none() && self.outcome.is_none(), "one task is under way at a time");
        self.task = Some(task);
        (self.is_abandoned, self.pieces, self.taken) = Default::default();
    }

    fn has_space(&self) -> bool {
        self.pieces.len() < PIECES_MAX
    }

    fn push(&mut self, piece: Vec<u8>) {
        assert!(self.has_space() && !self.is_abandoned);
        self.push_piece(StatePiece::Bytes(piece));
    }

    fn end_of_state(&mut self) {
        self.push_piece(StatePiece::End);
    }

    fn abandon(&mut self) {
        self.is_abandoned = true;
    }

    fn discard(&mut self, _: DiscardedState) {
        self.discarded += 1;
    }

    fn poll(&mut self) -> Option<StateOutcome> {
        self.outcome.take()
    }
}
