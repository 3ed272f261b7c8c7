//! Taking snapshots: when one is due, and its steps. Pure: the caller has the threads, the clock
//! and the lock of the database.
//!
//! A snapshot is a [`SnapshotRun`], whose slices copy the tree into blocks, and a writer of those
//! blocks ([`write_blocks`]). A server runs the two on threads of their own; a simulation runs
//! them one after the other.

use std::time::Duration;

use super::schedule::{Intervals, LastStart, LogGrowth, Schedule, SnapshotKind, Taken};
use super::{Finished, Meta, Writer};
use crate::database::{CommitStatus, Database};
use crate::device::{Directory, DirectoryId, DiskError};
use crate::limits;
use crate::tree::Progress;

/// Bytes of one block of a snapshot.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes of one block of an early one, whose writer may take long for each block.
const EARLY_BLOCK_BYTES: usize = 256 << 10;
/// Bytes of a block's memory beyond that: the last slice may add more than is missing.
const BLOCK_MARGIN: usize = 64 << 10;
/// How long an early snapshot may last, whose writer gets only idle processor time: meanwhile the
/// tree keeps the old image of every node that changes, and regular snapshots wait.
const EARLY_TIMEOUT: Duration = Duration::from_secs(1);
/// Larger trees have no early snapshots: one would not be finished in time, and disturb the disk.
const EARLY_TREE_BYTES_MAX: u64 = 16 << 20;
/// About what a node takes in a snapshot besides path and data.
const NODE_BYTES: u64 = 64;
/// How long no snapshot is due after one that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// When snapshots are taken, and which are kept.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotSettings {
    /// When.
    pub intervals: Intervals,
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

/// Decides when snapshots are taken and old ones purged. Times are monotonic, since the start.
#[derive(Debug)]
pub struct Taker {
    schedule: Schedule,
    purge: PurgeWhen,
    purged: Option<Duration>,
    /// After a failure, nothing is due before.
    resume_at: Duration,
}

impl Taker {
    /// Nothing was taken since the start.
    pub fn new(settings: SnapshotSettings, start: LastStart, random: u64) -> Taker {
        let schedule = Schedule::new(settings.intervals, start, random);
        Taker { schedule, purge: settings.purge, purged: None, resume_at: Duration::ZERO }
    }

    /// Whether to purge now, where that goes by the clock. The first time is at once: a server
    /// that is restarted daily would never purge otherwise.
    pub fn purge_due(&mut self, now: Duration) -> bool {
        let PurgeWhen::Every(interval) = self.purge else { return false };
        let due = self.purged.is_none_or(|last| now.saturating_sub(last) >= interval);
        if due {
            self.purged = Some(now);
        }
        due
    }

    /// The snapshot that is due now: none while it could hold what is not committed. `tree_bytes`
    /// is about what one would hold.
    pub fn due(
        &mut self,
        status: CommitStatus,
        growth: LogGrowth,
        now: Duration,
        tree_bytes: impl Fn() -> u64,
    ) -> Option<SnapshotKind> {
        if status != CommitStatus::Committed || now < self.resume_at {
            return None;
        }
        let kind = self.schedule.due(growth, now, &tree_bytes)?;
        if kind == SnapshotKind::Early && tree_bytes() > EARLY_TREE_BYTES_MAX {
            self.gave_up(now);
            return None;
        }
        Some(kind)
    }

    /// A snapshot is there. Returns whether to purge now.
    pub fn finished(&mut self, taken: Taken, now: Duration, random: u64) -> bool {
        self.schedule.taken(taken, now, random);
        taken.kind == SnapshotKind::Regular && self.purge == PurgeWhen::Always
    }

    /// A snapshot was given up before it was finished.
    pub fn gave_up(&mut self, now: Duration) {
        self.schedule.rest(now, EARLY_TIMEOUT);
    }

