//! The frame around one transaction in a segment.
//!
//! ```text
//! crc u32 | len u32 | mark u64 | group u32 | prev u32 | payload (len bytes) | zeros to 8 bytes
//! ```
//! Little-endian. `crc` is CRC-32C over everything behind it, padding included; `prev` is the crc
//! of the record before, so that the log is one chain; `mark` is the segment's random salt XOR the
//! record's offset; `group` is the offset at which the record's group starts in this segment.
//!
//! A record can therefore be told apart from whatever else lies in a recycled segment without
//! knowing what comes before it, and says by itself that everything before `group` was durable:
//! a group is written only when the one before it is.
//!
//! A record without a payload is a *seal*. It says the same about the group before it when no
//! other group comes to say so.

use super::crc;
use crate::Zxid;

/// Bytes in front of a payload.
pub const HEADER_BYTES: usize = 24;
/// Records begin at multiples of this.
pub const ALIGN: usize = 8;
/// The fields of a transaction's own header: session, cxid, zxid, time, type.
const PAYLOAD_BYTES_MIN: usize = 32;
/// Where the zxid stands in a payload.
const ZXID_AT: usize = 12;
/// Bytes of storage that are written whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A record whose checksum is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Header and record of the transaction.
    pub payload: &'a [u8],
    /// The checksum, which the next record repeats.
    pub crc: u32,
    /// The checksum of the record before.
    pub prev: u32,
    /// Where the group starts.
    pub group: u32,
}

impl Record<'_> {
    /// Whether it only says that what comes before it is durable.
    pub fn is_seal(&self) -> bool {
        self.payload.is_empty()
    }

    /// The transaction's place in the order; a seal has none.
    pub fn zxid(&self) -> Option<Zxid> {
        (!self.is_seal()).then(|| zxid_of(self.payload))
    }

    /// Bytes in the segment, frame and padding included.
    pub fn bytes(&self) -> usize {
        framed(self.payload.len())
    }
}

/// A part of a segment, known by its place in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window<'a> {
    base: usize,
    bytes: &'a [u8],
}

impl<'a> Window<'a> {
    /// The bytes that stand at `base` of a segment.
    pub fn new(base: usize, bytes: &'a [u8]) -> Window<'a> {
        Window { base, bytes }
    }

    /// Where in the segment it ends.
    pub fn end(&self) -> usize {
        self.base + self.bytes.len()
    }

    /// What lies behind an offset of the segment.
    fn behind(&self, offset: usize) -> Option<&'a [u8]> {
        self.bytes.get(offset.checked_sub(self.base)?..)
    }
}

impl<'a> From<&'a [u8]> for Window<'a> {
    fn from(segment: &'a [u8]) -> Window<'a> {
        Window::new(0, segment)
    }
}

/// Bytes in the segment of a payload of `len` bytes.
pub const fn framed(len: usize) -> usize {
    HEADER_BYTES + len.next_multiple_of(ALIGN)
}

/// Leaves room for a header; [`close`] goes with it.
pub(super) fn open(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.resize(start + HEADER_BYTES, 0);
    start
}

/// Pads the payload behind the header at `start` and notes its length. Returns the zxid.
pub(super) fn close(buffer: &mut Vec<u8>, start: usize) -> Zxid {
    let len = buffer.len() - start - HEADER_BYTES;
    assert!(len >= PAYLOAD_BYTES_MIN, "a transaction has a header");
    buffer.resize(start + framed(len), 0);
    put_u32(buffer, start + 4, u32::try_from(len).expect("a frame is smaller than 4 GiB"));
    zxid_of(&buffer[start + HEADER_BYTES..])
}

/// Fills in what depends on the place in the segment. `buffer` holds closed records which will
/// stand at `group`, one group. Returns the checksum of the last one.
pub(super) fn stamp(buffer: &mut [u8], group: u32, salt: u64, mut prev: u32) -> u32 {
    let mut at = 0;
    while at < buffer.len() {
        let end = at + framed(u32_at(buffer, at + 4) as usize);
        let record = &mut buffer[at..end];
        let mark = salt ^ (u64::from(group) + at as u64);
        record[8..16].copy_from_slice(&mark.to_le_bytes());
        put_u32(record, 16, group);
        put_u32(record, 20, prev);
        prev = crc(&record[4..]);
        put_u32(record, 0, prev);
        at = end;
    }
    prev
}

/// The records of a stamped or unstamped buffer that fit into `room` bytes: how many bytes, how
/// many records, and the zxid of the last one.
pub(super) fn fitting(buffer: &[u8], room: usize) -> (usize, u32, Option<Zxid>) {
    let (mut at, mut records, mut last) = (0, 0, None);
    while at < buffer.len() {
        let end = at + framed(u32_at(buffer, at + 4) as usize);
        if end > room {
            break;
        }
        last = Some(zxid_of(&buffer[at + HEADER_BYTES..end]));
        records += 1;
        at = end;
    }
    (at, records, last)
}

