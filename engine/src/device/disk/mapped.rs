//! Stores into the mapped segment, then an fdatasync through `io_uring`.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use io_uring::IoUring;
use memmap2::{Advice, MmapMut, MmapOptions};

use super::uring;

/// A segment mapped for writing.
pub(super) struct Mapped {
    file: File,
    map: MmapMut,
    ring: IoUring,
}

impl std::fmt::Debug for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapped").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Mapped {
    pub(super) fn open(path: &Path, capacity: u64) -> io::Result<Mapped> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = usize::try_from(capacity).map_err(io::Error::other)?;
        // SAFETY: the directory is locked against other processes, and this one opens a segment
        // for writing once and never shortens it while it is open.
        let map = unsafe { MmapOptions::new().len(len).map_mut(&file)? };
        // Reading ahead would fill the cache with large folios, which are then written whole.
        map.advise(Advice::Random)?;
        Ok(Mapped { file, map, ring: IoUring::new(2)? })
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        self.map[start..start + bytes.len()].copy_from_slice(bytes);
        uring::sync_data(&mut self.ring, &self.file)
    }
}
