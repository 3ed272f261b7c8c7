//! getChildren (8) and getChildren2 (12).

use super::Reading;
use crate::Code;
use crate::wire::Put;

/// Appends the names of the children.
pub fn reply_names(path: &str, reading: Reading<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
    let id = reading.readable(path)?;
    out.put_count(reading.tree.child_count(id) as usize);
    for name in reading.tree.children(id) {
        out.put_string(name);
    }
    Ok(())
}

/// Appends the names of the children and the stat of their parent.
pub fn reply_names_and_stat(
    path: &str,
    reading: Reading<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Code> {
    reply_names(path, reading, out)?;
    let id = reading.readable(path)?;
    reading.tree.stat(id).write(out);
    Ok(())
}
