//! What a member's other threads do: segments to come, the seal behind the last group, snapshots.

use std::time::Duration;

use ringkeeper_engine::database::{CommitStatus, Database};
use ringkeeper_engine::device::{Directory, DirectoryId, DiskError, MemoryDisk};
use ringkeeper_engine::log::Purger;
use ringkeeper_engine::snapshot::{Block, SnapshotKind, SnapshotRun, begin_writing};
use ringkeeper_replication::node::{DatabasePort, LeaderPort, LogPort};

use super::super::server::Server;
use super::Process;

impl Process {
    /// There was nothing to flush for a while.
    pub(crate) fn idle(&mut self) {
        self.log().idle();
    }

    /// Takes a snapshot where that is allowed: see [`take_snapshot`].
    pub(crate) fn snapshot(&mut self, kind: SnapshotKind, keep: usize) -> bool {
        let on = (&self.disk, self.directory);
        take_snapshot(&mut self.server, on, &mut self.purger, (kind, keep))
    }
}

/// Takes a snapshot where that is allowed, and removes what it makes superfluous. Says whether
/// the process goes on: a snapshot that fails is tried again later, and a disk that is gone is
/// seen by everything.
pub(crate) fn take_snapshot<L: LeaderPort, G: LogPort>(
    server: &mut Server<L, G>,
    on: (&MemoryDisk, DirectoryId),
    purger: &mut Purger<MemoryDisk>,
    (kind, keep): (SnapshotKind, usize),
) -> bool {
    let taken = write_snapshot(server, on, kind);
    let purged = match kind {
        SnapshotKind::Regular if taken.is_ok() => purger.purge(keep).map(|_| ()),
        SnapshotKind::Regular | SnapshotKind::Early => Ok(()),
    };
    let failed = taken.is_err() || purged.is_err();
    !failed || on.0.list().is_ok()
}

fn write_snapshot<L: LeaderPort, G: LogPort>(
    server: &mut Server<L, G>,
    on: (&MemoryDisk, DirectoryId),
    kind: SnapshotKind,
) -> Result<(), DiskError> {
    let mut db = server.node().world().database.write();
    match db.commit_status() {
        CommitStatus::Committed => write_state(&mut db, on, kind),
        CommitStatus::Unknown => Ok(()),
    }
}

/// Writes a snapshot of a state that is committed.
pub(crate) fn write_state(
    db: &mut Database,
    (disk, directory): (&MemoryDisk, DirectoryId),
    kind: SnapshotKind,
) -> Result<(), DiskError> {
    let (mut run, meta) = SnapshotRun::begin(kind, db, Duration::ZERO);
    let mut write = || -> Result<(), DiskError> {
        let mut writer = begin_writing(kind, disk, directory, &meta)?;
        loop {
            let Some(Block { bytes, last }) = run.slice(db) else { continue };
            writer.block(&bytes)?;
            run.recycle(bytes);
            if last {
                return writer.finish().map(|_| ());
            }
        }
    };
    let written = write();
    if written.is_err() && db.tree.is_snapshot_running() {
        run.abandon(db);
    }
    written
}
