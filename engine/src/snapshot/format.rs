//! The bytes of a snapshot.
//!
//! ```text
//! file    = prologue section* end
//! prologue: magic 8 | version u32 | flags u32 | zxid u64 | directory 16 | crc u32
//! section : crc u32 | kind u32 | number u32 | raw u32 | packed u32 | packed bytes (zstd)
//! ```
//! Little-endian. The crc of a section is over everything behind it; `number` counts the sections
//! from 0, so that none can be missing or move. The last section holds the totals and the crc of
//! the whole file before it.

use super::BLOCK_BYTES_MAX;
use crate::device::DirectoryId;
use crate::{SessionId, Zxid};

/// Bytes of the prologue.
pub(super) const PROLOGUE_BYTES: usize = 44;
/// Bytes in front of a section's contents.
pub(super) const SECTION_BYTES: usize = 20;
const MAGIC: &[u8; 8] = b"RKSNAP\r\n";
const VERSION: u32 = 1;
const END_BYTES: usize = 20;
const SESSION_BYTES: usize = 12;

/// Why a snapshot cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadSnapshot {
    /// A checksum is wrong, or something is missing.
    #[error("it is damaged at byte {offset} ({what})")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A later version wrote it.
    #[error("it was written by a later version of Ringkeeper (format {0})")]
    Version(u32),
    /// It is another directory's.
    #[error("it belongs to another directory")]
    OtherDirectory,
    /// Its name says another zxid than its contents.
    #[error("it holds the state at {0}, which is not what its name says")]
    OtherZxid(Zxid),
    /// Its checksums are right, but its contents are invalid.
    #[error("its contents are refused: {0}")]
    Refused(String),
}

/// What a section holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Sessions,
    Header,
    Block,
    End,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Sessions, Kind::Header, Kind::Block, Kind::End];

    fn to_number(self) -> u32 {
        match self {
            Kind::Sessions => 1,
            Kind::Header => 2,
            Kind::Block => 3,
            Kind::End => 4,
        }
    }
}

/// The fields in front of a section's contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SectionHeader {
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) raw: usize,
    pub(super) packed: usize,
}

/// The totals in the last section.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Totals {
    pub(super) blocks: u64,
    pub(super) raw: u64,
    /// CRC-32C of every byte before the last section.
    pub(super) file: u32,
}

pub(super) fn prologue(zxid: Zxid, directory: DirectoryId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PROLOGUE_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    bytes.extend_from_slice(&zxid.0.to_le_bytes());
    bytes.extend_from_slice(&directory.0);
    let sum = crc_fast::crc32_iscsi(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    assert!(bytes.len() == PROLOGUE_BYTES, "the prologue has a fixed size");
    bytes
}

pub(super) fn check_prologue(
    bytes: &[u8],
    zxid: Zxid,
    directory: DirectoryId,
) -> Result<(), BadSnapshot> {
    let (found, whose) = read_prologue(bytes)?;
    if whose != directory {
        return Err(BadSnapshot::OtherDirectory);
    }
    if found == zxid { Ok(()) } else { Err(BadSnapshot::OtherZxid(found)) }
}

/// Which state a snapshot holds, and of which directory it is.
pub(super) fn read_prologue(bytes: &[u8]) -> Result<(Zxid, DirectoryId), BadSnapshot> {
    let damaged = BadSnapshot::Damaged { offset: 0, what: "its prologue" };
    if bytes.len() != PROLOGUE_BYTES {
        return Err(damaged);
    }
    let (fields, sum) = bytes.split_at(PROLOGUE_BYTES - 4);
    if crc_fast::crc32_iscsi(fields).to_le_bytes() != sum || fields[..8] != MAGIC[..] {
        return Err(damaged);
    }
    let version = u32_at(fields, 8);
    if version != VERSION {
        return Err(BadSnapshot::Version(version));
    }
    let whose = fields[24..40].try_into().expect("it has 16 bytes");
    Ok((Zxid(u64_at(fields, 16)), DirectoryId(whose)))
}

/// A whole section around contents that are compressed already.
pub(super) fn section(kind: Kind, number: u32, raw: usize, packed: &[u8]) -> Vec<u8> {
    let len = |len: usize| u32::try_from(len).expect("blocks are smaller than 4 GiB");
    let mut bytes = Vec::with_capacity(SECTION_BYTES + packed.len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&kind.to_number().to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&len(raw).to_le_bytes());
    bytes.extend_from_slice(&len(packed.len()).to_le_bytes());
    bytes.extend_from_slice(packed);
    let sum = crc_fast::crc32_iscsi(&bytes[4..]);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Reads the fields in front of a section, none of which is checked yet.
pub(super) fn section_header(bytes: &[u8]) -> Option<SectionHeader> {
    let number = u32_at(bytes, 4);
    let kind = Kind::ALL.into_iter().find(|kind| kind.to_number() == number)?;
    let (raw, packed) = (u32_at(bytes, 12) as usize, u32_at(bytes, 16) as usize);
    (raw <= BLOCK_BYTES_MAX).then_some(SectionHeader {
        kind,
        number: u32_at(bytes, 8),
        raw,
        packed,
    })
}

/// Checks and decompresses one whole section.
pub(super) fn unpack(section: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (sum, rest) = section.split_first_chunk::<4>().ok_or("a section is cut off")?;
    if crc_fast::crc32_iscsi(rest).to_le_bytes() != *sum {
        return Err("the checksum of a section");
    }
    let header = section_header(section).ok_or("the header of a section")?;
    // What is decompressed is known to be what was written: the length may be believed.
    let raw = zstd::bulk::decompress(&section[SECTION_BYTES..], header.raw)
        .map_err(|_| "the compressed bytes of a section")?;
    if raw.len() == header.raw { Ok(raw) } else { Err("the length of a section") }
}

pub(super) fn encode_sessions(sessions: &[(SessionId, i32)]) -> Vec<u8> {
    let fields = |&(id, timeout): &(SessionId, i32)| {
        id.0.to_le_bytes().into_iter().chain(timeout.to_le_bytes())
    };
    sessions.iter().flat_map(fields).collect()
}

pub(super) fn decode_sessions(bytes: &[u8]) -> Option<Vec<(SessionId, i32)>> {
    if !bytes.len().is_multiple_of(SESSION_BYTES) {
        return None;
    }
    let session = |fields: &[u8]| {
        let (id, timeout) = fields.split_at(8);
        let id = i64::from_le_bytes(id.try_into().expect("eight bytes"));
        (SessionId(id), i32::from_le_bytes(timeout.try_into().expect("four bytes")))
    };
    Some(bytes.chunks_exact(SESSION_BYTES).map(session).collect())
}

impl Totals {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(END_BYTES);
        bytes.extend_from_slice(&self.blocks.to_le_bytes());
        bytes.extend_from_slice(&self.raw.to_le_bytes());
        bytes.extend_from_slice(&self.file.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Totals> {
        (bytes.len() == END_BYTES).then(|| Totals {
            blocks: u64_at(bytes, 0),
            raw: u64_at(bytes, 8),
            file: u32_at(bytes, 16),
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