    /// A snapshot failed. Nothing depends on an early one; a regular one is tried again later.
    pub fn failed(&mut self, kind: SnapshotKind, now: Duration) {
        match kind {
            SnapshotKind::Regular => self.resume_at = now + AFTER_FAILURE,
            SnapshotKind::Early => self.gave_up(now),
        }
    }
}

/// About how many bytes a snapshot of this database holds.
pub fn tree_bytes(db: &Database) -> u64 {
    db.tree.approximate_data_size() + NODE_BYTES * db.tree.node_count()
}

/// A part of the tree on its way to the disk.
#[derive(Debug)]
pub struct Block {
    /// Images of nodes.
    pub bytes: Vec<u8>,
    /// Whether it is the last one of the snapshot.
    pub last: bool,
}

/// A snapshot that is being copied from the tree, exact at one zxid: the tree keeps the old image
/// of whatever changes meanwhile.
#[derive(Debug)]
pub struct SnapshotRun {
    block: Vec<u8>,
    block_bytes: usize,
    spares: Vec<Vec<u8>>,
    deadline: Option<Duration>,
}

impl SnapshotRun {
    /// Begins a snapshot of the database as it is now: only where all of it is committed. There is
    /// one at a time; it ends with the last block or with [`SnapshotRun::abandon`].
    pub fn begin(kind: SnapshotKind, db: &mut Database, now: Duration) -> (SnapshotRun, Meta) {
        let status = db.commit_status();
        assert!(status == CommitStatus::Committed, "a snapshot holds only what is committed");
        let sessions = db.sessions().collect();
        let header = db.tree.begin_snapshot().encode();
        let meta = Meta { zxid: db.applied(), sessions, header };
        let (block_bytes, deadline) = match kind {
            SnapshotKind::Regular => (BLOCK_BYTES, None),
            SnapshotKind::Early => (EARLY_BLOCK_BYTES, Some(now + EARLY_TIMEOUT)),
        };
        let block = Vec::with_capacity(block_bytes + BLOCK_MARGIN);
        (SnapshotRun { block, block_bytes, spares: Vec::new(), deadline }, meta)
    }

    /// Copies one slice: so little that the caller may hold the lock of the database for it.
    /// Returns a block once one is full, or the last one.
    pub fn slice(&mut self, db: &mut Database) -> Option<Block> {
        let progress = db.tree.snapshot_slice(limits::SNAPSHOT_SLICE_NODES, &mut self.block);
        let last = progress == Progress::Done;
        if self.block.len() < self.block_bytes && !last {
            return None;
        }
        let fresh = || Vec::with_capacity(self.block_bytes + BLOCK_MARGIN);
        let next = self.spares.pop().unwrap_or_else(fresh);
        Some(Block { bytes: std::mem::replace(&mut self.block, next), last })
    }

    /// Memory of a block that was written, to be filled again.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.spares.push(bytes);
    }

    /// When the snapshot is given up, if it is not finished by then.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether it is to be given up.
    pub fn is_late(&self, now: Duration) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Gives the snapshot up: the tree keeps no old images any more.
    pub fn abandon(self, db: &mut Database) {
        db.tree.abandon_snapshot();
    }
}

/// Begins the file of a snapshot.
pub fn begin_writing<D: Directory>(
    kind: SnapshotKind,
    dir: &D,
    directory: DirectoryId,
    meta: &Meta,
) -> Result<Writer<D>, DiskError> {
    match kind {
        SnapshotKind::Regular => Writer::begin(dir, directory, meta),
        SnapshotKind::Early => Writer::begin_early(dir, directory, meta),
    }
}

