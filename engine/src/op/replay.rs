//! Applying a transaction that nobody waits for, while no watch may fire: only the tree changes.

use super::apply::{Applying, Interest};
use super::{create, multi};
use crate::tree::{Misfit, Prefetch, Tree};
use crate::txn::{BodyRef, TxnHeader};
use crate::wire::Reader;
use crate::wire::opcode::op;
use crate::{Millis, Zxid};

/// Does the same to the tree as [`super::apply`]; a test of [`crate::database`] compares the two.
pub(crate) fn replay(
    body: &BodyRef<'_>,
    tree: &mut Tree,
    zxid: Zxid,
    time: Millis,
) -> Result<(), Misfit> {
    match body {
        BodyRef::Create(create) => create::replay(create, tree, zxid, time),
        BodyRef::SetData { path, data, version } => {
            let id = tree.find(path).ok_or(Misfit::NoNode)?;
            tree.set_data_at((id, path), *data, *version, zxid, time);
            Ok(())
        }
        BodyRef::Delete { path } => {
            let id = tree.deletable(path)?;
            tree.delete(id, zxid);
            Ok(())
        }
        BodyRef::Refused => Ok(()),
        BodyRef::Multi(parts) => {
            multi::check_parts(parts.iter().map(part_of))?;
            parts.iter().try_for_each(|part| replay(part, tree, zxid, time))
        }
        BodyRef::Other(body) => {
            let mut applying = Applying::new(tree, zxid, time, Interest::None);
            super::apply(body, &mut applying).map(drop)
        }
    }
}

fn part_of(body: &BodyRef<'_>) -> multi::Part {
    match body {
        BodyRef::Create(_) | BodyRef::SetData { .. } | BodyRef::Delete { .. } => {
            multi::Part::Change
        }
        BodyRef::Refused => multi::Part::Refusal,
        BodyRef::Multi(_) => multi::Part::Foreign,
        BodyRef::Other(body) => multi::Part::of(body),
    }
}

/// Names the paths that the transaction in these bytes looks up. What is wrong with the bytes is
/// found when they are applied.
pub(crate) fn prefetch_payload(payload: &[u8], paths: &mut Prefetch<'_>) {
    let Some((header, record)) = payload.split_at_checked(TxnHeader::BYTES) else { return };
    let Some((_, kind)) = header.split_last_chunk() else { return };
    match i32::from_be_bytes(*kind) {
        op::MULTI => prefetch_parts(record, paths),
        kind => prefetch_record(kind, record, paths),
    }
}

fn prefetch_parts(record: &[u8], paths: &mut Prefetch<'_>) {
    let mut reader = Reader::new(record);
    let Ok(Some(count)) = reader.vector(8) else { return };
    for _ in 0..count {
        let (Ok(kind), Ok(Some(part))) = (reader.int(), reader.buffer()) else { return };
        prefetch_record(kind, part, paths);
    }
}

/// Names the paths of a record of this operation or transaction, which has its path in front in
/// both.
pub fn prefetch_record(kind: i32, record: &[u8], paths: &mut Prefetch<'_>) {
    let Ok(Some(path)) = Reader::new(record).buffer() else { return };
    match kind {
        op::SET_DATA
        | op::SET_ACL
        | op::GET_DATA
        | op::EXISTS
        | op::GET_CHILDREN
        | op::GET_CHILDREN2
        | op::GET_ACL => paths.path(path),
        op::CREATE
        | op::CREATE2
        | op::CREATE_CONTAINER
        | op::CREATE_TTL
        | op::DELETE
        | op::DELETE_CONTAINER => {
            paths.path(path);
            if let Some(end) = path.iter().rposition(|byte| *byte == b'/') {
                // The root is always at hand.
                paths.path(&path[..end.max(1)]);
            }
        }
        _ => {}
    }
}
