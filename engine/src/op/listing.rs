//! Long replies, made in portions: getChildren of large directories, getEphemerals, and multiRead.
//!
//! A list is of one state, as short ones are: a portion that finds the directory or the session's
//! nodes changed begins anew. After some beginnings it is made at once, however long it is.

use std::ops::Bound;

use super::many_reads::ManyReads;
pub use super::many_reads::Portion;
use super::multi_read::MultiRead;
use super::{Reading, path_and_watch, set_count};
use crate::tree::{NodeId, Tree};
use crate::wire::header::ReplyFrame;
use crate::wire::opcode::op;
use crate::wire::{Put, Reader};
use crate::{Code, SessionId, limits};

/// Beginnings after which the rest is not interrupted any more.
const BEGINNINGS_MAX: u32 = 4;
/// Where the number of names stands.
const COUNT_AT: usize = ReplyFrame::HEAD_BYTES;

/// A list under construction.
pub struct Listing {
    of: Of,
    /// Behind space for a reply's header: the number of names, and the names; or results.
    body: Vec<u8>,
    count: usize,
    beginnings: u32,
}

/// What is listed, and how far.
enum Of {
    Children { path: Box<str>, watch: bool, stat: bool, at: Directory, next: Option<NodeId> },
    Ephemerals { prefix: Box<str>, state: (usize, u64), after: Option<Box<str>> },
    Reads(ManyReads),
}

impl Of {
    /// Where the first name or result stands.
    fn first(&self) -> usize {
        match self {
            Of::Children { .. } | Of::Ephemerals { .. } => COUNT_AT + 4,
            Of::Reads(_) => COUNT_AT,
        }
    }
}

/// A directory; one that compares as equal has the same children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Directory {
    id: NodeId,
    czxid: i64,
    pzxid: i64,
    cversion: i32,
    children: i32,
}

impl Directory {
    fn of(tree: &Tree, id: NodeId) -> Directory {
        let stat = tree.stat(id);
        let (children, cversion) = (stat.num_children, stat.cversion);
        Directory { id, czxid: stat.czxid, pzxid: stat.pzxid, cversion, children }
    }
}

impl Listing {
    /// The list that a read requests, where it is too long to be made at once. Nothing of it is
    /// made yet. Other reads, and those that are refused, are answered as ever.
    pub fn begin(op_code: i32, reader: &mut Reader<'_>, reading: Reading<'_>) -> Option<Listing> {
        let of = match op_code {
            op::GET_CHILDREN | op::GET_CHILDREN2 if reading.tree.has_large_directory() => {
                let (path, watch) = path_and_watch(reader).ok()?;
                let id = reading.tree.find(&path)?;
                let is_long = reading.tree.child_count(id) as usize > limits::LISTING_PORTION;
                if !is_long || reading.readable(&path).is_err() {
                    return None;
                }
                let (path, stat) = (path.into(), op_code == op::GET_CHILDREN2);
                let at = Directory::of(reading.tree, id);
                let next = reading.tree.child_nodes(id).next();
                Of::Children { path, watch, stat, at, next }
            }
            op::GET_EPHEMERALS => {
                let prefix = reader.ustring().ok()?.unwrap_or_default().into();
                let state = reading.tree.ephemerals_of(reading.session);
                if state.0 <= limits::LISTING_PORTION {
                    return None;
                }
                Of::Ephemerals { prefix, state, after: None }
            }
            op::MULTI_READ => {
                let list = MultiRead::decode(reader).ok()?;
                Of::Reads(ManyReads::begin(list, reading.tree)?)
            }
            _ => return None,
        };
        let body = vec![0; of.first()];
        Some(Listing { of, body, count: 0, beginnings: 1 })
    }

