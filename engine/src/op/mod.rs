//! One file per operation: decode, prepare, apply and reply stand side by side.
//!
//! Writes are decoded on a shard, *prepared* by the sequencer (checks against the state as it will
//! be, which yields a transaction or a refusal) and *applied* when committed (cannot refuse any
//! more). Reads are decoded and answered on the shard, against one state of the tree.

mod apply;
mod audited;
pub mod check;
pub mod count;
pub mod create;
pub mod delete;
pub mod exists;
pub mod get_acl;
pub mod get_children;
pub mod get_data;
pub mod get_ephemerals;
pub mod listing;
mod many_reads;
pub mod multi;
pub mod multi_read;
mod outstanding;
pub mod portion;
mod prepare;
mod quota_notes;
mod read;
pub mod reconfig;
mod replay;
pub mod session;
pub mod set_acl;
pub mod set_data;
pub mod set_watches;
pub mod table;
pub mod watches;
pub mod who_am_i;

#[cfg(test)]
mod encode_tests;

use std::borrow::Cow;
use std::sync::Arc;

pub use apply::{Applying, Change, Interest, OpResult};
pub(crate) use audited::Action;
pub use audited::Operation;
pub use outstanding::{OutstandingChanges, Savepoint, Znode};
pub use prepare::Prepare;
pub use quota_notes::QuotaNotes;
pub use read::{Read, ReadDone, ReadReply, read, read_owned};
pub use replay::prefetch_record;
pub(crate) use replay::{prefetch_payload, replay};
pub use table::{OpClass, OpSpec, ReplyShape};

use crate::acl::AuthSettings;
use crate::tree::{Misfit, Prefetch};
use crate::txn::TxnBody;
use crate::wire::opcode::op;
use crate::wire::{Malformed, Put, Reader};
use crate::{Code, SessionId, Zxid};

/// The settings that decide what an operation may do.
#[derive(Clone, Debug, Default)]
pub struct OpSettings {
    /// Access control, and how identities are proven.
    pub auth: AuthSettings,
    /// TTL nodes are allowed.
    pub extended_types: bool,
    /// Hard quotas refuse; otherwise they only warn.
    pub enforce_quota: bool,
    /// Reconfiguration is switched on (and answers as a standalone server does).
    pub reconfig_enabled: bool,
}

/// A change that a client requests, decoded and owned.
#[derive(Clone, PartialEq, Debug)]
pub enum Write {
    /// create, create2, createContainer, createTTL.
    Create(create::Create),
    /// delete.
    Delete(delete::Delete),
    /// deleteContainer: from the removal loop only, never from a client.
    DeleteSpent(delete::DeleteSpent),
    /// setData.
    SetData(set_data::SetData),
    /// setACL.
    SetAcl(set_acl::SetAcl),
    /// check, inside a multi only.
    Check(check::Check),
    /// multi.
    Multi(Vec<Write>),
    /// A request that is refused whatever the state is, but takes a place in the order because
    /// Apache ZooKeeper gives it one: a multi that could not be parsed, a path that is null.
    Refused(Code),
    /// reconfig.
    Reconfig(reconfig::Reconfig),
}

/// Why a write has no request record: no server sends it to another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotForwarded {
    /// It is refused whatever the state is; the bytes that it came from are not kept.
    Refused(Code),
    /// The leader's own removal of a spent node.
    Removal,
    /// Its record is longer than the leader takes: it would cost the link.
    TooLong,
}

