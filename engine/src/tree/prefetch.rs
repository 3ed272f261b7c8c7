//! Fetching what lookups will need, for many paths at once.
//!
//! In a tree that is larger than the caches a lookup waits for memory several times, one after the
//! other: the entry of the index, the node, its payload. The waits of different paths can overlap.
//! So whoever has several requests at hand names all their paths before looking the first one up.
//! Nothing but time depends on it.

use super::Tree;
use super::node::NodeId;

/// Paths of which one step is done before the next step of the first one: as many as a processor
/// fetches at a time, and few enough for all that was fetched to stay in the nearest cache.
const PATHS: usize = 32;

/// Paths that are going to be looked up.
pub struct Prefetch<'a> {
    tree: &'a Tree,
    hashes: [u64; PATHS],
    len: usize,
}

impl Tree {
    /// Takes paths that are going to be looked up.
    pub fn prefetch(&self) -> Prefetch<'_> {
        Prefetch { tree: self, hashes: [0; PATHS], len: 0 }
    }
}

impl Prefetch<'_> {
    /// Adds the bytes of a path, which need not be valid or exist.
    pub fn path(&mut self, path: &[u8]) {
        let hash = self.tree.hash_bytes(path);
        self.tree.index.prefetch(hash);
        self.hashes[self.len] = hash;
        self.len += 1;
        if self.len == PATHS {
            self.fetch();
        }
    }

    /// No more paths follow.
    pub fn finish(mut self) {
        self.fetch();
    }

    fn fetch(&mut self) {
        let Tree { index, store, .. } = self.tree;
        let mut nodes = [NodeId::ROOT; PATHS];
        let mut len = 0;
        for hash in &self.hashes[..self.len] {
            // As good as always the first one with this hash is it.
            if let Some(slot) = index.find(*hash, |_| true) {
                nodes[len] = NodeId::of_slot(slot);
                store.prefetch_node(nodes[len]);
                len += 1;
            }
        }
        nodes[..len].iter().for_each(|id| store.prefetch_parts(*id));
        self.len = 0;
    }
}
