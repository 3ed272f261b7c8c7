//! create (1), create2 (15), createContainer (19), createTTL (21).

use std::sync::Arc;

use super::apply::{Applying, OpResult};
use super::audited::{Action, Operation};
use super::outstanding::Znode;
use super::prepare::Prepare;
use super::{NotForwarded, Write};
use crate::tree::{Misfit, NewNode, Prefetch, Tree};
use crate::txn::{CreateOp, CreateRef, CreateTxn, NodeKind, TxnBody};
use crate::wire::opcode::op;
use crate::wire::record::perms;
use crate::wire::{Acl, Malformed, Put, Reader, SentAcl};
use crate::{Code, Millis, Zxid, acl, limits, path};

/// A request to create a node.
#[derive(Clone, PartialEq, Debug)]
pub struct Create {
    op: CreateOp,
    /// A path that is null is refused behind flags and TTL.
    path: Option<Arc<str>>,
    data: Option<Box<[u8]>>,
    /// Null and empty are refused alike, except inside a multi.
    acl: Option<Vec<SentAcl>>,
    flags: i32,
    /// Milliseconds; only read for createTTL.
    ttl: i64,
}

/// The fields of a request record.
pub(crate) struct CreateRecord<'a> {
    pub(crate) path: &'a str,
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) acl: Option<&'a [Acl]>,
    pub(crate) flags: i32,
    /// Only of createTTL.
    pub(crate) ttl: Option<i64>,
}

impl CreateRecord<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_string(self.path);
        out.put_buffer(self.data);
        match self.acl {
            Some(acl) => Acl::write_list(acl, out),
            None => out.put_int(-1),
        }
        out.put_int(self.flags);
        self.ttl.into_iter().for_each(|ms| out.put_long(ms));
    }
}

/// What the flags mean.
struct Mode {
    kind: NodeKind,
    sequential: bool,
}

impl Create {
    /// A request as a client's library would make it, for tests and tools.
    pub fn new(op: CreateOp, path: &str, data: &[u8], flags: i32) -> Create {
        Create {
            op,
            path: Some(path.into()),
            data: Some(data.into()),
            acl: Some(vec![Acl::open().into()]),
            flags,
            ttl: 0,
        }
    }

    /// Reads the request record of the operation. What is null in it is refused in its turn.
    pub fn decode(op_code: i32, reader: &mut Reader<'_>) -> Result<Write, Malformed> {
        let op = match op_code {
            op::CREATE => CreateOp::Create,
            op::CREATE2 => CreateOp::Create2,
            op::CREATE_CONTAINER => CreateOp::Container,
            _ => CreateOp::Ttl,
        };
        let path = super::shared_path(reader)?;
        let data = reader.buffer()?.map(Box::from);
        let acl = SentAcl::read_list(reader)?;
        let flags = reader.int()?;
        let ttl = if op == CreateOp::Ttl { reader.long()? } else { 0 };
        Ok(Write::Create(Create { op, path, data, acl, flags, ttl }))
    }

