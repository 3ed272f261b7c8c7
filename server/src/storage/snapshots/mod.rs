//! The threads that take snapshots in the background: the clock, the lock of the database,
//! priorities and reports around the engine's [`Taker`].

mod stats;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver as UsedBlocks, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use ringkeeper_engine::database::CommitStatus;
use ringkeeper_engine::device::{Directory, DirectoryId, DiskError, Priority};
use ringkeeper_engine::log::{Dirs, Gauge, Purger};
use ringkeeper_engine::snapshot::{
    Block, Finished, Intervals, LastStart, LogGrowth, Meta, PurgeWhen, SnapshotKind, SnapshotRun,
    SnapshotSettings, Taken, Taker, begin_writing, tree_bytes, write_blocks,
};

use self::stats::answer;
use crate::config::{Purge, Settings};
use crate::node::view::View;
use crate::storage::exclusion::SnapshotExclusion;

pub use self::stats::{SnapshotRequests, SnapshotStats};

/// Blocks that wait to be written. With the one that is filled and the one that is written they
/// are all the memory that a snapshot takes.
const BLOCKS_WAITING: usize = 2;
/// The nice value of the thread that compresses and writes. Not the lowest priority there is: on a
/// machine that is always busy a snapshot has to end, too.
const NICE: i32 = 10;
/// Why a member takes none before its leader has synchronized it.
const NOT_COMMITTED: &str = "this server is not synchronized yet, so its state may hold what the \
                             ensemble has not committed; try again when it serves";
/// How often the thread looks whether a snapshot is due.
const LOOK: Duration = Duration::from_millis(100);