impl Write {
    /// Decodes the request of a write operation.
    pub fn decode(op_code: i32, reader: &mut Reader<'_>) -> Result<Write, Malformed> {
        Ok(match op_code {
            op::CREATE | op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
                create::Create::decode(op_code, reader)?
            }
            op::DELETE => delete::Delete::decode(reader)?,
            op::SET_DATA => set_data::SetData::decode(reader)?,
            op::SET_ACL => set_acl::SetAcl::decode(reader)?,
            op::MULTI => {
                // ZooKeeper gives most multis that it cannot read a place in the order.
                match multi::decode(reader) {
                    Err(Malformed::Null) => return Err(Malformed::Null),
                    Err(_) => Write::Refused(Code::MarshallingError),
                    Ok(writes) => Write::Multi(writes),
                }
            }
            op::RECONFIG => reconfig::Reconfig::decode(reader)?,
            _ => return Err(Malformed::Value),
        })
    }

    /// Appends the request record that decodes to an equal write, and returns its operation code.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<i32, NotForwarded> {
        match self {
            Write::Create(create) => Ok(create.encode(out)),
            Write::Delete(delete) => Ok(delete.encode(out)),
            Write::DeleteSpent(_) => Err(NotForwarded::Removal),
            Write::SetData(set) => Ok(set.encode(out)),
            Write::SetAcl(set) => Ok(set.encode(out)),
            Write::Check(check) => Ok(check.encode(out)),
            Write::Multi(writes) => multi::encode(writes, out),
            Write::Refused(code) => Err(NotForwarded::Refused(*code)),
            Write::Reconfig(reconfig) => Ok(reconfig.encode(out)),
        }
    }

    /// Names the paths that [`Write::prepare`] looks up.
    pub fn prefetch(&self, paths: &mut Prefetch<'_>) {
        match self {
            Write::Create(create) => create.prefetch(paths),
            Write::Delete(delete) => delete.prefetch(paths),
            Write::SetData(set) => set.prefetch(paths),
            Write::SetAcl(set) => set.prefetch(paths),
            Write::Multi(writes) => writes.iter().for_each(|write| write.prefetch(paths)),
            // They are rare, or look nothing up that others do not.
            Write::DeleteSpent(_) | Write::Check(_) | Write::Refused(_) | Write::Reconfig(_) => {}
        }
    }

    /// Checks the request against the state as it will be, and says what changes.
    pub fn prepare(self, prepare: &mut Prepare<'_>) -> Result<TxnBody, Code> {
        match self {
            Write::Create(create) => create.prepare(prepare),
            Write::Delete(delete) => delete.prepare(prepare),
            Write::DeleteSpent(delete) => delete.prepare(prepare),
            Write::SetData(set) => set.prepare(prepare),
            Write::SetAcl(set) => set.prepare(prepare),
            Write::Check(check) => check.prepare(prepare),
            Write::Multi(writes) => multi::prepare(writes, prepare),
            Write::Refused(code) => Err(code),
            Write::Reconfig(_) => reconfig::prepare(prepare),
        }
    }
}

/// Applies what was prepared. It cannot be refused any more; where it does not fit, some of it may
/// have been applied.
pub(crate) fn apply(body: &TxnBody, applying: &mut Applying<'_>) -> Result<OpResult, Misfit> {
    match body {
        TxnBody::Create(create) => create::apply(create, applying),
        TxnBody::Delete { path, .. } => delete::apply(path, applying),
        TxnBody::SetData { path, data, version } => {
            set_data::apply(path, data.as_deref(), *version, applying)
        }
        TxnBody::Reconfig { data, version } => reconfig::apply(data.as_deref(), *version, applying),
        TxnBody::SetAcl { path, acl, version } => set_acl::apply(path, acl, *version, applying),
        TxnBody::Check { .. } => Ok(OpResult::Checked),
        TxnBody::Multi(bodies) => multi::apply(bodies, applying),
        TxnBody::CreateSession { .. } => Ok(OpResult::SessionOpened),
        TxnBody::CloseSession { paths } => session::apply_close(paths, applying),
        TxnBody::Error(code) => Ok(OpResult::Refused(*code)),
    }
}

/// Names the paths that [`apply`] looks up.
pub(crate) fn prefetch(body: &TxnBody, paths: &mut Prefetch<'_>) {
    match body {
        TxnBody::Create(create) => path_and_parent(&create.path, paths),
        TxnBody::Delete { path, .. } => path_and_parent(path, paths),
        TxnBody::SetData { path, .. } | TxnBody::SetAcl { path, .. } => paths.path(path.as_bytes()),
        TxnBody::Multi(bodies) => bodies.iter().for_each(|body| prefetch(body, paths)),
        TxnBody::CloseSession { paths: deleted } => {
            deleted.iter().for_each(|path| path_and_parent(path, paths));
        }
        TxnBody::Reconfig { .. }
        | TxnBody::Check { .. }
        | TxnBody::CreateSession { .. }
        | TxnBody::Error(_) => {}
    }
}

