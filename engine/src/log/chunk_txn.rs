//! Transactions that another server has framed for the log: they are checked once, and stay the
//! bytes that they are, on their way to the log and to the tree.

use std::sync::Arc;

use super::record::{self, HEADER_BYTES};
use super::{Group, TxnChunk};
use crate::txn::{self, Txn};
use crate::wire::Malformed;
use crate::wire::opcode::op;
use crate::{SessionId, Zxid};

/// One transaction of a chunk, whose bytes it shares. It was checked: what is asserted here was
/// found true then.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkTxn {
    chunk: Arc<[u8]>,
    /// Where its record begins.
    at: u32,
    /// Bytes of its payload.
    len: u32,
    zxid: Zxid,
}

impl TxnChunk {
    /// Takes what a leader has sent as records, which end with the transaction `last`. They follow
    /// each other without a gap in one epoch, and none changes the members.
    ///
    /// # Errors
    /// The transaction that the bytes are wrong at, or `last` where there is none to name.
    pub fn received(last: Zxid, bytes: &[u8]) -> Result<TxnChunk, (Zxid, Malformed)> {
        let (mut rest, mut range, mut records) = (bytes, None, 0);
        while !rest.is_empty() {
            let (payload, behind) = record::split(rest).ok_or((last, Malformed::Truncated))?;
            let header = txn::check(payload).map_err(|why| (last, why))?;
            let zxid = header.zxid;
            let (first, before) = *range.get_or_insert((zxid, zxid));
            let follows = records == 0 || before.next() == Some(zxid);
            if !follows || header.type_code == op::RECONFIG {
                return Err((zxid, Malformed::Value));
            }
            (range, rest) = (Some((first, zxid)), behind);
            records += 1;
        }
        match range {
            Some((first, end)) if end == last => {
                Ok(TxnChunk { first, last, records, bytes: Arc::from(bytes) })
            }
            Some(_) | None => Err((last, Malformed::Value)),
        }
    }

    /// Each transaction of a chunk that was [received](TxnChunk::received).
    pub fn each(&self) -> impl Iterator<Item = ChunkTxn> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (payload, _) = record::split(&self.bytes[at..])?;
            let (begin, len, zxid) = (at, payload.len(), record::zxid_of(payload));
            at += record::framed(len);
            let of = |offset: usize| u32::try_from(offset).expect("a packet is smaller");
            Some(ChunkTxn { chunk: self.bytes.clone(), at: of(begin), len: of(len), zxid })
        })
    }
}

impl ChunkTxn {
    /// Its place in the order.
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// Header and record, as they stand in the log.
    pub fn payload(&self) -> &[u8] {
        &self.chunk[self.at as usize + HEADER_BYTES..][..self.len as usize]
    }

    /// The session of the client.
    pub fn session(&self) -> SessionId {
        let (session, _) = self.payload().split_first_chunk().expect("a header");
        SessionId(i64::from_be_bytes(*session))
    }

    /// Whether it begins or ends a session.
    pub fn is_of_session(&self) -> bool {
        let (_, kind) =
            self.payload()[..txn::TxnHeader::BYTES].split_last_chunk().expect("a header");
        matches!(i32::from_be_bytes(*kind), op::CREATE_SESSION | op::CLOSE_SESSION)
    }

    /// The transaction, copied out of its bytes.
    pub fn read(&self) -> Txn {
        Txn::read(self.payload()).expect("it was checked when it came")
    }

    /// The framed record.
    fn record(&self) -> &[u8] {
        &self.chunk[self.at as usize..][..record::framed(self.len as usize)]
    }
}

impl std::fmt::Debug for ChunkTxn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(f)
    }
}

impl Group {
    /// Adds a transaction that is framed already, which must be the next one in the order.
    pub fn push_framed(&mut self, txn: &ChunkTxn) {
        self.next(txn.zxid);
        self.buffer.extend_from_slice(txn.record());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::TxnBody;
    use crate::{Code, Millis};

    fn txn(zxid: Zxid, body: TxnBody) -> Txn {
        Txn { session: SessionId(7), cxid: 1, zxid, time: Millis(1), body }
    }

    fn set(counter: u32) -> Txn {
        let data = Some(vec![1; counter as usize].into());
        let body = TxnBody::SetData { path: "/a".into(), data, version: 1 };
        txn(Zxid::new(2, counter), body)
    }

    fn group(txns: &[Txn]) -> Group {
        let mut group = Group::new();
        txns.iter().for_each(|txn| group.push(txn));
        group
    }

    fn received(group: &Group) -> Result<TxnChunk, (Zxid, Malformed)> {
        TxnChunk::received(group.last().unwrap(), &group.buffer)
    }

    #[test]
    fn records_that_were_sent_make_the_group_that_they_were() {
        let mut txns: Vec<Txn> = (1..20).map(set).collect();
        txns.push(txn(Zxid::new(2, 20), TxnBody::CreateSession { timeout_ms: 4 }));
        txns.push(txn(Zxid::new(2, 21), TxnBody::Error(Code::NoNode)));
        let sent = group(&txns);
        let chunk = received(&sent).unwrap();
        assert_eq!(TxnChunk::of_group(&sent), Some(chunk.clone()));
        let mut again = Group::new();
        for (learned, txn) in chunk.each().zip(&txns) {
            again.push_framed(&learned);
            assert_eq!((&learned.read(), learned.zxid()), (txn, txn.zxid));
            assert_eq!(learned.session(), SessionId(7));
            let is_of_session = matches!(txn.body, TxnBody::CreateSession { .. });
            assert_eq!(learned.is_of_session(), is_of_session);
        }
        assert_eq!((&again.buffer, again.last()), (&sent.buffer, sent.last()));
        assert_eq!((again.first, again.records()), (sent.first, sent.records()));
    }

    #[test]
    fn records_that_are_cut_damaged_or_of_another_end_are_refused() {
        let sent = group(&[set(1), set(2), set(3)]);
        let last = sent.last().unwrap();
        for cut in 0..sent.buffer.len() {
            assert!(TxnChunk::received(last, &sent.buffer[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..sent.buffer.len() {
            let mut damaged = sent.buffer.clone();
            damaged[at] ^= 0x81;
            // What is not refused is a transaction all the same, with its place in the order.
            if let Ok(chunk) = TxnChunk::received(last, &damaged) {
                let zxids: Vec<Zxid> = chunk.each().map(|txn| txn.read().zxid).collect();
                assert_eq!(zxids, [1, 2, 3].map(|counter| Zxid::new(2, counter)));
            }
        }
        let end = TxnChunk::received(Zxid::new(2, 4), &sent.buffer);
        assert_eq!(end, Err((Zxid::new(2, 4), Malformed::Value)));
    }

    #[test]
    fn gap_another_epoch_and_a_change_of_the_members_are_refused() {
        let next_epoch = txn(Zxid::new(3, 1), TxnBody::Error(Code::NoNode));
        let refused = received(&group(&[set(1), next_epoch.clone()]));
        assert_eq!(refused, Err((Zxid::new(3, 1), Malformed::Value)));
        let mut gap = group(&[set(1)]).buffer;
        gap.extend_from_slice(&group(&[set(3)]).buffer);
        assert_eq!(
            TxnChunk::received(Zxid::new(2, 3), &gap),
            Err((Zxid::new(2, 3), Malformed::Value))
        );
        let members = txn(Zxid::new(2, 1), TxnBody::Reconfig { data: None, version: -1 });
        assert_eq!(received(&group(&[members])), Err((Zxid::new(2, 1), Malformed::Value)));
    }
}
