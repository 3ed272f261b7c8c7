//! getData (4).

use super::Reading;
use crate::Code;
use crate::wire::Put;

/// Appends data and stat.
pub fn reply(path: &str, reading: Reading<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
    let id = reading.readable(path)?;
    out.put_buffer(reading.tree.data(id));
    reading.tree.stat(id).write(out);
    Ok(())
}
