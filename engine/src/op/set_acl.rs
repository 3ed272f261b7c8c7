//! setACL (7).

use std::sync::Arc;

use super::Write;
use super::apply::{Applying, OpResult};
use super::audited::{Action, Operation, acl_text};
use super::prepare::Prepare;
use crate::tree::{Misfit, Prefetch};
use crate::txn::{AclList, TxnBody};
use crate::wire::opcode::op;
use crate::wire::record::perms;
use crate::wire::{Acl, Malformed, Put, Reader, SentAcl};
use crate::{Code, path};

/// A request to replace the ACL of a node.
#[derive(Clone, PartialEq, Debug)]
pub struct SetAcl {
    path: Arc<str>,
    acl: Vec<SentAcl>,
    /// Compared with the aversion.
    version: i32,
}

impl SetAcl {
    /// Reads the request record. A null path is refused in its turn.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Write, Malformed> {
        let path = super::shared_path(reader)?;
        let acl = SentAcl::read_list(reader)?.unwrap_or_default();
        let version = reader.int()?;
        let Some(path) = path else { return Ok(Write::Refused(Code::BadArguments)) };
        Ok(Write::SetAcl(SetAcl { path, acl, version }))
    }

    /// Appends the request record; returns the operation code.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> i32 {
        out.put_string(&self.path);
        SentAcl::write_list(Some(&self.acl), out);
        out.put_int(self.version);
        op::SET_ACL
    }

    /// What the audit log says of it.
    pub(crate) fn audited(&self) -> Action {
        let acl = Some(acl_text(&self.acl));
        Action { acl, ..Action::on(Operation::SetAcl, Some(&self.path)) }
    }

    /// Names the paths that [`SetAcl::prepare`] looks up.
    pub(crate) fn prefetch(&self, paths: &mut Prefetch<'_>) {
        paths.path(self.path.as_bytes());
    }

    /// Check order: path, ACL fix-up, node, permission, aversion.
    pub fn prepare(self, prepare: &mut Prepare<'_>) -> Result<TxnBody, Code> {
        if !path::is_valid(&self.path) {
            return Err(Code::BadArguments);
        }
        let acl = prepare.fix_up(&self.acl)?;
        let mut node = prepare.node(&self.path)?;
        prepare.permit(&node.acl, perms::ADMIN)?;
        super::check_version(node.aversion, self.version)?;
        node.aversion = node.aversion.wrapping_add(1);
        node.acl = acl.clone();
        let version = node.aversion;
        prepare.put(&self.path, node);
        Ok(TxnBody::SetAcl { path: self.path, acl, version })
    }
}

/// Appends a request record.
pub(crate) fn put_record(path: &str, acl: &[Acl], version: i32, out: &mut Vec<u8>) {
    out.put_string(path);
    Acl::write_list(acl, out);
    out.put_int(version);
}

/// Applies a change that was prepared. No watch fires.
pub(crate) fn apply(
    path: &Arc<str>,
    acl: &AclList,
    version: i32,
    applying: &mut Applying<'_>,
) -> Result<OpResult, Misfit> {
    let id = applying.tree.find(path).ok_or(Misfit::NoNode)?;
    applying.tree.set_acl(id, acl, version);
    Ok(OpResult::AclSet(Box::new(applying.tree.stat(id))))
}
