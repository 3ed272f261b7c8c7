//! createSession (-10) and closeSession (-11).

use std::sync::Arc;

use super::apply::{Applying, OpResult};
use super::delete;
use super::prepare::Prepare;
use crate::tree::Misfit;
use crate::txn::{NodeKind, TxnBody};

/// The transaction that ends a session: every ephemeral node that it will own goes in one zxid.
pub fn prepare_close(prepare: &mut Prepare<'_>) -> TxnBody {
    let session = prepare.session;
    let tree = prepare.tree;
    let committed = tree.ephemerals(session).map(|id| Arc::from(tree.path_of(id)));
    let mut paths: Vec<Arc<str>> = committed.collect();
    paths.extend(prepare.pending.touched_ephemerals(session));
    paths.sort_unstable();
    paths.dedup();
    let owned = NodeKind::Ephemeral(session);
    paths.retain(|path| prepare.node(path).is_ok_and(|node| node.kind == owned));
    for path in &paths {
        delete::remove(path, prepare).expect("the node was found a line above");
    }
    TxnBody::CloseSession { paths }
}

/// Applies the end of a session.
pub(crate) fn apply_close(
    paths: &[Arc<str>],
    applying: &mut Applying<'_>,
) -> Result<OpResult, Misfit> {
    for path in paths {
        delete::apply(path, applying)?;
    }
    Ok(OpResult::SessionClosed)
}
