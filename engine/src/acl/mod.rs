//! Access control: lists, identities, and the schemes that prove them.
//!
//! Secrets (digests) are compared in constant time. What a list may hold is decided once, when it
//! is set ([`fix_up`]); from then on [`allowed`] only compares.

mod auth;
mod digest;
mod grants;
mod ip;
mod list;
mod names;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use subtle::ConstantTimeEq;

pub use auth::{
    AuthFailure, add_sasl_user, add_x509_subject, authenticate, enforced_ok, requires, who_am_i,
};
pub use digest::DigestAlg;
pub use ip::ip_identity;
pub use list::AclList;

use crate::Code;
use crate::limits::{ACL_ENTRIES_MAX, ACL_EXPANDED_BYTES_MAX};
use crate::wire::{Acl, Id, SentAcl};

/// The one identity of the scheme `world`.
const ANYONE: &str = "anyone";

/// The schemes that this server knows, by name.
pub mod scheme {
    /// Any client.
    pub const WORLD: &str = "world";
    /// In a list: the identities of the client that sets it.
    pub const AUTH: &str = "auth";
    /// User and password.
    pub const DIGEST: &str = "digest";
    /// The address of the client.
    pub const IP: &str = "ip";
    /// The name that a SASL exchange established.
    pub const SASL: &str = "sasl";
    /// The subject of the client's certificate.
    pub const X509: &str = "x509";
    /// The name of the ensemble that the client means to talk to.
    pub const ENSEMBLE: &str = "ensemble";
    /// Has every permission. It cannot stand in a list.
    pub const SUPER: &str = "super";
}

/// How this server authenticates. Equal on all servers of an ensemble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthSettings {
    /// `DigestAuthenticationProvider.enabled`.
    pub digest_enabled: bool,
    /// `DigestAuthenticationProvider.digestAlg`.
    pub digest_alg: DigestAlg,
    /// `DigestAuthenticationProvider.superDigest`: `user:digest` of the superuser.
    pub super_digest: Option<String>,
    /// `skipACL`: nothing is checked.
    pub skip_acl: bool,
    /// `enforce.auth.schemes` where `enforce.auth.enabled` (or `sessionRequireClientSASLAuth`)
    /// holds: a connection needs an identity of one of them.
    pub enforce: Option<Vec<String>>,
    /// Whether the `sasl` scheme is offered.
    pub sasl_enabled: bool,
    /// `letAnySaslUserDoX`: an identity in lists that every SASL user matches.
    pub sasl_any_user: Option<String>,
    /// Whether the `x509` scheme is offered.
    pub x509_enabled: bool,
    /// `X509AuthenticationProvider.superUser`: a subject that matches every `x509` entry.
    pub x509_super_user: Option<String>,
    /// Whether the `ensemble` scheme is offered.
    pub ensemble_enabled: bool,
    /// `ensembleAuthName`, cut at commas and trimmed: the names that clients may mean; empty where
    /// any will do.
    pub ensemble_names: Vec<String>,
}

impl Default for AuthSettings {
    fn default() -> AuthSettings {
        AuthSettings {
            digest_enabled: true,
            digest_alg: DigestAlg::Sha1,
            super_digest: None,
            skip_acl: false,
            enforce: None,
            sasl_enabled: false,
            sasl_any_user: None,
            x509_enabled: false,
            x509_super_user: None,
            ensemble_enabled: false,
            ensemble_names: Vec::new(),
        }
    }
}

impl AuthSettings {
    /// Whether the identities of a scheme stand for a proven user, so that `auth` in a list
    /// expands to them. An address does not.
    fn authenticates(&self, scheme: &str) -> bool {
        match scheme {
            scheme::DIGEST => self.digest_enabled,
            scheme::SASL => self.sasl_enabled,
            scheme::X509 => self.x509_enabled,
            _ => false,
        }
    }

    /// Whether a list may hold this identity.
    fn accepts(&self, id: &Id) -> bool {
        match id.scheme.as_str() {
            scheme::DIGEST => self.digest_enabled && digest::is_valid(&id.id),
            scheme::IP => ip::is_valid(&id.id),
            scheme::SASL => self.sasl_enabled && names::is_kerberos_name(&id.id),
            scheme::X509 => self.x509_enabled && names::is_distinguished_name(&id.id),
            _ => false,
        }
    }

    /// Whether ZooKeeper fails on a null identity of the scheme instead of finding it invalid.
    fn fails_on_null(&self, scheme: &str) -> bool {
        match scheme {
            scheme::WORLD | scheme::IP => true,
            scheme::DIGEST => self.digest_enabled,
            scheme::SASL => self.sasl_enabled,
            scheme::X509 => self.x509_enabled,
            _ => false,
        }
    }

