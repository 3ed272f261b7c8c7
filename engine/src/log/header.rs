//! The first block of a segment: what the segment is.
//!
//! ```text
//! magic 8 | version u32 | flags u32 | capacity u64 | salt u64 | first u64 | prev u64 | chain u32 |
//! directory 16 | crc u32
//! ```
//! Twice, in sectors of their own: a lost sector there must not cost the whole segment.

use super::crc;
use super::layout::RECORDS_AT;
use crate::Zxid;
use crate::device::{BLOCK_BYTES, DirectoryId};

const MAGIC: &[u8; 8] = b"RKLOG\0\r\n";
const VERSION: u32 = 2;
const BYTES: usize = 72;
const COPY_AT: usize = 2_048;
/// Flushes into this segment did not wait for the disk.
const FLAG_UNSYNCED: u32 = 1;

/// What a segment says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whether flushes waited for the disk; where they did not, any end is as good as another.
    pub synced: bool,
    /// The length of the file.
    pub capacity: u64,
    /// Random, new for each use of the file.
    pub salt: u64,
    /// The zxid in the name: nothing in the segment is older.
    pub first: Zxid,
    /// The zxid of the last record before this segment.
    pub prev: Zxid,
    /// The checksum of that record.
    pub chain: u32,
    /// The directory that the segment belongs to.
    pub directory: DirectoryId,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadHeader {
    /// Neither copy has the right checksum.
    #[error("its header is damaged")]
    Damaged,
    /// Another Ringkeeper wrote it, usually a later one.
    #[error("it was written by another version of Ringkeeper (format {0})")]
    Version(u32),
}

impl Header {
    /// The first block of a segment.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(BYTES);
        copy.extend_from_slice(MAGIC);
        copy.extend_from_slice(&VERSION.to_le_bytes());
        copy.extend_from_slice(&(if self.synced { 0 } else { FLAG_UNSYNCED }).to_le_bytes());
        copy.extend_from_slice(&self.capacity.to_le_bytes());
        copy.extend_from_slice(&self.salt.to_le_bytes());
        copy.extend_from_slice(&self.first.0.to_le_bytes());
        copy.extend_from_slice(&self.prev.0.to_le_bytes());
        copy.extend_from_slice(&self.chain.to_le_bytes());
        copy.extend_from_slice(&self.directory.0);
        let sum = crc(&copy);
        copy.extend_from_slice(&sum.to_le_bytes());
        assert!(copy.len() == BYTES, "the header has a fixed size");
        let mut block = vec![0; BLOCK_BYTES];
        block[..BYTES].copy_from_slice(&copy);
        block[COPY_AT..COPY_AT + BYTES].copy_from_slice(&copy);
        block
    }

    /// Reads whichever copy is whole.
    pub fn decode(block: &[u8]) -> Result<Header, BadHeader> {
        match Header::decode_copy(block.get(..BYTES)) {
            Err(BadHeader::Damaged) => Header::decode_copy(block.get(COPY_AT..COPY_AT + BYTES)),
            decided => decided,
        }
    }

    fn decode_copy(copy: Option<&[u8]>) -> Result<Header, BadHeader> {
        let copy = copy.ok_or(BadHeader::Damaged)?;
        let (fields, sum) = copy.split_at(BYTES - 4);
        if crc(fields).to_le_bytes() != sum || fields[..8] != MAGIC[..] {
            return Err(BadHeader::Damaged);
        }
        let u32_at = |at: usize| u32::from_le_bytes(fields[at..at + 4].try_into().expect("four"));
        let u64_at = |at: usize| u64::from_le_bytes(fields[at..at + 8].try_into().expect("eight"));
        if u32_at(8) != VERSION {
            return Err(BadHeader::Version(u32_at(8)));
        }
        let capacity = u64_at(16);
        // Offsets have 32 bits; a header that says otherwise was not written by us.
        if !(RECORDS_AT as u64..=u64::from(u32::MAX)).contains(&capacity) {
            return Err(BadHeader::Damaged);
        }
        Ok(Header {
            synced: u32_at(12) & FLAG_UNSYNCED == 0,
            capacity,
            salt: u64_at(24),
            first: Zxid(u64_at(32)),
            prev: Zxid(u64_at(40)),
            chain: u32_at(48),
            directory: DirectoryId(fields[52..68].try_into().expect("sixteen")),
        })
    }
}

/// The name of the segment whose records start at `first`.
pub fn name(first: Zxid) -> String {
    format!("log.{:x}", first.0)
}

/// The zxid in the name of a segment.
pub fn parse_name(name: &str) -> Option<Zxid> {
    crate::snapshot::parse_hex(name.strip_prefix("log.")?)
}
