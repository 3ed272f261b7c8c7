//! multiRead (22): several reads of one state of the tree.

use std::borrow::Cow;

use super::{Reading, get_children, get_data, multi};
use crate::Code;
use crate::limits;
use crate::wire::opcode::op;
use crate::wire::{Malformed, Reader};

/// One read of the list. Watch flags are dropped, as ZooKeeper does.
struct Item<'a> {
    what: What,
    /// Where it is null, the answer ends before it.
    path: Option<Cow<'a, str>>,
}

enum What {
    Data,
    Children,
}

/// The list, or what is wrong with it.
pub struct MultiRead<'a> {
    items: Vec<Item<'a>>,
}

/// Why a list cannot be answered: the two cases differ in the body of the reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// Not a list of operations at all.
    Malformed,
    /// All of it are writes: ZooKeeper then answers the empty list beside the error.
    Writes,
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Unreadable {
        Unreadable::Malformed
    }
}

impl<'a> MultiRead<'a> {
    /// Reads the request.
    pub fn decode(reader: &mut Reader<'a>) -> Result<MultiRead<'a>, Unreadable> {
        let whole = reader.clone();
        let list = multi::read_list(reader, |op_code, reader| {
            let what = match op_code {
                op::GET_DATA => What::Data,
                op::GET_CHILDREN => What::Children,
                _ => return Err(Malformed::Value),
            };
            let path = reader.ustring()?;
            let _watch = reader.bool()?;
            Ok(Item { what, path })
        });
        match list {
            Ok(items) => Ok(MultiRead { items }),
            Err(_) if multi::decode(&mut whole.clone()).is_ok() => Err(Unreadable::Writes),
            Err(_) => Err(Unreadable::Malformed),
        }
    }

    /// Appends one result per read; a failing one does not stop the others. A null path does, and
    /// what was answered before it is a part of the reply, as in ZooKeeper. All of it together is
    /// refused where it is too much: a small request could make a reply of gigabytes.
    pub fn reply(&self, reading: Reading<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
        let (first, mut names) = (out.len(), 0);
        for item in &self.items {
            if let Item { what: What::Children, path: Some(path) } = item {
                let id = reading.tree.find(path);
                names += id.map_or(0, |id| reading.tree.child_count(id) as usize);
            }
            let bytes = out.len() - first;
            if bytes > limits::MULTI_READ_BYTES_MAX || names > limits::MULTI_READ_NAMES_MAX {
                out.truncate(first);
                return Err(Code::SystemError);
            }
            let Some(path) = &item.path else {
                multi::put_end(out);
                return Err(Code::MarshallingError);
            };
            let start = out.len();
            let op_code = match item.what {
                What::Data => op::GET_DATA,
                What::Children => op::GET_CHILDREN,
            };
            multi::put_result_header(op_code, out);
            let result = match item.what {
                What::Data => get_data::reply(path, reading, out),
                What::Children => get_children::reply_names(path, reading, out),
            };
            if let Err(code) = result {
                out.truncate(start);
                multi::put_error(code, out);
            }
        }
        multi::put_end(out);
        Ok(())
    }
}
