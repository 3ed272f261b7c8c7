//! Who may authenticate: users, each with the hash that a password and a realm give.

use std::collections::BTreeMap;
use std::fmt;

use md5::{Digest, Md5};

use super::REALM;

/// The hash of user, realm and password. It is as good as the password at servers of this realm, so
/// that it is shown to nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswordHash([u8; 16]);

impl PasswordHash {
    /// The hash for ZooKeeper's realm.
    pub fn of(user: &str, password: &str) -> PasswordHash {
        PasswordHash::in_realm(user, REALM, password)
    }

    pub(super) fn in_realm(user: &str, realm: &str, password: &str) -> PasswordHash {
        let mut hash = Md5::new();
        update_with_text(&mut hash, user);
        hash.update(b":");
        update_with_text(&mut hash, realm);
        hash.update(b":");
        update_with_text(&mut hash, password);
        PasswordHash(hash.finalize().into())
    }

    /// A hash that no password is known to give.
    pub(super) fn without_password(bytes: [u8; 16]) -> PasswordHash {
        PasswordHash(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A text that fits into ISO-8859-1 is hashed in it, whatever `charset` says; others as UTF-8.
/// This is what Java does.
fn update_with_text(hash: &mut Md5, text: &str) {
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    match latin {
        Some(latin) => hash.update(&latin),
        None => hash.update(text.as_bytes()),
    }
}

/// The users of a server. Passwords are not kept, only what they hash to.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials(BTreeMap<String, PasswordHash>);

impl Credentials {
    /// No users yet.
    pub fn new() -> Credentials {
        Credentials::default()
    }

    /// Adds a user, or gives it another password.
    pub fn set(&mut self, user: &str, password: &str) {
        self.0.insert(user.to_owned(), PasswordHash::of(user, password));
    }

    /// Whether there is this user.
    pub fn has(&self, user: &str) -> bool {
        self.0.contains_key(user)
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn of_user(&self, user: &str) -> Option<&PasswordHash> {
        self.0.get(user)
    }
}

/// The names only.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}
