//! getAllChildrenNumber (104).

use super::Reading;
use crate::Code;
use crate::wire::Put;

/// Appends the number of all descendants.
pub fn reply(path: &str, reading: Reading<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
    let id = reading.readable(path)?;
    // The empty path means the root, and ZooKeeper then counts "/" as well.
    let count = reading.tree.descendants(id) + u64::from(path.is_empty());
    out.put_int(i32::try_from(count).unwrap_or(i32::MAX));
    Ok(())
}
