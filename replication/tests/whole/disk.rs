//! What a member has on its disk, and who works with whole states.

use std::cell::RefCell;
use std::rc::Rc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Epochs;
use ringkeeper_engine::log::{LogCommand, LogEvent};
use ringkeeper_engine::txn::Txn;
use ringkeeper_replication::learner::{
    FollowedLeader, StateOutcome, StatePort, StateTask, whole_state,
};
use ringkeeper_replication::node::LeaderPort;
use ringkeeper_replication::{Divergence, LeaderEvent, LeaderFault, SessionAttachment};

use crate::server::{HASH_SEED, database_of};

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
                (self.base, self.txns) = (zxid, received);
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
        let (task, outcome) = (None, None);
        MemoryStates { disk, history, task, outcome, is_full: false, reloads: 0 }
    }

    /// Does what was begun.
    pub(crate) fn work(&mut self) {
        let Some(task) = self.task.take() else { return };
        let outcome = match task {
            StateTask::Load { zxid, bytes } => {
                StateOutcome::Loaded(bytes.load(zxid, HASH_SEED).map(Box::new))
            }
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

impl StatePort for MemoryStates {
    fn begin(&mut self, task: StateTask) {
        assert!(self.task.is_none() && self.outcome.is_none(), "one task is under way at a time");
        self.task = Some(task);
    }

    fn poll(&mut self) -> Option<StateOutcome> {
        self.outcome.take()
    }
}
