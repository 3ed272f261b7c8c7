//! `pwrite` and `fdatasync`: the two calls that every system has.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::Advice;

use crate::device::Durability;

/// A segment written through the page cache.
#[derive(Debug)]
pub(super) struct Pwrite {
    file: File,
    durability: Durability,
}

impl Pwrite {
    pub(super) fn open(path: &Path, end: u64, durability: Durability) -> io::Result<Pwrite> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        // A block that is not cached would have to be read before a part of it is overwritten. The
        // advice is only that: without it the first write into each block is slower.
        let ahead = file.metadata()?.len().saturating_sub(end);
        let _ = rustix::fs::fadvise(&file, end, NonZeroU64::new(ahead), Advice::WillNeed);
        Ok(Pwrite { file, durability })
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)?;
        match self.durability {
            Durability::Synced => self.file.sync_data(),
            Durability::Unsynced => Ok(()),
        }
    }
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
