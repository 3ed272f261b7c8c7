//! How far into a segment anything has ever been written, at most, and where reading may begin.
//!
//! ```text
//! magic 8 | salt u64 | limit u32 | count u32 | waypoints (count times 16 bytes) | crc u32
//! waypoint: offset u32 | chain u32 | last u64
//! ```
//! A block of its own, the second of the file. It is made durable before the first write that
//! goes beyond its limit, and in large steps, so that few flushes pay for it. Recovery therefore
//! need not read what lies behind it, which is most of a fresh segment; what lies before it is
//! looked at to the last byte, as if the file ended there.
//!
//! The group that goes beyond a limit leaves a waypoint: where it begins, and the zxid and the
//! checksum of the record before it. So do a seal, and the end of a segment, once the next one has
//! begun: its waypoint stands at the end of the file. What a snapshot holds need not be read to
//! find the rest. A segment without space for a seal has its waypoint nevertheless.
//!
//! Where the block cannot be read, or where records reach the limit, the whole file is read; where
//! nothing stands at a waypoint, reading begins at the beginning. But a waypoint is written only
//! after everything before it was durable: one that lies behind the last good record proves that
//! records are lost, and one at the end of the file that another segment is. A block that reads as
//! zeros is damage as well: a segment has had one since it was begun, and a write of it that was
//! cut short leaves a part of the old one or of the new one.

use super::crc;
use super::header::Header;
use super::layout::{HIGH_WATER_AT, RECORDS_AT};
use crate::Zxid;
use crate::device::BLOCK_BYTES;

const MAGIC: &[u8; 8] = b"RKHIGH2\n";
const FIELDS_BYTES: usize = 24;
const WAYPOINT_BYTES: usize = 16;
const SUM_BYTES: usize = 4;
/// As many as the block has room for. A snapshot is usually recent, so the newest stay.
const WAYPOINTS_MAX: usize = (BLOCK_BYTES - FIELDS_BYTES - SUM_BYTES) / WAYPOINT_BYTES;
/// The largest step, and the part of a segment that it is in smaller ones.
const STEP_BYTES_MAX: u64 = 1 << 20;
const STEPS: u64 = 16;

/// What the block says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct HighWater {
    /// Nothing has been written at or behind it. 0 where that is not known.
    pub(super) limit: u64,
    /// Oldest first.
    waypoints: Vec<Waypoint>,
    /// Whether the newest one is of a seal. The next seal replaces it, so that seals do not drive
    /// all others out.
    sealed: bool,
    /// Whether the block reads as zeros where it must have been written.
    erased: bool,
}

/// Where a group begins, and what comes before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Waypoint {
    /// The place in the segment.
    pub(super) offset: u32,
    /// The checksum of the record before it.
    pub(super) chain: u32,
    /// The newest zxid before it.
    pub(super) last: Zxid,
}

impl HighWater {
    /// Of a segment in which nothing stands yet.
    pub(super) fn fresh(capacity: u64) -> HighWater {
        let limit = limit_for(RECORDS_AT as u64, capacity);
        HighWater { limit, ..HighWater::default() }
    }

    /// Raises the limit for a group of so many bytes, and says whether that was needed.
    pub(super) fn raise(&mut self, group: Waypoint, bytes: u64, capacity: u64) -> bool {
        let limit = limit_for(u64::from(group.offset) + bytes, capacity);
        if limit <= self.limit {
            return false;
        }
        self.limit = limit;
        self.push(group);
        true
    }

    /// A seal will stand here, or would if there were space for it: everything before it is
    /// durable. In a segment that is full to its last byte the waypoint stands at that byte: at the
    /// end it would say that the next segment has begun.
    pub(super) fn seal(&mut self, seal: Waypoint, capacity: u64) {
        let last_byte = u32::try_from(capacity - 1).expect("segments are smaller than 4 GiB");
        let seal = Waypoint { offset: seal.offset.min(last_byte), ..seal };
        if self.sealed || self.waypoints.last() == Some(&seal) {
            self.waypoints.pop();
        }
        let end = u64::from(seal.offset) + super::record::HEADER_BYTES as u64;
        self.limit = self.limit.max(limit_for(end, capacity));
        self.push(seal);
        self.sealed = true;
    }

    /// The next segment has begun, behind this transaction.
    pub(super) fn follow(&mut self, last: Zxid, chain: u32, capacity: u64) {
        let offset = u32::try_from(capacity).expect("segments are smaller than 4 GiB");
        if self.limit == 0 {
            self.limit = capacity;
        }
        self.push(Waypoint { offset, chain, last });
    }

    fn push(&mut self, waypoint: Waypoint) {
        if self.waypoints.len() == WAYPOINTS_MAX {
            self.waypoints.remove(0);
        }
        self.waypoints.push(waypoint);
        self.sealed = false;
    }

