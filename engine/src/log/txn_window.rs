//! The newest transactions, in memory, for members that lag behind by little.
//!
//! What is handed to the log is kept for a while, chunk by chunk: one copy, which all links share.
//! A member whose last transaction is in here gets a DIFF without a look at the disk; one that is
//! further behind reads a [`Feed`](super::Feed) first. As in ZooKeeper's `committedLog`, so many
//! transactions are kept; and never more than so many bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Group, Portion, record};
use crate::Zxid;

/// Transactions that follow each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TxnChunk {
    /// The first zxid.
    pub first: Zxid,
    /// The last zxid.
    pub last: Zxid,
    /// Transactions.
    pub records: usize,
    /// The framed records; what depends on their place in a log is zero.
    pub bytes: Arc<[u8]>,
}

/// How much a window holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowLimit {
    /// Bytes of all chunks together, at most.
    pub bytes: usize,
    /// Transactions, where the bytes allow for so many (`commitLogCount`). The oldest chunk goes as
    /// soon as the others have them.
    pub records: usize,
}

/// The chunks that are kept. There is no hole between them.
#[derive(Debug)]
pub struct TxnWindow {
    limit: WindowLimit,
    chunks: VecDeque<TxnChunk>,
    /// The number of the oldest chunk; the later ones count on from it.
    oldest: u64,
    /// The transaction before the oldest chunk, and the newest one.
    before: Zxid,
    last: Zxid,
    bytes: usize,
    records: usize,
}

/// What a window has for a member whose last transaction is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coverage {
    /// Everything behind it. The number of the chunk with the next transaction, and its offset
    /// there; if the member has everything, the chunk that comes next.
    Diff {
        /// For [`TxnWindow::chunk`].
        chunk: u64,
        /// Bytes of that chunk that the member has.
        offset: usize,
    },
    /// It is older than everything here: the log may have it.
    Older,
    /// It would have to be here and is not. Only what is before it can be common to both.
    Unknown {
        /// The transaction before it.
        before: Zxid,
    },
    /// It is later than everything here.
    Ahead {
        /// The newest transaction.
        last: Zxid,
    },
}

impl TxnChunk {
    /// A copy of a group that is about to be handed to the log; of an empty one there is none.
    pub fn of_group(group: &Group) -> Option<TxnChunk> {
        let (first, last) = group.first.zip(group.last())?;
        let records = group.records() as usize;
        Some(TxnChunk { first, last, records, bytes: Arc::from(&group.buffer[..]) })
    }

    /// A copy of what a feed has handed out.
    pub fn of_portion(portion: &Portion) -> Option<TxnChunk> {
        let (first, last) = portion.range()?;
        let (records, bytes) = (portion.records(), Arc::from(portion.bytes()));
        Some(TxnChunk { first, last, records, bytes })
    }

    /// The zxid and the payload of each transaction from an offset on, which is that of one.
    pub fn txns(&self, offset: usize) -> impl Iterator<Item = (Zxid, &[u8])> {
        record::txns(&self.bytes[offset..])
    }
}

impl TxnWindow {
    /// An empty one, of a log whose last transaction is `last`.
    pub fn new(limit: WindowLimit, last: Zxid) -> TxnWindow {
        let chunks = VecDeque::new();
        TxnWindow { limit, chunks, oldest: 0, before: last, last, bytes: 0, records: 0 }
    }

    /// Takes what comes next, and lets go of what is too much. Nothing may be left out.
    pub fn push(&mut self, chunk: TxnChunk) {
        assert!(chunk.first.may_follow(self.last), "{} behind {}", chunk.first, self.last);
        self.last = chunk.last;
        self.bytes += chunk.bytes.len();
        self.records += chunk.records;
        self.chunks.push_back(chunk);
        while let Some(oldest) = self.chunks.front() {
            let others = self.records - oldest.records;
            if self.bytes <= self.limit.bytes && others < self.limit.records {
                break;
            }
            (self.before, self.records) = (oldest.last, others);
            self.bytes -= oldest.bytes.len();
            self.chunks.pop_front();
            self.oldest += 1;
        }
    }

    /// The log was cut or replaced, and ends with `last` now. Nothing of before is kept, and no
    /// number of before means a later chunk.
    pub fn restart(&mut self, last: Zxid) {
        let oldest = self.next();
        *self = TxnWindow { oldest, ..TxnWindow::new(self.limit, last) };
    }

