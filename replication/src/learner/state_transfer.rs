//! A state that a leader sends as raw bytes: kept until it is whole, loaded and written by whoever
//! has a thread and a disk for it.

use std::collections::VecDeque;
use std::io::{self, Read};

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::{CommitStatus, Database};
use ringkeeper_engine::wire::peer::{BadPacket, StateScan};
use ringkeeper_engine::zookeeper::{Bad, Loaded, Rebuild, Unusable, load_stream};

/// The bytes of a state. Reading gives the memory back piece by piece, so that the bytes and the
/// tree that is made of them are not there twice.
#[derive(Debug, Default)]
pub struct StateBytes {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first piece that were read.
    read: usize,
    /// Bytes of all pieces.
    len: usize,
}

impl StateBytes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len - self.read
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, piece: &[u8]) {
        self.len += piece.len();
        self.pieces.push_back(piece.to_vec());
    }

    /// Makes the state of the SNAP packet with this zxid; `seed` keys the tree's hash tables. Takes
    /// as long as it has nodes.
    pub fn load(self, zxid: Zxid, seed: u64) -> Result<Rebuild, Bad> {
        load_stream(self, zxid, seed).map(|Loaded { rebuild, .. }| rebuild)
    }
}

impl Read for StateBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(piece) = self.pieces.front() {
            let count = buffer.len().min(piece.len() - self.read);
            buffer[..count].copy_from_slice(&piece[self.read..self.read + count]);
            self.read += count;
            if self.read == piece.len() {
                self.len -= piece.len();
                self.read = 0;
                self.pieces.pop_front();
            }
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

/// A state on its way.
#[derive(Debug)]
pub(super) struct IncomingState {
    zxid: Zxid,
    scan: StateScan,
    bytes: StateBytes,
    bytes_max: usize,
}

impl IncomingState {
    /// The state of a SNAP packet, no longer than `bytes_max`.
    pub(super) fn new(zxid: Zxid, bytes_max: usize) -> IncomingState {
        let (scan, bytes) = (StateScan::default(), StateBytes::default());
        IncomingState { zxid, scan, bytes, bytes_max }
    }

    /// Takes the next bytes of the link. `Some` says how many of them are part of the state, which
    /// is whole then.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadPacket> {
        let end = self.scan.advance(bytes)?;
        let count = end.unwrap_or(bytes.len());
        if self.bytes.len + count > self.bytes_max {
            let (length, max) = ((self.bytes.len + count) as i64, self.bytes_max);
            return Err(BadPacket::Length { what: "a state", length, max });
        }
        self.bytes.push(&bytes[..count]);
        Ok(end)
    }

    /// The state is whole.
    pub(super) fn into_task(self) -> StateTask {
        StateTask::Load { zxid: self.zxid, bytes: self.bytes }
    }
}

/// Work with a whole state. It takes as long as the state is large, so it belongs on a thread of
/// its own; one task is under way at a time.
pub enum StateTask {
    /// Make a state of its bytes, as [`StateBytes::load`] does: [`StateOutcome::Loaded`].
    Load {
        /// That of SNAP.
        zxid: Zxid,
        /// The bytes.
        bytes: StateBytes,
    },
    /// Make the state whole, as [`whole_state`] does, and write it to the disk as the state that
    /// was received, durably, beside what is there: [`StateOutcome::Written`].
    Write {
        /// What it holds.
        zxid: Zxid,
        /// The state.
        rebuild: Box<Rebuild>,
    },
    /// Read the state from snapshots and log again, because the log was cut behind this
    /// transaction and the tree held more: [`StateOutcome::Reloaded`].
    Reload {
        /// Where the log ends.
        zxid: Zxid,
    },
}

/// What came of a task.
pub enum StateOutcome {
    /// The state of [`StateTask::Load`], or why it is none.
    Loaded(Result<Box<Rebuild>, Bad>),
    /// The state of [`StateTask::Write`] is on the disk; `None` where it is no state, or where the
    /// disk has no space for it.
    Written(Option<Box<Database>>),
    /// The state of [`StateTask::Reload`].
    Reloaded(Box<Database>),
}

/// Who does the work with a whole state.
pub trait StatePort {
    /// Begins a task. The one before has ended.
    fn begin(&mut self, task: StateTask);
    /// What came of it, once.
    fn poll(&mut self) -> Option<StateOutcome>;
}

/// The state of [`StateTask::Write`]. Whether a quorum has it is not known before the leader says
/// so: no snapshot may be taken of it.
pub fn whole_state(rebuild: Rebuild, zxid: Zxid) -> Result<Database, Unusable> {
    let state = rebuild.finish(0)?;
    assert_eq!(state.last, zxid, "the link and the state count the same transactions");
    let mut state = Database::new(state.tree, state.sessions);
    state.set_commit_status(CommitStatus::Unknown);
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_order_however_they_came() {
        let all: Vec<u8> = (0..100).collect();
        for (piece, most) in [(1, 1), (3, 7), (7, 3), (100, 13), (13, 100)] {
            let mut bytes = StateBytes::default();
            all.chunks(piece).for_each(|piece| bytes.push(piece));
            let mut found = Vec::new();
            let mut buffer = vec![0; most];
            loop {
                assert_eq!(bytes.len(), all.len() - found.len());
                match bytes.read(&mut buffer).unwrap() {
                    0 => break,
                    count => found.extend_from_slice(&buffer[..count]),
                }
            }
            assert_eq!(found, all);
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn state_beyond_the_limit_is_refused_before_it_is_kept() {
        let mut state = IncomingState::new(Zxid::new(1, 1), 10);
        assert_eq!(state.push(&[0, 0, 0, 1, 0, 0]), Ok(None));
        let refused = BadPacket::Length { what: "a state", length: 12, max: 10 };
        assert_eq!(state.push(&[0; 6]), Err(refused));
        assert_eq!(state.bytes.len(), 6);
    }
}
