//! createSession (-10) and closeSession (-11).

use std::ops::Bound;
use std::sync::Arc;

use super::apply::{Applying, OpResult};
use super::delete;
use super::prepare::Prepare;
use crate::tree::Misfit;
use crate::txn::{DeleteCause, NodeKind, TxnBody};

/// Bytes of a portion for each path, beside its own: a short one is work as well.
const PATH_BYTES: usize = 64;

/// A part of the end of a session.
#[derive(Debug)]
pub enum ClosePart {
    /// Some of its ephemeral nodes go, and it lives on until the rest has gone.
    Portion(TxnBody),
    /// It ends, with the nodes that were left.
    End(TxnBody),
}

/// The transaction that ends a session: every ephemeral node that it will own goes in one zxid.
pub fn prepare_close(prepare: &mut Prepare<'_>) -> TxnBody {
    match prepare_close_part(prepare, &mut { usize::MAX }) {
        ClosePart::Portion(body) | ClosePart::End(body) => body,
    }
}

/// Ends a session, or begins to, where its ephemeral nodes are more than one transaction should
/// have. `bytes_left` is what the transaction may have; what it takes is taken off.
pub fn prepare_close_part(prepare: &mut Prepare<'_>, bytes_left: &mut usize) -> ClosePart {
    let session = prepare.session;
    let tree = prepare.tree;
    let owned = NodeKind::Ephemeral(session);
    let mut paths: Vec<Arc<str>> = Vec::new();
    let mut is_all = true;
    for path in tree.ephemeral_paths(session, Bound::Unbounded) {
        if *bytes_left == 0 {
            is_all = false;
            break;
        }
        if prepare.node(path).is_ok_and(|node| node.kind == owned) {
            *bytes_left = bytes_left.saturating_sub(PATH_BYTES + path.len());
            paths.push(path.into());
        }
    }
    // What is ordered and not applied yet. Some may be in the tree, and some gone again.
    let mut touched: Vec<Arc<str>> = prepare.pending.touched_ephemerals(session).collect();
    touched.retain(|path| {
        tree.find(path).is_none_or(|id| tree.kind(id) != owned)
            && prepare.node(path).is_ok_and(|node| node.kind == owned)
    });
    touched.sort_unstable();
    touched.dedup();
    for path in touched {
        if *bytes_left == 0 {
            is_all = false;
            break;
        }
        *bytes_left = bytes_left.saturating_sub(PATH_BYTES + path.len());
        paths.push(path);
    }
    paths.sort_unstable();
    for path in &paths {
        delete::remove(path, prepare).expect("the node was found a moment ago");
    }
    if is_all {
        return ClosePart::End(TxnBody::CloseSession { paths });
    }
    let delete = |path| TxnBody::Delete { path, cause: DeleteCause::Client };
    ClosePart::Portion(TxnBody::Multi(paths.into_iter().map(delete).collect()))
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
