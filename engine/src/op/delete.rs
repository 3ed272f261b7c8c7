//! delete (2), and the removal of spent containers and TTL nodes (20).

use std::sync::Arc;

use super::Write;
use super::apply::{Applying, OpResult};
use super::audited::{Action, Operation};
use super::prepare::Prepare;
use crate::tree::{Misfit, Prefetch};
use crate::txn::{DeleteCause, NodeKind, TxnBody};
use crate::wire::opcode::op;
use crate::wire::record::perms;
use crate::wire::{Malformed, Reader};
use crate::{Code, path};

/// Nodes that a server cannot do without.
const SPECIAL: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

/// A client's request to delete a node.
#[derive(Clone, PartialEq, Debug)]
pub struct Delete {
    path: Arc<str>,
    version: i32,
}

impl Delete {
    /// Reads the request record. A null path is refused in its turn.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Write, Malformed> {
        let (path, version) = (super::shared_path(reader)?, reader.int()?);
        let refused = Write::Refused(Code::MarshallingError);
        Ok(path.map_or(refused, |path| Write::Delete(Delete { path, version })))
    }

    /// Appends the request record; returns the operation code.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> i32 {
        super::put_path_and_int(&self.path, self.version, out);
        op::DELETE
    }

    /// What the audit log says of it.
    pub(crate) fn audited(&self) -> Action {
        Action::on(Operation::Delete, Some(&self.path))
    }

    /// Names the paths that [`Delete::prepare`] looks up.
    pub(crate) fn prefetch(&self, paths: &mut Prefetch<'_>) {
        super::path_and_parent(&self.path, paths);
    }

    /// Check order (protocol 7.2): path, parent, permission on the parent, node, version,
    /// children. So a wrong version beats "not empty".
    pub fn prepare(self, prepare: &mut Prepare<'_>) -> Result<TxnBody, Code> {
        let parent_path = parent_of_deletable(&self.path)?;
        let parent = prepare.node(parent_path)?;
        prepare.permit(&parent.acl, perms::DELETE)?;
        let node = prepare.node(&self.path)?;
        super::check_version(node.version, self.version)?;
        if node.children > 0 {
            return Err(Code::NotEmpty);
        }
        remove(&self.path, prepare)?;
        Ok(TxnBody::Delete { path: self.path, cause: DeleteCause::Client })
    }
}

/// The removal loop's request: the node may have come to life again since it was found spent.
#[derive(Clone, PartialEq, Debug)]
pub struct DeleteSpent {
    /// A container or TTL node.
    pub path: Arc<str>,
}

impl DeleteSpent {
    /// Refuses unless the node is still a container or TTL node without children.
    pub fn prepare(self, prepare: &mut Prepare<'_>) -> Result<TxnBody, Code> {
        parent_of_deletable(&self.path)?;
        let node = prepare.node(&self.path)?;
        let removable = matches!(node.kind, NodeKind::Container | NodeKind::Ttl(_));
        if !removable {
            return Err(Code::BadVersion);
        }
        if node.children > 0 {
            return Err(Code::NotEmpty);
        }
        remove(&self.path, prepare)?;
        Ok(TxnBody::Delete { path: self.path, cause: DeleteCause::Expiry })
    }
}

fn parent_of_deletable(path: &str) -> Result<&str, Code> {
    if path.contains('\0') || SPECIAL.contains(&path) {
        return Err(Code::BadArguments);
    }
    path::parent(path).ok_or(Code::BadArguments)
}

/// Notes that the node will be gone and that its parent will have a child less.
pub(crate) fn remove(path: &Arc<str>, prepare: &mut Prepare<'_>) -> Result<(), Code> {
    let parent_path = path::parent(path).ok_or(Code::BadArguments)?;
    let mut parent = prepare.node(parent_path)?;
    if let NodeKind::Ephemeral(owner) = prepare.node(path)?.kind {
        prepare.pending.touch_ephemeral(owner, path, prepare.zxid);
    }
    parent.children -= 1;
    prepare.put_parent(path, parent);
    prepare.remove(path);
    Ok(())
}

/// Applies a deletion that was prepared.
pub(crate) fn apply(path: &Arc<str>, applying: &mut Applying<'_>) -> Result<OpResult, Misfit> {
    let id = applying.tree.deletable(path)?;
    applying.deleted(path, id);
    applying.tree.delete(id, applying.zxid);
    Ok(OpResult::Deleted)
}