    /// Whether an identity of a connection is the one that a list means.
    fn matches(&self, held: &Id, listed: &Id) -> bool {
        if held.scheme != listed.scheme {
            return false;
        }
        match held.scheme.as_str() {
            scheme::DIGEST => self.digest_enabled && same_secret(&held.id, &listed.id),
            scheme::IP => ip::matches(&held.id, &listed.id),
            scheme::SASL => self.sasl_enabled && self.sasl_matches(&held.id, &listed.id),
            scheme::X509 => {
                let is_super = self.x509_super_user.as_deref() == Some(&held.id);
                self.x509_enabled && (is_super || held.id == listed.id)
            }
            _ => false,
        }
    }

    /// Whether an entry of a list grants one of the permissions to one of the identities.
    fn grants(&self, entry: &Acl, perm: i32, ids: &[Id]) -> bool {
        entry.perms & perm != 0
            && (is_anyone(&entry.id) || ids.iter().any(|held| self.matches(held, &entry.id)))
    }

    fn sasl_matches(&self, held: &str, listed: &str) -> bool {
        held == "super" || held == listed || self.sasl_any_user.as_deref() == Some(listed)
    }
}

/// Whether connections with these identities may do what `perm` says (bits of
/// [`crate::wire::record::perms`]; one of them is enough) to a node with this list.
pub fn allowed(acl: &AclList, perm: i32, ids: &[Id], settings: &AuthSettings) -> bool {
    settings.skip_acl || acl.is_empty() || acl.grants(perm, ids, settings) || is_super(ids)
}

/// Whether an identity that may do everything is among these.
pub fn is_super(ids: &[Id]) -> bool {
    ids.iter().any(|id| id.scheme == scheme::SUPER)
}

/// The open list (`world:anyone:cdrwa`), shared by all nodes that carry it.
pub fn open_list() -> AclList {
    static OPEN: LazyLock<AclList> = LazyLock::new(|| AclList::from([Acl::open()]));
    OPEN.clone()
}

/// The list that a node gets when a client sets `list`: without repetitions, and with `auth`
/// replaced by the identities of the client. `expandable` is how many bytes of them the request
/// may still put into the order; what is put in is taken off.
///
/// A list that cannot be set is refused with [`Code::InvalidAcl`], and with
/// [`Code::MarshallingError`] where ZooKeeper trips over a null: all entries are compared first, and
/// then judged one after the other.
pub fn fix_up(
    list: &[SentAcl],
    ids: &[Id],
    settings: &AuthSettings,
    expandable: &mut usize,
) -> Result<AclList, Code> {
    if let [SentAcl { perms: crate::wire::record::perms::ALL, scheme, id }] = list
        && scheme.as_deref() == Some(scheme::WORLD)
        && id.as_deref() == Some(ANYONE)
    {
        return Ok(open_list());
    }
    let most = ACL_EXPANDED_BYTES_MAX.min(*expandable);
    let mut fix_up = FixUp { ids, settings, fixed: Vec::new(), expanded_bytes: 0, most };
    for entry in without_repetitions(list)? {
        fix_up.push(entry)?;
    }
    *expandable -= fix_up.expanded_bytes;
    if fix_up.fixed.is_empty() { Err(Code::InvalidAcl) } else { Ok(fix_up.fixed.into()) }
}

/// A list as a part of a multi that goes on to a leader: without nulls. ZooKeeper's leader that
/// trips over one there forgets what it has prepared of the multi, and its digests are wrong from
/// then on; alone in a request it refuses it. What it finds invalid it finds invalid as empty, too;
/// what it trips over is refused here, with [`Code::MarshallingError`].
pub(crate) fn without_nulls(list: &[SentAcl]) -> Result<Vec<SentAcl>, Code> {
    without_repetitions(list)?;
    let filled = |entry: &SentAcl| {
        let scheme = entry.scheme.clone().unwrap_or_default();
        let trips = matches!(&*scheme, scheme::WORLD | scheme::IP | scheme::DIGEST);
        if entry.id.is_none() && trips {
            return Err(Code::MarshallingError);
        }
        let id = Some(entry.id.clone().unwrap_or_default());
        Ok(SentAcl { perms: entry.perms, scheme: Some(scheme), id })
    };
    list.iter().map(filled).collect()
}

/// The first of each group of equal entries, in order. Short lists, which all honest ones are,
/// are compared pair by pair; a frame holds enough entries to make that expensive on purpose.
fn without_repetitions(list: &[SentAcl]) -> Result<Vec<&SentAcl>, Code> {
    const PAIRWISE_MAX: usize = 32;
    if list.len() > PAIRWISE_MAX {
        return distinct(list);
    }
    let mut first: Vec<&SentAcl> = Vec::with_capacity(list.len());
    for entry in list {
        if first.iter().any(|earlier| trips(entry, earlier)) {
            return Err(Code::MarshallingError);
        }
        if !first.contains(&entry) {
            first.push(entry);
        }
    }
    Ok(first)
}

