//! Snapshots in the background, and the purge of what they make superfluous.

mod schedule;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, bounded};
use crossbeam::queue::SegQueue;
use ringkeeper_engine::device::{Device, DirectoryId, DiskError, Priority};
use ringkeeper_engine::log::{Dirs, Purger};
use ringkeeper_engine::snapshot::{Finished, Meta, Writer};
use ringkeeper_engine::tree::Progress;
use ringkeeper_engine::{Zxid, limits};
use tokio::sync::oneshot;

use self::schedule::{Committed, Kind, Schedule, Taken};
use crate::config::{Purge, Settings};
use crate::log::writer::FlushStats;
use crate::node::view::View;

pub use self::schedule::{Begun, Intervals};

/// Bytes of one block of a snapshot.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes of one block of an early one, whose writer may be long about a block.
const EARLY_BLOCK_BYTES: usize = 256 << 10;
/// Bytes for which a block has more room: what a slice adds at the end may be more than is missing.
const BLOCK_ROOM: usize = 64 << 10;
/// Blocks that wait to be written. With the one that is filled and the one that is written they
/// are all the memory that a snapshot takes.
const BLOCKS_WAITING: usize = 2;
/// How much less than others the thread is worth that compresses and writes. Not the least there
/// is: on a machine that is always busy a snapshot has to end, too.
const NICE: i32 = 10;
/// How long an early snapshot may last, which waits for a processor that nobody else wants: the
/// tree keeps the old image of whatever changes meanwhile, and regular ones wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// Larger trees have no early snapshots: one would not be there in time, and disturb the disk.
const EARLY_TREE_BYTES_MAX: u64 = 16 << 20;
/// What a node takes in a snapshot besides path and data, about.
const NODE_BYTES: u64 = 64;
/// How often the thread looks whether a snapshot is due.
const LOOK: Duration = Duration::from_millis(100);
/// How long it waits after a snapshot that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// When snapshots are taken, and what is kept.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotSettings {
    /// When.
    pub intervals: Intervals,
    /// Snapshots that are kept.
    pub keep: usize,
    /// When what is superfluous is removed.
    pub purge: PurgeWhen,
}

impl SnapshotSettings {
    /// As the settings say.
    pub(crate) fn of(settings: &Settings) -> SnapshotSettings {
        SnapshotSettings {
            intervals: Intervals {
                records: u64::from(settings.snap_count),
                bytes: settings.snap_size_limit_kb.map_or(u64::MAX, |kb| kb.saturating_mul(1024)),
                early_bytes: match settings.early_snapshot_mb {
                    // Where commits do not wait for the disk, the log may lose what one holds.
                    mb if mb > 0 && settings.force_sync => u64::from(mb) << 20,
                    _ => u64::MAX,
                },
            },
            keep: settings.autopurge_snap_retain_count as usize,
            purge: match settings.autopurge_purge_interval {
                Purge::AfterEachSnapshot => PurgeWhen::Always,
                Purge::EveryHours(hours) => {
                    PurgeWhen::Every(Duration::from_secs(u64::from(hours) * 3_600))
                }
                Purge::Never => PurgeWhen::Never,
            },
        }
    }
}

/// When old snapshots and logs are removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PurgeWhen {
    /// After each snapshot.
    Always,
    /// At the start, and then once in this time.
    Every(Duration),
    /// Never.
    Never,
}

/// What reports want to know of snapshots, and where they are asked for.
#[derive(Default)]
pub struct SnapshotStats {
    /// Snapshots taken.
    pub taken: AtomicU64,
    /// Snapshots that failed.
    pub failed: AtomicU64,
    /// Milliseconds of the last one, of all, and of the extremes.
    pub last_ms: AtomicU64,
    /// See [`SnapshotStats::last_ms`].
    pub sum_ms: AtomicU64,
    /// See [`SnapshotStats::last_ms`].
    pub min_ms: AtomicU64,
    /// See [`SnapshotStats::last_ms`].
    pub max_ms: AtomicU64,
    /// The zxid of the last one.
    pub zxid: AtomicU64,
    /// Snapshots that somebody asked for and that were refused for coming too soon.
    pub limited: AtomicU64,
    /// Where somebody may ask for one.
    pub requests: SnapshotRequests,
}

