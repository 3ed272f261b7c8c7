//! What one flush makes durable.

use super::record;
use crate::Zxid;
use crate::txn::Txn;

/// Transactions encoded one behind the other, gathered while the flush before is under way.
#[derive(Clone, Default, Debug)]
pub struct Group {
    pub(super) buffer: Vec<u8>,
    pub(super) first: Option<Zxid>,
    last: Option<Zxid>,
    records: u32,
}

impl Group {
    /// An empty group.
    pub fn new() -> Group {
        Group::default()
    }

    /// Encodes a transaction, which must be the next one in the order.
    pub fn push(&mut self, txn: &Txn) {
        self.push_measured(txn);
    }

    /// As [`Group::push`]. Returns the bytes of the transaction, without what the log puts around
    /// it.
    pub fn push_measured(&mut self, txn: &Txn) -> usize {
        self.next(txn.zxid);
        let start = record::open(&mut self.buffer);
        let begin = self.buffer.len();
        txn.write(&mut self.buffer);
        let bytes = self.buffer.len() - begin;
        let zxid = record::close(&mut self.buffer, start);
        assert!(zxid == txn.zxid, "the zxid stands where readers look for it");
        bytes
    }

    /// Counts a transaction that comes next.
    pub(super) fn next(&mut self, zxid: Zxid) {
        if let Some(last) = self.last {
            assert!(zxid.may_follow(last), "{zxid} was ordered behind {last}");
        }
        self.first.get_or_insert(zxid);
        self.last = Some(zxid);
        self.records += 1;
    }

    /// Takes over all of a group that was ordered behind this one, and leaves it empty.
    pub fn append(&mut self, next: &mut Group) {
        if let (Some(last), Some(first)) = (self.last, next.first) {
            assert!(first.may_follow(last), "{first} was ordered behind {last}");
        }
        self.buffer.extend_from_slice(&next.buffer);
        self.first = self.first.or(next.first);
        self.last = next.last.or(self.last);
        self.records += next.records;
        next.clear();
    }

    /// Whether there is nothing to flush.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes that the group will take in the log.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Transactions.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// The zxid of the newest transaction.
    pub fn last(&self) -> Option<Zxid> {
        self.last
    }

    /// Empties the group and keeps its memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        (self.first, self.last, self.records) = (None, None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::TxnBody;
    use crate::{Code, Millis, SessionId};

    #[test]
    fn appended_group_equals_one_group() {
        let txn = |zxid| Txn {
            session: SessionId(1),
            cxid: 1,
            zxid: Zxid(zxid),
            time: Millis(1),
            body: TxnBody::Error(Code::NoNode),
        };
        let (mut one, mut next, mut whole) = (Group::new(), Group::new(), Group::new());
        (1..4).for_each(|zxid| whole.push(&txn(zxid)));
        one.append(&mut next);
        assert!(one.is_empty() && next.is_empty());
        next.push(&txn(1));
        one.append(&mut next);
        assert!(next.is_empty());
        (2..4).for_each(|zxid| next.push(&txn(zxid)));
        one.append(&mut next);
        assert_eq!(one.buffer, whole.buffer);
        assert_eq!((one.first, one.last, one.records), (Some(Zxid(1)), Some(Zxid(3)), 3));
    }
}
