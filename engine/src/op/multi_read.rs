//! multiRead (22): several reads of one state of the tree.

use std::borrow::Cow;

use super::{Reading, get_children, get_data, multi};
use crate::Code;
use crate::limits;
use crate::tree::{NodeId, Tree};
use crate::wire::opcode::op;
use crate::wire::{Malformed, Reader};

/// One read of the list. Watch flags are dropped, as ZooKeeper does.
pub(super) struct Item<'a> {
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
        let list = multi::read_list(reader, limits::MULTI_READS_MAX, |op_code, reader| {
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
            Err(_) if multi::read_writes(&mut whole.clone()).is_ok() => Err(Unreadable::Writes),
            Err(_) => Err(Unreadable::Malformed),
        }
    }

    /// Appends one result per read; a failing one does not stop the others. A null path does, and
    /// what was answered before it is a part of the reply, as in ZooKeeper. All of it together is
    /// refused where it is too much: a small request could make a reply of gigabytes.
    pub fn reply(&self, reading: Reading<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
        let (first, mut names) = (out.len(), 0);
        for item in &self.items {
            names += item.size(reading.tree).1;
            let bytes = out.len() - first;
            if bytes > limits::MULTI_READ_BYTES_MAX || names > limits::MULTI_READ_NAMES_MAX {
                out.truncate(first);
                return Err(Code::SystemError);
            }
            if item.put(reading, out) == Put::Null {
                return Err(Code::MarshallingError);
            }
        }
        multi::put_end(out);
        Ok(())
    }

    /// The bytes of data and the number of names that it reads, as the tree is now; not more of
    /// them than it takes to be beyond `most` bytes or [`limits::MULTI_READ_NAMES_MAX`] names.
    pub(super) fn size(&self, tree: &Tree, most: usize) -> (usize, usize) {
        let (mut bytes, mut names) = (0, 0);
        for item in &self.items {
            let (data, children) = item.size(tree);
            (bytes, names) = (bytes + data, names + children);
            if bytes > most || names > limits::MULTI_READ_NAMES_MAX {
                break;
            }
        }
        (bytes, names)
    }

    /// Its reads, in order.
    pub(super) fn items(&self) -> &[Item<'a>] {
        &self.items
    }

    /// The same, independent of the bytes it was read from.
    pub(super) fn into_owned(self) -> MultiRead<'static> {
        let owned = |path: Cow<'_, str>| Cow::Owned(path.into_owned());
        let item = |Item { what, path }: Item<'_>| Item { what, path: path.map(owned) };
        MultiRead { items: self.items.into_iter().map(item).collect() }
    }
}

/// What came of one read of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Put {
    /// Its result, be it a refusal.
    Result,
    /// Its path is null: this is the end of the reply.
    Null,
}

impl Item<'_> {
    /// The node that it reads.
    pub(super) fn node(&self, tree: &Tree) -> Option<NodeId> {
        tree.find(self.path.as_deref()?)
    }

    /// Bytes of data, and names of children.
    fn size(&self, tree: &Tree) -> (usize, usize) {
        match (self.node(tree), &self.what) {
            (None, _) => (0, 0),
            (Some(id), What::Data) => (tree.data(id).map_or(0, <[u8]>::len), 0),
            (Some(id), What::Children) => (0, tree.child_count(id) as usize),
        }
    }

    /// Appends its result.
    pub(super) fn put(&self, reading: Reading<'_>, out: &mut Vec<u8>) -> Put {
        let Some(path) = &self.path else {
            multi::put_end(out);
            return Put::Null;
        };
        let start = out.len();
        let op_code = match self.what {
            What::Data => op::GET_DATA,
            What::Children => op::GET_CHILDREN,
        };
        multi::put_result_header(op_code, out);
        let result = match self.what {
            What::Data => get_data::reply(path, reading, out),
            What::Children => get_children::reply_names(path, reading, out),
        };
        if let Err(code) = result {
            out.truncate(start);
            multi::put_error(code, out);
        }
        Put::Result
    }
}
