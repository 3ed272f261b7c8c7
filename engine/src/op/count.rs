//! getAllChildrenNumber (104).

use super::Reading;
use crate::Code;
use crate::wire::Put;

/// Appends the number of all descendants.
pub fn reply(path: &str, reading: Reading<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
    let id = reading.readable(path)?;
    out.put_int(i32::try_from(reading.tree.descendants(id)).unwrap_or(i32::MAX));
    Ok(())
}
