//! At which lengths of paths there are recursive watches.
//!
//! A change looks above its path for them. Every look-up hashes a path, and a path of thousands of
//! components has as many paths above it: only lengths at which there is a watch are looked at.

use std::collections::BTreeMap;

/// How many recursive watches there are at paths of each length.
#[derive(Default, Debug)]
pub(super) struct RecursiveLengths {
    lengths: BTreeMap<usize, usize>,
}

impl RecursiveLengths {
    pub(super) fn add(&mut self, path: &str) {
        *self.lengths.entry(path.len()).or_default() += 1;
    }

    pub(super) fn remove(&mut self, path: &str) {
        let count = self.lengths.get_mut(&path.len()).expect("add() noted the watch");
        *count -= 1;
        if *count == 0 {
            self.lengths.remove(&path.len());
        }
    }

    /// The paths above `path` that may have one, the longest first.
    pub(super) fn above<'a>(&self, path: &'a str) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        let lengths = self.lengths.range(..path.len()).rev().map(|(len, _)| *len);
        lengths.filter_map(move |len| match (len, path.as_bytes()[len]) {
            (0, _) => None,
            (1, _) => path.starts_with('/').then_some("/"),
            (_, b'/') => path.get(..len),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_above_at_whose_length_there_is_a_watch_are_looked_at() {
        let mut lengths = RecursiveLengths::default();
        let above = |lengths: &RecursiveLengths, path| -> Vec<String> {
            lengths.above(path).map(str::to_owned).collect()
        };
        assert!(above(&lengths, "/a/b/c").is_empty());
        ["", "/", "/x/y", "/z/z", "/a/bcde"].iter().for_each(|path| lengths.add(path));
        assert_eq!(above(&lengths, "/a/b/c"), ["/a/b", "/"]);
        assert_eq!(above(&lengths, "/a/bc/d"), ["/"]);
        assert_eq!(above(&lengths, "/a/b"), ["/"], "not the path itself");
        assert!(above(&lengths, "/").is_empty());
        let deep = "/a".repeat(2_000);
        assert_eq!(above(&lengths, &deep), ["/a/a", "/"], "however many are above");
        ["/x/y", "/"].iter().for_each(|path| lengths.remove(path));
        assert_eq!(above(&lengths, "/a/b/c"), ["/a/b"], "one of that length is left");
    }
}
