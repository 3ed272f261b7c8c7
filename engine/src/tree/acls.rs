//! Every access control list once: nodes carry its number.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::index::Index;
use super::slots::Slots;
use crate::limits::{ACL_LARGE_BYTES, ACL_LARGE_TOTAL_BYTES_MAX};
use crate::txn::AclList;
use crate::wire::Acl;

/// The number of a list that some node carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AclId(pub(super) u32);

impl AclId {
    /// Everybody may do everything: what nearly all nodes carry. It is never forgotten.
    pub(super) const OPEN: AclId = AclId(0);
}

/// The lists in use.
pub(super) struct AclTable {
    lists: Slots<Shared>,
    index: Index,
    secrets: RapidSecrets,
    /// Bytes of memory of all lists that are large.
    large_bytes: usize,
}

struct Shared {
    list: AclList,
    hash: u64,
    nodes: u64,
}

impl AclTable {
    /// With the open list only.
    pub(super) fn new(seed: u64) -> AclTable {
        let secrets = RapidSecrets::seed(seed);
        let mut table =
            AclTable { lists: Slots::new(), index: Index::new(), secrets, large_bytes: 0 };
        let open = table.intern(&AclList::from([Acl::open()]));
        assert!(open == AclId::OPEN, "the open list is the first one");
        table
    }

    /// The list behind a number.
    pub(super) fn get(&self, id: AclId) -> &AclList {
        &self.lists.at(id.0).list
    }

    /// The number of a list, counted for one more node.
    pub(super) fn intern(&mut self, list: &AclList) -> AclId {
        if self.lists.len() > 0 && **list == **self.get(AclId::OPEN) {
            return AclId::OPEN;
        }
        let hash = self.hash(list);
        let slot = self.find(hash, list).unwrap_or_else(|| {
            self.large_bytes += large_bytes(list);
            let slot = self.lists.insert(Shared { list: list.clone(), hash, nodes: 0 });
            self.index.insert(hash, slot);
            slot
        });
        self.lists.at_mut(slot).nodes += 1;
        AclId(slot)
    }

    fn find(&self, hash: u64, list: &AclList) -> Option<u32> {
        self.index.find(hash, |slot| self.lists.at(slot).list == *list)
    }

    /// Whether a node may be given this list.
    pub(super) fn has_capacity(&self, list: &AclList) -> bool {
        let bytes = large_bytes(list);
        bytes == 0
            || self.large_bytes + bytes <= ACL_LARGE_TOTAL_BYTES_MAX
            || self.find(self.hash(list), list).is_some()
    }

    /// One more node carries the list.
    pub(super) fn retain(&mut self, id: AclId) {
        if id != AclId::OPEN {
            self.lists.at_mut(id.0).nodes += 1;
        }
    }

    /// One node less carries the list; the last one takes it away.
    pub(super) fn release(&mut self, id: AclId) {
        if id == AclId::OPEN {
            return;
        }
        let shared = self.lists.at_mut(id.0);
        shared.nodes -= 1;
        if shared.nodes == 0 {
            let hash = shared.hash;
            self.large_bytes -= large_bytes(&shared.list);
            self.index.remove(hash, id.0);
            self.lists.remove(id.0);
        }
    }

    /// The list behind a number that may not be in use.
    pub(super) fn in_use(&self, number: u32) -> Option<&AclList> {
        self.lists.get(number).map(|shared| &shared.list)
    }

    /// Lists in use, without the open one.
    pub(super) fn count(&self) -> usize {
        self.lists.len() as usize - 1
    }

    /// One past the highest number in use.
    pub(super) fn end(&self) -> u32 {
        self.lists.end()
    }

    /// How many nodes carry each list but the open one.
    #[cfg(test)]
    pub(super) fn nodes(&self) -> std::collections::BTreeMap<u32, u64> {
        let used = |slot| self.lists.get(slot).map(|shared| (slot, shared.nodes));
        (1..self.lists.end()).filter_map(used).collect()
    }

    fn hash(&self, list: &AclList) -> u64 {
        let mut bytes = Vec::new();
        Acl::write_list(list, &mut bytes);
        rapidhash_v3_seeded(&bytes, &self.secrets)
    }
}

/// The memory of a list that is large, or 0.
fn large_bytes(list: &AclList) -> usize {
    let bytes = list.memory_bytes();
    if bytes < ACL_LARGE_BYTES { 0 } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Id;
    use crate::wire::record::perms;

    fn read_only(who: &str) -> AclList {
        let id = Id { scheme: "digest".into(), id: who.into() };
        AclList::from([Acl { perms: perms::READ, id }])
    }

    #[test]
    fn equal_lists_share_a_number_until_the_last_has_gone() {
        let mut table = AclTable::new(1);
        assert_eq!(table.intern(&AclList::from([Acl::open()])), AclId::OPEN);
        let a = table.intern(&read_only("a"));
        assert_eq!(table.intern(&read_only("a")), a);
        let b = table.intern(&read_only("b"));
        assert!(a != b && a != AclId::OPEN);
        assert_eq!(table.lists.len(), 3);
        table.release(a);
        assert_eq!(table.get(a), &read_only("a"));
        table.release(a);
        assert_eq!(table.lists.len(), 2);
        assert_eq!(table.get(b), &read_only("b"));
        assert_eq!(table.intern(&read_only("c")), a, "the number is used again");
    }
    #[test]
    fn large_lists_that_differ_are_bounded_and_small_or_equal_ones_are_not() {
        let mut table = AclTable::new(1);
        let large = |who: usize| read_only(&format!("{who:02}{}", "x".repeat(9_000_000)));
        let one = large(1).memory_bytes();
        let most = ACL_LARGE_TOTAL_BYTES_MAX / one;
        for who in 0..most {
            assert!(table.has_capacity(&large(who)));
            table.intern(&large(who));
        }
        assert_eq!(table.large_bytes, most * one);
        assert!(!table.has_capacity(&large(most)), "one more");
        assert!(table.has_capacity(&large(0)), "it is there already");
        assert!(table.has_capacity(&read_only("small")));
        table.intern(&large(most));
        assert_eq!(table.count(), most + 1, "what is applied is taken");
        let first = table.intern(&large(0));
        (0..2).for_each(|_| table.release(first));
        assert_eq!(table.large_bytes, most * one);
    }
}