    /// Whether it says that another segment has begun behind this one.
    pub(super) fn is_followed(&self, capacity: u64) -> bool {
        self.waypoints.last().is_some_and(|last| u64::from(last.offset) == capacity)
    }

    /// What proves that there was more than what is good up to `end`.
    pub(super) fn lost(&self, end: usize, capacity: u64) -> Option<Waypoint> {
        let beyond = |last: &&Waypoint| last.offset as usize > end || self.is_followed(capacity);
        self.waypoints.last().filter(beyond).copied()
    }

    /// The last place in front of everything behind `base`.
    pub(super) fn waypoint(&self, base: Zxid) -> Option<Waypoint> {
        self.waypoints.iter().rev().find(|waypoint| waypoint.last <= base).copied()
    }

    /// Whether the disk has lost the block, and with it what it said of the records.
    pub(super) fn is_erased(&self) -> bool {
        self.erased
    }

    /// Of a segment that ends here now, and has nothing but zeros behind that. Returns whether the
    /// block says something else.
    pub(super) fn cut(&mut self, end: usize, capacity: u64) -> bool {
        if self.erased {
            *self = HighWater { limit: capacity, ..HighWater::default() };
            return true;
        }
        if self.limit == 0 {
            return false;
        }
        // A waypoint at the end itself is of a group that never came.
        let stale = self.lost(end, capacity).is_some();
        self.sealed &= !stale;
        self.waypoints.retain(|waypoint| (waypoint.offset as usize) < end);
        let limit = self.limit.max(limit_for(end as u64, capacity));
        let raised = limit > std::mem::replace(&mut self.limit, limit);
        stale || raised
    }

    /// As it is written.
    pub(super) fn encode(&self, header: &Header) -> Vec<u8> {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        block.extend_from_slice(MAGIC);
        block.extend_from_slice(&header.salt.to_le_bytes());
        let limit = u32::try_from(self.limit).expect("segments are smaller than 4 GiB");
        block.extend_from_slice(&limit.to_le_bytes());
        let count = u32::try_from(self.waypoints.len()).expect("they have a maximum");
        block.extend_from_slice(&count.to_le_bytes());
        for waypoint in &self.waypoints {
            block.extend_from_slice(&waypoint.offset.to_le_bytes());
            block.extend_from_slice(&waypoint.chain.to_le_bytes());
            block.extend_from_slice(&waypoint.last.0.to_le_bytes());
        }
        let sum = crc(&block);
        block.extend_from_slice(&sum.to_le_bytes());
        assert!(block.len() <= BLOCK_BYTES, "no more waypoints than there is room for");
        block.resize(BLOCK_BYTES, 0);
        block
    }

    /// What the first bytes of a segment say: nothing where the block is not whole, or of an
    /// earlier use of the file, or where flushes did not wait for the disk, so that no write says
    /// anything about another one.
    pub(super) fn read(segment: &[u8], header: &Header) -> HighWater {
        if !header.synced {
            return HighWater::default();
        }
        HighWater::decode(segment, header).unwrap_or_else(|| {
            let behind_limit = segment.get(HIGH_WATER_AT + FIELDS_BYTES - 4..).unwrap_or_default();
            let erased = behind_limit.iter().all(|&byte| byte == 0);
            HighWater { erased, ..HighWater::default() }
        })
    }

