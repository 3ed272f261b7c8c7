//! Numbered slots in chunks: growth never copies what is there, so it never stalls a shard.

use std::ops::{Index, IndexMut};

/// Slots per chunk, as a power of two.
const CHUNK_BITS: u32 = 12;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;
const CHUNK_MASK: u32 = (1 << CHUNK_BITS) - 1;

/// Values under small numbers. A freed number is given out again, the last one first.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T: Default> Slab<T> {
    pub(super) const fn new() -> Slab<T> {
        Slab { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }

    /// How many values there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// One more than the largest number in use or free: the end of a scan over all slots.
    pub(super) fn slots(&self) -> u32 {
        match self.chunks.last() {
            None => 0,
            Some(last) => number((self.chunks.len() - 1) * CHUNK_SLOTS + last.len()),
        }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            self[slot] = value;
            return slot;
        }
        let slot = self.slots();
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_SLOTS => last.push(value),
            _ => self.chunks.push(self.fresh_chunk(value)),
        }
        slot
    }

    /// The first chunk grows as it is used; whoever fills it will fill more.
    fn fresh_chunk(&self, first: T) -> Vec<T> {
        let mut chunk =
            if self.chunks.is_empty() { Vec::new() } else { Vec::with_capacity(CHUNK_SLOTS) };
        chunk.push(first);
        chunk
    }

    /// Frees a slot. All memory goes back when the last value goes.
    pub(super) fn remove(&mut self, slot: u32) -> T {
        let value = std::mem::take(&mut self[slot]);
        self.len -= 1;
        if self.len == 0 {
            self.chunks = Vec::new();
            self.free = Vec::new();
        } else {
            self.free.push(slot);
        }
        value
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.chunks[(slot >> CHUNK_BITS) as usize][(slot & CHUNK_MASK) as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.chunks[(slot >> CHUNK_BITS) as usize][(slot & CHUNK_MASK) as usize]
    }
}

fn number(slots: usize) -> u32 {
    u32::try_from(slots).expect("a shard's memory ends before 2^32 watches do")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_slots_are_reused_and_memory_is_freed_with_the_last_value() {
        let mut slab = Slab::new();
        let slots: Vec<u32> = (0..10_000_u64).map(|value| slab.insert(value)).collect();
        assert_eq!(slab.slots(), 10_000);
        assert_eq!(slab.remove(slots[77]), 77);
        assert_eq!(slab.insert(1_000_000), 77);
        assert_eq!(slab[77], 1_000_000);
        for slot in slots {
            slab.remove(slot);
        }
        assert_eq!((slab.len(), slab.slots()), (0, 0));
    }
}
