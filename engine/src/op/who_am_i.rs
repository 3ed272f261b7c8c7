//! whoAmI (107).

use crate::acl;
use crate::wire::{Id, Put};

/// Appends every identity of the connection, without the secret part.
pub fn reply(ids: &[Id], out: &mut Vec<u8>) {
    let users = acl::who_am_i(ids);
    out.put_count(users.len());
    for (scheme, user) in users {
        out.put_string(&scheme);
        out.put_string(&user);
    }
}
