//! As `world`, with transactions that make a tree: a server reduced to its log and its database.

use std::sync::Arc;

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::device::{Directory, Identity, MemoryDisk};
use ringkeeper_engine::log::{Group, Recovered, recover};
use ringkeeper_engine::op::{OpSettings, Write, create};
use ringkeeper_engine::sequencer::{Caller, Sequencer};
use ringkeeper_engine::snapshot::{Finished, Loading, Meta, Writer, keep_digest};
use ringkeeper_engine::tree::{Digest, Progress, Tree};
use ringkeeper_engine::txn::{CreateOp, Txn};
use ringkeeper_engine::{Millis, SessionId, Zxid, limits};

use crate::world::{Random, dirs, settings};

pub(crate) const SEED: u64 = 11;

/// A database, and its digest behind every transaction.
pub(crate) struct TreeWorld {
    pub(crate) db: Database,
    pub(crate) digests: Vec<u64>,
    sequencer: Sequencer,
    random: Random,
}

pub(crate) fn empty_database() -> Database {
    let mut tree = Tree::new(SEED);
    tree.keep_digest(Digest::Kept);
    Database::new(tree, [])
}

impl TreeWorld {
    /// Nothing was ordered. Worlds of other seeds order other transactions.
    pub(crate) fn new(seed: u64) -> TreeWorld {
        let db = empty_database();
        let digests = vec![db.tree.digest()];
        let sequencer = Sequencer::new(Zxid::ZERO, OpSettings::default(), SEED);
        TreeWorld { db, digests, sequencer, random: Random::new(seed) }
    }

    /// Orders a session, an ephemeral or a persistent node, or the end of a session.
    pub(crate) fn order(&mut self) -> Txn {
        let now = Millis(1_000);
        let session = SessionId(0x0100_0000_0000_0000 + self.random.below(4) as i64);
        let is_open = self.db.sessions().any(|(id, _)| id == session);
        let caller = Caller { session, cxid: 1, ids: Arc::from([]) };
        let txn = match self.random.below(8) {
            0 if is_open => self.sequencer.order_close(&self.db, &caller, now),
            _ if !is_open => self.sequencer.order_open(session, 4_000, now),
            kind => {
                let data = vec![b'x'; self.random.below(300)];
                let flags = if kind < 4 { 3 } else { 2 };
                let create = create::Create::new(CreateOp::Create, "/n", &data, flags);
                self.sequencer.order(&self.db, &caller, Write::Create(create), now)
            }
        };
        self.db.apply(&txn, Interest::None);
        self.sequencer.applied(txn.zxid);
        self.digests.push(self.db.tree.digest());
        txn
    }

    /// Flushes a group of `records` transactions.
    pub(crate) fn flush(&mut self, recovered: &mut Recovered<MemoryDisk>, records: usize) {
        let mut group = Group::new();
        (0..records).for_each(|_| group.push(&self.order()));
        assert_eq!(recovered.log.flush(&mut group).unwrap(), self.db.applied());
    }

    /// Writes a snapshot of what is applied.
    pub(crate) fn snapshot(&mut self, disk: &MemoryDisk) -> Finished {
        let directory = Identity::open(disk, 3).unwrap().directory;
        let sessions = self.db.sessions().collect();
        let header = self.db.tree.begin_snapshot().encode();
        let meta = Meta { zxid: self.db.applied(), sessions, header };
        let mut writer = Writer::begin(disk, directory, &meta).unwrap();
        let mut block = Vec::new();
        let nodes = limits::SNAPSHOT_SLICE_NODES;
        while self.db.tree.snapshot_slice(nodes, &mut block) != Progress::Done {}
        writer.block(&block).unwrap();
        writer.finish().unwrap()
    }
}

/// Starts on a directory.
pub(crate) fn start<D: Directory>(disk: &D) -> (Recovered<D>, Database) {
    let mut identity = Identity::open(disk, 3).unwrap();
    let mut loading = Loading::new(SEED, |_| ());
    let recovered = recover(&dirs(disk), &mut identity, &settings(), &mut loading);
    let recovered = recovered.unwrap_or_else(|refusal| panic!("{refusal}"));
    let mut db = loading.finish();
    keep_digest(&mut db.tree, Digest::Kept, 1);
    assert_eq!(recovered.last, db.applied());
    (recovered, db)
}

/// The sessions in an order that does not depend on hashes.
pub(crate) fn sessions(db: &Database) -> Vec<(SessionId, i32)> {
    let mut sessions: Vec<_> = db.sessions().collect();
    sessions.sort_unstable();
    sessions
}
