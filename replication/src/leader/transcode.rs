//! From transactions as the log frames them to the packets that carry them to learners. Each
//! function passes over its transactions once, and allocates once.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::TxnChunk;
use ringkeeper_engine::wire::peer::LeaderPacket;

/// Bytes of a packet without data, and of one beside its data.
const PACKET_BYTES: usize = 20;

/// PROPOSAL packets of the transactions of a chunk from an offset on, which is that of one.
///
/// A packet has 20 bytes beside the transaction, and a record of the log 24 and padding: what the
/// chunk takes is enough.
pub(super) fn proposals(chunk: &TxnChunk, offset: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(chunk.bytes.len() - offset);
    for (zxid, txn) in chunk.txns(offset) {
        LeaderPacket::Proposal { zxid, txn }.encode(&mut out);
    }
    out
}

/// INFORM packets of the transactions of a chunk that are behind `after` and not behind `upto`.
pub(super) fn informs(chunk: &TxnChunk, after: Zxid, upto: Zxid) -> Vec<u8> {
    if after >= chunk.last || upto < chunk.first {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(chunk.bytes.len());
    let behind = chunk.txns(0).skip_while(|(zxid, _)| *zxid <= after);
    for (zxid, txn) in behind.take_while(|(zxid, _)| *zxid <= upto) {
        LeaderPacket::Inform { zxid, txn }.encode(&mut out);
    }
    out
}

/// COMMIT packets, one for each of the transactions behind `after` up to `upto`: learners of
/// ZooKeeper's commit one proposal with each. They are of the epoch of `upto`: if `after` is of an
/// earlier one, they begin with the first of that epoch.
pub(super) fn commits(after: Zxid, upto: Zxid) -> Vec<u8> {
    if after >= upto {
        return Vec::new();
    }
    assert!(upto.counter() > 0, "{upto} is no transaction");
    let first = Zxid(after.0.max(Zxid::new(upto.epoch(), 0).0) + 1);
    let count = (upto.0 - first.0 + 1) as usize;
    let mut out = Vec::with_capacity(count * PACKET_BYTES);
    for zxid in first.0..=upto.0 {
        LeaderPacket::Commit { zxid: Zxid(zxid) }.encode(&mut out);
    }
    out
}

/// Bytes of [`put_committed`] for `records` transactions that take `framed` bytes in the log, at
/// the most.
pub(super) fn committed_bytes(framed: usize, records: usize) -> usize {
    framed + records * PACKET_BYTES
}

/// Appends a PROPOSAL and its COMMIT: a transaction that a learner gets while it is synchronized.
pub(super) fn put_committed(zxid: Zxid, txn: &[u8], out: &mut Vec<u8>) {
    LeaderPacket::Proposal { zxid, txn }.encode(out);
    LeaderPacket::Commit { zxid }.encode(out);
}

/// Appends an INFORM.
pub(super) fn put_inform(zxid: Zxid, txn: &[u8], out: &mut Vec<u8>) {
    LeaderPacket::Inform { zxid, txn }.encode(out);
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::log::Group;
    use ringkeeper_engine::txn::{Txn, TxnBody};
    use ringkeeper_engine::wire::peer::{PacketDecoder, PacketLimits};
    use ringkeeper_engine::{Millis, SessionId};

    use super::*;

    const fn z(epoch: u32, counter: u32) -> Zxid {
        Zxid::new(epoch, counter)
    }

    /// Transactions of different lengths, the last ones of a later epoch.
    fn txns() -> Vec<Txn> {
        let zxids = (3..12).map(|counter| z(1, counter)).chain((1..5).map(|counter| z(4, counter)));
        let txn = |(len, zxid): (usize, Zxid)| {
            let data = Some(vec![len as u8; len * 3].into());
            let body = TxnBody::SetData { path: "/a".into(), data, version: 1 };
            Txn { session: SessionId(1), cxid: 1, zxid, time: Millis(1), body }
        };
        zxids.enumerate().map(|(len, zxid)| txn((len, zxid))).collect()
    }

    fn chunk() -> TxnChunk {
        let mut group = Group::new();
        txns().iter().for_each(|txn| {
            group.push(txn);
        });
        TxnChunk::of_group(&group).unwrap()
    }

    /// The packets in the bytes: their names, zxids, and the transactions that they carry.
    fn packets(bytes: &[u8]) -> Vec<(&'static str, Zxid, Option<Txn>)> {
        let mut decoder = PacketDecoder::new(PacketLimits::default());
        decoder.push(bytes);
        let mut packets = Vec::new();
        while let Some(packet) = decoder.decode().unwrap() {
            let (name, zxid, txn) = match LeaderPacket::read(&packet).unwrap() {
                LeaderPacket::Proposal { zxid, txn } => ("PROPOSAL", zxid, Some(txn)),
                LeaderPacket::Inform { zxid, txn } => ("INFORM", zxid, Some(txn)),
                LeaderPacket::Commit { zxid } => ("COMMIT", zxid, None),
                other => panic!("{other:?}"),
            };
            packets.push((name, zxid, txn.map(|bytes| Txn::read(bytes).unwrap())));
        }
        packets
    }

    fn named(name: &'static str, txns: &[Txn]) -> Vec<(&'static str, Zxid, Option<Txn>)> {
        txns.iter().map(|txn| (name, txn.zxid, Some(txn.clone()))).collect()
    }

    #[test]
    fn proposals_from_any_transaction_on_are_those_of_the_chunk() {
        let (chunk, txns, mut offset) = (chunk(), txns(), 0);
        for skipped in 0..=txns.len() {
            let bytes = proposals(&chunk, offset);
            assert_eq!(packets(&bytes), named("PROPOSAL", &txns[skipped..]));
            assert!(bytes.len() <= chunk.bytes.len() - offset, "nothing is allocated again");
            if let Some((_, payload)) = chunk.txns(offset).next() {
                offset += ringkeeper_engine::log::record::framed(payload.len());
            }
        }
    }

    #[test]
    fn informs_of_a_range_are_those_that_lie_in_it() {
        let (chunk, txns) = (chunk(), txns());
        let ends =
            [z(0, 0), z(1, 2), z(1, 3), z(1, 7), z(1, 11), z(3, 9), z(4, 0), z(4, 4), z(5, 1)];
        for after in ends {
            for upto in ends {
                let within: Vec<Txn> = txns
                    .iter()
                    .filter(|txn| txn.zxid > after && txn.zxid <= upto)
                    .cloned()
                    .collect();
                let bytes = informs(&chunk, after, upto);
                assert_eq!(packets(&bytes), named("INFORM", &within), "{after} {upto}");
            }
        }
    }

    #[test]
    fn commits_are_one_for_each_transaction_of_the_epoch() {
        let zxids = |after, upto| {
            let packets = packets(&commits(after, upto));
            assert!(packets.iter().all(|(name, ..)| *name == "COMMIT"));
            packets.into_iter().map(|(_, zxid, _)| zxid).collect::<Vec<Zxid>>()
        };
        assert_eq!(zxids(z(2, 3), z(2, 6)), [z(2, 4), z(2, 5), z(2, 6)]);
        for before in [Zxid::ZERO, z(1, 77), z(2, 0)] {
            assert_eq!(zxids(before, z(2, 2)), [z(2, 1), z(2, 2)]);
        }
        assert_eq!(zxids(z(2, 6), z(2, 6)), []);
        assert_eq!(zxids(z(2, 7), z(2, 6)), []);
        assert_eq!(commits(z(2, 3), z(2, 6)).len(), 3 * PACKET_BYTES);
    }

    #[test]
    fn committed_transaction_is_a_proposal_and_its_commit() {
        let (chunk, mut bytes, mut expected) = (chunk(), Vec::new(), Vec::new());
        chunk.txns(0).for_each(|(zxid, txn)| put_committed(zxid, txn, &mut bytes));
        for txn in txns() {
            expected.push(("PROPOSAL", txn.zxid, Some(txn.clone())));
            expected.push(("COMMIT", txn.zxid, None));
        }
        assert_eq!(packets(&bytes), expected);
        assert!(bytes.len() <= committed_bytes(chunk.bytes.len(), chunk.records));
    }
}
