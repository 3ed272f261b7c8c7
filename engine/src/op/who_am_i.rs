//! whoAmI (107).

use crate::acl::{self, AuthSettings};
use crate::wire::{Id, Put};

/// Appends every identity of the connection, without the secret part.
pub fn reply(settings: &AuthSettings, ids: &[Id], out: &mut Vec<u8>) {
    let users = acl::who_am_i(settings, ids);
    out.put_count(users.len());
    for (scheme, user) in users {
        out.put_string(&scheme);
        out.put_string(&user);
    }
}
