//! The disk of a leader, in memory: a log that goes on, snapshots, purges.

use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::database::{CommitStatus, Database, Interest};
use ringkeeper_engine::device::{Membership, MemoryDisk};
use ringkeeper_engine::log::{Dirs, Group, OpenSettings, Opened, Settings, open};
use ringkeeper_engine::snapshot::{
    Block, SnapshotKind, SnapshotRun, begin_writing, write_received,
};
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::txn::{AclList, CreateOp, CreateTxn, NodeKind, Txn, TxnBody};
use ringkeeper_engine::wire::{Acl, Id};
use ringkeeper_engine::{Millis, SessionId, Zxid};
use ringkeeper_replication::leader::{FeedLimits, FeedSource};

use crate::sim::server::{HASH_SEED, empty_database};

/// A session that each history begins with.
const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);

pub(crate) const fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(epoch, counter)
}

/// The transactions with these zxids. One zxid is one transaction, so that histories with a common
/// beginning are the same there.
pub(crate) fn txns(zxids: &[Zxid]) -> Vec<Txn> {
    let all = zxids.iter().enumerate();
    all.map(|(at, zxid)| txn(at, *zxid, zxids.first() == Some(zxid))).collect()
}

fn txn(at: usize, zxid: Zxid, is_first: bool) -> Txn {
    let path: Arc<str> = format!("/n{:x}", zxid.0).into();
    let own = Acl { perms: 31, id: Id { scheme: "digest".into(), id: format!("{}", at % 3) } };
    let acl = AclList::from([if at.is_multiple_of(2) { Acl::open() } else { own }]);
    let (op, kind) = match at % 4 {
        1 => (CreateOp::Create, NodeKind::Ephemeral(SESSION)),
        2 => (CreateOp::Container, NodeKind::Container),
        _ => (CreateOp::Create2, NodeKind::Persistent),
    };
    let data = Some(vec![at as u8; 40 + at % 50].into());
    let parent_cversion = at as i32;
    let create = CreateTxn { op, path, data, acl, kind, parent_cversion };
    let body = match is_first {
        true => TxnBody::CreateSession { timeout_ms: 4_000 },
        false => TxnBody::Create(create),
    };
    Txn { session: SESSION, cxid: 1, zxid, time: Millis(9), body }
}

/// A server that has led and goes on.
pub(crate) struct LeaderDisk {
    pub(crate) disk: MemoryDisk,
    pub(crate) opened: Opened<MemoryDisk>,
    pub(crate) history: Vec<Txn>,
    pub(crate) limits: FeedLimits,
}

impl LeaderDisk {
    /// One that has this history in its log, several segments if it is long.
    pub(crate) fn new(zxids: &[Zxid]) -> LeaderDisk {
        let disk = MemoryDisk::new(77);
        let settings = OpenSettings {
            membership: Membership::Member(9),
            autocreate: true,
            digest: Digest::Kept,
            seed: HASH_SEED,
            log: Settings { segment_bytes: 16 << 10, spares_max: 2, ..Settings::default() },
        };
        let dirs = Dirs { snapshots: disk.clone(), log: disk.clone() };
        let mut opened = open(&dirs, &settings, |_| ()).expect("an empty disk");
        opened.db.set_commit_status(CommitStatus::Committed);
        // A learner that has nothing gets the whole log.
        let limits = FeedLimits { first_diff_bytes: 4 << 20, ..FeedLimits::default() };
        let mut leader = LeaderDisk { disk, opened, history: Vec::new(), limits };
        leader.extend(zxids);
        leader
    }

    /// One that took over a state at this zxid, of which nothing is in its log.
    pub(crate) fn installed(zxid: Zxid) -> LeaderDisk {
        let mut leader = LeaderDisk::new(&[]);
        leader.opened.db.tree.set_applied(zxid);
        let directory = leader.opened.identity.directory;
        write_received(&leader.disk, directory, &mut leader.opened.db).expect("a good disk");
        leader.opened.recovered.log.install(zxid, Zxid::ZERO).expect("a good disk");
        leader
    }

    /// What follows, group by group.
    pub(crate) fn extend(&mut self, zxids: &[Zxid]) {
        let all: Vec<Zxid> =
            self.history.iter().map(|txn| txn.zxid).chain(zxids.iter().copied()).collect();
        let behind = txns(&all).split_off(self.history.len());
        for part in behind.chunks(3) {
            let mut group = Group::new();
            for txn in part {
                self.opened.db.apply(txn, Interest::None);
                group.push(txn);
            }
            self.opened.recovered.log.flush(&mut group).expect("a good disk");
            self.opened.recovered.preparer.step().expect("a good disk");
        }
        self.history.extend(behind);
    }

    /// The state behind a transaction.
    pub(crate) fn state_at(&self, zxid: Zxid) -> Database {
        let mut db = empty_database();
        for txn in self.history.iter().filter(|txn| txn.zxid <= zxid) {
            db.apply(txn, Interest::None);
        }
        db
    }

    pub(crate) fn last(&self) -> Zxid {
        self.history.last().map_or(Zxid::ZERO, |txn| txn.zxid)
    }

    /// Takes a snapshot of everything.
    pub(crate) fn snapshot(&mut self) {
        let directory = self.opened.identity.directory;
        let (mut run, meta) =
            SnapshotRun::begin(SnapshotKind::Regular, &mut self.opened.db, Duration::ZERO);
        let mut writer = begin_writing(SnapshotKind::Regular, &self.disk, directory, &meta)
            .expect("a good disk");
        loop {
            let Some(Block { bytes, last }) = run.slice(&mut self.opened.db) else { continue };
            writer.block(&bytes).expect("a good disk");
            run.recycle(bytes);
            if last {
                writer.finish().expect("a good disk");
                return;
            }
        }
    }

    /// Purges what the newest snapshot makes superfluous. Returns how many files went.
    pub(crate) fn purge(&self) -> usize {
        let purged = self.opened.recovered.purger.purge(1).expect("a good disk");
        purged.snapshots.len() + purged.segments.len()
    }

    /// What learners are fed from.
    pub(crate) fn source(&self) -> FeedSource<MemoryDisk> {
        FeedSource {
            dirs: Dirs { snapshots: self.disk.clone(), log: self.disk.clone() },
            directory: self.opened.identity.directory,
            gauge: self.opened.recovered.gauge.clone(),
            seed: HASH_SEED,
            limits: self.limits,
        }
    }
}
