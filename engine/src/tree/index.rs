//! From hashes to slots, without a pause when it grows.
//!
//! One big hash table would stop the server for a second when it doubles at ten million entries.
//! This is split into many, chosen by the high half of the hash, each of which doubles on its own
//! in a fraction of a millisecond. Entries carry the low half, so that doubling reads no node.
//!
//! An entry is looked for from the position on that its hash names (linear probing), so a lookup
//! reads one line of memory, whose address is known from the hash: it can be fetched ahead.

use crate::device::prefetch;

/// Tables of one index. At ten million entries each holds ten thousand.
const TABLES: usize = 1_024;
/// Entries of a table that has any, at least.
const LEAST: usize = 8;

/// The index.
pub(super) struct Index {
    tables: Box<[Table]>,
}

/// A table of a power of two entries, at most three quarters of which are in use.
#[derive(Default)]
struct Table {
    entries: Box<[Entry]>,
    used: usize,
}

/// The low half of a hash above one more than a slot; 0 is free.
#[derive(Clone, Copy, PartialEq)]
struct Entry(u64);

impl Entry {
    const FREE: Entry = Entry(0);

    fn new(hash: u64, slot: u32) -> Entry {
        assert!(slot < u32::MAX, "Slots hands out fewer than u32::MAX slots");
        Entry(hash << 32 | u64::from(slot + 1))
    }

    fn hash(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn slot(self) -> u32 {
        self.0 as u32 - 1
    }
}

impl Index {
    /// Without entries.
    pub(super) fn new() -> Index {
        Index { tables: (0..TABLES).map(|_| Table::default()).collect() }
    }

    /// The slot with this hash that `is_it` confirms.
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let table = &self.tables[table_of(hash)];
        let at = table.position(|e| e.hash() == hash as u32 && is_it(e.slot()), hash as u32)?;
        Some(table.entries[at].slot())
    }

    /// Begins to fetch what [`Index::find`] will look at.
    pub(super) fn prefetch(&self, hash: u64) {
        let table = &self.tables[table_of(hash)];
        if let Some(entry) = table.entries.get(table.home(hash as u32)) {
            prefetch(entry);
        }
    }

    /// Adds a slot that is not in the index.
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        let table = &mut self.tables[table_of(hash)];
        if (table.used + 1) * 4 > table.entries.len() * 3 {
            table.grow();
        }
        table.used += 1;
        table.put(Entry::new(hash, slot));
    }

    /// Removes a slot that is in the index.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let entry = Entry::new(hash, slot);
        let table = &mut self.tables[table_of(hash)];
        let at = table.position(|e| e == entry, hash as u32);
        table.take(at.unwrap_or_else(|| panic!("slot {slot} is not in the index under its hash")));
    }
}

impl Table {
    /// Where entries with this hash are looked for first.
    fn home(&self, hash: u32) -> usize {
        hash as usize & self.entries.len().wrapping_sub(1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.entries.len() - 1)
    }

    /// The first entry that is it, among those that may have the hash.
    fn position(&self, mut is_it: impl FnMut(Entry) -> bool, hash: u32) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        // It ends: a quarter of the entries is free.
        loop {
            match self.entries[at] {
                Entry::FREE => return None,
                entry if is_it(entry) => return Some(at),
                _ => at = self.after(at),
            }
        }
    }

    fn put(&mut self, entry: Entry) {
        let mut at = self.home(entry.hash());
        while self.entries[at] != Entry::FREE {
            at = self.after(at);
        }
        self.entries[at] = entry;
    }

    /// Frees an entry, and moves those behind it forward that are not where they are looked for
    /// first: no lookup may meet a free entry before what it looks for.
    fn take(&mut self, mut hole: usize) {
        let mask = self.entries.len() - 1;
        let distance = |from: usize, to: usize| to.wrapping_sub(from) & mask;
        let mut at = self.after(hole);
        while self.entries[at] != Entry::FREE {
            let entry = self.entries[at];
            if distance(self.home(entry.hash()), at) >= distance(hole, at) {
                self.entries[hole] = entry;
                hole = at;
            }
            at = self.after(at);
        }
        self.entries[hole] = Entry::FREE;
        self.used -= 1;
    }

    fn grow(&mut self) {
        let len = (self.entries.len() * 2).max(LEAST);
        let before = std::mem::replace(&mut self.entries, vec![Entry::FREE; len].into());
        before.iter().filter(|entry| **entry != Entry::FREE).for_each(|entry| self.put(*entry));
    }
}

fn table_of(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_hashes_are_distinguished_by_the_caller() {
        let mut index = Index::new();
        for slot in 0..100 {
            index.insert(7, slot);
        }
        assert_eq!(index.find(7, |slot| slot == 42), Some(42));
        index.remove(7, 42);
        assert_eq!(index.find(7, |slot| slot == 42), None);
        assert_eq!(index.find(7, |slot| slot == 43), Some(43));
        assert_eq!(index.find(7 | 1 << 40, |_| true), None);
    }

    #[test]
    fn slot_that_is_not_there_cannot_be_removed() {
        let mut index = Index::new();
        index.insert(7, 1);
        index.insert(8, 2);
        let removed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| index.remove(7, 2)));
        assert!(removed.unwrap_err().downcast_ref::<String>().unwrap().contains("slot 2"));
    }

    /// Hashes of one table, most of which collide or stand at its end.
    fn hash() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..12, (u64::from(u32::MAX) - 5)..=u64::from(u32::MAX), 0..1_u64 << 32]
    }

    proptest! {
        #[test]
        fn index_holds_what_a_set_holds(
            steps in proptest::collection::vec((hash(), 0_u32..40, any::<bool>()), 0..300),
        ) {
            let (mut index, mut model) = (Index::new(), BTreeSet::new());
            for (hash, slot, add) in steps {
                index.prefetch(hash);
                match (add, model.contains(&(hash, slot))) {
                    (true, false) => {
                        index.insert(hash, slot);
                        model.insert((hash, slot));
                    }
                    (false, true) => {
                        index.remove(hash, slot);
                        model.remove(&(hash, slot));
                    }
                    (true, true) | (false, false) => {}
                }
                for (hash, slot) in &model {
                    prop_assert_eq!(index.find(*hash, |found| found == *slot), Some(*slot));
                }
                let held = |found| model.contains(&(hash, found));
                let found = index.find(hash, |found| !held(found));
                prop_assert_eq!(found, None, "nothing is left of what was removed");
            }
            prop_assert_eq!(index.tables[0].used, model.len());
        }
    }
}
