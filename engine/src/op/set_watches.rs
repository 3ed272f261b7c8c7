//! setWatches (101) and setWatches2 (105): a client that reconnects says what it watched.

use std::borrow::Cow;

use crate::tree::Tree;
use crate::watch::{ConnId, OneShot, WatchMode, WatchTable};
use crate::wire::event::{EventType, write_notification};
use crate::wire::opcode::op;
use crate::wire::{Malformed, Reader};

/// The lists, and the zxid up to which the client knows.
pub struct SetWatches<'a> {
    relative_zxid: i64,
    data: Vec<Cow<'a, str>>,
    exist: Vec<Cow<'a, str>>,
    child: Vec<Cow<'a, str>>,
    persistent: Vec<Cow<'a, str>>,
    recursive: Vec<Cow<'a, str>>,
}

impl<'a> SetWatches<'a> {
    /// Reads the request record of either operation.
    pub fn decode(op_code: i32, reader: &mut Reader<'a>) -> Result<SetWatches<'a>, Malformed> {
        let mut request = SetWatches {
            relative_zxid: reader.long()?,
            data: paths(reader)?,
            exist: paths(reader)?,
            child: paths(reader)?,
            persistent: Vec::new(),
            recursive: Vec::new(),
        };
        if op_code == op::SET_WATCHES2 {
            request.persistent = paths(reader)?;
            request.recursive = paths(reader)?;
        }
        Ok(request)
    }

    /// Registers what is unchanged and appends, before the reply, the events that were missed.
    /// They carry zxid -1. There is no ACL check here, as in ZooKeeper.
    pub fn catch_up(&self, conn: ConnId, tree: &Tree, table: &mut WatchTable, out: &mut Vec<u8>) {
        for path in &self.data {
            match tree.find(path).map(|id| tree.stat(id)) {
                None => write_notification(out, -1, EventType::NodeDeleted, path),
                Some(stat) if stat.mzxid > self.relative_zxid => {
                    write_notification(out, -1, EventType::NodeDataChanged, path);
                }
                Some(_) => table.add_one_shot(conn, path, OneShot::Data),
            }
        }
        for path in &self.exist {
            match tree.find(path) {
                Some(_) => write_notification(out, -1, EventType::NodeCreated, path),
                None => table.add_one_shot(conn, path, OneShot::Data),
            }
        }
        for path in &self.child {
            match tree.find(path).map(|id| tree.stat(id)) {
                None => write_notification(out, -1, EventType::NodeDeleted, path),
                Some(stat) if stat.pzxid > self.relative_zxid => {
                    write_notification(out, -1, EventType::NodeChildrenChanged, path);
                }
                Some(_) => table.add_one_shot(conn, path, OneShot::Child),
            }
        }
        for path in &self.persistent {
            table.add(conn, path, WatchMode::Persistent);
        }
        for path in &self.recursive {
            table.add(conn, path, WatchMode::PersistentRecursive);
        }
    }
}

/// A null list is refused, as ZooKeeper's handler fails on it.
fn paths<'a>(reader: &mut Reader<'a>) -> Result<Vec<Cow<'a, str>>, Malformed> {
    let count = reader.vector(4)?.ok_or(Malformed::Null)?;
    (0..count).map(|_| reader.string()).collect()
}
