//! The thread that works with whole states: making, writing and reading one takes as long as it
//! has nodes.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{DirectoryId, Disk};
use ringkeeper_engine::log::{Dirs, Gauge, reload};
use ringkeeper_engine::snapshot::{keep_digest, write_received};
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::{Zxid, zookeeper};
use ringkeeper_replication::learner::{
    DiscardedState, StateOutcome, StatePiece, StatePort, StateReader, StateTask, whole_state,
};

use crate::node::waker::Waker;

/// Pieces of a state that wait to be read.
const PIECES_WAITING: usize = 16;

/// Where states are written and read, and how they are kept.
pub(crate) struct StateStore {
    /// The directories.
    pub(crate) dirs: Dirs<Disk>,
    /// Whose they are.
    pub(crate) directory: DirectoryId,
    /// The log.
    pub(crate) gauge: Gauge,
    /// Whether a tree keeps its digest.
    pub(crate) digest: Digest,
    /// What keys the hash tables.
    pub(crate) seed: u64,
}

/// The node's end.
pub(crate) struct StateThread {
    work: Sender<Work>,
    outcomes: Receiver<StateOutcome>,
    /// To the load under way.
    pieces: Option<Sender<StatePiece>>,
}

/// What the thread does, one after the other.
enum Work {
    /// Makes a state of the pieces that come.
    Load(Zxid, Receiver<StatePiece>),
    /// Another task.
    Task(StateTask),
    /// Gives memory back.
    Discard(DiscardedState),
}

impl StateThread {
    /// Starts the thread, which ends with this. `waker` is woken when a task is done, and when a
    /// load takes another piece.
    pub(crate) fn start(
        store: StateStore,
        waker: Arc<Waker>,
    ) -> io::Result<(StateThread, JoinHandle<()>)> {
        let (work, to_do) = unbounded();
        let (done, outcomes) = unbounded();
        let run = move || {
            while let Ok(work) = to_do.recv() {
                let outcome = match work {
                    Work::Load(zxid, pieces) => store.load(zxid, &pieces, &waker),
                    Work::Task(task) => store.perform(task),
                    Work::Discard(state) => {
                        drop(state);
                        continue;
                    }
                };
                if done.send(outcome).is_err() {
                    return;
                }
                waker.wake();
            }
        };
        let thread = thread::Builder::new().name("peer-state".into()).spawn(run)?;
        Ok((StateThread { work, outcomes, pieces: None }, thread))
    }

    /// Whether a task is done that [`StatePort::poll`] has not returned.
    pub(super) fn is_done(&self) -> bool {
        !self.outcomes.is_empty()
    }

    fn send(&self, work: Work) {
        // Without the thread the server is about to end.
        let _ = self.work.send(work);
    }

    fn send_piece(&self, piece: StatePiece) {
        if let Some(pieces) = &self.pieces {
            // A load that has ended wants no more.
            let _ = pieces.try_send(piece);
        }
    }
}

impl StatePort for StateThread {
    fn begin(&mut self, task: StateTask) {
        match task {
            StateTask::Load { zxid } => {
                let (to_load, pieces) = bounded(PIECES_WAITING);
                self.pieces = Some(to_load);
                self.send(Work::Load(zxid, pieces));
            }
            task => self.send(Work::Task(task)),
        }
    }

    /// One place is kept for the end.
    fn has_space(&self) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| pieces.len() + 1 < PIECES_WAITING)
    }

    fn push(&mut self, piece: Vec<u8>) {
        self.send_piece(StatePiece::Bytes(piece));
    }

    fn end_of_state(&mut self) {
        self.send_piece(StatePiece::End);
    }

    fn abandon(&mut self) {
        self.pieces = None;
    }

    fn discard(&mut self, state: DiscardedState) {
        self.send(Work::Discard(state));
    }

    fn poll(&mut self) -> Option<StateOutcome> {
        self.outcomes.try_recv().ok()
    }
}

impl StateStore {
    fn load(&self, zxid: Zxid, pieces: &Receiver<StatePiece>, waker: &Waker) -> StateOutcome {
        let (start, mut bytes) = (Instant::now(), 0);
        let next = || {
            let piece = pieces.recv().ok();
            if let Some(StatePiece::Bytes(piece)) = &piece {
                bytes += piece.len();
            }
            waker.wake();
            piece
        };
        let loaded = StateReader::new(next).load(zxid, self.seed);
        note_loaded(zxid, bytes, start, loaded.as_ref().err());
        StateOutcome::Loaded(loaded.map(Box::new))
    }

    fn perform(&self, task: StateTask) -> StateOutcome {
        match task {
            StateTask::Load { .. } => unreachable!("it comes with its pieces"),
            StateTask::Write { zxid, rebuild } => {
                let state = match whole_state(*rebuild, zxid) {
                    Ok(state) => state,
                    Err(unusable) => {
                        tracing::error!(
                            "what the leader sent is no state, so none is taken over: {unusable}"
                        );
                        return StateOutcome::Written(None);
                    }
                };
                StateOutcome::Written(self.write(state).map(Box::new))
            }
            StateTask::Reload { zxid } => StateOutcome::Reloaded(Box::new(self.reload(zxid))),
        }
    }

    /// The state, once it is on the disk.
    fn write(&self, mut state: Database) -> Option<Database> {
        let start = Instant::now();
        match write_received(&self.dirs.snapshots, self.directory, &mut state) {
            Ok(written) => {
                let ms = start.elapsed().as_millis() as u64;
                let (zxid, bytes) = (written.zxid, written.bytes);
                tracing::info!(zxid = %zxid, bytes, ms, "the leader's state was written");
                keep_digest(&mut state.tree, self.digest, threads());
                Some(state)
            }
            Err(error) => {
                let advice = error.advice().map(|it| format!("; {it}")).unwrap_or_default();
                tracing::error!("the leader's state cannot be written: {error}{advice}");
                None
            }
        }
    }

    /// The state that a log holds which was just cut. It was there before, so if it cannot be read
    /// now, the directory is damaged.
    fn reload(&self, zxid: Zxid) -> Database {
        let whose = (self.directory, &self.gauge);
        match reload(&self.dirs, whose, self.seed, zxid) {
            Ok(mut state) => {
                keep_digest(&mut state.tree, self.digest, threads());
                state
            }
            Err(refusal) => crate::fatal::stop(&format!(
                "the log was cut behind {zxid}, and what is left cannot be read: {refusal}"
            )),
        }
    }
}

fn note_loaded(zxid: Zxid, bytes: usize, start: Instant, bad: Option<&zookeeper::Bad>) {
    let ms = start.elapsed().as_millis() as u64;
    match bad {
        None => tracing::info!(zxid = %zxid, bytes, ms, "the leader's state was read"),
        Some(bad) => tracing::warn!(bytes, "the leader's state was not read to its end: {bad}"),
    }
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
