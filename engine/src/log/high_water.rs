//! How far into a segment anything has ever been written, at most.
//!
//! ```text
//! magic 8 | salt u64 | limit u32 | crc u32
//! ```
//! A block of its own, the second of the file. It is made durable before the first write that
//! goes beyond it, and in large steps, so that few commits pay for it. Recovery therefore need not
//! read what lies behind it, which is most of a fresh segment; what lies before it is looked at to
//! the last byte, as if the file ended there.
//!
//! Nothing depends on it. Where it cannot be read, or where records reach it, the whole file is
//! read.

use super::crc;
use super::header::Header;
use crate::device::BLOCK_BYTES;

/// Where the block begins: never in the block of the header, which is written once, so that no
/// later write can tear it.
pub(super) const AT: usize = BLOCK_BYTES;
const MAGIC: &[u8; 8] = b"RKHIGH\r\n";
const BYTES: usize = 24;
/// The largest step, and the part of a segment that it is in smaller ones.
const STEP_BYTES_MAX: u64 = 1 << 20;
const STEPS: u64 = 16;

/// The block that says that nothing has been written at or behind `limit`.
pub(super) fn encode(header: &Header, limit: u64) -> Vec<u8> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    block.extend_from_slice(MAGIC);
    block.extend_from_slice(&header.salt.to_le_bytes());
    let limit = u32::try_from(limit).expect("segments are smaller than 4 GiB");
    block.extend_from_slice(&limit.to_le_bytes());
    let sum = crc(&block);
    block.extend_from_slice(&sum.to_le_bytes());
    assert!(block.len() == BYTES, "the fields have a fixed size");
    block.resize(BLOCK_BYTES, 0);
    block
}

/// What the block in the first bytes of a segment says; `None` where that is not known.
pub(super) fn decode(segment: &[u8], header: &Header) -> Option<u64> {
    let (fields, sum) = segment.get(AT..AT + BYTES)?.split_at(BYTES - 4);
    if crc(fields).to_le_bytes() != sum || fields[..8] != MAGIC[..] {
        return None;
    }
    let salt = u64::from_le_bytes(fields[8..16].try_into().expect("eight bytes"));
    let limit = u64::from(u32::from_le_bytes(fields[16..20].try_into().expect("four bytes")));
    let possible = salt == header.salt && limit <= header.capacity;
    possible.then_some(limit)
}

/// The limit to set before something that ends at `end` is written. There is always room for one
/// more record's head below it, so that records which reach it prove that it is not the last one
/// that was set.
pub(super) fn limit_for(end: u64, capacity: u64) -> u64 {
    let step = (capacity / STEPS).clamp(BLOCK_BYTES as u64, STEP_BYTES_MAX);
    (end + super::record::HEADER_BYTES as u64).next_multiple_of(step).min(capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zxid;
    use crate::device::DirectoryId;

    fn header(salt: u64) -> Header {
        Header {
            synced: true,
            capacity: 64 << 10,
            salt,
            first: Zxid(1),
            prev: Zxid::ZERO,
            chain: 0,
            directory: DirectoryId([7; 16]),
        }
    }

    #[test]
    fn a_limit_is_believed_only_where_it_is_whole_and_of_this_use_of_the_file() {
        let mut segment = vec![0; AT];
        segment.extend(encode(&header(5), 9_000));
        assert_eq!(decode(&segment, &header(5)), Some(9_000));
        assert_eq!(decode(&segment, &header(6)), None);
        assert_eq!(decode(&segment, &Header { capacity: 8_192, ..header(5) }), None);
        assert_eq!(decode(&segment[..AT + BYTES - 1], &header(5)), None);
        for bit in 0..BYTES * 8 {
            let mut flipped = segment.clone();
            flipped[AT + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped, &header(5)), None, "bit {bit}");
        }
    }

    #[test]
    fn limits_leave_room_and_stay_in_the_file() {
        const MIB: u64 = 1 << 20;
        assert_eq!(limit_for(8_192, 16 * MIB), MIB);
        assert_eq!(limit_for(MIB - 24, 16 * MIB), MIB);
        assert_eq!(limit_for(MIB - 23, 16 * MIB), 2 * MIB);
        assert_eq!(limit_for(16 * MIB - 8, 16 * MIB), 16 * MIB);
        assert_eq!(limit_for(8_192, 16 << 10), 12 << 10);
    }
}