    /// Appends the request record; returns the operation code.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> i32 {
        out.put_buffer(self.path.as_deref().map(str::as_bytes));
        out.put_buffer(self.data.as_deref());
        SentAcl::write_list(self.acl.as_deref(), out);
        out.put_int(self.flags);
        if self.op == CreateOp::Ttl {
            out.put_long(self.ttl);
        }
        self.op.type_code()
    }

    /// Appends the request record of a part of a multi, which has no nulls in its list.
    pub(crate) fn encode_in_multi(&self, out: &mut Vec<u8>) -> Result<i32, NotForwarded> {
        let has_null = |entry: &SentAcl| entry.scheme.is_none() || entry.id.is_none();
        if !self.acl.iter().flatten().any(has_null) {
            return Ok(self.encode(out));
        }
        let list = acl::without_nulls(self.acl.as_deref().unwrap_or_default());
        let list = list.map_err(NotForwarded::Refused)?;
        Ok(Create { acl: Some(list), ..self.clone() }.encode(out))
    }

    /// Whether it has no path.
    pub(crate) fn has_null_path(&self) -> bool {
        self.path.is_none()
    }

    /// What the audit log says of it.
    pub(crate) fn audited(&self) -> Action {
        Action { flags: Some(self.flags), ..Action::on(Operation::Create, self.path.as_ref()) }
    }

    /// Names the paths that [`Create::prepare`] looks up.
    pub(crate) fn prefetch(&self, paths: &mut Prefetch<'_>) {
        if let Some(path) = &self.path {
            super::path_and_parent(path, paths);
        }
    }

    /// Check order (protocol 7.2): flags and TTL, path, ACL, parent, permission, name, existence,
    /// ephemeral parent, quota.
    pub fn prepare(self, prepare: &mut Prepare<'_>) -> Result<TxnBody, Code> {
        let mode = self.mode(prepare)?;
        let sent = self.path.ok_or(Code::MarshallingError)?;
        if !sent.contains('/') || sent.contains('\0') {
            return Err(Code::BadArguments);
        }
        let acl = prepare.fix_up(self.acl.as_deref().unwrap_or_default())?;
        let parent_path = path::parent(&sent).expect("the path holds a slash");
        let mut parent = prepare.node(parent_path)?;
        prepare.permit(&parent.acl, perms::CREATE)?;

        let path = if mode.sequential { numbered(&sent, parent.created) } else { sent };
        if !path::is_valid(&path) {
            return Err(Code::BadArguments);
        }
        if prepare.exists(&path) {
            return Err(Code::NodeExists);
        }
        if matches!(parent.kind, NodeKind::Ephemeral(_)) {
            return Err(Code::NoChildrenForEphemerals);
        }
        let bytes = self.data.as_ref().map_or(0, |data| data.len());
        prepare.permit_quota_text(&path, self.data.as_deref())?;
        prepare.check_quota(&path, 1, i64::try_from(bytes).unwrap_or(i64::MAX))?;

        parent.children += 1;
        parent.created = parent.created.wrapping_add(1);
        let parent_cversion = parent.created;
        prepare.put_parent(&path, parent);
        let kind = mode.kind;
        let node =
            Znode { version: 0, aversion: 0, acl: acl.clone(), kind, children: 0, created: 0 };
        prepare.put(&path, node);
        if let NodeKind::Ephemeral(session) = kind {
            prepare.pending.touch_ephemeral(session, &path, prepare.zxid);
        }
        Ok(TxnBody::Create(CreateTxn {
            op: self.op,
            path,
            data: self.data,
            acl,
            kind,
            parent_cversion,
        }))
    }

    /// The quirks are ZooKeeper's: createContainer makes a container whatever the flags say, and
    /// create with the container flag makes an ordinary persistent node.
    fn mode(&self, prepare: &Prepare<'_>) -> Result<Mode, Code> {
        let session = prepare.session;
        let ttl_flags = matches!(self.flags, 5 | 6);
        match self.op {
            CreateOp::Ttl if !ttl_flags => Err(Code::BadArguments),
            CreateOp::Ttl if !prepare.settings.extended_types => Err(Code::Unimplemented),
            CreateOp::Ttl if !(1..=limits::TTL_MS_MAX).contains(&self.ttl) => {
                Err(Code::BadArguments)
            }
            CreateOp::Ttl => {
                Ok(Mode { kind: NodeKind::Ttl(self.ttl), sequential: self.flags == 6 })
            }
            CreateOp::Container if (0..=6).contains(&self.flags) && !ttl_flags => {
                Ok(Mode { kind: NodeKind::Container, sequential: matches!(self.flags, 2 | 3) })
            }
            CreateOp::Create | CreateOp::Create2 => match self.flags {
                0 | 4 => Ok(Mode { kind: NodeKind::Persistent, sequential: false }),
                1 => Ok(Mode { kind: NodeKind::Ephemeral(session), sequential: false }),
                2 => Ok(Mode { kind: NodeKind::Persistent, sequential: true }),
                3 => Ok(Mode { kind: NodeKind::Ephemeral(session), sequential: true }),
                _ => Err(Code::BadArguments),
            },
            CreateOp::Container => Err(Code::BadArguments),
        }
    }

    /// Inside a multi the flags decide and not the operation (a quirk of ZooKeeper's). Flags that
    /// it does not know spoil the whole multi, and so does a null ACL, which does it without taking
    /// a zxid ([`Malformed::Null`]); flags that mean nothing at all are noticed first.
    pub(crate) fn in_multi(mut self) -> Result<Create, Malformed> {
        if self.op != CreateOp::Ttl {
            if !(0..=6).contains(&self.flags) {
                return Err(Malformed::Value);
            }
            if self.acl.is_none() {
                return Err(Malformed::Null);
            }
        }
        // From here on it is what its flags say, whatever it was sent as: null is as good as empty.
        self.acl.get_or_insert_default();
        match (self.op, self.flags) {
            (CreateOp::Create | CreateOp::Create2 | CreateOp::Ttl, 4) => {
                self.op = CreateOp::Container;
            }
            (CreateOp::Ttl, 0..=3) => self.op = CreateOp::Create,
            (CreateOp::Ttl, _) | (_, 0..=4) => {}
            _ => return Err(Malformed::Value),
        }
        if self.op != CreateOp::Ttl {
            self.ttl = 0;
        }
        Ok(self)
    }
}

/// The path with the parent's count of creations behind it.
fn numbered(prefix: &str, sequence: i32) -> Arc<str> {
    let mut path = String::with_capacity(prefix.len() + 11);
    path.push_str(prefix);
    path::push_sequence(&mut path, sequence);
    path.into()
}

/// Applies a creation that was prepared.
pub(crate) fn apply(create: &CreateTxn, applying: &mut Applying<'_>) -> Result<OpResult, Misfit> {
    let id = applying.tree.try_create(NewNode {
        path: &create.path,
        data: create.data.as_deref(),
        acl: &create.acl,
        kind: create.kind,
        zxid: applying.zxid,
        time: applying.time,
        parent_cversion: create.parent_cversion,
    })?;
    applying.created(&create.path, id);
    let stat = applying.tree.stat(id);
    Ok(OpResult::Created { op: create.op, path: create.path.clone(), stat: Box::new(stat) })
}

/// Applies a creation that stands in the log, where its result is not needed. It does the same to
/// the tree as [`apply`]; a test of [`crate::database`] compares the two.
pub(crate) fn replay(
    create: &CreateRef<'_>,
    tree: &mut Tree,
    zxid: Zxid,
    time: Millis,
) -> Result<(), Misfit> {
    tree.try_create(NewNode {
        path: &create.path,
        data: create.data,
        acl: &create.acl,
        kind: create.kind,
        zxid,
        time,
        parent_cversion: create.parent_cversion,
    })?;
    Ok(())
}