    /// What is here for a member that has everything up to `after`.
    pub fn coverage(&self, after: Zxid) -> Coverage {
        if after > self.last {
            return Coverage::Ahead { last: self.last };
        }
        if after < self.before {
            return Coverage::Older;
        }
        // The last chunk that does not begin later.
        let Some(index) = self.chunks.partition_point(|chunk| chunk.first <= after).checked_sub(1)
        else {
            return self.exact(after, self.before, self.oldest, 0);
        };
        let (chunk, number) = (&self.chunks[index], self.oldest + index as u64);
        if after >= chunk.last {
            return self.exact(after, chunk.last, number + 1, 0);
        }
        let (mut before, mut offset) = (chunk.first, 0);
        for (zxid, payload) in chunk.txns(0).take_while(|(zxid, _)| *zxid <= after) {
            before = zxid;
            offset += record::framed(payload.len());
        }
        self.exact(after, before, number, offset)
    }

    /// A chunk, as long as it is kept. A link whose next chunk is gone has to read a feed.
    pub fn chunk(&self, number: u64) -> Option<&TxnChunk> {
        let index = usize::try_from(number.checked_sub(self.oldest)?).ok()?;
        self.chunks.get(index)
    }

    /// The number that the next chunk will have.
    pub fn next(&self) -> u64 {
        self.oldest + self.chunks.len() as u64
    }

    /// The newest transaction.
    pub fn last(&self) -> Zxid {
        self.last
    }