    fn decode(segment: &[u8], header: &Header) -> Option<HighWater> {
        let block = segment.get(HIGH_WATER_AT..)?;
        let count = u32_at(block, FIELDS_BYTES - 4)? as usize;
        let sum_at = FIELDS_BYTES + count.min(WAYPOINTS_MAX) * WAYPOINT_BYTES;
        if crc(block.get(..sum_at)?) != u32_at(block, sum_at)? || block[..8] != MAGIC[..] {
            return None;
        }
        let limit = u64::from(u32_at(block, 16)?);
        if u64_at(block, 8)? != header.salt || limit > header.capacity {
            return None;
        }
        let waypoints = block[FIELDS_BYTES..sum_at].chunks_exact(WAYPOINT_BYTES);
        let waypoints = waypoints.map(|bytes| {
            let last = Zxid(u64_at(bytes, 8)?);
            Some(Waypoint { offset: u32_at(bytes, 0)?, chain: u32_at(bytes, 4)?, last })
        });
        Some(HighWater {
            limit,
            waypoints: waypoints.collect::<Option<_>>()?,
            ..HighWater::default()
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The limit to set before something that ends at `end` is written. There is always room for one
/// more record's head below it, so that records which reach it prove that it is not the last one
/// that was set.
fn limit_for(end: u64, capacity: u64) -> u64 {
    let step = (capacity / STEPS).clamp(BLOCK_BYTES as u64, STEP_BYTES_MAX);
    (end + super::record::HEADER_BYTES as u64).next_multiple_of(step).min(capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DirectoryId;

    const MIB: u64 = 1 << 20;

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

    fn group(offset: u32) -> Waypoint {
        Waypoint { offset, chain: offset ^ 99, last: Zxid(u64::from(offset) / 100) }
    }

    fn written(waypoints: &[u32]) -> HighWater {
        let waypoints = waypoints.iter().map(|at| group(*at)).collect();
        HighWater { limit: 9_000, waypoints, ..HighWater::default() }
    }

    #[test]
    fn high_water_with_bad_crc_or_salt_is_ignored() {
        for said in [written(&[]), written(&[8_192]), written(&[8_192, 8_400, 8_900])] {
            let mut segment = vec![0; HIGH_WATER_AT];
            segment.extend(said.encode(&header(5)));
            assert_eq!(HighWater::decode(&segment, &header(5)), Some(said.clone()));
            assert_eq!(HighWater::decode(&segment, &header(6)), None);
            let small = Header { capacity: 8_192, ..header(5) };
            assert_eq!(HighWater::decode(&segment, &small), None);
            let bytes = FIELDS_BYTES + said.waypoints.len() * WAYPOINT_BYTES + SUM_BYTES;
            assert_eq!(HighWater::decode(&segment[..HIGH_WATER_AT + bytes - 1], &header(5)), None);
            for bit in 0..bytes * 8 {
                let mut flipped = segment.clone();
                flipped[HIGH_WATER_AT + bit / 8] ^= 1 << (bit % 8);
                assert_eq!(HighWater::decode(&flipped, &header(5)), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn high_water_limit_leaves_a_record_header_and_stays_in_the_file() {
        assert_eq!(limit_for(8_192, 16 * MIB), MIB);
        assert_eq!(limit_for(MIB - 24, 16 * MIB), MIB);
        assert_eq!(limit_for(MIB - 23, 16 * MIB), 2 * MIB);
        assert_eq!(limit_for(16 * MIB - 8, 16 * MIB), 16 * MIB);
        assert_eq!(limit_for(8_192, 16 << 10), 12 << 10);
    }

    #[test]
    fn group_beyond_the_limit_leaves_a_waypoint() {
        let mut said = HighWater::fresh(16 * MIB);
        assert_eq!((said.limit, said.waypoint(Zxid(u64::MAX))), (MIB, None));
        assert!(!said.raise(group(8_192), 5_000, 16 * MIB));
        assert!(said.raise(group(1_000_000), 100_000, 16 * MIB));
        assert!(!said.raise(group(1_100_000), 100_000, 16 * MIB));
        assert!(said.raise(group(1_200_000), 4_000_000, 16 * MIB));
        assert_eq!(said.limit, 5 * MIB);
        let found = |base: u64| said.waypoint(Zxid(base)).map(|waypoint| waypoint.offset);
        assert_eq!(found(9_999), None);
        assert_eq!((found(10_000), found(11_999)), (Some(1_000_000), Some(1_000_000)));
        assert_eq!((found(12_000), found(u64::MAX)), (Some(1_200_000), Some(1_200_000)));
        for (end, left, changed) in [
            (1_200_001, 1_200_000, false),
            (1_200_000, 1_000_000, false),
            (1_199_999, 1_000_000, true),
        ] {
            let mut cut = said.clone();
            assert_eq!(cut.cut(end, 16 * MIB), changed);
            assert_eq!(cut.waypoint(Zxid(u64::MAX)), Some(group(left)));
            assert_eq!(cut.limit, said.limit);
        }
        let mut low = HighWater { limit: MIB, ..said.clone() };
        assert!(low.cut(MIB as usize, 16 * MIB), "what is below the end is not below the limit");
        assert_eq!(low.limit, 2 * MIB);
        assert!(!HighWater::default().cut(9_000, 16 * MIB), "an unreadable block says nothing");
    }

    #[test]
    fn full_block_keeps_the_newest_waypoints() {
        let capacity = 2 << 30;
        let mut said = HighWater::fresh(capacity);
        for n in 1..2_000 {
            assert!(said.raise(group(n * (1 << 20)), 100, capacity));
        }
        let block = said.encode(&Header { capacity, ..header(5) });
        let decoded = HighWater::decode(
            &[vec![0; HIGH_WATER_AT], block].concat(),
            &Header { capacity, ..header(5) },
        );
        assert_eq!(decoded, Some(said.clone()));
        assert_eq!(said.waypoints.len(), WAYPOINTS_MAX);
        assert_eq!(said.waypoint(Zxid(u64::MAX)), Some(group(1_999 << 20)));
        assert_eq!(said.waypoint(group(1_500 << 20).last), None);
    }
}
