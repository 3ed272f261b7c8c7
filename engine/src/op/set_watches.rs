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
    data: Paths<'a>,
    exist: Paths<'a>,
    child: Paths<'a>,
    persistent: Paths<'a>,
    recursive: Paths<'a>,
}

/// What is null in a list, or a list that is, is met in its turn.
type Paths<'a> = Option<Vec<Option<Cow<'a, str>>>>;

impl<'a> SetWatches<'a> {
    /// Reads the request record of either operation.
    pub fn decode(op_code: i32, reader: &mut Reader<'a>) -> Result<SetWatches<'a>, Malformed> {
        let mut request = SetWatches {
            relative_zxid: reader.long()?,
            data: paths(reader)?,
            exist: paths(reader)?,
            child: paths(reader)?,
            persistent: Some(Vec::new()),
            recursive: Some(Vec::new()),
        };
        if op_code == op::SET_WATCHES2 {
            request.persistent = paths(reader)?;
            request.recursive = paths(reader)?;
        }
        Ok(request)
    }

    /// Registers what is unchanged and appends, before the reply, the events that were missed.
    /// They carry zxid -1. There is no ACL check here, as in ZooKeeper. It ends at a null list, and
    /// at a null path of the first three; what came before stays.
    pub fn catch_up(
        &self,
        conn: ConnId,
        tree: &Tree,
        table: &mut WatchTable,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        for path in list(&self.data)? {
            let path = path.as_deref().ok_or(Malformed::Null)?;
            match tree.find(path).map(|id| tree.stat(id)) {
                None => write_notification(out, -1, EventType::NodeDeleted, path),
                Some(stat) if stat.mzxid > self.relative_zxid => {
                    write_notification(out, -1, EventType::NodeDataChanged, path);
                }
                Some(_) => table.add_one_shot(conn, path, OneShot::Data),
            }
        }
        for path in list(&self.exist)? {
            let path = path.as_deref().ok_or(Malformed::Null)?;
            match tree.find(path) {
                Some(_) => write_notification(out, -1, EventType::NodeCreated, path),
                None => table.add_one_shot(conn, path, OneShot::Data),
            }
        }
        for path in list(&self.child)? {
            let path = path.as_deref().ok_or(Malformed::Null)?;
            match tree.find(path).map(|id| tree.stat(id)) {
                None => write_notification(out, -1, EventType::NodeDeleted, path),
                Some(stat) if stat.pzxid > self.relative_zxid => {
                    write_notification(out, -1, EventType::NodeChildrenChanged, path);
                }
                Some(_) => table.add_one_shot(conn, path, OneShot::Child),
            }
        }
        for path in list(&self.persistent)?.iter().flatten() {
            table.add(conn, path, WatchMode::Persistent);
        }
        for path in list(&self.recursive)?.iter().flatten() {
            table.add(conn, path, WatchMode::PersistentRecursive);
        }
        Ok(())
    }
}

fn paths<'a>(reader: &mut Reader<'a>) -> Result<Paths<'a>, Malformed> {
    let Some(count) = reader.vector(4)? else { return Ok(None) };
    (0..count).map(|_| reader.ustring()).collect::<Result<_, _>>().map(Some)
}

fn list<'p, 'a>(paths: &'p Paths<'a>) -> Result<&'p [Option<Cow<'a, str>>], Malformed> {
    paths.as_deref().ok_or(Malformed::Null)
}
