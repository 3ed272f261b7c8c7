//! A state that a leader sends as raw bytes: staged until whoever makes a tree of it takes them.

use std::collections::VecDeque;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::wire::peer::{BadPacket, StateScan};

/// Bytes that are staged, from which on the leader's wait in the socket. What one read of the
/// socket brings may come on top.
pub(super) const STAGED_BYTES_MAX: usize = 1 << 20;
/// Bytes of a piece, unless one read of the socket brings more.
const PIECE_BYTES: usize = 64 << 10;

/// How much of it there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Intake {
    /// More comes.
    Receiving,
    /// All of it has come.
    Whole,
    /// No more comes, and it is not wanted.
    Abandoned,
    /// Whoever makes the tree has heard how it ends.
    Ended,
}

/// How the bytes of a state end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IntakeEnd {
    /// It is whole.
    Whole,
    /// No more comes.
    Abandoned,
}

/// A state on its way.
#[derive(Debug)]
pub(super) struct IncomingState {
    zxid: Zxid,
    scan: StateScan,
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of all pieces.
    staged: usize,
    /// Bytes that have come.
    received: u64,
    bytes_max: u64,
    intake: Intake,
}

impl IncomingState {
    /// The state of a SNAP packet, no longer than `bytes_max`.
    pub(super) fn new(zxid: Zxid, bytes_max: u64) -> IncomingState {
        let (scan, pieces, intake) = (StateScan::default(), VecDeque::new(), Intake::Receiving);
        IncomingState { zxid, scan, pieces, staged: 0, received: 0, bytes_max, intake }
    }

    /// That of SNAP.
    pub(super) fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// Bytes that have come.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Whether more of it comes.
    pub(super) fn is_receiving(&self) -> bool {
        self.intake == Intake::Receiving
    }

    /// Whether the leader's next bytes are part of it, and there is space for them.
    pub(super) fn wants_bytes(&self) -> bool {
        self.is_receiving() && self.staged < STAGED_BYTES_MAX
    }

    /// Takes the next bytes of the link. `Some` says how many of them are part of the state, which
    /// is whole then.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadPacket> {
        let end = self.scan.advance(bytes)?;
        let count = end.unwrap_or(bytes.len());
        let received = self.received + count as u64;
        if received > self.bytes_max {
            let max = usize::try_from(self.bytes_max).unwrap_or(usize::MAX);
            return Err(BadPacket::Length { what: "a state", length: received as i64, max });
        }
        self.received = received;
        self.stage(&bytes[..count]);
        if end.is_some() {
            self.intake = Intake::Whole;
        }
        Ok(end)
    }

    fn stage(&mut self, bytes: &[u8]) {
        self.staged += bytes.len();
        match self.pieces.back_mut() {
            Some(last) if last.len() + bytes.len() <= PIECE_BYTES => last.extend_from_slice(bytes),
            _ => self.pieces.push_back(bytes.to_vec()),
        }
    }

    /// The next piece for whoever makes a tree of it.
    pub(super) fn next_piece(&mut self) -> Option<Vec<u8>> {
        let piece = self.pieces.pop_front()?;
        self.staged -= piece.len();
        Some(piece)
    }

    /// How it ends, once, behind the last piece.
    pub(super) fn take_end(&mut self) -> Option<IntakeEnd> {
        let end = match self.intake {
            Intake::Whole if self.pieces.is_empty() => IntakeEnd::Whole,
            Intake::Abandoned => IntakeEnd::Abandoned,
            Intake::Receiving | Intake::Whole | Intake::Ended => return None,
        };
        self.intake = Intake::Ended;
        Some(end)
    }

    /// It is not wanted any more. What is staged is dropped.
    pub(super) fn abandon(&mut self) {
        self.pieces.clear();
        (self.staged, self.intake) = (0, Intake::Abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZXID: Zxid = Zxid(7);

    /// A state without sessions and lists that goes on with one node of these bytes.
    fn beginning(data: usize) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        bytes.extend([0; 4]);
        bytes.extend((data as i32).to_be_bytes());
        bytes.resize(bytes.len() + data, 1);
        bytes
    }

    #[test]
    fn state_beyond_the_limit_is_refused_before_it_is_kept() {
        let mut state = IncomingState::new(ZXID, 10);
        assert_eq!(state.push(&[0, 0, 0, 1, 0, 0]), Ok(None));
        let refused = BadPacket::Length { what: "a state", length: 12, max: 10 };
        assert_eq!(state.push(&[0; 6]), Err(refused));
        assert_eq!((state.received(), state.staged), (6, 6));
    }

    #[test]
    fn staged_bytes_are_bounded_and_leave_in_order() {
        let bytes = beginning(3 * STAGED_BYTES_MAX);
        let mut state = IncomingState::new(ZXID, u64::MAX);
        let (mut rest, mut taken) = (&bytes[..], Vec::new());
        for read in [1, 100, PIECE_BYTES - 50, 3 * PIECE_BYTES, 7_000].into_iter().cycle() {
            if !state.wants_bytes() {
                assert!(state.staged < STAGED_BYTES_MAX + 3 * PIECE_BYTES);
                taken.extend(state.next_piece().expect("much is staged"));
                continue;
            }
            let (next, behind) = rest.split_at(read.min(rest.len()));
            assert_eq!(state.push(next), Ok(None));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        while let Some(piece) = state.next_piece() {
            taken.extend(piece);
        }
        assert!(taken == bytes && state.staged == 0);
        assert_eq!(state.received(), bytes.len() as u64);
        assert_eq!(state.take_end(), None, "more comes");
    }

    #[test]
    fn end_is_said_once_and_behind_the_last_piece() {
        let mut bytes = vec![0; 8];
        for part in [&b"/"[..], b"BenWasHere"] {
            bytes.extend((part.len() as i32).to_be_bytes());
            bytes.extend(part);
        }
        let count = bytes.len();
        bytes.extend(b"packets");
        let mut state = IncomingState::new(ZXID, 1_000);
        assert_eq!(state.push(&bytes), Ok(Some(count)));
        assert!(!state.wants_bytes() && !state.is_receiving());
        assert_eq!(state.take_end(), None);
        assert_eq!(state.next_piece().map(|piece| piece.len()), Some(count));
        assert_eq!((state.take_end(), state.take_end()), (Some(IntakeEnd::Whole), None));
    }

    #[test]
    fn state_that_is_abandoned_keeps_nothing() {
        let mut state = IncomingState::new(ZXID, 1_000);
        assert_eq!(state.push(&[0; 6]), Ok(None));
        state.abandon();
        assert!(!state.is_receiving() && !state.wants_bytes());
        assert_eq!((state.next_piece(), state.take_end()), (None, Some(IntakeEnd::Abandoned)));
    }
}