/// Whether ZooKeeper trips over a null when it compares an entry with an earlier one: permissions,
/// scheme and identity are compared in this order, up to the first difference.
fn trips(entry: &SentAcl, earlier: &SentAcl) -> bool {
    let scheme_alike = entry.scheme.is_none() || entry.scheme == earlier.scheme;
    let has_null = entry.scheme.is_none() || entry.id.is_none();
    has_null && entry.perms == earlier.perms && scheme_alike
}

/// The same for a list of any length, at the cost of sorting it. An entry with a null is equal to
/// no other one, so it is only looked for what it trips over.
fn distinct(list: &[SentAcl]) -> Result<Vec<&SentAcl>, Code> {
    let (mut perms, mut schemes) = (BTreeSet::new(), BTreeSet::new());
    let mut entries = BTreeSet::new();
    let mut first = Vec::new();
    for entry in list {
        let SentAcl { perms: bits, scheme, id } = entry;
        let trips = match (scheme, id) {
            (None, _) => perms.contains(bits),
            (Some(scheme), None) => schemes.contains(&(*bits, scheme)),
            (Some(_), Some(_)) => false,
        };
        if trips {
            return Err(Code::MarshallingError);
        }
        if entries.insert((*bits, scheme, id)) {
            first.push(entry);
        }
        perms.insert(*bits);
        schemes.extend(scheme.as_ref().map(|scheme| (*bits, scheme)));
    }
    Ok(first)
}

/// Bytes of an entry in a record, beside its scheme and identity.
const ENTRY_BYTES: usize = 12;

/// A list under construction.
struct FixUp<'a> {
    ids: &'a [Id],
    settings: &'a AuthSettings,
    fixed: Vec<Acl>,
    /// Bytes that `auth` has put in: many entries times long names are too much.
    expanded_bytes: usize,
    /// And how many it may.
    most: usize,
}

impl FixUp<'_> {
    fn push(&mut self, SentAcl { perms, scheme, id }: &SentAcl) -> Result<(), Code> {
        let Some(scheme) = scheme else { return Err(Code::InvalidAcl) };
        match id {
            _ if scheme == scheme::AUTH => self.push_proven(*perms)?,
            None if self.settings.fails_on_null(scheme) => return Err(Code::MarshallingError),
            None => return Err(Code::InvalidAcl),
            Some(id) => {
                let id = Id { scheme: scheme.clone(), id: id.clone() };
                if !is_anyone(&id) && !self.settings.accepts(&id) {
                    return Err(Code::InvalidAcl);
                }
                self.fixed.push(Acl { perms: *perms, id });
            }
        }
        if self.fixed.len() > ACL_ENTRIES_MAX { Err(Code::InvalidAcl) } else { Ok(()) }
    }

    fn push_proven(&mut self, perms: i32) -> Result<(), Code> {
        let before = self.fixed.len();
        for id in self.ids.iter().filter(|id| self.settings.authenticates(&id.scheme)) {
            self.expanded_bytes += ENTRY_BYTES + id.scheme.len() + id.id.len();
            if self.expanded_bytes > self.most {
                return Err(Code::InvalidAcl);
            }
            self.fixed.push(Acl { perms, id: id.clone() });
        }
        if self.fixed.len() == before { Err(Code::InvalidAcl) } else { Ok(()) }
    }
}

/// What `getACL` shows to a caller who may read the node but not administer it: the digests are
/// masked, as they can be attacked offline.
pub fn redact(list: &[Acl]) -> Vec<Acl> {
    let mut list = list.to_vec();
    for entry in list.iter_mut().filter(|entry| entry.id.scheme == scheme::DIGEST) {
        if let Some(colon) = entry.id.id.find(':') {
            entry.id.id.truncate(colon);
            entry.id.id.push_str(":x");
        }
    }
    list
}

fn is_anyone(id: &Id) -> bool {
    id.scheme == scheme::WORLD && id.id == ANYONE
}

/// Takes as long for a wrong secret as for the right one, if both are of the same length. Eight
/// bytes at a time, as a list may hold thousands of them.
fn same_secret(one: &str, other: &str) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (words, rest) = one.as_bytes().as_chunks::<8>();
    let (other_words, other_rest) = other.as_bytes().as_chunks::<8>();
    let pairs = words.iter().zip(other_words);
    let differing =
        pairs.fold(0, |bits, (a, b)| bits | (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)));
    let rest_pairs = rest.iter().zip(other_rest);
    let differing = rest_pairs.fold(differing, |bits, (a, b)| bits | u64::from(a ^ b));
    std::hint::black_box(differing).ct_eq(&0).into()
}

#[cfg(test)]
mod tests;
