//! exists (3).

use super::Reading;
use crate::Code;

/// Appends the stat. A missing node is reported without an ACL check, and a NUL in the path is
/// the one thing that a read refuses as a bad argument (both as ZooKeeper does).
pub fn reply(path: &str, reading: Reading<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
    if path.contains('\0') {
        return Err(Code::BadArguments);
    }
    let id = reading.readable(path)?;
    reading.tree.stat(id).write(out);
    Ok(())
}
