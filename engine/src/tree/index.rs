//! From hashes to slots, without a pause when it grows.
//!
//! One big hash table would stop the server for a second when it doubles at ten million entries.
//! This is split into many, chosen by the high half of the hash, each of which doubles on its own
//! in a fraction of a millisecond. Entries carry the low half, so that doubling reads no node.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;

/// Tables of one index. At ten million entries each holds ten thousand.
const TABLES: usize = 1_024;

/// The index.
pub(super) struct Index {
    tables: Box<[HashTable<Entry>]>,
}

#[derive(Clone, Copy, PartialEq)]
struct Entry {
    hash: u32,
    slot: u32,
}

impl Index {
    /// Without entries.
    pub(super) fn new() -> Index {
        Index { tables: (0..TABLES).map(|_| HashTable::new()).collect() }
    }

    /// The slot with this hash that `is_it` confirms.
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let low = hash as u32;
        let table = &self.tables[table_of(hash)];
        table.find(spread(low), |e| e.hash == low && is_it(e.slot)).map(|e| e.slot)
    }

    /// Adds a slot that is not in the index.
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        let entry = Entry { hash: hash as u32, slot };
        let table = &mut self.tables[table_of(hash)];
        table.insert_unique(spread(entry.hash), entry, |e| spread(e.hash));
    }

    /// Removes a slot that is in the index.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let entry = Entry { hash: hash as u32, slot };
        let table = &mut self.tables[table_of(hash)];
        match table.entry(spread(entry.hash), |e| *e == entry, |e| spread(e.hash)) {
            TableEntry::Occupied(entry) => entry.remove(),
            TableEntry::Vacant(_) => panic!("slot {slot} is not in the index under its hash"),
        };
    }
}

fn table_of(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

/// The table takes its tag from the highest bits and its position from the lowest.
fn spread(low: u32) -> u64 {
    u64::from(low) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
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
}
