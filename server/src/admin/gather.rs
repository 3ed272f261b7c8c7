//! One report, while its parts come together.

use std::sync::Arc;

use parking_lot::Mutex;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::shard::Word;

use super::part::Part;

/// A report under way. It holds parts only: adding them up is left to whoever makes the text.
pub(super) struct Gather {
    /// What was asked for.
    pub word: Word,
    /// Who asked.
    pub origin: Origin,
    /// How many shards are asked.
    pub shards: usize,
    parts: Mutex<Parts>,
}

struct Parts {
    missing: usize,
    there: Vec<Part>,
}

impl Gather {
    /// A report that is complete with a part of each shard, and so many others.
    pub(super) fn new(word: Word, origin: Origin, shards: usize, others: usize) -> Arc<Gather> {
        let missing = shards + others;
        let parts = Parts { missing, there: Vec::with_capacity(missing) };
        Arc::new(Gather { word, origin, shards, parts: Mutex::new(parts) })
    }

    /// Adds a part; with the last one, all of them come back.
    pub(super) fn add(&self, part: Part) -> Option<Vec<Part>> {
        let mut parts = self.parts.lock();
        parts.there.push(part);
        parts.missing -= 1;
        (parts.missing == 0).then(|| std::mem::take(&mut parts.there))
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::watch::ConnId;

    use super::*;

    #[test]
    fn the_last_part_completes_a_report() {
        let origin = Origin { shard: 0, conn: ConnId(1) };
        let gather = Gather::new(Word::Srvr, origin, 2, 1);
        assert!(gather.add(Part::default()).is_none());
        assert!(gather.add(Part::default()).is_none());
        assert_eq!(gather.add(Part::default()).map(|parts| parts.len()), Some(3));
    }
}
