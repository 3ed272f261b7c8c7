//! Where the state behind a SNAP packet ends, for a receiver that gets it in pieces.

use super::BadPacket;
use crate::limits::SNAP_FIELD_BYTES_MAX;

/// What ends a state, behind its length.
const SIGNATURE: &[u8; 10] = b"BenWasHere";
/// Bytes of a session and its timeout.
const SESSION_BYTES: u64 = 12;
/// Bytes of the number of an access control list.
const LIST_NUMBER_BYTES: u64 = 8;
/// Bytes of the permissions of an entry.
const PERMS_BYTES: u64 = 4;
/// Bytes behind a node's data: the number of its list, and `StatPersisted`.
const NODE_END_BYTES: u64 = 68;

/// Finds the end of a state without keeping any of it. Only lengths are looked at:
/// [`crate::zookeeper::load_stream`] says whether the rest makes a state. Packets go on behind the
/// end.
#[derive(Clone, Debug)]
pub struct StateScan {
    part: Part,
    /// Bytes in front of the part, which say nothing.
    skip: u64,
    /// What has come of the part.
    field: [u8; SIGNATURE.len()],
    field_bytes: usize,
    lists: u32,
    entries: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    SessionCount,
    ListCount,
    EntryCount,
    SchemeLength,
    IdLength,
    PathLength,
    /// A path of one byte: a node's, or the "/" behind the last node.
    ShortPath,
    DataLength,
    SignatureLength,
    Signature,
    End,
}

impl Default for StateScan {
    fn default() -> StateScan {
        let field = [0; SIGNATURE.len()];
        StateScan { part: Part::SessionCount, skip: 0, field, field_bytes: 0, lists: 0, entries: 0 }
    }
}

impl StateScan {
    /// Goes over the next bytes of the link. `Some` says that the state ends, and how many of these
    /// bytes are part of it; nothing is to be scanned behind that. Lengths beyond what
    /// [`crate::zookeeper::load_stream`] takes are refused.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadPacket> {
        let mut rest = bytes;
        while self.part != Part::End {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
            rest = &rest[skipped..];
            self.skip -= skipped as u64;
            let wanted = self.part.bytes() - self.field_bytes;
            let (taken, behind) = rest.split_at(wanted.min(rest.len()));
            self.field[self.field_bytes..self.field_bytes + taken.len()].copy_from_slice(taken);
            self.field_bytes += taken.len();
            rest = behind;
            if taken.len() < wanted {
                return Ok(None);
            }
            self.field_bytes = 0;
            self.pass()?;
        }
        Ok(Some(bytes.len() - rest.len()))
    }

    /// Goes on behind a part that is there whole.
    fn pass(&mut self) -> Result<(), BadPacket> {
        match self.part {
            Part::SessionCount => {
                self.skip = SESSION_BYTES * u64::from(self.count()?);
                self.part = Part::ListCount;
            }
            Part::ListCount => {
                self.lists = self.count()?;
                self.next_list();
            }
            Part::EntryCount => {
                self.entries = self.count()?;
                self.next_entry();
            }
            Part::SchemeLength => {
                self.skip = self.length()?;
                self.part = Part::IdLength;
            }
            Part::IdLength => {
                self.skip = self.length()?;
                self.next_entry();
            }
            Part::PathLength => {
                let length = self.length()?;
                self.skip = if length == 1 { 0 } else { length };
                self.part = if length == 1 { Part::ShortPath } else { Part::DataLength };
            }
            Part::ShortPath => {
                let is_last = self.field[0] == b'/';
                self.part = if is_last { Part::SignatureLength } else { Part::DataLength };
            }
            Part::DataLength => {
                self.skip = self.length()? + NODE_END_BYTES;
                self.part = Part::PathLength;
            }
            Part::SignatureLength => {
                if self.int() != SIGNATURE.len() as i32 {
                    return Err(BadPacket::Signature);
                }
                self.part = Part::Signature;
            }
            Part::Signature => {
                if self.field != *SIGNATURE {
                    return Err(BadPacket::Signature);
                }
                self.part = Part::End;
            }
            Part::End => {}
        }
        Ok(())
    }

    fn next_list(&mut self) {
        let left = self.lists.checked_sub(1);
        self.lists = left.unwrap_or(0);
        if left.is_some() {
            self.skip += LIST_NUMBER_BYTES;
            self.part = Part::EntryCount;
        } else {
            self.part = Part::PathLength;
        }
    }

    fn next_entry(&mut self) {
        let Some(left) = self.entries.checked_sub(1) else { return self.next_list() };
        self.entries = left;
        self.skip += PERMS_BYTES;
        self.part = Part::SchemeLength;
    }

    fn int(&self) -> i32 {
        i32::from_be_bytes(*self.field.first_chunk().expect("a field has more than four bytes"))
    }

    /// Null and none are the same.
    fn count(&self) -> Result<u32, BadPacket> {
        match self.int() {
            -1 => Ok(0),
            count => {
                let what = "a list in a state";
                let max = i32::MAX as usize;
                BadPacket::check_length(what, count, max).map(|count| count as u32)
            }
        }
    }

    /// Null and empty are the same.
    fn length(&self) -> Result<u64, BadPacket> {
        match self.int() {
            -1 => Ok(0),
            length => {
                let what = "a field of a state";
                BadPacket::check_length(what, length, SNAP_FIELD_BYTES_MAX).map(|len| len as u64)
            }
        }
    }
}

impl Part {
    fn bytes(self) -> usize {
        match self {
            Part::ShortPath => 1,
            Part::Signature => SIGNATURE.len(),
            Part::End => 0,
            Part::SessionCount
            | Part::ListCount
            | Part::EntryCount
            | Part::SchemeLength
            | Part::IdLength
            | Part::PathLength
            | Part::DataLength
            | Part::SignatureLength => 4,
        }
    }
}
