//! Writing the state that a leader sends to a learner: what [`super::load_stream`] reads.

use std::vec;

use super::snap::SIGNATURE;
use crate::database::Database;
use crate::tree::{NodeId, Tree};
use crate::wire::{Acl, Put};
use crate::{SessionId, Zxid};

/// The number that stands for the open list, which is not among the lists.
const OPEN: i64 = -1;
/// What is allocated for a piece before it is known how long it gets.
const RESERVED_BYTES_MAX: usize = 1 << 20;

/// Writes the state of a database in pieces, with no more memory than a piece, the longest node and
/// the sessions take. The database must stay as it is from the first piece to the last.
///
/// A node's `cversion` is the count of children ever created, where clients see creations and
/// deletions; its owner is the internal one, which says what kind of node it is. Lists have the
/// numbers that the tree gave them.
#[derive(Debug)]
pub struct StateWriter {
    at: Zxid,
    sessions: vec::IntoIter<(SessionId, i32)>,
    part: Part,
    /// Of the node that comes next.
    path: String,
    /// What was not handed out.
    bytes: Vec<u8>,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Session,
    /// The first list from this number on.
    Acl(u32),
    Node(NodeId),
    Signature,
    Nothing,
}

impl StateWriter {
    /// Begins.
    pub fn new(db: &Database) -> StateWriter {
        let sessions: Vec<_> = db.sessions().collect();
        let mut bytes = Vec::new();
        bytes.put_count(sessions.len());
        let sessions = sessions.into_iter();
        StateWriter { at: db.applied(), sessions, part: Part::Session, path: String::new(), bytes }
    }

    /// The next piece of exactly so many bytes, of which there must be one at least; the last one
    /// is shorter, and behind it there is none.
    pub fn next_piece(&mut self, db: &Database, bytes: usize) -> Option<Vec<u8>> {
        assert!(bytes > 0, "a piece has a byte at least");
        assert_eq!(db.applied(), self.at, "the state has changed while it was written");
        let lacks = bytes.min(RESERVED_BYTES_MAX).saturating_sub(self.bytes.len());
        self.bytes.reserve(lacks);
        while self.bytes.len() < bytes && self.part != Part::Nothing {
            self.part = self.write(db);
        }
        let rest = self.bytes.split_off(bytes.min(self.bytes.len()));
        let piece = std::mem::replace(&mut self.bytes, rest);
        (!piece.is_empty()).then_some(piece)
    }

    /// Writes one session, list or node. Returns what comes behind it.
    fn write(&mut self, db: &Database) -> Part {
        let (tree, out) = (&db.tree, &mut self.bytes);
        match self.part {
            Part::Session => match self.sessions.next() {
                Some((session, timeout_ms)) => {
                    out.put_long(session.0);
                    out.put_int(timeout_ms);
                    Part::Session
                }
                None => {
                    out.put_count(tree.numbered_acls_count());
                    Part::Acl(0)
                }
            },
            Part::Acl(from) => match tree.numbered_acls(from).next() {
                Some((number, list)) => {
                    put_list(number, list, out);
                    Part::Acl(number + 1)
                }
                None => Part::Node(tree.find("").expect("every tree has a root")),
            },
            Part::Node(id) => {
                put_node(tree, id, &self.path, out);
                behind(tree, id, &mut self.path).map_or(Part::Signature, Part::Node)
            }
            Part::Signature => {
                out.put_string("/");
                out.put_buffer(Some(SIGNATURE));
                Part::Nothing
            }
            Part::Nothing => Part::Nothing,
        }
    }
}

/// Appends the whole state of a database.
pub fn write_state(db: &Database, out: &mut Vec<u8>) {
    let piece = StateWriter::new(db).next_piece(db, usize::MAX);
    out.extend_from_slice(&piece.expect("a state is not empty"));
}

fn put_list(number: u32, list: &[Acl], out: &mut Vec<u8>) {
    out.put_long(number.into());
    out.put_count(list.len());
    for Acl { perms, id } in list {
        out.put_int(*perms);
        out.put_java_string(&id.scheme);
        out.put_java_string(&id.id);
    }
}

fn put_node(tree: &Tree, id: NodeId, path: &str, out: &mut Vec<u8>) {
    out.put_string(path);
    out.put_buffer(tree.data(id));
    out.put_long(tree.acl_number(id).map_or(OPEN, i64::from));
    let stat = tree.stat(id);
    let numbers = [stat.czxid, stat.mzxid, stat.ctime, stat.mtime];
    numbers.into_iter().for_each(|number| out.put_long(number));
    out.put_int(stat.version);
    out.put_int(tree.created_children(id));
    out.put_int(stat.aversion);
    out.put_long(tree.kind(id).to_owner());
    out.put_long(stat.pzxid);
}

/// The node that comes behind another one, parents first, and its path in the place of the other's.
fn behind(tree: &Tree, id: NodeId, path: &mut String) -> Option<NodeId> {
    if let Some(child) = tree.first_child(id) {
        return Some(enter(tree, child, path));
    }
    let mut at = id;
    while let Some(parent) = tree.parent(at) {
        path.truncate(path.len() - tree.name(at).len() - 1);
        if let Some(sibling) = tree.next_sibling(at) {
            return Some(enter(tree, sibling, path));
        }
        at = parent;
    }
    None
}

fn enter(tree: &Tree, id: NodeId, path: &mut String) -> NodeId {
    path.push('/');
    path.push_str(tree.name(id));
    id
}