/// Names a path that comes or goes, and its parent, which changes with it.
fn path_and_parent(path: &str, paths: &mut Prefetch<'_>) {
    paths.path(path.as_bytes());
    if let Some(parent) = crate::path::parent(path) {
        paths.path(parent.as_bytes());
    }
}

/// Appends the body of a write's reply. `result` is not a refusal.
pub fn write_reply(shape: ReplyShape, result: &OpResult, out: &mut Vec<u8>) {
    match (shape, result) {
        (ReplyShape::Path, OpResult::Created { path, .. }) => out.put_string(path),
        (ReplyShape::PathAndStat, OpResult::Created { path, stat, .. }) => {
            out.put_string(path);
            stat.write(out);
        }
        (ReplyShape::Stat, OpResult::Set(stat) | OpResult::AclSet(stat)) => stat.write(out),
        (ReplyShape::DataAndStat, OpResult::Reconfigured { data, stat }) => {
            out.put_buffer(data.as_deref());
            stat.write(out);
        }
        (ReplyShape::Multi, OpResult::Multi(results)) => multi::write_results(results, out),
        (ReplyShape::Empty, OpResult::Deleted | OpResult::Checked) => {}
        (shape, result) => panic!("a write with the reply {shape:?} was applied as {result:?}"),
    }
}

/// What a read needs to be answered: one state of the tree, and the caller.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The tree, which does not change while this value lives.
    pub tree: &'a crate::tree::Tree,
    /// The settings.
    pub settings: &'a OpSettings,
    /// The identities of the connection.
    pub ids: &'a [crate::wire::Id],
    /// The session of the caller.
    pub session: SessionId,
}

impl Reading<'_> {
    /// The zxid that the reply carries.
    pub fn zxid(&self) -> Zxid {
        self.tree.reply_zxid()
    }

    /// Whether the connection has one of the permissions on a node.
    pub fn may(&self, id: crate::tree::NodeId, perm: i32) -> bool {
        crate::acl::allowed(self.tree.acl(id), perm, self.ids, &self.settings.auth)
    }

    /// The node at a path, where the connection may read it.
    pub fn readable(&self, path: &str) -> Result<crate::tree::NodeId, Code> {
        let id = self.tree.find(path).ok_or(Code::NoNode)?;
        if !self.may(id, crate::wire::record::perms::READ) {
            return Err(Code::NoAuth);
        }
        Ok(id)
    }
}

/// The path of a read with a watch flag.
pub(crate) fn path_and_watch<'a>(
    reader: &mut Reader<'a>,
) -> Result<(Cow<'a, str>, bool), Malformed> {
    Ok((reader.string()?, reader.bool()?))
}

/// Says how many items the list has whose count stands at `start`.
pub(crate) fn set_count(count: usize, start: usize, out: &mut [u8]) {
    let count = i32::try_from(count).expect("a list has fewer than 2^31 items");
    out[start..start + 4].copy_from_slice(&count.to_be_bytes());
}

/// Appends the record of a path and a number: delete, check, and others.
pub(crate) fn put_path_and_int(path: &str, number: i32, out: &mut Vec<u8>) {
    out.put_string(path);
    out.put_int(number);
}

/// A path, owned and shareable between the transaction and the pending changes.
pub(crate) fn shared_path(reader: &mut Reader<'_>) -> Result<Option<Arc<str>>, Malformed> {
    Ok(reader.ustring()?.map(Arc::from))
}

/// `expected` is -1 (any) or the current version.
pub(crate) fn check_version(current: i32, expected: i32) -> Result<(), Code> {
    if expected != -1 && expected != current { Err(Code::BadVersion) } else { Ok(()) }
}
