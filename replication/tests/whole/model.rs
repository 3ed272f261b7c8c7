//! What one connection must see: the state at each of its replies, and the events before it.

use std::collections::BTreeSet;

use ringkeeper_engine::client::Reply;
use ringkeeper_engine::database::{Database, Interest, OpResult};
use ringkeeper_engine::op::set_watches::SetWatches;
use ringkeeper_engine::op::{OpSpec, Reading, read, watches, write_reply};
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::watch::{ConnId, OneShot, WatchTable};
use ringkeeper_engine::wire::event::EventType;
use ringkeeper_engine::wire::header::ReplyHeader;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Id, Put, Reader};
use ringkeeper_engine::{Code, SessionId, Zxid};

use crate::server::{HASH_SEED, empty_database, op_settings};

/// The only connection of a model's table of watches.
const ME: ConnId = ConnId(0);

/// An event as it travels: zxid, kind, path.
pub(crate) type Seen = (i64, EventType, String);

/// The state as one connection knows it, moved on by its replies.
pub(crate) struct Model {
    db: Database,
    result: Option<OpResult>,
    table: WatchTable,
    ids: Vec<Id>,
    expected: Vec<Seen>,
    held: Held,
}

/// The watches that a client believes to hold, for when it comes back.
#[derive(Clone, Default, Debug)]
pub(crate) struct Held {
    /// One-shot, on nodes that were there.
    pub(crate) data: BTreeSet<String>,
    /// One-shot, on nodes that were missing.
    pub(crate) exist: BTreeSet<String>,
    /// One-shot, on lists of children.
    pub(crate) child: BTreeSet<String>,
    /// Persistent.
    pub(crate) persistent: BTreeSet<String>,
    /// Persistent and recursive.
    pub(crate) recursive: BTreeSet<String>,
}

impl Model {
    /// A client that has seen nothing.
    pub(crate) fn new() -> Model {
        Model {
            db: empty_database(),
            result: None,
            table: WatchTable::new(HASH_SEED),
            ids: vec![Id { scheme: "ip".into(), id: "127.0.0.1".into() }],
            expected: Vec::new(),
            held: Held::default(),
        }
    }

    /// The connection has gone, and its watches with it; the client remembers them.
    pub(crate) fn reconnect(&mut self) -> Held {
        self.table = WatchTable::new(HASH_SEED);
        self.expected.clear();
        std::mem::take(&mut self.held)
    }

    /// The events that must have arrived by now.
    pub(crate) fn take_expected(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.expected)
    }

    /// The state's digest.
    pub(crate) fn digest(&self) -> u64 {
        self.db.tree.digest()
    }

    /// Moves on to a zxid: applies what lies between and notes which watches fire.
    pub(crate) fn advance(&mut self, zxid: i64, history: &[Txn]) {
        while self.db.applied().to_wire() < zxid {
            let applied = self.db.applied();
            let next = history.partition_point(|txn| txn.zxid <= applied);
            let txn = history.get(next).expect("the server showed a zxid that it never applied");
            let applied = self.db.apply(txn, Interest::Watched);
            self.result = Some(applied.result);
            for change in &applied.changes {
                self.table.fire(change.kind, &change.path, &mut |_, event, path, _| {
                    self.expected.push((applied.zxid.to_wire(), event, path.into()));
                });
            }
        }
    }

    /// A client drops the one-shot watches that an event uses up.
    pub(crate) fn note_event(&mut self, kind: EventType, path: &str) {
        match kind {
            EventType::NodeChildrenChanged => {
                self.held.child.remove(path);
            }
            EventType::NodeDeleted => {
                self.held.child.remove(path);
                self.held.data.remove(path);
                self.held.exist.remove(path);
            }
            EventType::NodeCreated | EventType::NodeDataChanged => {
                self.held.data.remove(path);
                self.held.exist.remove(path);
            }
        }
    }

    /// Compares a reply with what the state at its zxid says; the model is there already.
    pub(crate) fn check(
        &mut self,
        session: SessionId,
        record: &[u8],
        reply: &Reply<'_, Vec<u8>>,
        history: &[Txn],
    ) {
        let (applied, at) = (self.db.applied().to_wire(), reply.zxid);
        assert_eq!(applied, at, "a reply shows an older state than what came before it");
        let header = ReplyHeader { xid: reply.xid, zxid: reply.zxid, err: reply.err };
        match reply.op {
            code if OpSpec::of(code).is_read() => self.check_read(session, record, reply),
            op::SYNC => assert_eq!(reply.body.0, record, "sync echoes its path"),
            op::ADD_WATCH | op::REMOVE_WATCHES | op::CHECK_WATCHES => {
                self.check_watches(record, reply);
            }
            op::SET_WATCHES2 => {
                let request = SetWatches::decode(op::SET_WATCHES2, &mut Reader::new(record));
                let mut bytes = Vec::new();
                let request = request.expect("the client wrote it");
                request.catch_up(ME, &self.db.tree, &mut self.table, &mut bytes);
                self.expected.extend(notifications(&bytes));
            }
            op::WHO_AM_I => assert_eq!(reply.err, 0),
            _ => self.check_write(session, header, reply, history),
        }
    }

    fn check_read(&mut self, session: SessionId, record: &[u8], reply: &Reply<'_, Vec<u8>>) {
        let settings = op_settings();
        let (tree, ids) = (&self.db.tree, &self.ids[..]);
        let reading = Reading { tree, settings: &settings, ids, session };
        let mut body = Vec::new();
        let done = read(reply.op, &mut Reader::new(record), reading, &mut body);
        assert_eq!(reply.err, done.code.to_wire(), "the code of a read at {:#x}", reply.zxid);
        let (found, expected) = (ordered(reply.op, reply.body.0), ordered(reply.op, &body));
        assert_eq!(found, expected, "the body of a read at {:#x}", reply.zxid);
        let Some((path, kind)) = done.watch else { return };
        self.table.add_one_shot(ME, &path, kind);
        let held = match (kind, done.code) {
            (OneShot::Child, _) => &mut self.held.child,
            (OneShot::Data, Code::Ok) => &mut self.held.data,
            (OneShot::Data, _) => &mut self.held.exist,
        };
        held.insert(path.into_owned());
    }

    fn check_watches(&mut self, record: &[u8], reply: &Reply<'_, Vec<u8>>) {
        use ringkeeper_engine::watch::WatchMode;
        let mut reader = Reader::new(record);
        if reply.op == op::ADD_WATCH {
            let (path, mode) = watches::decode_add(&mut reader).expect("the client wrote it");
            let path = path.expect("the client gave one");
            self.table.add(ME, &path, mode);
            let held = match mode {
                WatchMode::Persistent => &mut self.held.persistent,
                WatchMode::PersistentRecursive => &mut self.held.recursive,
            };
            held.insert(path.into_owned());
            return assert_eq!(reply.err, 0);
        }
        let (path, kind) = watches::decode_which(&mut reader).expect("the client wrote it");
        let found = if reply.op == op::REMOVE_WATCHES {
            self.table.remove(ME, &path, kind)
        } else {
            self.table.contains(ME, &path, kind)
        };
        let code = if found { Code::Ok } else { Code::NoWatcher };
        assert_eq!(reply.err, code.to_wire(), "watches on {path} at {:#x}", reply.zxid);
        if found && reply.op == op::REMOVE_WATCHES {
            self.held.forget(&path, &self.table);
        }
    }

    /// A write's reply carries its own zxid: it comes right behind its own transaction.
    fn check_write(
        &mut self,
        session: SessionId,
        header: ReplyHeader,
        reply: &Reply<'_, Vec<u8>>,
        history: &[Txn],
    ) {
        if header.err == Code::SystemError.to_wire() {
            return;
        }
        let zxid = Zxid::from_wire(header.zxid);
        let found = history.binary_search_by_key(&zxid, |txn| txn.zxid);
        let txn = &history[found.expect("a write has the zxid of a transaction")];
        let asked = (session, header.xid);
        assert_eq!((txn.session, txn.cxid), asked, "a write is answered at its own zxid");
        let result = self.result.as_ref().expect("a transaction was applied");
        let mut body = Vec::new();
        let code = match result {
            OpResult::Refused(code) => *code,
            OpResult::SessionClosed => Code::Ok,
            result => {
                let shape = OpSpec::of(reply.op).reply_shape().expect("it is a write");
                write_reply(shape, result, &mut body);
                Code::Ok
            }
        };
        assert_eq!(header.err, code.to_wire(), "the code of the write at {:#x}", header.zxid);
        assert_eq!(reply.body.0, body, "the body of the write at {:#x}", header.zxid);
    }
}

