//! Snapshots in the background, and the purge of what they make superfluous.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::queue::SegQueue;
use ringkeeper_engine::device::{Device, DirectoryId, DiskError};
use ringkeeper_engine::log::Dirs;
use ringkeeper_engine::snapshot::{Finished, Meta, Purger, Writer};
use ringkeeper_engine::tree::Progress;
use ringkeeper_engine::{Zxid, limits};
use tokio::sync::oneshot;

use crate::committer::CommitStats;
use crate::view::View;

/// Bytes of one block of a snapshot.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes for which a block has room: what a slice adds at the end may be more than is missing.
const BLOCK_ROOM: usize = BLOCK_BYTES + (64 << 10);
/// Blocks that wait to be written. With the one that is filled and the one that is written they
/// are all the memory that a snapshot takes.
const BLOCKS_WAITING: usize = 2;
/// How much less than others the thread is worth that compresses and writes. Not the least there
/// is: on a machine that is always busy a snapshot has to end, too.
const NICE: i32 = 10;
/// How often the thread looks whether a snapshot is due.
const LOOK: Duration = Duration::from_millis(100);
/// How long it waits after a snapshot that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// When snapshots are taken, and what is kept.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotSettings {
    /// Transactions between two snapshots; the real number is drawn between half of it and all
    /// of it, so that servers of an ensemble do not do it at the same moment (`snapCount`).
    pub every_records: u64,
    /// Bytes of log between two snapshots (`snapSizeLimitInKb`).
    pub every_bytes: u64,
    /// Snapshots that are kept.
    pub keep: usize,
    /// When what is superfluous is removed.
    pub purge: PurgeWhen,
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
        let (asker, finished) = oneshot::channel();
        self.0.push(asker);
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
    pub commits: Arc<CommitStats>,
    /// What is told to reports.
    pub stats: Arc<SnapshotStats>,
    /// Transactions in the log behind the last snapshot when the server started.
    pub behind: u64,
    /// Set when the server stops.
    pub stop: Arc<AtomicBool>,
}

impl<D: Device> Snapshotter<D> {
    /// Starts the thread.
    pub fn start(self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("snapshots".into()).spawn(move || self.run())
    }

    fn run(mut self) {
        let mut records_at = 0u64.wrapping_sub(self.behind);
        let mut bytes_at = 0;
        let mut threshold = self.draw();
        // By the clock, the first time is now: who restarts daily would never purge otherwise.
        let mut purged = None;
        while !self.stop.load(Ordering::Acquire) {
            self.purge_by_clock(&mut purged);
            std::thread::park_timeout(LOOK);
            let records = self.commits.records.load(Ordering::Relaxed);
            let bytes = self.commits.bytes.load(Ordering::Relaxed);
            let due = records.wrapping_sub(records_at) >= threshold
                || bytes - bytes_at >= self.settings.every_bytes;
            let asked = self.stats.requests.take();
            if !due && asked.is_empty() {
                continue;
            }
            match self.take() {
                Ok(Some(finished)) => {
                    tell(asked, &Ok(finished));
                    (records_at, bytes_at, threshold) = (records, bytes, self.draw());
                    if self.settings.purge == PurgeWhen::Always {
                        self.purge();
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tell(asked, &Err(error.to_string()));
                    self.failed(&error);
                }
            }
        }
    }

    /// Between half and all of the setting.
    fn draw(&self) -> u64 {
        let half = (self.settings.every_records / 2).max(1);
        let mut random = [0; 8];
        // Without randomness the servers of an ensemble only lose their spread.
        let _ = getrandom::fill(&mut random);
        half + 1 + u64::from_le_bytes(random) % half
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
    /// meanwhile. Nothing: the server stops.
    fn take(&mut self) -> Result<Option<Finished>, DiskError> {
        let start = Instant::now();
        let meta = {
            let mut db = self.view.write();
            let sessions = db.sessions().collect();
            let header = db.tree.begin_snapshot().encode();
            Meta { zxid: db.applied(), sessions, header }
        };
        let zxid = meta.zxid;
        let Some(finished) = self.copy(&meta)? else { return Ok(None) };
        self.note(start.elapsed(), zxid);
        tracing::info!(
            zxid = %zxid,
            bytes = finished.bytes,
            ms = start.elapsed().as_millis() as u64,
            "snapshot taken"
        );
        Ok(Some(finished))
    }

    /// Copies the tree slice by slice and has it compressed and written on a thread of its own.
    ///
    /// That thread is in no hurry and gives way to everybody else. This one is not: it holds the
    /// guard while it copies, and whoever waits for the guard must not wait for it to be given a
    /// processor.
    fn copy(&self, meta: &Meta) -> Result<Option<Finished>, DiskError> {
        let (full, blocks) = sync_channel(BLOCKS_WAITING);
        let (used, emptied) = channel();
        let (dirs, directory) = (&self.dirs, self.directory);
        std::thread::scope(|scope| {
            let write = move || write(dirs, directory, meta, &blocks, &used);
            let writer = std::thread::Builder::new().name("snapshot-writer".into());
            let writer = match writer.spawn_scoped(scope, write) {
                Ok(writer) => writer,
                Err(source) => return Err(no_thread(source)),
            };
            let empty = || emptied.try_recv().unwrap_or_else(|_| Vec::with_capacity(BLOCK_ROOM));
            let mut block = empty();
            let mut progress = Progress::More;
            while progress == Progress::More && !self.stop.load(Ordering::Acquire) {
                progress = self.slice(&mut block);
                if block.len() >= BLOCK_BYTES || progress == Progress::Done {
                    let last = progress == Progress::Done;
                    let next = Block { bytes: std::mem::replace(&mut block, empty()), last };
                    if full.send(next).is_err() {
                        break;
                    }
                }
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

/// A piece of the tree on its way to the disk.
struct Block {
    bytes: Vec<u8>,
    last: bool,
}

/// Writes what comes, and finishes the snapshot behind the last block; where that does not come,
/// nothing is left of it. Empty blocks go back to be filled again.
fn write<D: Device>(
    dirs: &Dirs<D>,
    directory: DirectoryId,
    meta: &Meta,
    blocks: &Receiver<Block>,
    used: &Sender<Vec<u8>>,
) -> Result<Option<Finished>, DiskError> {
    // Where it is refused, a snapshot only disturbs more.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut writer = Writer::begin(&dirs.snapshots, directory, meta)?;
    for Block { mut bytes, last } in blocks {
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
    for asker in asked {
        // Who does not wait any more has gone.
        let _ = asker.send(result.clone());
    }
}
