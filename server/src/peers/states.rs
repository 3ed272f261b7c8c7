//! The thread that works with whole states: making, writing and reading one takes as long as it
//! has nodes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{DirectoryId, Disk};
use ringkeeper_engine::log::{Dirs, Gauge, reload};
use ringkeeper_engine::snapshot::{keep_digest, write_received_in_blocks};
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::zookeeper::{self, StateForm};
use ringkeeper_replication::learner::{
    DiscardedState, StateOutcome, StatePiece, StatePort, StateReader, StateTask, whole_state,
};

use crate::node::waker::Waker;

/// Pieces of a state that wait to be read.
const PIECES_WAITING: usize = 16;
/// How often a node hears that a state is written on.
const WAKE_EVERY: Duration = Duration::from_millis(100);

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
    progress: Arc<AtomicU64>,
}

/// How far the thread is, for the node.
struct Moves {
    count: Arc<AtomicU64>,
    waker: Arc<Waker>,
    /// When the node was woken last.
    woken: Instant,
}

impl Moves {
    /// One more piece or block is done.
    fn one(&mut self) {
        self.count.fetch_add(1, Relaxed);
        if self.woken.elapsed() >= WAKE_EVERY {
            self.woken = Instant::now();
            self.waker.wake();
        }
    }
}

/// What the thread does, one after the other.
enum Work {
    /// Makes a state of the pieces that come.
    Load((Zxid, StateForm), Receiver<StatePiece>),
    /// Another task.
    Task(StateTask),
    /// Gives memory back.
    Discard(DiscardedState),
}

impl StateThread {
    /// Starts the thread, which ends with this and need not be waited for: a state is taken over by
    /// the log, and one that was not leaves nothing that matters. `waker` is woken when a task is
    /// done, and when a load takes another piece.
    pub(crate) fn start(store: StateStore, waker: Arc<Waker>) -> io::Result<StateThread> {
        let (work, to_do) = unbounded();
        let (done, outcomes) = unbounded();
        let progress = Arc::<AtomicU64>::default();
        let (count, woken) = (progress.clone(), Instant::now());
        let mut moves = Moves { count, waker, woken };
        let run = move || {
            while let Ok(work) = to_do.recv() {
                let outcome = match work {
                    Work::Load(state, pieces) => store.load(state, &pieces, &moves),
                    Work::Task(task) => store.perform(task, &mut moves),
                    Work::Discard(state) => {
                        drop(state);
                        continue;
                    }
                };
                if done.send(outcome).is_err() {
                    return;
                }
                moves.waker.wake();
            }
        };
        thread::Builder::new().name("peer-state".into()).spawn(run)?;
        Ok(StateThread { work, outcomes, pieces: None, progress })
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
            StateTask::Load { zxid, form } => {
                let (to_load, pieces) = bounded(PIECES_WAITING);
                self.pieces = Some(to_load);
                self.send(Work::Load((zxid, form), pieces));
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

    fn progress(&self) -> u64 {
        self.progress.load(Relaxed)
    }

    fn poll(&mut self) -> Option<StateOutcome> {
        self.outcomes.try_recv().ok()
    }
}

impl StateStore {
    fn load(
        &self,
        state: (Zxid, StateForm),
        pieces: &Receiver<StatePiece>,
        moves: &Moves,
    ) -> StateOutcome {
        let (start, mut bytes, mut is_cut_off) = (Instant::now(), 0, false);
        let next = || {
            let piece = pieces.recv().ok();
            is_cut_off = piece.is_none();
            if let Some(StatePiece::Bytes(piece)) = &piece {
                bytes += piece.len();
            }
            moves.count.fetch_add(1, Relaxed);
            moves.waker.wake();
            piece
        };
        let loaded = StateReader::new(next).load(state, self.seed);
        // Why the link has ended is said there.
        if !is_cut_off {
            note_loaded(state.0, bytes, start, loaded.as_ref().err());
        }
        StateOutcome::Loaded(loaded.map(Box::new))
    }

    fn perform(&self, task: StateTask, moves: &mut Moves) -> StateOutcome {
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
                StateOutcome::Written(self.write(state, moves).map(Box::new))
            }
            StateTask::Reload { zxid } => StateOutcome::Reloaded(Box::new(self.reload(zxid))),
        }
    }

    /// The state, once it is on the disk.
    fn write(&self, mut state: Database, moves: &mut Moves) -> Option<Database> {
        let start = Instant::now();
        let on_block = || moves.one();
        let dir = &self.dirs.snapshots;
        match write_received_in_blocks(dir, self.directory, &mut state, on_block) {
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