impl Held {
    /// Forgets what the table does not hold any more on a path.
    fn forget(&mut self, path: &str, table: &WatchTable) {
        use ringkeeper_engine::watch::WatcherType;
        let holds = |kind| table.contains(ME, path, kind);
        if !holds(WatcherType::Data) {
            self.data.remove(path);
            self.exist.remove(path);
        }
        for (kind, held) in [
            (WatcherType::Children, &mut self.child),
            (WatcherType::Persistent, &mut self.persistent),
            (WatcherType::PersistentRecursive, &mut self.recursive),
        ] {
            if !holds(kind) {
                held.remove(path);
            }
        }
    }

    /// The record of a setWatches2 request.
    pub(crate) fn record(&self, relative_zxid: i64) -> Vec<u8> {
        let mut record = Vec::new();
        record.put_long(relative_zxid);
        for paths in [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive] {
            record.put_count(paths.len());
            paths.iter().for_each(|path| record.put_string(path));
        }
        record
    }

    /// Whether there is nothing to set again.
    pub(crate) fn is_empty(&self) -> bool {
        [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive]
            .iter()
            .all(|paths| paths.is_empty())
    }
}

/// The body of a read, with names in their order: a state that was received lists the same ones in
/// another order.
fn ordered(op_code: i32, body: &[u8]) -> (Vec<String>, &[u8]) {
    let is_list = [op::GET_CHILDREN, op::GET_CHILDREN2, op::GET_EPHEMERALS].contains(&op_code);
    if !is_list || body.is_empty() {
        return (Vec::new(), body);
    }
    let mut reader = Reader::new(body);
    let count = reader.int().expect("a list has a count");
    let name = |_| reader.string().expect("a name").into_owned();
    let mut names: Vec<String> = (0..count).map(name).collect();
    names.sort_unstable();
    (names, reader.rest())
}

/// The events in frames that are notifications.
fn notifications(mut bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        bytes = rest;
        let mut reader = Reader::new(frame);
        let header = ReplyHeader::read(&mut reader).expect("a notification has a header");
        let kind = match reader.int() {
            Ok(1) => EventType::NodeCreated,
            Ok(2) => EventType::NodeDeleted,
            Ok(3) => EventType::NodeDataChanged,
            Ok(4) => EventType::NodeChildrenChanged,
            other => panic!("an event of kind {other:?}"),
        };
        reader.int().expect("a notification has a state");
        let path = reader.string().expect("a notification has a path").into_owned();
        seen.push((header.zxid, kind, path));
    }
    seen
}