/// Snapshots that somebody asks for; the thread looks for them as often as for whether one is due.
#[derive(Default)]
pub struct SnapshotRequests(SegQueue<oneshot::Sender<Result<Finished, String>>>);

impl SnapshotRequests {
    /// Asks for one. What comes is the snapshot, or why there is none; nothing comes from a server
    /// that stops.
    pub fn ask(&self) -> oneshot::Receiver<Result<Finished, String>> {
        let (caller, finished) = oneshot::channel();
        self.0.push(caller);
        finished
    }

    fn take(&self) -> Vec<oneshot::Sender<Result<Finished, String>>> {
        std::iter::from_fn(|| self.0.pop()).collect()
    }
}

/// The thread that takes snapshots.
pub struct Snapshotter<D: Device> {
    /// The database.
    pub view: Arc<View>,
    /// Where snapshots go.
    pub dirs: Dirs<D>,
    /// Whose snapshots they are.
    pub directory: DirectoryId,
    /// What removes old ones.
    pub purger: Purger<D>,
    /// When.
    pub settings: SnapshotSettings,
    /// What has been committed so far.
    pub commits: Arc<FlushStats>,
    /// What is told to reports.
    pub stats: Arc<SnapshotStats>,
    /// What the start knows of the last one.
    pub begun: Begun,
    /// Set when the server stops.
    pub stop: Arc<AtomicBool>,
}

impl<D: Device> Snapshotter<D> {
    /// Starts the thread.
    pub fn start(self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("snapshots".into()).spawn(move || self.run())
    }

    fn run(mut self) {
        let clock = Instant::now();
        let mut schedule = Schedule::new(self.settings.intervals, self.begun, random());
        // By the clock, the first time is now: who restarts daily would never purge otherwise.
        let mut purged = None;
        while !self.stop.load(Ordering::Acquire) {
            self.purge_by_clock(&mut purged);
            std::thread::park_timeout(LOOK);
            let committed = Committed {
                records: self.commits.records.load(Ordering::Relaxed),
                bytes: self.commits.bytes.load(Ordering::Relaxed),
            };
            let asked = self.stats.requests.take();
            let due = schedule.due(committed, clock.elapsed());
            let Some(kind) = (if asked.is_empty() { due } else { Some(Kind::Regular) }) else {
                continue;
            };
            if kind == Kind::Early && self.is_large() {
                schedule.rest(clock.elapsed(), PATIENCE);
                continue;
            }
            match self.take(kind) {
                Ok(Outcome { finished: Some(finished), cost }) => {
                    tell(asked, &Ok(finished));
                    schedule.taken(Taken { kind, committed, cost }, clock.elapsed(), random());
                    if kind == Kind::Regular && self.settings.purge == PurgeWhen::Always {
                        self.purge();
                    }
                }
                Ok(_) if self.stop.load(Ordering::Acquire) => return,
                Ok(_) => schedule.rest(clock.elapsed(), PATIENCE),
                Err(error) if kind == Kind::Early => {
                    // Nothing depends on it; a regular one says what is wrong when it is due.
                    self.view.write().tree.abandon_snapshot();
                    tracing::debug!("no early snapshot could be taken: {error}");
                    schedule.rest(clock.elapsed(), PATIENCE);
                }
                Err(error) => {
                    tell(asked, &Err(error.to_string()));
                    self.failed(&error);
                }
            }
        }
    }

    /// Whether to load the tree takes so long that what has to be replayed hardly matters.
    fn is_large(&self) -> bool {
        let db = self.view.read();
        let bytes = db.tree.approximate_data_size() + NODE_BYTES * db.tree.node_count();
        bytes > EARLY_TREE_BYTES_MAX
    }

    fn failed(&self, error: &DiskError) {
        self.view.write().tree.abandon_snapshot();
        self.stats.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("no snapshot could be taken, the log keeps everything meanwhile: {error}");
        let until = Instant::now() + AFTER_FAILURE;
        while !self.stop.load(Ordering::Acquire)
            && Instant::now() < until
            && self.stats.requests.0.is_empty()
        {
            std::thread::park_timeout(LOOK);
        }
    }

