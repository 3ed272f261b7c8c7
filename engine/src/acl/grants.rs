//! What a list grants, arranged so that a look-up does not compare every entry with every
//! identity.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::ip::Network;
use super::{AuthSettings, is_anyone, same_secret, scheme};
use crate::wire::{Acl, Id};

/// The permissions of a list by whom they are granted to. Those of equal entries are joined.
pub(super) struct Grants {
    /// To anyone.
    anyone: i32,
    /// To any identity of `sasl`, and of `x509`: what their superusers have.
    sasl: i32,
    x509: i32,
    /// Of a scheme and an identity, in the order of their hashes.
    named: Vec<Named>,
    /// Networks, in order.
    networks: Vec<(Network, i32)>,
    /// The sizes of networks that there are.
    sizes: Vec<(usize, u8)>,
    /// Made from the whole list: whoever chooses entries cannot choose their hashes.
    secrets: RapidSecrets,
}

struct Named {
    hash: u64,
    /// The first entry with this identity.
    entry: u32,
    perms: i32,
}

impl Grants {
    pub(super) fn of(entries: &[Acl]) -> Grants {
        let mut bytes = Vec::new();
        Acl::write_list(entries, &mut bytes);
        let secrets = RapidSecrets::seed(rapidhash_v3_seeded(&bytes, &RapidSecrets::seed(0)));
        let mut grants = Grants {
            anyone: 0,
            sasl: 0,
            x509: 0,
            named: Vec::new(),
            networks: Vec::new(),
            sizes: Vec::new(),
            secrets,
        };
        for (at, entry) in entries.iter().enumerate() {
            grants.add(at, entry);
        }
        grants.arrange(entries);
        grants
    }

    fn add(&mut self, at: usize, entry: &Acl) {
        let Acl { perms, id } = entry;
        if is_anyone(id) {
            self.anyone |= perms;
        }
        match id.scheme.as_str() {
            scheme::IP => self.networks.extend(Network::parse(&id.id).map(|net| (net, *perms))),
            scheme::SASL => self.sasl |= perms,
            scheme::X509 => self.x509 |= perms,
            _ => {}
        }
        if matches!(id.scheme.as_str(), scheme::DIGEST | scheme::SASL | scheme::X509) {
            let hash = self.hash(&id.scheme, &id.id);
            let entry = u32::try_from(at).expect("a list has fewer than 2^32 entries");
            self.named.push(Named { hash, entry, perms: *perms });
        }
    }

    /// Sorts, and joins what is equal.
    fn arrange(&mut self, entries: &[Acl]) {
        self.named.sort_unstable_by_key(|named| (named.hash, named.entry));
        self.named.dedup_by(|next, first| {
            let same = next.hash == first.hash
                && entries[next.entry as usize].id == entries[first.entry as usize].id;
            if same {
                first.perms |= next.perms;
            }
            same
        });
        self.networks.sort_unstable();
        self.networks.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1 |= next.1;
            }
            same
        });
        self.sizes = self.networks.iter().map(|(network, _)| network.size()).collect();
        self.sizes.sort_unstable();
        self.sizes.dedup();
    }

    /// All permissions that these identities have.
    pub(super) fn of_ids(&self, entries: &[Acl], ids: &[Id], settings: &AuthSettings) -> i32 {
        let held = ids.iter().map(|held| self.of_id(entries, held, settings));
        held.fold(self.anyone, |all, perms| all | perms)
    }

    fn of_id(&self, entries: &[Acl], held: &Id, settings: &AuthSettings) -> i32 {
        let named = || self.named(entries, &held.scheme, &held.id);
        match held.scheme.as_str() {
            scheme::DIGEST if settings.digest_enabled => named(),
            scheme::IP => self.of_address(&held.id),
            scheme::SASL if settings.sasl_enabled => {
                let any_user = settings.sasl_any_user.as_deref();
                let any = any_user.map_or(0, |user| self.named(entries, scheme::SASL, user));
                any | if held.id == "super" { self.sasl } else { named() }
            }
            scheme::X509 if settings.x509_enabled => {
                let is_super = settings.x509_super_user.as_deref() == Some(&held.id);
                if is_super { self.x509 } else { named() }
            }
            _ => 0,
        }
    }

    fn named(&self, entries: &[Acl], scheme: &str, id: &str) -> i32 {
        let hash = self.hash(scheme, id);
        let first = self.named.partition_point(|named| named.hash < hash);
        let same_hash = self.named[first..].iter().take_while(|named| named.hash == hash);
        let is_it = |named: &&Named| {
            let listed = &entries[named.entry as usize].id;
            listed.scheme == scheme && same_secret(&listed.id, id)
        };
        same_hash.filter(is_it).fold(0, |all, named| all | named.perms)
    }

    /// One search for each size of networks, of which there are 162 at most.
    fn of_address(&self, address: &str) -> i32 {
        let containing = |size: &(usize, u8)| Network::containing(address, *size);
        let found = self.sizes.iter().filter_map(containing).filter_map(|network| {
            let at = self.networks.binary_search_by(|(it, _)| it.cmp(&network)).ok()?;
            Some(self.networks[at].1)
        });
        found.fold(0, |all, perms| all | perms)
    }

    fn hash(&self, scheme: &str, id: &str) -> u64 {
        let of = |text: &str| rapidhash_v3_seeded(text.as_bytes(), &self.secrets);
        of(scheme).rotate_left(1) ^ of(id)
    }
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
