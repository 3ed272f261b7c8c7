//! setData (5).

use std::sync::Arc;

use super::Write;
use super::apply::{Applying, OpResult};
use super::audited::{Action, Operation};
use super::prepare::Prepare;
use crate::tree::{Misfit, Prefetch};
use crate::txn::TxnBody;
use crate::wire::opcode::op;
use crate::wire::record::perms;
use crate::wire::{Malformed, Put, Reader};
use crate::{Code, path};

/// A request to replace the data of a node.
#[derive(Clone, PartialEq, Debug)]
pub struct SetData {
    path: Arc<str>,
    data: Option<Box<[u8]>>,
    version: i32,
}

impl SetData {
    /// Reads the request record. A null path is refused in its turn.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Write, Malformed> {
        let path = super::shared_path(reader)?;
        let data = reader.buffer()?.map(Box::from);
        let version = reader.int()?;
        let Some(path) = path else { return Ok(Write::Refused(Code::BadArguments)) };
        Ok(Write::SetData(SetData { path, data, version }))
    }

    /// Appends the request record; returns the operation code.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> i32 {
        put_record(&self.path, self.data.as_deref(), self.version, out);
        op::SET_DATA
    }

    /// What the audit log says of it.
    pub(crate) fn audited(&self) -> Action {
        Action::on(Operation::SetData, Some(&self.path))
    }

    /// Names the paths that [`SetData::prepare`] looks up.
    pub(crate) fn prefetch(&self, paths: &mut Prefetch<'_>) {
        paths.path(self.path.as_bytes());
    }

    /// Check order: path, node, permission, length of a quota's text, quota, version. The version
    /// wraps like Java's int.
    pub fn prepare(self, prepare: &mut Prepare<'_>) -> Result<TxnBody, Code> {
        if !path::is_valid(&self.path) {
            return Err(Code::BadArguments);
        }
        let mut node = prepare.node(&self.path)?;
        prepare.permit(&node.acl, perms::WRITE)?;
        prepare.permit_quota_text(&self.path, self.data.as_deref())?;
        if prepare.settings.enforce_quota {
            let growth = self.growth(prepare);
            prepare.check_quota(&self.path, 0, growth)?;
        }
        super::check_version(node.version, self.version)?;
        node.version = node.version.wrapping_add(1);
        let version = node.version;
        prepare.put(&self.path, node);
        Ok(TxnBody::SetData { path: self.path, data: self.data, version })
    }

    /// Bytes by which the committed data grows.
    fn growth(&self, prepare: &Prepare<'_>) -> i64 {
        let committed = prepare.tree.find(&self.path).and_then(|id| prepare.tree.data(id));
        let bytes = |data: Option<&[u8]>| data.map_or(0, |data| data.len() as i64);
        bytes(self.data.as_deref()) - bytes(committed)
    }
}

/// Appends a request record.
pub(crate) fn put_record(path: &str, data: Option<&[u8]>, version: i32, out: &mut Vec<u8>) {
    out.put_string(path);
    out.put_buffer(data);
    out.put_int(version);
}

/// Applies a change that was prepared.
pub(crate) fn apply(
    path: &Arc<str>,
    data: Option<&[u8]>,
    version: i32,
    applying: &mut Applying<'_>,
) -> Result<OpResult, Misfit> {
    let id = applying.tree.find(path).ok_or(Misfit::NoNode)?;
    let (zxid, time) = (applying.zxid, applying.time);
    applying.tree.set_data_at((id, path), data, version, zxid, time);
    applying.data_changed(path, id);
    Ok(OpResult::Set(Box::new(applying.tree.stat(id))))
}