/// When snapshots are taken and old ones removed, as the settings say.
pub(crate) fn snapshot_settings(settings: &Settings) -> SnapshotSettings {
    SnapshotSettings {
        intervals: Intervals {
            records: u64::from(settings.snap_count),
            bytes: settings.snap_size_limit_kb.map_or(u64::MAX, |kb| kb.saturating_mul(1024)),
            replay: Duration::from_millis(settings.replay_limit_ms.into()),
            early_bytes: match settings.early_snapshot_mb {
                // With forceSync=no the log may lose transactions that a snapshot holds.
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

/// The thread that takes snapshots.
pub struct Snapshotter<D: Directory> {
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
    /// How much the log has grown.
    pub gauge: Gauge,
    /// Keeps changes of the log's history apart from what this thread does.
    pub exclusion: Arc<SnapshotExclusion>,
    /// For reports, and where snapshots are requested.
    pub stats: Arc<SnapshotStats>,
    /// What the start knows of the last one.
    pub last_start: LastStart,
    /// Set when the server stops.
    pub stop: Arc<AtomicBool>,
    /// Times are counted from here.
    pub clock: Instant,
}

impl<D: Directory> Snapshotter<D> {
    /// Starts the thread.
    pub fn start(self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("snapshots".into()).spawn(move || self.run())
    }

    fn run(self) {
        let mut taker = Taker::new(self.settings, self.last_start, random());
        while !self.stops() {
            if taker.purge_due(self.now()) {
                self.purge();
            }
            std::thread::park_timeout(LOOK);
            let growth = self.gauge.growth();
            let mut requests = self.stats.requests.take();
            let status = self.view.read().commit_status();
            let due = taker.due(status, growth, self.now(), || tree_bytes(&self.view.read()));
            if status != CommitStatus::Committed {
                answer(std::mem::take(&mut requests), &Err(NOT_COMMITTED.to_owned()));
            }
            let kind = if requests.is_empty() { due } else { Some(SnapshotKind::Regular) };
            let Some(kind) = kind else { continue };
            let result = self.take(kind, growth);
            match &result {
                Ok(Some((finished, taken))) => {
                    answer(requests, &Ok(*finished));
                    if taker.finished(*taken, self.now(), random()) {
                        self.purge();
                    }
                }
                Ok(None) => taker.gave_up(self.now()),
                Err(error) => {
                    self.view.write().tree.abandon_snapshot();
                    taker.failed(kind, self.now());
                    answer(requests, &Err(error.to_string()));
                    self.failed(kind, error);
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn failed(&self, kind: SnapshotKind, error: &DiskError) {
        match kind {
            SnapshotKind::Regular => {
                self.stats.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    "no snapshot could be taken, the log keeps everything meanwhile: {error}"
                );
            }
            // Nothing depends on it; a regular one says what is wrong when it is due.
            SnapshotKind::Early => tracing::debug!("no early snapshot could be taken: {error}"),
        }
    }

    /// Takes one snapshot; nothing where the server stops, or an early one is late.
    fn take(
        &self,
        kind: SnapshotKind,
        growth: LogGrowth,
    ) -> Result<Option<(Finished, Taken)>, DiskError> {
        let (start, spent) = (Instant::now(), cpu_time());
        let _turn = self.exclusion.snapshot();
        let Some((run, meta)) = self.begin(kind) else { return Ok(None) };
        let Some((finished, writer_cost)) = self.copy(kind, run, &meta)? else { return Ok(None) };
        let cost = writer_cost + cpu_time().saturating_sub(spent);
        let (zxid, bytes, ms) = (meta.zxid, finished.bytes, start.elapsed().as_millis() as u64);
        match kind {
            SnapshotKind::Regular => {
                self.stats.note(start.elapsed(), zxid);
                tracing::info!(zxid = %zxid, bytes, ms, "snapshot taken");
            }
            SnapshotKind::Early => {
                tracing::debug!(zxid = %zxid, bytes, ms, "early snapshot taken");
            }
        }
        Ok(Some((finished, Taken { kind, growth, cost })))
    }

    /// Begins a snapshot, unless the server has lost its leader meanwhile.
    fn begin(&self, kind: SnapshotKind) -> Option<(SnapshotRun, Meta)> {
        let mut db = self.view.write();
        let committed = db.commit_status() == CommitStatus::Committed;
        committed.then(|| SnapshotRun::begin(kind, &mut db, self.now()))
    }

    /// Copies the tree slice by slice and has it compressed and written on a thread of its own.
    ///
    /// That thread has a low priority. This one has not: it holds the write lock of the database
    /// while it copies a slice, and a low priority would delay every thread that waits for the
    /// lock (priority inversion).
    fn copy(
        &self,
        kind: SnapshotKind,
        mut run: SnapshotRun,
        meta: &Meta,
    ) -> Result<Option<(Finished, Duration)>, DiskError> {
        let (full, blocks) = bounded(BLOCKS_WAITING);
        let (used, written) = channel();
        let (dirs, directory, abandoned) = (&self.dirs, self.directory, &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let write = move || {
                give_way(kind);
                let writer = begin_writing(kind, &dirs.snapshots, directory, meta)?;
                let next = || next_block(&blocks, abandoned);
                // Where the server stops, no block is filled any more.
                let finished = write_blocks(writer, next, |bytes| drop(used.send(bytes)))?;
                Ok(finished.map(|finished| (finished, cpu_time())))
            };
            let writer = std::thread::Builder::new().name("snapshot-writer".into());
            let writer = match writer.spawn_scoped(scope, write) {
                Ok(writer) => writer,
                Err(source) => return Err(no_thread(source)),
            };
            if !self.fill(&mut run, &full, &written) {
                // Before the other thread is waited for: until then the tree keeps old images.
                run.abandon(&mut self.view.write());
                abandoned.store(true, Ordering::Relaxed);
            }
            drop(full);
            writer.join().expect("a writer does not panic")
        })
    }

    /// Hands block after block over; returns whether the last one was among them.
    fn fill(
        &self,
        run: &mut SnapshotRun,
        full: &Sender<Block>,
        written: &UsedBlocks<Vec<u8>>,
    ) -> bool {
        while !run.is_late(self.now()) && !self.stops() && !self.exclusion.is_wanted() {
            written.try_iter().for_each(|bytes| run.recycle(bytes));
            let Some(block) = self.slice(run) else { continue };
            let last = block.last;
            let sent = match run.deadline() {
                Some(deadline) => full.send_deadline(block, self.clock + deadline).is_ok(),
                None => full.send(block).is_ok(),
            };
            if !sent || last {
                return sent;
            }
        }
        false
    }

    /// One slice under the write lock, and a pause as long as that, in which all other threads can
    /// have the lock.
    fn slice(&self, run: &mut SnapshotRun) -> Option<Block> {
        let start = Instant::now();
        let block = run.slice(&mut self.view.write());
        std::thread::sleep(start.elapsed());
        block
    }

    fn purge(&self) {
        let _turn = self.exclusion.snapshot();
        match self.purger.purge(self.settings.keep) {
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
    // Without randomness the servers of an ensemble may take their snapshots at the same time.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Processor time that the calling thread has had.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Lowers the priority of the calling thread. Where that is refused, it only disturbs more.
fn give_way(kind: SnapshotKind) {
    match kind {
        SnapshotKind::Regular => {
            let _ = rustix::process::setpriority_process(None, NICE);
        }
        SnapshotKind::Early => {
            let _ = Priority::give_way();
        }
    }
}

/// The next block to write; nothing once the snapshot was abandoned.
fn next_block(blocks: &Receiver<Block>, abandoned: &AtomicBool) -> Option<Block> {
    blocks.recv().ok().filter(|_| !abandoned.load(Ordering::Relaxed))
}

fn no_thread(source: std::io::Error) -> DiskError {
    DiskError { doing: "start a thread for", file: "snapshot".into(), source }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::Zxid;
    use ringkeeper_engine::device::{Membership, MemoryDisk};
    use ringkeeper_engine::log::{OpenSettings, open};
    use ringkeeper_engine::snapshot::{EARLY, Writer};
    use ringkeeper_engine::tree::Digest;

    use super::*;

    /// The thread that gives a snapshot up waits for the writer: it must not wait for the blocks
    /// that are left.
    #[test]
    fn writer_of_an_abandoned_snapshot_writes_no_further_block() {
        for abandoned in [false, true] {
            let disk = MemoryDisk::new(1);
            let meta = Meta { zxid: Zxid(3), sessions: Vec::new(), header: Vec::new() };
            let writer = Writer::begin_early(&disk, DirectoryId([0; 16]), &meta).unwrap();
            let (full, blocks) = bounded(2);
            full.send(Block { bytes: vec![1; 9], last: false }).unwrap();
            full.send(Block { bytes: vec![2; 9], last: true }).unwrap();
            let abandoned_flag = AtomicBool::new(abandoned);
            let next = || next_block(&blocks, &abandoned_flag);
            let finished = write_blocks(writer, next, drop).unwrap();
            assert_eq!(finished.is_none(), abandoned);
            assert_eq!(blocks.is_empty(), !abandoned);
            assert_eq!(disk.names() == [EARLY], !abandoned);
            assert!(!abandoned || disk.names().is_empty());
        }
    }

    /// A member that is not synchronized yet.
    fn member(disk: &MemoryDisk) -> Snapshotter<MemoryDisk> {
        let dirs = Dirs { snapshots: disk.clone(), log: disk.clone() };
        let settings = OpenSettings {
            membership: Membership::Member(3),
            autocreate: true,
            digest: Digest::Off,
            seed: 1,
            log: ringkeeper_engine::log::Settings::default(),
        };
        let opened = open(&dirs, &settings, |_| ()).unwrap();
        let intervals =
            Intervals { records: 2, bytes: 1 << 30, replay: Duration::ZERO, early_bytes: u64::MAX };
        Snapshotter {
            view: Arc::new(View::new(opened.db)),
            dirs,
            directory: opened.identity.directory,
            purger: opened.recovered.purger,
            settings: SnapshotSettings { intervals, keep: 1, purge: PurgeWhen::Never },
            gauge: opened.recovered.gauge,
            exclusion: Arc::default(),
            stats: Arc::default(),
            last_start: LastStart::default(),
            stop: Arc::default(),
            clock: Instant::now(),
        }
    }

    #[test]
    fn snapshot_requested_before_the_state_is_committed_is_refused() {
        let disk = MemoryDisk::new(1);
        let snapshotter = member(&disk);
        let (view, stats) = (snapshotter.view.clone(), snapshotter.stats.clone());
        let stop = snapshotter.stop.clone();
        let thread = snapshotter.start().unwrap();
        let refused = stats.requests.request().blocking_recv().unwrap();
        assert_eq!(refused.unwrap_err(), NOT_COMMITTED);
        assert!(disk.names().iter().all(|name| !name.starts_with("snapshot.")));
        view.write().set_commit_status(CommitStatus::Committed);
        assert_eq!(stats.requests.request().blocking_recv().unwrap().unwrap().zxid, Zxid::ZERO);
        stop.store(true, Ordering::Release);
        thread.join().unwrap();
    }
}
