//! The thread of a member that works with whole states, on its disk in memory: with the functions
//! that the server's thread uses.

use std::collections::VecDeque;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Directory, DirectoryId, MemoryDisk};
use ringkeeper_engine::log::{Dirs, Gauge, reload};
use ringkeeper_engine::snapshot::{keep_digest, write_received};
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::zookeeper::{Bad, Rebuild};
use ringkeeper_replication::learner::{
    DiscardedState, StateOutcome, StatePiece, StatePort, StateReader, StateTask, whole_state,
};

use super::server::HASH_SEED;

/// Pieces of a state that wait for the thread.
const PIECES_MAX: usize = 2;

/// A disk, and whose it is.
#[derive(Clone)]
pub(crate) struct StateDisk {
    pub(crate) disk: MemoryDisk,
    pub(crate) directory: DirectoryId,
    /// That of the log.
    pub(crate) gauge: Gauge,
}

/// One task at a time.
pub(crate) struct DeviceStates {
    on: StateDisk,
    task: Option<StateTask>,
    /// Pieces of a state that the thread has not taken.
    waiting: VecDeque<StatePiece>,
    /// What it has taken.
    taken: Vec<StatePiece>,
    /// How many of them it had when it tried to load the state last.
    tried: usize,
    is_abandoned: bool,
    outcome: Option<StateOutcome>,
    /// The thread has something to do whose end is not on the schedule.
    is_begun: bool,
    /// The end of what it does is on the schedule.
    is_awaited: bool,
    has_failed: bool,
    /// States that were read again behind a cut.
    pub(crate) reloads: usize,
    /// States that nothing needed any more.
    pub(crate) discarded: usize,
}

impl DeviceStates {
    /// Nothing to do yet.
    pub(crate) fn new(on: StateDisk) -> DeviceStates {
        DeviceStates {
            on,
            task: None,
            waiting: VecDeque::new(),
            taken: Vec::new(),
            tried: 0,
            is_abandoned: false,
            outcome: None,
            is_begun: false,
            is_awaited: false,
            has_failed: false,
            reloads: 0,
            discarded: 0,
        }
    }

    /// Whether something was begun whose end is to be put on the schedule now.
    pub(crate) fn take_begun(&mut self) -> bool {
        let begins = self.is_begun && !self.is_awaited;
        if begins {
            (self.is_begun, self.is_awaited) = (false, true);
        }
        begins
    }

    /// Whether a task is done that was not polled.
    pub(crate) fn is_done(&self) -> bool {
        self.outcome.is_some()
    }

    /// Whether the process must stop.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Does what was begun, as far as that goes.
    pub(crate) fn complete(&mut self) {
        self.is_awaited = false;
        let Some(task) = self.task.take() else { return };
        match task {
            StateTask::Load { zxid } => match self.load(zxid) {
                Some(loaded) => self.outcome = Some(StateOutcome::Loaded(loaded)),
                None => self.task = Some(StateTask::Load { zxid }),
            },
            StateTask::Write { zxid, rebuild } => self.write(zxid, *rebuild),
            StateTask::Reload { zxid } => self.reload(zxid),
        }
    }

    /// Takes the pieces that wait. A load ends with the last one, when it is abandoned, and where
    /// what has come cannot be the beginning of a state.
    fn load(&mut self, zxid: Zxid) -> Option<Result<Box<Rebuild>, Bad>> {
        self.taken.extend(self.waiting.drain(..));
        let is_whole = self.taken.last() == Some(&StatePiece::End);
        // The server's thread reads on; this begins anew, so not with each piece.
        if !is_whole && !self.is_abandoned && self.taken.len() < self.tried * 2 {
            return None;
        }
        self.tried = self.taken.len();
        let mut pieces = self.taken.iter();
        let loaded = StateReader::new(|| pieces.next().cloned()).load(zxid, HASH_SEED);
        let is_open = matches!(loaded, Err(Bad::CutOff { .. })) && !is_whole;
        if is_open && !self.is_abandoned {
            return None;
        }
        self.taken.clear();
        Some(loaded.map(Box::new))
    }

    /// A state that cannot be written is not installed; the server goes on.
    fn write(&mut self, zxid: Zxid, rebuild: Rebuild) {
        let StateDisk { disk, directory, .. } = &self.on;
        let written = whole_state(rebuild, zxid).ok().map(|mut state| {
            let written = write_received(disk, *directory, &mut state);
            keep_digest(&mut state.tree, Digest::Kept, 1);
            written.map(|_| Box::new(state))
        });
        match written {
            // With its power the machine has lost this thread.
            Some(Err(_)) if disk.list().is_err() => self.has_failed = true,
            Some(Ok(state)) => self.outcome = Some(StateOutcome::Written(Some(state))),
            Some(Err(_)) | None => self.outcome = Some(StateOutcome::Written(None)),
        }
    }

    /// A log that was cut and cannot be read ends the server. It can be read once the disk can.
    fn reload(&mut self, zxid: Zxid) {
        let StateDisk { disk, directory, gauge } = &self.on;
        let dirs = Dirs { snapshots: disk.clone(), log: disk.clone() };
        let read = || reload(&dirs, (*directory, gauge), HASH_SEED, zxid);
        match read() {
            Ok(mut state) => {
                keep_digest(&mut state.tree, Digest::Kept, 1);
                self.outcome = Some(StateOutcome::Reloaded(Box::new(state)));
            }
            Err(error) => {
                let is_dead = disk.list().is_err();
                assert!(is_dead || read().is_ok(), "a log that was cut cannot be read: {error}");
                self.has_failed = true;
            }
        }
    }

    /// A load that has ended takes nothing any more.
    fn push_piece(&mut self, piece: StatePiece) {
        match &self.task {
            Some(StateTask::Load { .. }) => {
                self.waiting.push_back(piece);
                self.is_begun = true;
            }
            Some(_) => panic!("a piece comes while no state is loaded"),
            None => assert!(self.outcome.is_some(), "a piece comes while no state is loaded"),
        }
    }
}

impl StatePort for DeviceStates {
    fn begin(&mut self, task: StateTask) {
        assert!(self.task.is_none() && self.outcome.is_none(), "one task is under way at a time");
        (self.task, self.is_begun) = (Some(task), true);
        (self.is_abandoned, self.waiting, self.taken, self.tried) = Default::default();
    }

    fn has_space(&self) -> bool {
        self.waiting.len() < PIECES_MAX
    }

    fn push(&mut self, piece: Vec<u8>) {
        assert!(self.has_space() && !self.is_abandoned, "a piece comes that nothing takes");
        self.push_piece(StatePiece::Bytes(piece));
    }

    fn end_of_state(&mut self) {
        self.push_piece(StatePiece::End);
    }

    fn abandon(&mut self) {
        (self.is_abandoned, self.is_begun) = (true, true);
    }

    fn discard(&mut self, _: DiscardedState) {
        self.discarded += 1;
    }

    fn poll(&mut self) -> Option<StateOutcome> {
        let outcome = self.outcome.take();
        self.reloads += usize::from(matches!(outcome, Some(StateOutcome::Reloaded(_))));
        outcome
    }
}