    /// Bytes of all chunks.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn exact(&self, after: Zxid, before: Zxid, chunk: u64, offset: usize) -> Coverage {
        if before == after {
            Coverage::Diff { chunk, offset }
        } else {
            Coverage::Unknown { before }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::txn::{Txn, TxnBody};
    use crate::{Millis, SessionId};

    /// One thing that happens to a window: a chunk of transactions with data of these lengths, as
    /// part of the epoch or as the begin of a later one; or a new beginning.
    #[derive(Clone, Debug)]
    enum Event {
        Push { epochs: u32, lengths: Vec<usize> },
        Restart { back: usize },
    }

    fn event() -> impl Strategy<Value = Event> {
        let lengths = prop::collection::vec(0_usize..300, 1..9);
        prop_oneof![
            9 => (prop::sample::select(vec![0, 0, 0, 1, 2]), lengths)
                .prop_map(|(epochs, lengths)| Event::Push { epochs, lengths }),
            1 => (0_usize..9).prop_map(|back| Event::Restart { back }),
        ]
    }

    /// Everything that was ordered since the last restart, chunk by chunk.
    struct Model {
        limit: WindowLimit,
        base: Zxid,
        chunks: Vec<Vec<(Zxid, usize)>>,
        /// The first of them that is kept.
        kept: usize,
    }

    impl Model {
        fn last(&self) -> Zxid {
            self.chunks.last().map_or(self.base, |chunk| chunk.last().unwrap().0)
        }

        fn fits(&self, from: usize) -> bool {
            let bytes: usize = self.chunks[from..].iter().flatten().map(|(_, bytes)| bytes).sum();
            let others: usize = self.chunks[from..].iter().skip(1).map(Vec::len).sum();
            bytes <= self.limit.bytes && (from == self.chunks.len() || others < self.limit.records)
        }

        /// Every transaction up to the one before the oldest that is kept, and those kept.
        fn split(&self) -> (Zxid, Vec<Zxid>) {
            let (gone, kept) = self.chunks.split_at(self.kept);
            let before = gone.last().map_or(self.base, |chunk| chunk.last().unwrap().0);
            (before, kept.iter().flatten().map(|(zxid, _)| *zxid).collect())
        }
    }

    fn group(model: &Model, epochs: u32, lengths: &[usize]) -> Group {
        let (mut group, mut last) = (Group::new(), model.last());
        for (at, len) in lengths.iter().enumerate() {
            let zxid = match epochs {
                0 => last.next().unwrap(),
                _ if at == 0 => Zxid::new(last.epoch() + epochs, 1),
                _ => last.next().unwrap(),
            };
            let data = Some(vec![7; *len].into());
            let body = TxnBody::SetData { path: "/a".into(), data, version: 1 };
            let (session, time) = (SessionId(1), Millis(1));
            group.push(&Txn { session, cxid: 1, zxid, time, body });
            last = zxid;
        }
        group
    }

    fn check(window: &TxnWindow, model: &Model) {
        let (before, kept) = model.split();
        assert!(window.bytes() <= model.limit.bytes && window.last() == model.last());
        for zxid in kept.iter().copied().chain([before, model.base]) {
            for after in [zxid.0.saturating_sub(1), zxid.0, zxid.0 + 1, zxid.0 + (1 << 32)] {
                let after = Zxid(after);
                let older = kept.iter().rev().find(|zxid| **zxid <= after);
                let older = *older.unwrap_or(&before);
                let expected = match window.coverage(after) {
                    Coverage::Diff { mut chunk, mut offset } => {
                        let mut behind = Vec::new();
                        while let Some(found) = window.chunk(chunk) {
                            behind.extend(found.txns(offset).map(|(zxid, _)| zxid));
                            (chunk, offset) = (chunk + 1, 0);
                        }
                        assert_eq!(chunk, window.next());
                        let all = kept.iter().copied().filter(|zxid| *zxid > after);
                        assert!(behind == all.collect::<Vec<_>>(), "{after}");
                        after == older
                    }
                    Coverage::Older => after < before,
                    Coverage::Unknown { before: found } => {
                        after > before && after < model.last() && found == older && after != older
                    }
                    Coverage::Ahead { last } => after > last && last == model.last(),
                };
                assert!(expected, "{after}: {:?}", window.coverage(after));
                let has = after == before || kept.contains(&after);
                let is_diff = matches!(window.coverage(after), Coverage::Diff { .. });
                assert_eq!(has, is_diff, "{after}");
            }
        }
    }

    proptest! {
        #[test]
        fn window_covers_exactly_what_a_list_of_everything_has_kept(
            events in prop::collection::vec(event(), 1..40),
            bytes in 300_usize..6_000,
            records in 1_usize..40,
        ) {
            let limit = WindowLimit { bytes, records };
            let base = Zxid::new(1, 4);
            let mut window = TxnWindow::new(limit, base);
            let mut model = Model { limit, base, chunks: Vec::new(), kept: 0 };
            let mut numbers = 0;
            check(&window, &model);
            for event in events {
                match event {
                    Event::Push { epochs, lengths } => {
                        let group = group(&model, epochs, &lengths);
                        let chunk = TxnChunk::of_group(&group).unwrap();
                        let sized = |(zxid, payload): (Zxid, &[u8])| {
                            (zxid, record::framed(payload.len()))
                        };
                        model.chunks.push(chunk.txns(0).map(sized).collect());
                        while !model.fits(model.kept) {
                            model.kept += 1;
                        }
                        prop_assert_eq!(window.next(), numbers);
                        window.push(chunk);
                        numbers += 1;
                    }
                    Event::Restart { back } => {
                        let (before, kept) = model.split();
                        let last = kept.iter().rev().nth(back).copied().unwrap_or(before);
                        window.restart(last);
                        model = Model { limit, base: last, chunks: Vec::new(), kept: 0 };
                        prop_assert!(window.chunk(numbers.saturating_sub(1)).is_none());
                    }
                }
                check(&window, &model);
            }
        }
    }

    #[test]
    fn chunk_larger_than_the_window_empties_it_and_leaves_no_hole() {
        let limit = WindowLimit { bytes: 1_000, records: 9 };
        let mut window = TxnWindow::new(limit, Zxid(4));
        let model = |last| Model { limit, base: Zxid(last), chunks: Vec::new(), kept: 0 };
        window.push(TxnChunk::of_group(&group(&model(4), 0, &[10, 10])).unwrap());
        assert_eq!(window.coverage(Zxid(4)), Coverage::Diff { chunk: 0, offset: 0 });
        window.push(TxnChunk::of_group(&group(&model(6), 0, &[10, 2_000])).unwrap());
        assert_eq!((window.bytes(), window.coverage(Zxid(7))), (0, Coverage::Older));
        assert_eq!(window.coverage(Zxid(8)), Coverage::Diff { chunk: 2, offset: 0 });
        assert_eq!(TxnChunk::of_group(&Group::new()), None);
    }
}