/// Writes the blocks that come, and finishes the snapshot behind the last one. If that never comes,
/// no file is left. The memory of written blocks goes to `used`.
pub fn write_blocks<D: Directory>(
    mut writer: Writer<D>,
    mut next: impl FnMut() -> Option<Block>,
    mut used: impl FnMut(Vec<u8>),
) -> Result<Option<Finished>, DiskError> {
    while let Some(Block { bytes, last }) = next() {
        writer.block(&bytes)?;
        if last {
            return writer.finish().map(Some);
        }
        used(bytes);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Interest;
    use crate::device::MemoryDisk;
    use crate::snapshot::{self, EARLY, Loading};
    use crate::tree::{Digest, Tree};
    use crate::txn::{AclList, CreateOp, CreateTxn, NodeKind, Txn, TxnBody};
    use crate::wire::Acl;
    use crate::{Millis, SessionId, Zxid};

    const OWNER: DirectoryId = DirectoryId([3; 16]);
    const MS: Duration = Duration::from_millis(1);

    fn create(db: &mut Database, n: u64) {
        let body = TxnBody::Create(CreateTxn {
            op: CreateOp::Create,
            path: format!("/node{n}").into(),
            data: Some(vec![n as u8; 900].into()),
            acl: AclList::from([Acl::open()]),
            kind: NodeKind::Persistent,
            parent_cversion: n as i32,
        });
        let (session, zxid, time) = (SessionId(1), Zxid(n), Millis(n as i64));
        db.apply(&Txn { session, cxid: n as i32, zxid, time, body }, Interest::None);
    }

    fn database() -> Database {
        let mut tree = Tree::new(1);
        tree.keep_digest(Digest::Kept);
        let mut db = Database::new(tree, [(SessionId(1), 4_000)]);
        (1..=5_000).for_each(|n| create(&mut db, n));
        db
    }

    /// Takes a snapshot on one thread while the database goes on.
    fn take(kind: SnapshotKind, db: &mut Database, to: &MemoryDisk) -> Finished {
        let (mut run, meta) = SnapshotRun::begin(kind, db, Duration::ZERO);
        let mut writer = begin_writing(kind, to, OWNER, &meta).unwrap();
        let mut blocks = 0;
        loop {
            create(db, db.applied().0 + 1);
            let Some(Block { bytes, last }) = run.slice(db) else { continue };
            writer.block(&bytes).unwrap();
            run.recycle(bytes);
            blocks += 1;
            if last {
                assert!(blocks > 1, "{blocks}");
                return writer.finish().unwrap();
            }
        }
    }

    #[test]
    fn snapshot_of_a_changing_database_restores_the_state_at_its_begin() {
        let (mut db, disk) = (database(), MemoryDisk::new(1));
        let (zxid, digest) = (db.applied(), db.tree.digest());
        let finished = take(SnapshotKind::Regular, &mut db, &disk);
        assert_eq!(finished.zxid, zxid);
        assert!(db.applied() > zxid);
        let mut loading = Loading::new(2, |_| ());
        snapshot::load(&disk, zxid, OWNER, &mut loading).unwrap();
        let restored = loading.finish();
        assert_eq!((restored.applied(), restored.tree.digest()), (zxid, digest));
        assert_eq!(restored.sessions().collect::<Vec<_>>(), [(SessionId(1), 4_000)]);
        take(SnapshotKind::Early, &mut db, &disk);
        assert_eq!(disk.names(), [snapshot::name(zxid), EARLY.to_owned()]);
    }

    #[test]
    fn abandoned_snapshot_leaves_room_for_the_next() {
        let mut db = database();
        let (mut run, _) = SnapshotRun::begin(SnapshotKind::Early, &mut db, 5 * MS);
        assert!(run.slice(&mut db).is_some_and(|block| !block.last));
        assert!(!run.is_late(1_004 * MS) && run.is_late(1_005 * MS));
        run.abandon(&mut db);
        let (run, _) = SnapshotRun::begin(SnapshotKind::Regular, &mut db, 5 * MS);
        assert!(run.deadline().is_none() && !run.is_late(Duration::MAX));
    }

    fn taker(purge: PurgeWhen) -> Taker {
        taker_within(Duration::ZERO, purge)
    }

    fn taker_within(replay: Duration, purge: PurgeWhen) -> Taker {
        let intervals = Intervals { records: 100, bytes: u64::MAX, replay, early_bytes: 5_000 };
        Taker::new(SnapshotSettings { intervals, keep: 3, purge }, LastStart::default(), 0)
    }

    fn growth(records: u64) -> LogGrowth {
        LogGrowth { records, bytes: records * 100 }
    }

    #[test]
    fn early_snapshot_of_a_large_tree_is_put_off() {
        let mut taker = taker(PurgeWhen::Always);
        assert_eq!(
            taker.due(CommitStatus::Committed, growth(50), MS, || EARLY_TREE_BYTES_MAX + 1),
            None
        );
        assert_eq!(
            taker.due(CommitStatus::Committed, growth(50), 2 * MS, || 0),
            None,
            "not looked at again so soon"
        );
        assert_eq!(
            taker.due(CommitStatus::Committed, growth(50), 40_000 * MS, || 0),
            Some(SnapshotKind::Early)
        );
        assert_eq!(
            taker.due(CommitStatus::Committed, growth(51), MS, || u64::MAX),
            Some(SnapshotKind::Regular)
        );
    }

    #[test]
    fn regular_snapshot_of_a_large_tree_waits_for_as_much_log() {
        let mut taker = taker_within(Duration::MAX, PurgeWhen::Always);
        let tree_bytes = || 2 * EARLY_TREE_BYTES_MAX;
        let mut due = |records| taker.due(CommitStatus::Committed, growth(records), MS, tree_bytes);
        let enough = EARLY_TREE_BYTES_MAX / 100 + 1;
        assert_eq!([100, enough - 1].map(&mut due), [None, None], "nor an early one");
        assert_eq!(due(enough), Some(SnapshotKind::Regular));
    }

    #[test]
    fn no_snapshot_is_due_while_it_could_hold_what_is_not_committed() {
        let mut taker = taker(PurgeWhen::Always);
        let mut due = |status, records| taker.due(status, growth(records), MS, || 0);
        assert_eq!(due(CommitStatus::Unknown, 50), None, "an early one");
        assert_eq!(due(CommitStatus::Unknown, 900), None, "a regular one");
        assert_eq!(due(CommitStatus::Committed, 50), Some(SnapshotKind::Early));
        assert_eq!(due(CommitStatus::Committed, 900), Some(SnapshotKind::Regular));
    }

    #[test]
    fn failed_regular_snapshot_is_due_again_after_a_while() {
        let mut taker = taker(PurgeWhen::Never);
        taker.failed(SnapshotKind::Regular, 10 * MS);
        assert_eq!(taker.due(CommitStatus::Committed, growth(100), 30_009 * MS, || 0), None);
        assert_eq!(
            taker.due(CommitStatus::Committed, growth(100), 30_010 * MS, || 0),
            Some(SnapshotKind::Regular)
        );
    }

    #[test]
    fn purge_follows_its_setting() {
        let taken = |kind| Taken { kind, growth: growth(1), cost: MS };
        for (purge, behind_regular) in
            [(PurgeWhen::Always, true), (PurgeWhen::Never, false), (PurgeWhen::Every(MS), false)]
        {
            let mut taker = taker(purge);
            assert_eq!(taker.finished(taken(SnapshotKind::Regular), MS, 0), behind_regular);
            assert!(!taker.finished(taken(SnapshotKind::Early), MS, 0));
        }
        let mut by_clock = taker(PurgeWhen::Every(60 * MS));
        let due: Vec<bool> = [0, 59, 60, 100, 120].map(|ms| by_clock.purge_due(ms * MS)).to_vec();
        assert_eq!(due, [true, false, true, false, true]);
        assert!(!taker(PurgeWhen::Always).purge_due(MS) && !taker(PurgeWhen::Never).purge_due(MS));
    }
}
