//! check (13): legal inside a multi only.

use std::sync::Arc;

use super::Write;
use super::prepare::Prepare;
use crate::txn::TxnBody;
use crate::wire::opcode::op;
use crate::wire::record::perms;
use crate::wire::{Malformed, Reader};
use crate::{Code, path};

/// A condition on the version of a node.
#[derive(Clone, PartialEq, Debug)]
pub struct Check {
    path: Arc<str>,
    version: i32,
}

impl Check {
    /// Reads the request record. A null path is refused in its turn.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Write, Malformed> {
        let (path, version) = (super::shared_path(reader)?, reader.int()?);
        let refused = Write::Refused(Code::BadArguments);
        Ok(path.map_or(refused, |path| Write::Check(Check { path, version })))
    }

    /// Appends the request record; returns the operation code.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> i32 {
        super::put_path_and_int(&self.path, self.version, out);
        op::CHECK
    }

    /// Check order: path, node, permission, version.
    pub fn prepare(self, prepare: &mut Prepare<'_>) -> Result<TxnBody, Code> {
        if !path::is_valid(&self.path) {
            return Err(Code::BadArguments);
        }
        let node = prepare.node(&self.path)?;
        prepare.permit(&node.acl, perms::READ)?;
        super::check_version(node.version, self.version)?;
        Ok(TxnBody::Check { path: self.path, version: node.version })
    }
}
