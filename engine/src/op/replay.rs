//! Applying a transaction that nobody waits for, while no watch may fire: only the tree changes.

use super::apply::{Applying, Interest};
use super::{create, multi};
use crate::tree::{Misfit, Tree};
use crate::txn::BodyRef;
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
            tree.set_data(id, *data, *version, zxid, time);
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
