//! The bytes of a snapshot: a header, and images of nodes.
//!
//! A header, then blocks of records in the order in which they were taken. A record is an access
//! control list (before the first node that carries it) or a node. A node names its parent by the
//! slot it had, and says nothing that follows from the other nodes: children, totals, candidates,
//! quotas in force. Numbers are encoded as in the client protocol.

use super::acls::AclId;
use super::node::{Change, Dir, NodeId};
use super::payload::Parts;
use super::store::Store;
use crate::txn::AclList;
use crate::wire::{Acl, Malformed, Put, Reader};
use crate::{Millis, Zxid};

/// The first number of a header; another layout takes another number.
const VERSION: i32 = 1;

const RECORD_ACL: u8 = 1;
const RECORD_NODE: u8 = 2;

const CHANGED: u8 = 1;
const AVERSION: u8 = 2;
const OWNED: u8 = 4;
const DIR: u8 = 8;

/// What is known of a snapshot when it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotHeader {
    /// The last transaction that is in it.
    pub zxid: Zxid,
    /// Nodes that will come.
    pub nodes: u32,
    /// The digest of the tree, if it is kept.
    pub digest: Option<u64>,
    /// Lengths of all paths and data.
    pub approximate_data_size: u64,
}

/// Bytes that no snapshot of ours consists of, or that do not fit together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Corrupt {
    /// A header or record cannot be read.
    #[error("a record of the snapshot cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// The records are of a layout that this version does not know.
    #[error("the snapshot has layout {0}, which this version does not know")]
    Version(i32),
    /// The records can be read but do not make a tree.
    #[error("the snapshot does not make a tree: {0}")]
    Inconsistent(&'static str),
}

impl SnapshotHeader {
    /// The header as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_int(VERSION);
        out.put_long(self.zxid.to_wire());
        out.put_int(self.nodes as i32);
        out.put_bool(self.digest.is_some());
        out.put_long(self.digest.unwrap_or(0) as i64);
        out.put_long(self.approximate_data_size as i64);
        out
    }

    /// The header of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<SnapshotHeader, Corrupt> {
        let mut reader = Reader::new(bytes);
        match reader.int()? {
            VERSION => {}
            other => return Err(Corrupt::Version(other)),
        }
        let zxid = Zxid::from_wire(reader.long()?);
        let nodes = reader.int()? as u32;
        let (kept, digest) = (reader.bool()?, reader.long()? as u64);
        let digest = if kept { Some(digest) } else { None };
        let approximate_data_size = reader.long()? as u64;
        Ok(SnapshotHeader { zxid, nodes, digest, approximate_data_size })
    }
}

/// One record, read.
pub(super) enum Record<'a> {
    /// An access control list and the number it goes by.
    Acl { id: u32, list: AclList },
    /// A node.
    Node(Image<'a>),
}

/// A node, as its record says.
pub(super) struct Image<'a> {
    /// Its slot in the tree that was saved.
    pub(super) slot: u32,
    /// Its parent's; `None` for the root.
    pub(super) parent: Option<u32>,
    /// The number of its access control list.
    pub(super) acl: u32,
    /// Zxid of the creating transaction.
    pub(super) czxid: Zxid,
    /// Wall clock of the creation.
    pub(super) ctime: Millis,
    /// The directory part, without what follows from the children.
    pub(super) dir: Option<Dir>,
    /// The last change of the data.
    pub(super) change: Option<Change>,
    /// The rest.
    pub(super) parts: Parts<'a>,
}

/// Writes the record of an access control list.
pub(super) fn write_acl(id: AclId, list: &AclList, out: &mut Vec<u8>) {
    out.push(RECORD_ACL);
    out.put_int(id.0 as i32);
    Acl::write_list(list, out);
}

/// Writes the record of a node.
pub(super) fn write_node(store: &Store, id: NodeId, out: &mut Vec<u8>) {
    let (node, dir, change) = (store.node(id), store.dir(id), store.change(id));
    let parts = node.payload.parts();
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(RECORD_NODE);
    out.push(
        flag(change.is_some(), CHANGED)
            | flag(parts.aversion != 0, AVERSION)
            | flag(parts.owner != 0, OWNED)
            | flag(dir.is_some(), DIR),
    );
    out.put_int(id.slot() as i32);
    // The root, and only the root, is its own parent.
    out.put_int(node.parent.unwrap_or(id).slot() as i32);
    out.put_int(node.acl.0 as i32);
    out.put_long(node.czxid.to_wire());
    out.put_long(node.ctime.0);
    if let Some(change) = change {
        out.put_long(change.mzxid.to_wire());
        out.put_long(change.mtime.0);
        out.put_int(change.version);
    }
    if parts.aversion != 0 {
        out.put_int(parts.aversion);
    }
    if parts.owner != 0 {
        out.put_long(parts.owner);
    }
    if let Some(dir) = dir {
        out.put_long(dir.pzxid.to_wire());
        out.put_long(dir.created as i64);
    }
    out.put_buffer(Some(parts.name));
    out.put_buffer(parts.data);
}

impl<'a> Record<'a> {
    /// Reads the next record.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Record<'a>, Corrupt> {
        match reader.bytes(1)?[0] {
            RECORD_ACL => {
                let id = reader.int()? as u32;
                Ok(Record::Acl { id, list: Acl::read_list(reader)?.into() })
            }
            RECORD_NODE => Ok(Record::Node(Image::read(reader)?)),
            _ => Err(Malformed::Value.into()),
        }
    }
}

impl<'a> Image<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Image<'a>, Corrupt> {
        let flags = reader.bytes(1)?[0];
        let (slot, parent) = (reader.int()? as u32, reader.int()? as u32);
        let parent = if parent == slot { None } else { Some(parent) };
        let acl = reader.int()? as u32;
        let czxid = Zxid::from_wire(reader.long()?);
        let ctime = Millis(reader.long()?);
        let change = if flags & CHANGED == 0 { None } else { Some(read_change(reader)?) };
        let aversion = if flags & AVERSION == 0 { 0 } else { reader.int()? };
        let owner = if flags & OWNED == 0 { 0 } else { reader.long()? };
        let dir = if flags & DIR == 0 { None } else { Some(read_dir(reader)?) };
        let name = reader.buffer()?.ok_or(Malformed::Null)?;
        let parts = Parts { aversion, owner, name, data: reader.buffer()? };
        Ok(Image { slot, parent, acl, czxid, ctime, dir, change, parts })
    }
}

fn read_change(reader: &mut Reader<'_>) -> Result<Change, Malformed> {
    let (mzxid, mtime) = (Zxid::from_wire(reader.long()?), Millis(reader.long()?));
    Ok(Change::new(mzxid, mtime, reader.int()?))
}

fn read_dir(reader: &mut Reader<'_>) -> Result<Dir, Malformed> {
    let pzxid = Zxid::from_wire(reader.long()?);
    Ok(Dir::new(pzxid, reader.long()? as u64))
}
