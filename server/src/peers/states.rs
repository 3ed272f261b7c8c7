//! The thread that works with whole states: making, writing and reading one takes as long as it
//! has nodes.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam::channel::{Receiver, Sender, unbounded};
use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{DirectoryId, Disk};
use ringkeeper_engine::log::{Dirs, Gauge, reload};
use ringkeeper_engine::snapshot::{keep_digest, write_received};
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::{Zxid, zookeeper};
use ringkeeper_replication::learner::{StateOutcome, StatePort, StateTask, whole_state};

use crate::node::waker::Waker;

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
    tasks: Sender<StateTask>,
    outcomes: Receiver<StateOutcome>,
}

impl StateThread {
    /// Starts the thread, which ends with this. `waker` is woken when a task is done.
    pub(crate) fn start(
        store: StateStore,
        waker: Arc<Waker>,
    ) -> io::Result<(StateThread, JoinHandle<()>)> {
        let (tasks, to_do) = unbounded();
        let (done, outcomes) = unbounded();
        let run = move || {
            while let Ok(task) = to_do.recv() {
                if done.send(store.perform(task)).is_err() {
                    return;
                }
                waker.wake();
            }
        };
        let thread = thread::Builder::new().name("peer-state".into()).spawn(run)?;
        Ok((StateThread { tasks, outcomes }, thread))
    }

    /// Whether a task is done that [`StatePort::poll`] has not returned.
    pub(super) fn is_done(&self) -> bool {
        !self.outcomes.is_empty()
    }
}

impl StatePort for StateThread {
    fn begin(&mut self, task: StateTask) {
        // Without the thread the server is about to end.
        let _ = self.tasks.send(task);
    }

    fn poll(&mut self) -> Option<StateOutcome> {
        self.outcomes.try_recv().ok()
    }
}

impl StateStore {
    fn perform(&self, task: StateTask) -> StateOutcome {
        match task {
            StateTask::Load { zxid, bytes } => {
                let (start, count) = (Instant::now(), bytes.len());
                let loaded = bytes.load(zxid, self.seed);
                self.note_loaded(zxid, count, start, loaded.as_ref().err());
                StateOutcome::Loaded(loaded.map(Box::new))
            }
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

    fn note_loaded(&self, zxid: Zxid, bytes: usize, start: Instant, bad: Option<&zookeeper::Bad>) {
        let ms = start.elapsed().as_millis() as u64;
        match bad {
            None => tracing::info!(zxid = %zxid, bytes, ms, "the leader's state was read"),
            Some(bad) => tracing::error!("the leader's state cannot be read: {bad}"),
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

fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
