//! A multiRead of megabytes, made in portions.
//!
//! All of it is of one state: before a portion it is looked whether what was read before it has
//! changed. Where it has, all of it is read anew.

use super::Reading;
use super::multi;
use super::multi_read::{MultiRead, Put};
use crate::tree::{NodeId, Tree};
use crate::{Code, Zxid, limits};

/// Whether a list goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Portion {
    /// There is more to come.
    More,
    /// This was all; the code of the reply.
    Done(Code),
}

/// The reads, and how far they are.
pub(super) struct ManyReads {
    list: MultiRead<'static>,
    /// The nodes read so far; nothing for one that is not there.
    seen: Vec<Option<Seen>>,
    /// The state that they were last known to be of.
    applied: Zxid,
    is_too_much: bool,
}

/// A node; one that compares as equal has the same data, children and permissions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    id: NodeId,
    zxids: [i64; 3],
    versions: [i32; 3],
    children: i32,
}

impl Seen {
    fn of(tree: &Tree, id: NodeId) -> Seen {
        let stat = tree.stat(id);
        Seen {
            id,
            zxids: [stat.czxid, stat.mzxid, stat.pzxid],
            versions: [stat.version, stat.cversion, stat.aversion],
            children: stat.num_children,
        }
    }
}

impl ManyReads {
    /// Nothing where the reads are few enough to be made at once.
    pub(super) fn begin(list: MultiRead<'_>, tree: &Tree) -> Option<ManyReads> {
        let (bytes, _) = list.size(tree, limits::LISTING_BYTES);
        if bytes <= limits::LISTING_BYTES {
            return None;
        }
        let most = limits::MULTI_READ_BYTES_MAX;
        let (bytes, names) = list.size(tree, most);
        let is_too_much = bytes > most || names > limits::MULTI_READ_NAMES_MAX;
        let (list, applied) = (list.into_owned(), tree.applied());
        Some(ManyReads { list, seen: Vec::new(), applied, is_too_much })
    }

    /// Whether what was read before has changed; then nothing is read yet.
    pub(super) fn has_changed(&mut self, tree: &Tree) -> bool {
        if self.applied == tree.applied() {
            return false;
        }
        self.applied = tree.applied();
        let now = self.list.items().iter().map(|item| item.node(tree).map(|id| Seen::of(tree, id)));
        let has_changed = now.zip(&self.seen).any(|(now, seen)| now != *seen);
        if has_changed {
            self.seen.clear();
        }
        has_changed
    }

    /// Appends results until there are `most` bytes more.
    pub(super) fn go_on(
        &mut self,
        reading: Reading<'_>,
        most: usize,
        body: &mut Vec<u8>,
    ) -> Result<Portion, Code> {
        if self.is_too_much {
            return Err(Code::SystemError);
        }
        let start = body.len();
        for item in &self.list.items()[self.seen.len()..] {
            if body.len() - start >= most {
                return Ok(Portion::More);
            }
            // Children and data may have grown since the size was looked at.
            if body.len() > limits::CONN_OUT_BYTES_HARD {
                return Err(Code::SystemError);
            }
            if item.put(reading, body) == Put::Null {
                return Ok(Portion::Done(Code::MarshallingError));
            }
            self.seen.push(item.node(reading.tree).map(|id| Seen::of(reading.tree, id)));
        }
        multi::put_end(body);
        Ok(Portion::Done(Code::Ok))
    }
}
