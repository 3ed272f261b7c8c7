//! The watched paths, each stored once and found by its hash.

use hashbrown::HashTable;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::Table;
use super::chain::NIL;
use super::slab::Slab;

/// The index grows one segment at a time, so that growing never stalls a shard for long.
const SEGMENTS: usize = 256;
/// Room that an empty segment keeps, since a one-shot watch often comes and goes on one path.
const SEGMENT_IDLE_SLOTS: usize = 64;

/// A watched path and the heads of its two chains of watches.
#[derive(Debug, Default)]
pub(super) struct Path {
    pub(super) text: Box<str>,
    heads: Heads,
    /// Kept so that neither growth nor a collision has to read the text.
    hash: u32,
    /// Per table: whether the chain is long enough for an index of its connections.
    pub(super) fanned: [bool; 2],
}

#[derive(Debug)]
struct Heads([u32; 2]);

impl Default for Heads {
    fn default() -> Heads {
        Heads([NIL; 2])
    }
}

impl Path {
    pub(super) const fn head(&self, table: Table) -> u32 {
        self.heads.0[table as usize]
    }

    pub(super) const fn set_head(&mut self, table: Table, slot: u32) {
        self.heads.0[table as usize] = slot;
    }

    fn is_watched(&self) -> bool {
        self.heads.0 != [NIL; 2]
    }
}

/// All watched paths.
#[derive(Debug)]
pub(super) struct Paths {
    pub(super) slab: Slab<Path>,
    index: Box<[HashTable<u32>]>,
    secrets: RapidSecrets,
}

impl Paths {
    /// Clients choose the paths, so the seed should be one that they cannot know.
    pub(super) fn new(seed: u64) -> Paths {
        let index = (0..SEGMENTS).map(|_| HashTable::new()).collect();
        Paths { slab: Slab::new(), index, secrets: RapidSecrets::seed(seed) }
    }

    /// The slot of a path that is watched.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let hash = self.hash(text);
        let same = |&slot: &u32| self.slab[slot].hash == hash && *self.slab[slot].text == *text;
        self.index[segment(hash)].find(spread(hash), same).copied()
    }

    /// The slot of a path; a new one has no watches yet.
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        if let Some(slot) = self.find(text) {
            return slot;
        }
        let hash = self.hash(text);
        let path = Path { text: text.into(), hash, ..Path::default() };
        let slot = self.slab.insert(path);
        let slab = &self.slab;
        self.index[segment(hash)]
            .insert_unique(spread(hash), slot, |&slot| spread(slab[slot].hash));
        slot
    }

    /// Forgets a path that no watch is left on.
    pub(super) fn release(&mut self, slot: u32) {
        if self.slab[slot].is_watched() {
            return;
        }
        let hash = self.slab[slot].hash;
        let table = &mut self.index[segment(hash)];
        if let Ok(entry) = table.find_entry(spread(hash), |&other| other == slot) {
            entry.remove();
        }
        if table.is_empty() && table.capacity() > SEGMENT_IDLE_SLOTS {
            *table = HashTable::new();
        }
        self.slab.remove(slot);
    }

    fn hash(&self, text: &str) -> u32 {
        rapidhash_v3_seeded(text.as_bytes(), &self.secrets) as u32
    }
}

/// The segment comes from bits that the tables of fewer than 2^17 buckets look at nowhere else.
const fn segment(hash: u32) -> usize {
    (hash >> 17) as usize % SEGMENTS
}

/// A table takes the bucket from the low end of 64 bits and a tag from the high end.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}
