//! One report, while its parts come together.

use std::sync::Arc;

use parking_lot::Mutex;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::shard::Word;
use tokio::sync::oneshot;

use super::part::Part;
use super::places::Place;

/// Who waits for a report.
pub(super) enum Caller {
    /// A connection: it gets the text of the word, and has this place until then.
    Conn(Origin, Place),
    /// Somebody who puts the parts into words himself.
    Http(oneshot::Sender<Vec<Part>>),
}

/// A report under way. It holds parts only: adding them up is left to whoever makes the text.
pub(super) struct Gather {
    /// What was asked for.
    pub word: Word,
    /// How many shards are asked.
    pub shards: usize,
    parts: Mutex<Parts>,
}

struct Parts {
    missing: usize,
    there: Vec<Part>,
    /// Taken with the last part.
    caller: Option<Caller>,
}

impl Gather {
    /// A report that is complete with a part of each shard, and so many others.
    pub(super) fn new(word: Word, caller: Caller, shards: usize, others: usize) -> Arc<Gather> {
        let missing = shards + others;
        let there = Vec::with_capacity(missing);
        let parts = Parts { missing, there, caller: Some(caller) };
        Arc::new(Gather { word, shards, parts: Mutex::new(parts) })
    }

    /// Adds a part; with the last one, all of them come back, and who waits for them.
    pub(super) fn add(&self, part: Part) -> Option<(Caller, Vec<Part>)> {
        let mut parts = self.parts.lock();
        parts.there.push(part);
        parts.missing -= 1;
        if parts.missing > 0 {
            return None;
        }
        let caller = parts.caller.take().expect("there is one last part");
        Some((caller, std::mem::take(&mut parts.there)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_completes_a_report() {
        let (caller, _waits) = oneshot::channel();
        let gather = Gather::new(Word::Srvr, Caller::Http(caller), 2, 1);
        assert!(gather.add(Part::default()).is_none());
        assert!(gather.add(Part::default()).is_none());
        let (caller, parts) = gather.add(Part::default()).expect("it is complete");
        assert!(matches!(caller, Caller::Http(_)));
        assert_eq!(parts.len(), 3);
    }
}
