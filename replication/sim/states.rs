//! The thread of a member that works with whole states, on its disk in memory.

use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{Directory, DirectoryId, DiskError, MemoryDisk};
use ringkeeper_engine::limits;
use ringkeeper_engine::snapshot::{Meta, Writer};
use ringkeeper_engine::tree::Progress;
use ringkeeper_replication::learner::{StateOutcome, StatePort, StateTask, whole_state};

use super::member::open_copy;
use super::server::HASH_SEED;

/// One task at a time.
pub(crate) struct DeviceStates {
    disk: MemoryDisk,
    directory: DirectoryId,
    task: Option<StateTask>,
    outcome: Option<StateOutcome>,
    is_begun: bool,
    failed: Option<DiskError>,
    /// States that were read again behind a cut.
    pub(crate) reloads: usize,
}

impl DeviceStates {
    /// Nothing to do yet.
    pub(crate) fn new(disk: MemoryDisk, directory: DirectoryId) -> DeviceStates {
        DeviceStates {
            disk,
            directory,
            task: None,
            outcome: None,
            is_begun: false,
            failed: None,
            reloads: 0,
        }
    }

    /// Whether something was begun since the last call.
    pub(crate) fn take_begun(&mut self) -> bool {
        std::mem::take(&mut self.is_begun)
    }

    /// Why the process must stop, if it must.
    pub(crate) fn failed(&self) -> Option<&DiskError> {
        self.failed.as_ref()
    }

    /// Does what was begun.
    pub(crate) fn complete(&mut self) {
        let Some(task) = self.task.take() else { return };
        let outcome = match task {
            StateTask::Load { zxid, bytes } => {
                StateOutcome::Loaded(bytes.load(zxid, HASH_SEED).map(Box::new))
            }
            StateTask::Write { zxid, rebuild } => match whole_state(*rebuild, zxid) {
                Err(_) => StateOutcome::Written(None),
                Ok(mut state) => match self.write(&mut state) {
                    Ok(()) => StateOutcome::Written(Some(Box::new(state))),
                    Err(error) if error.is_full() => StateOutcome::Written(None),
                    Err(error) => {
                        self.failed = Some(error);
                        return;
                    }
                },
            },
            StateTask::Reload { zxid } => {
                if let Err(error) = self.disk.list() {
                    self.failed = Some(error);
                    return;
                }
                let opened = open_copy(&self.disk).expect("a log that was cut can be read");
                assert_eq!(opened.recovered.last, zxid, "the log was cut");
                StateOutcome::Reloaded(Box::new(opened.db))
            }
        };
        self.outcome = Some(outcome);
    }

    fn write(&self, state: &mut Database) -> Result<(), DiskError> {
        let sessions = state.sessions().collect();
        let header = state.tree.begin_snapshot().encode();
        let meta = Meta { zxid: state.applied(), sessions, header };
        let written = self.write_blocks(state, &meta);
        if written.is_err() {
            state.tree.abandon_snapshot();
        }
        written
    }

    fn write_blocks(&self, state: &mut Database, meta: &Meta) -> Result<(), DiskError> {
        let mut writer = Writer::begin_received(&self.disk, self.directory, meta)?;
        loop {
            let mut block = Vec::new();
            let progress = state.tree.snapshot_slice(limits::SNAPSHOT_SLICE_NODES, &mut block);
            writer.block(&block)?;
            if progress == Progress::Done {
                return writer.finish().map(|_| ());
            }
        }
    }
}

impl StatePort for DeviceStates {
    fn begin(&mut self, task: StateTask) {
        assert!(self.task.is_none() && self.outcome.is_none(), "one task is under way at a time");
        (self.task, self.is_begun) = (Some(task), true);
    }

    fn poll(&mut self) -> Option<StateOutcome> {
        let outcome = self.outcome.take();
        self.reloads += usize::from(matches!(outcome, Some(StateOutcome::Reloaded(_))));
        outcome
    }
}
