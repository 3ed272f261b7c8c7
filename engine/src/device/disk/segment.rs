//! A segment open for durable writes, with any strategy.
#![expect(clippy::disallowed_methods, reason = "this is the edge that reads the clock")]

use std::io;
use std::path::Path;
use std::time::Instant;

use super::direct::Direct;
use super::mapped::Mapped;
use super::pwrite::Pwrite;
use super::uring::Uring;
use crate::device::{BLOCK_BYTES, DiskError, Durability, Segment, Strategy, Written};

/// A preallocated file open for durable writes.
#[derive(Debug)]
pub struct DiskSegment {
    name: String,
    capacity: u64,
    end: u64,
    strategy: Way,
}

#[derive(Debug)]
enum Way {
    Direct(Direct),
    Uring(Uring),
    Pwrite(Pwrite),
    Mapped(Mapped),
}

impl DiskSegment {
    pub(super) fn open(
        path: &Path,
        end: u64,
        strategy: Strategy,
        durability: Durability,
    ) -> io::Result<DiskSegment> {
        let capacity = std::fs::metadata(path)?.len();
        if !capacity.is_multiple_of(BLOCK_BYTES as u64) || end > capacity {
            return Err(io::Error::other("the file does not have the size it was made with"));
        }
        let strategy = match (durability, strategy) {
            (Durability::Unsynced, _) | (_, Strategy::Pwrite) => {
                Way::Pwrite(Pwrite::open(path, end, durability)?)
            }
            (Durability::Synced, Strategy::Direct) => Way::Direct(Direct::open(path, end)?),
            (Durability::Synced, Strategy::Uring) => Way::Uring(Uring::open(path, end)?),
            (Durability::Synced, Strategy::Mmap) => Way::Mapped(Mapped::open(path, capacity)?),
        };
        Ok(DiskSegment { name: path.display().to_string(), capacity, end, strategy })
    }
}

impl Segment for DiskSegment {
    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<Written, DiskError> {
        assert!(offset == self.end, "writes into a segment follow each other");
        assert!(self.capacity - offset >= bytes.len() as u64, "a segment never grows");
        let start = Instant::now();
        match &mut self.strategy {
            Way::Direct(direct) => direct.write(bytes),
            Way::Uring(uring) => uring.write(bytes),
            Way::Pwrite(pwrite) => pwrite.write(offset, bytes),
            Way::Mapped(mapped) => mapped.write(offset, bytes),
        }
        .map_err(|source| DiskError { doing: "write", file: self.name.clone(), source })?;
        self.end += bytes.len() as u64;
        Ok(Written { micros: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX) })
    }

    fn rewrite(&mut self, offset: u64, blocks: &[u8]) -> Result<(), DiskError> {
        let whole = offset.is_multiple_of(BLOCK_BYTES as u64) && blocks.len() == BLOCK_BYTES;
        assert!(whole && offset + blocks.len() as u64 <= self.end, "a block of what is written");
        match &mut self.strategy {
            Way::Direct(direct) => direct.rewrite(offset, blocks),
            Way::Uring(uring) => uring.rewrite(offset, blocks),
            Way::Pwrite(pwrite) => pwrite.write(offset, blocks),
            Way::Mapped(mapped) => mapped.write(offset, blocks),
        }
        .map_err(|source| DiskError { doing: "write", file: self.name.clone(), source })
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        match &self.strategy {
            Way::Pwrite(pwrite) => pwrite.sync(),
            Way::Direct(_) | Way::Uring(_) | Way::Mapped(_) => Ok(()),
        }
        .map_err(|source| DiskError { doing: "sync", file: self.name.clone(), source })
    }
}
