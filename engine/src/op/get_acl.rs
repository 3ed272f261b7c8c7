//! getACL (6).

use super::Reading;
use crate::wire::Acl;
use crate::wire::record::perms;
use crate::{Code, acl};

/// Appends the ACL and the stat. A caller who may only read sees the hashes of digest entries
/// masked.
pub fn reply(path: &str, reading: Reading<'_>, out: &mut Vec<u8>) -> Result<(), Code> {
    let id = reading.tree.find(path).ok_or(Code::NoNode)?;
    if !reading.may(id, perms::READ | perms::ADMIN) {
        return Err(Code::NoAuth);
    }
    let list = reading.tree.acl(id);
    if reading.may(id, perms::ADMIN) {
        Acl::reply_list(list, out);
    } else {
        Acl::reply_list(&acl::redact(list), out);
    }
    reading.tree.stat(id).write(out);
    Ok(())
}
