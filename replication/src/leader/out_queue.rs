//! What waits to be sent over one connection.

use std::collections::VecDeque;
use std::sync::Arc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::wire::peer::{LeaderPacket, proposals_frame};

/// Bytes of an own piece from which on the next packet begins another one.
const PIECE_BYTES: usize = 16 << 10;

/// Bytes in order: packets for this connection alone, and chunks that all connections share.
#[derive(Debug, Default)]
pub(super) struct OutQueue {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that were sent.
    sent: usize,
    bytes: usize,
    /// Bytes that were ever sent.
    taken: u64,
}

#[derive(Debug)]
enum Piece {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => bytes,
        }
    }
}

impl OutQueue {
    /// Adds one packet.
    pub(super) fn packet(&mut self, packet: &LeaderPacket<'_>) {
        self.append(|bytes| packet.encode(bytes));
    }

    /// Adds a PROPOSALS packet, whose records other connections send, too.
    pub(super) fn proposals(&mut self, last: Zxid, records: Arc<[u8]>) {
        let (head, tail) = proposals_frame(last, records.len());
        self.append(|bytes| bytes.extend_from_slice(&head));
        self.shared(records);
        self.append(|bytes| bytes.extend_from_slice(&tail));
    }

    /// Adds to the own piece at the end.
    fn append(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.pieces.back(), Some(Piece::Own(bytes)) if bytes.len() < PIECE_BYTES) {
            self.pieces.push_back(Piece::Own(Vec::new()));
        }
        let Some(Piece::Own(bytes)) = self.pieces.back_mut() else {
            unreachable!("it was added a line above")
        };
        let before = bytes.len();
        put(bytes);
        self.bytes += bytes.len() - before;
    }

    /// Adds bytes that belong to this connection alone.
    pub(super) fn own(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.pieces.push_back(Piece::Own(bytes));
        }
    }

    /// Adds bytes that other connections send, too.
    pub(super) fn shared(&mut self, bytes: Arc<[u8]>) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.pieces.push_back(Piece::Shared(bytes));
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that were ever sent.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// What waits, in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().enumerate().map(|(index, piece)| {
            let sent = if index == 0 { self.sent } else { 0 };
            &piece.bytes()[sent..]
        })
    }

    /// So many bytes were sent.
    pub(super) fn advance(&mut self, mut count: usize) {
        assert!(count <= self.bytes, "more was sent than waits");
        self.bytes -= count;
        self.taken += count as u64;
        while let Some(first) = self.pieces.front() {
            let left = first.bytes().len() - self.sent;
            if count < left {
                break;
            }
            count -= left;
            self.sent = 0;
            self.pieces.pop_front();
        }
        self.sent += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_leave_in_order_whatever_is_sent_at_a_time() {
        for step in [1, 3, 7, 1_000] {
            let mut queue = OutQueue::default();
            let mut whole = Vec::new();
            for round in 0..5 {
                let ping = LeaderPacket::Ping { zxid: Zxid(round) };
                ping.encode(&mut whole);
                queue.packet(&ping);
                queue.shared(Arc::from(&[1, 2, 3][..]));
                queue.shared(Arc::from(&[][..]));
                queue.own(vec![4, 5]);
                whole.extend([1, 2, 3, 4, 5]);
                queue.proposals(Zxid(round), Arc::from(&[6, 7][..]));
                LeaderPacket::Proposals { zxid: Zxid(round), records: &[6, 7] }.encode(&mut whole);
            }
            assert_eq!(queue.bytes(), whole.len());
            let mut sent = Vec::new();
            while queue.bytes() > 0 {
                let all: Vec<u8> = queue.pieces().flatten().copied().take(step).collect();
                queue.advance(all.len());
                sent.extend(all);
            }
            assert_eq!(sent, whole);
            assert_eq!(queue.pieces().count(), 0);
        }
    }
}
