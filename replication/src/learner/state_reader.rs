//! The bytes of a state for whoever makes a tree of them, piece by piece as they come.

use std::io::{self, ErrorKind, Read};

use ringkeeper_engine::Zxid;
use ringkeeper_engine::zookeeper::{Bad, Loaded, Rebuild, StateForm, load_stream_as};

/// What comes next of a state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StatePiece {
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing: the state is whole.
    End,
}

/// Reads the pieces of a state as one stream. `next` waits for the next piece; `None` says that no
/// more will come although the state is not whole, and reading fails then. No more than one piece
/// is kept, so the memory is what `next` has ready.
#[derive(Debug)]
pub struct StateReader<F> {
    next: F,
    piece: Vec<u8>,
    /// Bytes of the piece that were read.
    read: usize,
    is_at_end: bool,
}

impl<F: FnMut() -> Option<StatePiece>> StateReader<F> {
    /// Nothing is read yet.
    pub fn new(next: F) -> StateReader<F> {
        StateReader { next, piece: Vec::new(), read: 0, is_at_end: false }
    }

    /// Makes the state of the SNAP packet with this zxid, written in this form; `seed` keys the
    /// tree's hash tables. Takes as long as the leader sends, and as the state has nodes.
    pub fn load(self, state: (Zxid, StateForm), seed: u64) -> Result<Rebuild, Bad> {
        load_stream_as(self, state, seed).map(|Loaded { rebuild, .. }| rebuild)
    }
}

impl<F: FnMut() -> Option<StatePiece>> Read for StateReader<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() && !self.is_at_end {
            match (self.next)() {
                Some(StatePiece::Bytes(piece)) => (self.piece, self.read) = (piece, 0),
                Some(StatePiece::End) => self.is_at_end = true,
                None => return Err(ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.read);
        buffer[..count].copy_from_slice(&self.piece[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn pieces(all: &[u8], piece: usize) -> VecDeque<StatePiece> {
        all.chunks(piece).map(|piece| StatePiece::Bytes(piece.to_vec())).collect()
    }

    #[test]
    fn bytes_are_read_in_order_however_they_come() {
        let all: Vec<u8> = (0..100).collect();
        for (piece, most) in [(1, 1), (3, 7), (7, 3), (100, 13), (13, 100)] {
            let mut waiting = pieces(&all, piece);
            waiting.insert(1, StatePiece::Bytes(Vec::new()));
            waiting.push_back(StatePiece::End);
            let mut reader = StateReader::new(|| waiting.pop_front());
            let (mut found, mut buffer) = (Vec::new(), vec![0; most]);
            loop {
                match reader.read(&mut buffer).unwrap() {
                    0 => break,
                    count => found.extend_from_slice(&buffer[..count]),
                }
            }
            assert_eq!(found, all);
            assert_eq!(reader.read(&mut buffer).unwrap(), 0, "the end stays the end");
        }
    }

    #[test]
    fn state_that_is_abandoned_cannot_be_read_to_its_end() {
        let mut waiting = pieces(&[0; 10], 4);
        let mut reader = StateReader::new(|| waiting.pop_front());
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let mut waiting = pieces(&[0; 10], 4);
        let loaded =
            StateReader::new(|| waiting.pop_front()).load((Zxid::new(1, 1), StateForm::Fuzzy), 1);
        assert!(matches!(loaded, Err(Bad::CutOff { .. })));
    }
}