    /// Takes one snapshot, exact at one zxid: the tree keeps the old image of what changes
    /// meanwhile.
    fn take(&mut self, kind: Kind) -> Result<Outcome, DiskError> {
        let (start, spent) = (Instant::now(), cpu_time());
        let meta = {
            let mut db = self.view.write();
            let sessions = db.sessions().collect();
            let header = db.tree.begin_snapshot().encode();
            Meta { zxid: db.applied(), sessions, header }
        };
        let zxid = meta.zxid;
        let mut outcome = self.copy(kind, &meta)?;
        outcome.cost += cpu_time().saturating_sub(spent);
        let Some(finished) = outcome.finished else { return Ok(outcome) };
        let (bytes, ms) = (finished.bytes, start.elapsed().as_millis() as u64);
        match kind {
            Kind::Regular => {
                self.note(start.elapsed(), zxid);
                tracing::info!(zxid = %zxid, bytes, ms, "snapshot taken");
            }
            Kind::Early => tracing::debug!(zxid = %zxid, bytes, ms, "early snapshot taken"),
        }
        Ok(outcome)
    }

    /// Copies the tree slice by slice and has it compressed and written on a thread of its own.
    ///
    /// That thread is in no hurry and gives way to everybody else. This one is not: it holds the
    /// guard while it copies, and whoever waits for the guard must not wait for it to be given a
    /// processor.
    fn copy(&self, kind: Kind, meta: &Meta) -> Result<Outcome, DiskError> {
        let (full, blocks) = bounded(BLOCKS_WAITING);
        let (used, emptied) = channel();
        let (dirs, directory, given_up) = (&self.dirs, self.directory, &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let write = move || {
                let writer = begin(kind, dirs, directory, meta)?;
                let finished = write(writer, &blocks, &used, given_up)?;
                Ok(Outcome { finished, cost: cpu_time() })
            };
            let writer = std::thread::Builder::new().name("snapshot-writer".into());
            let writer = match writer.spawn_scoped(scope, write) {
                Ok(writer) => writer,
                Err(source) => return Err(no_thread(source)),
            };
            let bytes = kind.block_bytes();
            let fresh = || Vec::with_capacity(bytes + BLOCK_ROOM);
            let empty = || emptied.try_recv().unwrap_or_else(|_| fresh());
            let mut block = empty();
            let deadline = kind.deadline();
            let late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let mut whole = false;
            while !whole && !late() && !self.stop.load(Ordering::Acquire) {
                let last = self.slice(&mut block) == Progress::Done;
                if block.len() < bytes && !last {
                    continue;
                }
                let next = Block { bytes: std::mem::replace(&mut block, empty()), last };
                let sent = match deadline {
                    Some(deadline) => full.send_deadline(next, deadline).is_ok(),
                    None => full.send(next).is_ok(),
                };
                if !sent {
                    break;
                }
                whole = last;
            }
            if !whole {
                // Before the other thread is waited for: until then the tree keeps old images.
                self.view.write().tree.abandon_snapshot();
                given_up.store(true, Ordering::Relaxed);
            }
            drop(full);
            writer.join().expect("a writer does not panic")
        })
    }

    /// One hold of the guard: short enough that nobody notices, and followed by as long a pause
    /// in which everybody else has the tree.
    fn slice(&self, block: &mut Vec<u8>) -> Progress {
        let start = Instant::now();
        let progress = {
            let mut db = self.view.write();
            db.tree.snapshot_slice(limits::SNAPSHOT_SLICE_NODES, block)
        };
        std::thread::sleep(start.elapsed());
        progress
    }

    fn note(&self, took: Duration, zxid: Zxid) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let first = self.stats.taken.fetch_add(1, Ordering::Relaxed) == 0;
        self.stats.last_ms.store(ms, Ordering::Relaxed);
        self.stats.sum_ms.fetch_add(ms, Ordering::Relaxed);
        self.stats.max_ms.fetch_max(ms, Ordering::Relaxed);
        if first {
            self.stats.min_ms.store(ms, Ordering::Relaxed);
        }
        self.stats.min_ms.fetch_min(ms, Ordering::Relaxed);
        self.stats.zxid.store(zxid.0, Ordering::Relaxed);
    }

    fn purge_by_clock(&self, last: &mut Option<Instant>) {
        let PurgeWhen::Every(interval) = self.settings.purge else { return };
        if last.is_none_or(|last| last.elapsed() >= interval) {
            *last = Some(Instant::now());
            self.purge();
        }
    }

    fn purge(&self) {
        match self.purger.purge(self.settings.keep, Zxid(u64::MAX)) {
            Ok(purged) => tracing::debug!(
                snapshots = purged.snapshots.len(),
                segments = purged.segments.len(),
                "old files removed"
            ),
            Err(error) => tracing::warn!("old files could not be removed: {error}"),
        }
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the servers of an ensemble only lose their spread.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// What came of one.
struct Outcome {
    /// Nothing where the server stops, or has no time for an early one.
    finished: Option<Finished>,
    /// Processor time of both threads.
    cost: Duration,
}

/// What the calling thread has had of a processor.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A piece of the tree on its way to the disk.
struct Block {
    bytes: Vec<u8>,
    last: bool,
}

impl Kind {
    fn block_bytes(self) -> usize {
        match self {
            Kind::Regular => BLOCK_BYTES,
            Kind::Early => EARLY_BLOCK_BYTES,
        }
    }

    /// When it is given up.
    fn deadline(self) -> Option<Instant> {
        match self {
            Kind::Regular => None,
            Kind::Early => Some(Instant::now() + PATIENCE),
        }
    }
}

/// Begins a file, on the thread that writes it. Where its rank is refused, it only disturbs more.
fn begin<D: Device>(
    kind: Kind,
    dirs: &Dirs<D>,
    directory: DirectoryId,
    meta: &Meta,
) -> Result<Writer<D>, DiskError> {
    match kind {
        Kind::Regular => {
            let _ = rustix::process::setpriority_process(None, NICE);
            Writer::begin(&dirs.snapshots, directory, meta)
        }
        Kind::Early => {
            let _ = Priority::give_way();
            Writer::begin_early(&dirs.snapshots, directory, meta)
        }
    }
}

/// Writes what comes, and finishes the snapshot behind the last block; where that does not come,
/// nothing is left of it. Empty blocks go back to be filled again.
fn write<D: Device>(
    mut writer: Writer<D>,
    blocks: &Receiver<Block>,
    used: &Sender<Vec<u8>>,
    given_up: &AtomicBool,
) -> Result<Option<Finished>, DiskError> {
    for Block { mut bytes, last } in blocks {
        if given_up.load(Ordering::Relaxed) {
            break;
        }
        writer.block(&bytes)?;
        if last {
            return writer.finish().map(Some);
        }
        bytes.clear();
        // Nobody fills it any more where the server stops.
        let _ = used.send(bytes);
    }
    Ok(None)
}

fn no_thread(source: std::io::Error) -> DiskError {
    DiskError { doing: "start a thread for", file: "snapshot".into(), source }
}

fn tell(asked: Vec<oneshot::Sender<Result<Finished, String>>>, result: &Result<Finished, String>) {
    for caller in asked {
        // Who does not wait any more has gone.
        let _ = caller.send(result.clone());
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::device::MemoryDevice;
    use ringkeeper_engine::snapshot::EARLY;

    use super::*;

    /// Whoever waits for the end of one that is given up must not wait for what is left of it.
    #[test]
    fn what_is_left_of_one_that_is_given_up_is_not_written() {
        for given_up in [false, true] {
            let device = MemoryDevice::new(1);
            let meta = Meta { zxid: Zxid(3), sessions: Vec::new(), header: Vec::new() };
            let writer = Writer::begin_early(&device, DirectoryId([0; 16]), &meta).unwrap();
            let ((full, blocks), (used, _emptied)) = (bounded(2), channel());
            full.send(Block { bytes: vec![1; 9], last: false }).unwrap();
            full.send(Block { bytes: vec![2; 9], last: true }).unwrap();
            let finished = write(writer, &blocks, &used, &AtomicBool::new(given_up)).unwrap();
            assert_eq!(finished.is_none(), given_up);
            assert_eq!(blocks.is_empty(), !given_up);
            assert_eq!(device.names() == [EARLY], !given_up);
            assert!(!given_up || device.names().is_empty());
        }
    }
}