    /// Makes the next `most` names, or [`limits::LISTING_BYTES`] of results. An error is a list
    /// that there is not any more, or that may not be read any more.
    pub fn go_on(&mut self, reading: Reading<'_>, most: usize) -> Result<Portion, Code> {
        self.look_for_changes(reading)?;
        let most = if self.beginnings > BEGINNINGS_MAX { usize::MAX } else { most };
        let Listing { of, body, count, .. } = self;
        let before = *count;
        match of {
            Of::Reads(reads) => {
                let is_last = self.beginnings > BEGINNINGS_MAX;
                let most = if is_last { usize::MAX } else { limits::LISTING_BYTES };
                return reads.go_on(reading, most, body);
            }
            Of::Children { next, stat, at, .. } => {
                while let Some(child) = *next {
                    if *count - before == most {
                        return Ok(Portion::More);
                    }
                    body.put_string(reading.tree.name(child));
                    *count += 1;
                    *next = reading.tree.next_sibling(child);
                }
                if *stat {
                    reading.tree.stat(at.id).write(body);
                }
            }
            Of::Ephemerals { prefix, after, .. } => {
                let from = after.as_deref().map_or(Bound::Included(&**prefix), Bound::Excluded);
                let paths = reading.tree.ephemeral_paths(reading.session, from);
                let mut last = None;
                for path in paths.take_while(|path| path.starts_with(&**prefix)) {
                    if *count - before == most {
                        *after = last.map(Box::from);
                        return Ok(Portion::More);
                    }
                    body.put_string(path);
                    *count += 1;
                    last = Some(path);
                }
            }
        }
        set_count(self.count, COUNT_AT, &mut self.body);
        Ok(Portion::Done(Code::Ok))
    }

    /// Begins anew where what is listed has changed.
    fn look_for_changes(&mut self, reading: Reading<'_>) -> Result<(), Code> {
        let tree = reading.tree;
        let is_changed = match &mut self.of {
            Of::Children { path, at, next, .. } => {
                let now = Directory::of(tree, reading.readable(path)?);
                let is_changed = *at != now;
                if is_changed {
                    (*at, *next) = (now, tree.child_nodes(now.id).next());
                }
                is_changed
            }
            Of::Reads(reads) => reads.has_changed(tree),
            Of::Ephemerals { state, after, .. } => {
                let now = tree.ephemerals_of(reading.session);
                let is_changed = *state != now;
                if is_changed {
                    (*state, *after) = (now, None);
                }
                is_changed
            }
        };
        if is_changed {
            self.body.truncate(self.of.first());
            self.count = 0;
            self.beginnings += 1;
        }
        Ok(())
    }

    /// The body of the reply, once it is done, behind space for its header, and the directory whose
    /// children are to be watched.
    pub fn finish(self) -> (Vec<u8>, Option<Box<str>>) {
        let watched = match self.of {
            Of::Children { path, watch: true, .. } => Some(path),
            Of::Children { .. } | Of::Ephemerals { .. } | Of::Reads(_) => None,
        };
        (self.body, watched)
    }

    /// Bytes made so far.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }
}

/// Whether a read may take long, so that it must not be made between two transactions, where all
/// others wait: `session` has too many ephemeral nodes, or the directory too many children.
pub fn takes_long(op_code: i32, record: &[u8], tree: &Tree, session: SessionId) -> bool {
    let mut reader = Reader::new(record);
    match op_code {
        op::MULTI_READ => true,
        op::GET_CHILDREN | op::GET_CHILDREN2 => {
            path_and_watch(&mut reader).is_ok_and(|(path, _)| {
                let id = tree.find(&path);
                id.is_some_and(|id| tree.child_count(id) as usize > limits::LISTING_PORTION)
            })
        }
        op::GET_EPHEMERALS => tree.ephemerals_of(session).0 > limits::LISTING_PORTION,
        _ => false,
    }
}

/// About the bytes of a read's reply, as the tree is now.
pub fn reply_bytes(op_code: i32, record: &[u8], tree: &Tree) -> usize {
    /// Of a header, a stat and lengths.
    const PLAIN: usize = 128;
    /// Of a name in a short list.
    const NAME: usize = 32;
    let Ok(path) = Reader::new(record).string() else { return PLAIN };
    let more = match (op_code, tree.find(&path)) {
        (op::GET_DATA, Some(id)) => tree.data(id).map_or(0, <[u8]>::len),
        (op::GET_CHILDREN | op::GET_CHILDREN2, Some(id)) => tree.child_count(id) as usize * NAME,
        (op::GET_ACL, Some(id)) => tree.acl(id).memory_bytes(),
        _ => 0,
    };
    PLAIN + more
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
