//! What the leaders of a played ensemble have ordered, and the state behind it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::op::{OpSettings, Write, create, set_data};
use ringkeeper_engine::sequencer::{Caller, Sequencer};
use ringkeeper_engine::tree::{Digest, Tree};
use ringkeeper_engine::txn::{CreateOp, Txn, TxnBody, TxnDigest};
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Id, Put, Reader};
use ringkeeper_engine::zookeeper::Entry;
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};

/// Seed of the hash tables; any will do.
const HASH_SEED: u64 = 7;
/// A session of another server.
pub(crate) const OTHER_SESSION: SessionId = SessionId(0x0200_0000_0000_0001);

/// Everything is committed as soon as it is ordered.
pub(crate) struct History {
    pub(crate) txns: Vec<Txn>,
    digests: Vec<TxnDigest>,
    pub(crate) db: Database,
    sequencer: Sequencer,
}

/// A request of a learner.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Forwarded {
    pub(crate) session: SessionId,
    pub(crate) cxid: i32,
    pub(crate) op: i32,
    pub(crate) record: Vec<u8>,
    pub(crate) identities: Option<Vec<Id>>,
}

impl History {
    /// Of an ensemble that has done nothing in this epoch yet.
    pub(crate) fn new(epoch: u32) -> History {
        let (db, txns) = (empty_database(), Vec::new());
        let sequencer = sequencer(&db, epoch);
        History { txns, digests: Vec::new(), db, sequencer }
    }

    /// The next leader begins.
    pub(crate) fn begin_epoch(&mut self, epoch: u32) {
        self.sequencer = sequencer(&self.db, epoch);
    }

    /// A leader without the transactions behind the first `count` begins.
    pub(crate) fn begin_epoch_without(&mut self, count: usize, epoch: u32) {
        self.txns.truncate(count);
        self.digests.truncate(count);
        self.db = empty_database();
        self.txns.iter().for_each(|txn| drop(self.db.apply(txn, Interest::None)));
        self.begin_epoch(epoch);
    }

    /// The last transaction.
    pub(crate) fn last(&self) -> Zxid {
        self.db.applied()
    }

    /// Orders a write of another server's client.
    pub(crate) fn write(&mut self, write: Write) -> Zxid {
        let ids = Arc::from([Id { scheme: "ip".into(), id: "127.0.0.1".into() }]);
        let caller = Caller { session: OTHER_SESSION, cxid: 1, ids };
        let txn = self.sequencer.order(&self.db, &caller, write, now());
        self.push(txn)
    }

    /// An operator changes the members: the text of the configuration, without its version.
    pub(crate) fn reconfigure(&mut self, members: &str) -> Zxid {
        let caller = Caller { session: OTHER_SESSION, cxid: 1, ids: Arc::from([]) };
        let mut txn = self.sequencer.order_refusal(&caller, Code::Ok, now());
        let text = format!("{members}version={:x}", txn.zxid.0);
        txn.body = TxnBody::Reconfig { data: Some(text.into_bytes().into()), version: -1 };
        self.push(txn)
    }

    /// Another server's client begins a session.
    pub(crate) fn open(&mut self, session: SessionId, timeout_ms: i32) -> Zxid {
        let txn = self.sequencer.order_open(session, timeout_ms, now());
        self.push(txn)
    }

    /// Orders a request of the learner.
    pub(crate) fn request(&mut self, request: &Forwarded) -> Zxid {
        let mut reader = Reader::new(&request.record);
        let session = request.session;
        let ids: Arc<[_]> = request.identities.clone().unwrap_or_default().into();
        let caller = Caller { session, cxid: request.cxid, ids };
        let txn = match request.op {
            op::CREATE_SESSION => {
                let timeout_ms = reader.int().expect("a timeout");
                self.sequencer.order_open(session, timeout_ms, now())
            }
            _ if !self.has_session(session) => {
                self.sequencer.order_refusal(&caller, Code::SessionExpired, now())
            }
            op::CLOSE_SESSION => self.sequencer.order_close(&self.db, &caller, now()),
            op_code => {
                let write = Write::decode(op_code, &mut reader).expect("what is forwarded parses");
                self.sequencer.order(&self.db, &caller, write, now())
            }
        };
        self.push(txn)
    }

    pub(crate) fn has_session(&self, session: SessionId) -> bool {
        self.db.sessions().any(|(id, _)| id == session)
    }

    fn push(&mut self, txn: Txn) -> Zxid {
        let zxid = txn.zxid;
        self.db.apply(&txn, Interest::None);
        self.sequencer.applied(zxid);
        let digest = self.db.tree.digest();
        self.digests.push(TxnDigest { version: TxnDigest::VERSION, digest });
        self.txns.push(txn);
        zxid
    }

    /// A transaction as it is proposed, its digest changed in these bits.
    pub(crate) fn payload(&self, index: usize, changed_bits: u64) -> Vec<u8> {
        let mut digest = self.digests[index];
        digest.digest ^= changed_bits;
        let txn = self.txns[index].clone();
        let mut bytes = Vec::new();
        Entry { txn, lists_paths: true, digest: Some(digest) }.write(&mut bytes);
        bytes
    }
}

/// A write that makes a node.
pub(crate) fn create(path: &str, data: &[u8]) -> Write {
    Write::Create(create::Create::new(CreateOp::Create, path, data, 0))
}

/// A write that replaces the data of a node.
pub(crate) fn set(path: &str, data: &[u8]) -> Write {
    let mut record = Vec::new();
    record.put_string(path);
    record.put_buffer(Some(data));
    record.put_int(-1);
    set_data::SetData::decode(&mut Reader::new(&record)).expect("it is whole")
}

fn empty_database() -> Database {
    let mut tree = Tree::new(HASH_SEED);
    tree.keep_digest(Digest::Kept);
    Database::new(tree, [])
}

fn sequencer(db: &Database, epoch: u32) -> Sequencer {
    let settings = OpSettings { extended_types: true, ..OpSettings::default() };
    let mut sequencer = Sequencer::new(db.applied(), settings, HASH_SEED);
    sequencer.begin_epoch(epoch);
    sequencer
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    Millis(i64::try_from(since.as_millis()).expect("and earlier than the year 292 million"))
}