/// The record at `offset` of a segment, if there is one and the window holds all of it.
pub(super) fn verify(window: Window<'_>, offset: usize, salt: u64) -> Option<Record<'_>> {
    let rest = window.behind(offset)?;
    if rest.len() < HEADER_BYTES || !is_marked(window, offset, salt) {
        return None;
    }
    let len = u32_at(rest, 4) as usize;
    if len > rest.len() - HEADER_BYTES || (1..PAYLOAD_BYTES_MIN).contains(&len) {
        return None;
    }
    let bytes = rest.get(..framed(len))?;
    let (crc_found, group) = (u32_at(bytes, 0), u32_at(bytes, 16));
    if crc_found != crc(&bytes[4..]) || group as usize > offset {
        return None;
    }
    let payload = &bytes[HEADER_BYTES..HEADER_BYTES + len];
    Some(Record { payload, crc: crc_found, prev: u32_at(bytes, 20), group })
}

/// Whether a record of this incarnation of the segment once began at `offset`.
pub(super) fn is_marked(window: Window<'_>, offset: usize, salt: u64) -> bool {
    mark(window, offset) == Some(salt ^ offset as u64)
}

/// Whether the mark at `offset` is right but for a few bits: a record whose mark was damaged, for
/// no other eight bytes come so close by chance.
pub(super) fn is_nearly_marked(window: Window<'_>, offset: usize, salt: u64) -> bool {
    let Some(mark) = mark(window, offset) else { return false };
    (mark ^ salt ^ offset as u64).count_ones() <= 4
}

fn mark(window: Window<'_>, offset: usize) -> Option<u64> {
    let mark = window.behind(offset)?.get(8..16)?;
    Some(u64::from_le_bytes(mark.try_into().expect("eight bytes")))
}

/// Where the group of the marked record at `offset` starts, as far as that can be trusted: either
/// the whole record verifies, or its group stands in the same sector as its mark, and sectors are
/// written whole.
pub(super) fn group_of(window: Window<'_>, offset: usize, salt: u64) -> Option<u32> {
    if let Some(record) = verify(window, offset, salt) {
        return Some(record.group);
    }
    let same_sector = (offset + 8) / SECTOR_BYTES == (offset + 19) / SECTOR_BYTES;
    let group = u32_at(window.behind(offset)?.get(..HEADER_BYTES)?, 16);
    let plausible = group as usize <= offset && (group as usize).is_multiple_of(ALIGN);
    (same_sector && plausible).then_some(group)
}

/// The most bytes that the record at `offset` may have, as far as its head says.
pub(super) fn claimed_bytes(window: Window<'_>, offset: usize, salt: u64) -> Option<usize> {
    let head = window.behind(offset)?.get(..HEADER_BYTES)?;
    let len = u32_at(head, 4) as usize;
    is_marked(window, offset, salt).then(|| len.saturating_add(HEADER_BYTES + ALIGN - 1))
}

/// The payload of the first record of bytes that another server has framed, and what is behind
/// it; `None` where no record is whole, or where something is in it that only a log puts there.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let len = u32_at(header, 4) as usize;
    let is_blank = header[..4].iter().chain(&header[8..]).all(|byte| *byte == 0);
    if !is_blank || len < PAYLOAD_BYTES_MIN || len > bytes.len() {
        return None;
    }
    let (record, rest) = bytes.split_at_checked(framed(len))?;
    let (payload, padding) = record[HEADER_BYTES..].split_at(len);
    padding.iter().all(|byte| *byte == 0).then_some((payload, rest))
}

pub(super) fn zxid_of(payload: &[u8]) -> Zxid {
    let bytes = payload[ZXID_AT..ZXID_AT + 8].try_into().expect("eight bytes");
    Zxid(u64::from_be_bytes(bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// The zxid and the framed size of the first record of a group's buffer.
pub(super) fn first(buffer: &[u8]) -> (Zxid, usize) {
    (zxid_of(&buffer[HEADER_BYTES..]), framed(u32_at(buffer, 4) as usize))
}

/// The zxid and the payload of the record at `offset`, which was verified before.
pub(super) fn at(window: Window<'_>, offset: usize) -> (Zxid, &[u8]) {
    let record = window.behind(offset).expect("it was verified");
    let payload = &record[HEADER_BYTES..HEADER_BYTES + u32_at(record, 4) as usize];
    (zxid_of(payload), payload)
}

/// The checksum of the record before the one at `offset`, which was verified before.
pub(super) fn prev(window: Window<'_>, offset: usize) -> u32 {
    u32_at(window.behind(offset).expect("it was verified"), 20)
}

/// The zxid and the payload of each record of a group's buffer.
pub(super) fn txns(mut buffer: &[u8]) -> impl Iterator<Item = (Zxid, &[u8])> {
    std::iter::from_fn(move || {
        (!buffer.is_empty()).then(|| {
            let len = u32_at(buffer, 4) as usize;
            let (record, rest) = buffer.split_at(framed(len));
            buffer = rest;
            let payload = &record[HEADER_BYTES..HEADER_BYTES + len];
            (zxid_of(payload), payload)
        })
    })
}
