//! An access control list, shared between the nodes that carry it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::AuthSettings;
use super::grants::Grants;
use crate::wire::{Acl, Id};

/// Pairs of an entry and an identity up to which they are compared one by one.
const PAIRS_MAX: usize = 64;

/// An access control list. Copies of it share one allocation, and what a look-up in a long list
/// needs is made once.
#[derive(Clone)]
pub struct AclList(Arc<Shared>);

struct Shared {
    entries: Box<[Acl]>,
    grants: OnceLock<Box<Grants>>,
}

impl AclList {
    /// Whether both are the same allocation.
    pub fn is_shared_with(&self, other: &AclList) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// About the bytes of memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let strings = self.iter().map(|entry| entry.id.scheme.len() + entry.id.id.len());
        size_of::<Shared>() + self.len() * size_of::<Acl>() + strings.sum::<usize>()
    }

    /// Whether one of these identities has one of the permissions. The work is bounded by the
    /// smaller ones of both: it never is entries times identities.
    pub(super) fn grants(&self, perm: i32, ids: &[Id], settings: &AuthSettings) -> bool {
        if self.len() * ids.len() <= PAIRS_MAX {
            return self.iter().any(|entry| settings.grants(entry, perm, ids));
        }
        let grants = self.0.grants.get_or_init(|| Box::new(Grants::of(&self.0.entries)));
        grants.of_ids(&self.0.entries, ids, settings) & perm != 0
    }
}

impl Deref for AclList {
    type Target = [Acl];

    fn deref(&self) -> &[Acl] {
        &self.0.entries
    }
}

impl From<Box<[Acl]>> for AclList {
    fn from(entries: Box<[Acl]>) -> AclList {
        AclList(Arc::new(Shared { entries, grants: OnceLock::new() }))
    }
}

impl From<Vec<Acl>> for AclList {
    fn from(entries: Vec<Acl>) -> AclList {
        AclList::from(entries.into_boxed_slice())
    }
}

impl<const N: usize> From<[Acl; N]> for AclList {
    fn from(entries: [Acl; N]) -> AclList {
        AclList::from(Box::from(entries) as Box<[Acl]>)
    }
}

impl FromIterator<Acl> for AclList {
    fn from_iter<I: IntoIterator<Item = Acl>>(entries: I) -> AclList {
        entries.into_iter().collect::<Vec<_>>().into()
    }
}

impl PartialEq for AclList {
    fn eq(&self, other: &AclList) -> bool {
        self.is_shared_with(other) || self[..] == other[..]
    }
}

impl Eq for AclList {}

impl fmt::Debug for AclList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}
