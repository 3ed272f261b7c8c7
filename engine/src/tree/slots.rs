//! A growing array with holes that never moves what it holds.
//!
//! Growth adds one chunk of fixed size, so it costs the same at ten million entries as at ten: a
//! `Vec` would copy everything now and then, and sessions would expire during that.

use crate::device::prefetch;

/// Entries of one chunk.
const CHUNK: usize = 4_096;

/// The array. Entries are named by their slot, which stays the same while they live.
pub(super) struct Slots<T> {
    chunks: Vec<Vec<Slot<T>>>,
    /// The slot freed last; the others follow from there.
    free: Option<u32>,
    len: u32,
}

enum Slot<T> {
    Used(T),
    Free { next: Option<u32> },
}

impl<T> Slots<T> {
    /// Without entries.
    pub(super) fn new() -> Slots<T> {
        Slots { chunks: Vec::new(), free: None, len: 0 }
    }

    /// Entries in use.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// One past the highest slot ever used.
    pub(super) fn end(&self) -> u32 {
        let Some(last) = self.chunks.last() else { return 0 };
        let end = (self.chunks.len() - 1) * CHUNK + last.len();
        u32::try_from(end).expect("insert() keeps slots within u32")
    }

    /// The entry of a slot, if it is in use.
    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        let (chunk, at) = split(slot);
        match self.chunks.get(chunk)?.get(at)? {
            Slot::Used(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }

    /// The entry of a slot that is in use.
    pub(super) fn at(&self, slot: u32) -> &T {
        let (chunk, at) = split(slot);
        match &self.chunks[chunk][at] {
            Slot::Used(value) => value,
            Slot::Free { .. } => panic!("slot {slot} is free: its handle outlived the entry"),
        }
    }

    /// The entry of a slot that is in use, to change it.
    pub(super) fn at_mut(&mut self, slot: u32) -> &mut T {
        let (chunk, at) = split(slot);
        match &mut self.chunks[chunk][at] {
            Slot::Used(value) => value,
            Slot::Free { .. } => panic!("slot {slot} is free: its handle outlived the entry"),
        }
    }

    /// Begins to fetch a slot, if there is one.
    pub(super) fn prefetch(&self, slot: u32) {
        let (chunk, at) = split(slot);
        if let Some(slot) = self.chunks.get(chunk).and_then(|chunk| chunk.get(at)) {
            prefetch(slot);
        }
    }

    /// Puts an entry into the slot freed last, or into a new one.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        let Some(slot) = self.free else { return self.push(value) };
        let (chunk, at) = split(slot);
        match std::mem::replace(&mut self.chunks[chunk][at], Slot::Used(value)) {
            Slot::Free { next } => self.free = next,
            Slot::Used(_) => panic!("slot {slot} was in use and in the free list"),
        }
        slot
    }

    /// Takes an entry out; its slot is the next one to be used again.
    pub(super) fn remove(&mut self, slot: u32) -> T {
        let (chunk, at) = split(slot);
        let free = Slot::Free { next: self.free };
        match std::mem::replace(&mut self.chunks[chunk][at], free) {
            Slot::Used(value) => {
                self.free = Some(slot);
                self.len -= 1;
                value
            }
            Slot::Free { .. } => panic!("slot {slot} is freed twice"),
        }
    }

    fn push(&mut self, value: T) -> u32 {
        let slot = self.end();
        assert!(slot < u32::MAX - 1, "a tree holds at most 2^32 - 2 nodes");
        if (slot as usize).is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.chunks.last_mut().expect("there is at least the chunk just pushed");
        chunk.push(Slot::Used(value));
        slot
    }
}

fn split(slot: u32) -> (usize, usize) {
    (slot as usize / CHUNK, slot as usize % CHUNK)
}

/// What an entry takes.
#[cfg(test)]
pub(super) const fn slot_bytes<T>() -> usize {
    size_of::<Slot<T>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again() {
        let mut slots = Slots::new();
        for n in 0..CHUNK as u32 + 2 {
            assert_eq!(slots.insert(Box::new(n)), n);
        }
        assert_eq!(*slots.remove(3), 3);
        assert_eq!(*slots.remove(5), 5);
        assert!(slots.get(3).is_none() && slots.get(u32::MAX).is_none());
        assert_eq!((slots.len(), slots.end()), (CHUNK as u32, CHUNK as u32 + 2));
        assert_eq!([50, 30, 70].map(|n| slots.insert(Box::new(n))), [5, 3, CHUNK as u32 + 2]);
        assert_eq!([5, 3, 4].map(|slot| **slots.at(slot)), [50, 30, 4]);
    }
}
