//! Does every watch fire exactly once, at the first change behind the reply that registered it? And
//! does each event come before every reply that could show its change?

use std::collections::BTreeSet;

use ringkeeper_engine::Code;
use ringkeeper_engine::client::Reply;
use ringkeeper_engine::database::Applied;
use ringkeeper_engine::op::set_watches::SetWatches;
use ringkeeper_engine::op::watches;
use ringkeeper_engine::tree::Tree;
use ringkeeper_engine::watch::{ConnId, OneShot, WatchTable};
use ringkeeper_engine::wire::event::EventType;
use ringkeeper_engine::wire::header::ReplyHeader;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Put, Reader};

use super::super::server::HASH_SEED;

/// The only connection of a model's table of watches.
const ME: ConnId = ConnId(0);

/// An event as it travels: zxid, kind, path.
pub(crate) type SeenEvent = (i64, EventType, String);

/// The watches of one connection, and the events that they have made.
pub(crate) struct Watches {
    table: WatchTable,
    expected: Vec<SeenEvent>,
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

impl Watches {
    /// None.
    pub(super) fn new() -> Watches {
        let table = WatchTable::new(HASH_SEED);
        Watches { table, expected: Vec::new(), held: Held::default() }
    }

    /// Whether there are some.
    pub(super) fn are_set(&self) -> bool {
        self.table.watches_of(ME) > 0
    }

    /// What is to be set again. A client goes on holding it: a connection may come to nothing.
    pub(super) fn reconnect(&mut self) -> Held {
        self.table = WatchTable::new(HASH_SEED);
        self.expected.clear();
        self.held.clone()
    }

    /// The connection is gone, with what it watched and the events that had to come. What is held
    /// stays.
    pub(super) fn leave(&mut self) -> Watches {
        let table = std::mem::replace(&mut self.table, WatchTable::new(HASH_SEED));
        Watches { table, expected: self.take_expected(), held: Held::default() }
    }

    pub(super) fn take_expected(&mut self) -> Vec<SeenEvent> {
        std::mem::take(&mut self.expected)
    }

    /// A transaction was applied.
    pub(super) fn fire(&mut self, applied: &Applied) {
        let Watches { table, expected, .. } = self;
        for change in &applied.changes {
            table.fire(change.kind, &change.path, &mut |_, event, path, _| {
                expected.push((applied.zxid.to_wire(), event, path.into()));
            });
        }
    }

    /// A read has left a watch.
    pub(super) fn add_one_shot(&mut self, path: &str, kind: OneShot, code: Code) {
        self.table.add_one_shot(ME, path, kind);
        let held = match (kind, code) {
            (OneShot::Child, _) => &mut self.held.child,
            (OneShot::Data, Code::Ok) => &mut self.held.data,
            (OneShot::Data, _) => &mut self.held.exist,
        };
        held.insert(path.to_owned());
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

    /// The watches of before are set again.
    pub(super) fn set_again(&mut self, op: i32, record: &[u8], tree: &Tree) {
        let request = SetWatches::decode(op, &mut Reader::new(record));
        let mut bytes = Vec::new();
        let request = request.expect("the client wrote it");
        let done = request.catch_up(ME, tree, &mut self.table, &mut bytes);
        assert_eq!(done, Ok(()), "the client gave no null");
        self.expected.extend(notifications(&bytes));
    }

    /// Compares a reply to what is about watches.
    pub(super) fn check(&mut self, record: &[u8], reply: &Reply<'_, Vec<u8>>) {
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
        let path = path.expect("the client gave one");
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

    /// The request that sets them again, and its record: as clients do, in the older form where
    /// that has a place for all of them.
    pub(crate) fn request(&self, relative_zxid: i64) -> (i32, Vec<u8>) {
        let mut record = Vec::new();
        record.put_long(relative_zxid);
        let lists = [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive];
        let is_older = self.persistent.is_empty() && self.recursive.is_empty();
        for paths in lists.into_iter().take(if is_older { 3 } else { 5 }) {
            record.put_count(paths.len());
            paths.iter().for_each(|path| record.put_string(path));
        }
        (if is_older { op::SET_WATCHES } else { op::SET_WATCHES2 }, record)
    }

    /// Whether there is nothing to set again.
    pub(crate) fn is_empty(&self) -> bool {
        [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive]
            .iter()
            .all(|paths| paths.is_empty())
    }
}

/// The events in frames that are notifications.
fn notifications(mut bytes: &[u8]) -> Vec<SeenEvent> {
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
