//! Transactions on their way out of the log.

use super::record;
use crate::Zxid;

/// Some transactions, one behind the other, as a [`Group`](super::Group) holds them before it is
/// flushed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Portion {
    bytes: Vec<u8>,
    first: Option<Zxid>,
    last: Option<Zxid>,
    records: usize,
}

/// What one portion may hold. A transaction that is larger is a portion of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortionLimit {
    /// Bytes, the frames of the records included.
    pub bytes: usize,
    /// Transactions.
    pub records: usize,
}

impl Portion {
    /// An empty one.
    pub fn new() -> Portion {
        Portion::default()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Transactions.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The first and the last zxid.
    pub fn range(&self) -> Option<(Zxid, Zxid)> {
        self.first.zip(self.last)
    }

    /// The framed records. What depends on their place in a log is zero.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The zxid and the payload of each transaction.
    pub fn txns(&self) -> impl Iterator<Item = (Zxid, &[u8])> {
        record::txns(&self.bytes)
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.first, self.last, self.records) = (None, None, 0);
    }

    pub(super) fn takes(&self, payload: &[u8], limit: PortionLimit) -> bool {
        let bytes = self.bytes.len() + record::framed(payload.len());
        self.is_empty() || (self.records < limit.records && bytes <= limit.bytes)
    }

    pub(super) fn push(&mut self, payload: &[u8]) {
        let start = record::open(&mut self.bytes);
        self.bytes.extend_from_slice(payload);
        let zxid = record::close(&mut self.bytes, start);
        self.first.get_or_insert(zxid);
        self.last = Some(zxid);
        self.records += 1;
    }
}
