//! Work with a whole state, by whoever has a thread and a disk for it.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::{CommitStatus, Database};
use ringkeeper_engine::zookeeper::{Bad, Rebuild, StateForm, Unusable};

/// Work with a whole state. It takes as long as the state is large, and loading as long as the
/// leader sends, so it belongs on a thread of its own; one task is under way at a time.
pub enum StateTask {
    /// Make a state of the bytes that come through [`StatePort::push`], as
    /// [`super::StateReader::load`] does: [`StateOutcome::Loaded`].
    Load {
        /// That of SNAP.
        zxid: Zxid,
        /// How the leader writes it.
        form: StateForm,
    },
    /// Make the state whole, as [`whole_state`] does, and write it to the disk as the state that
    /// was received, durably, beside what is there: [`StateOutcome::Written`].
    Write {
        /// What it holds.
        zxid: Zxid,
        /// The state.
        rebuild: Box<Rebuild>,
    },
    /// Read the state from snapshots and log again, because the log was cut behind this
    /// transaction and the tree held more: [`StateOutcome::Reloaded`].
    Reload {
        /// Where the log ends.
        zxid: Zxid,
    },
}

/// What came of a task.
pub enum StateOutcome {
    /// The state of [`StateTask::Load`], or why it is none.
    Loaded(Result<Box<Rebuild>, Bad>),
    /// The state of [`StateTask::Write`] is on the disk; `None` where it is no state, or where the
    /// disk has no space for it.
    Written(Option<Box<Database>>),
    /// The state of [`StateTask::Reload`].
    Reloaded(Box<Database>),
}

/// A state that nothing needs any more. To give its memory back takes as long as it has nodes.
pub enum DiscardedState {
    /// One that was replaced, or was not installed.
    Whole(Box<Database>),
    /// One that was not made whole.
    Partial(Box<Rebuild>),
}

/// Who does the work with a whole state. Its thread wakes the node's when an outcome is there, and
/// when there is space again.
pub trait StatePort {
    /// Begins a task. The outcome of the one before was polled.
    fn begin(&mut self, task: StateTask);
    /// Whether the load under way takes another piece now. A bounded number may wait for it.
    fn has_space(&self) -> bool;
    /// The next bytes for the load under way, where [`StatePort::has_space`]. They are dropped where
    /// it has ended, because they make no state.
    fn push(&mut self, piece: Vec<u8>);
    /// The load under way has all bytes.
    fn end_of_state(&mut self);
    /// The load under way gets no more bytes and is not wanted: it is to end soon, with any
    /// outcome. It may have ended.
    fn abandon(&mut self);
    /// Gives the memory of a state back, on another thread.
    fn discard(&mut self, state: DiscardedState);
    /// A number that changes as long as the task under way goes on.
    fn progress(&self) -> u64;
    /// What came of the task, once.
    fn poll(&mut self) -> Option<StateOutcome>;
}

/// The state of [`StateTask::Write`]. Whether a quorum has it is not known before the leader says
/// so: no snapshot may be taken of it.
pub fn whole_state(rebuild: Rebuild, zxid: Zxid) -> Result<Database, Unusable> {
    let state = rebuild.finish(0)?;
    assert_eq!(state.last, zxid, "the link and the state count the same transactions");
    let mut state = Database::new(state.tree, state.sessions);
    state.set_commit_status(CommitStatus::Unknown);
    Ok(state)
}
