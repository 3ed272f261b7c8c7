//! How a file lies on its disk: in how many pieces, and how much of it is only reserved.
#![expect(clippy::disallowed_methods, reason = "this is the edge that opens files")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::DiskError;

/// `FS_IOC_FIEMAP`: the same number on every architecture that Linux servers run on.
const FIEMAP: libc::Ioctl = 0xc020_660b_u32 as libc::Ioctl;
/// Write what is dirty first, so that delayed allocations have a place.
const FLAG_SYNC: u32 = 1;
const EXTENT_LAST: u32 = 0x1;
const EXTENT_UNWRITTEN: u32 = 0x800;
/// Extents of one call.
const BATCH: usize = 128;
/// Calls at most: a file in more pieces than this is fragmented, and how much does not matter.
const CALLS_MAX: usize = 64;

/// Where a file lies.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Extents {
    /// Contiguous pieces.
    pub pieces: u32,
    /// Bytes that have a place on the disk.
    pub bytes: u64,
    /// Bytes of these that were reserved but never written: the first flush into each costs the
    /// file system a second write, for it has to note that they are written now.
    pub unwritten_bytes: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved_long: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

#[repr(C)]
struct Map {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
    extents: [Extent; BATCH],
}

/// Asks the file system where a file lies. Not every file system can tell.
pub fn extents(path: &Path) -> Result<Extents, DiskError> {
    let read = || -> io::Result<Extents> { walk(&File::open(path)?) };
    read().map_err(|source| {
        let file = path.display().to_string();
        DiskError { doing: "read the extents of", file, source }
    })
}

fn walk(file: &File) -> io::Result<Extents> {
    let mut found = Extents::default();
    let mut start = 0;
    for _ in 0..CALLS_MAX {
        let map = query(file, start)?;
        let mapped = usize::try_from(map.mapped).map_or(0, |count| count.min(BATCH));
        for extent in &map.extents[..mapped] {
            found.pieces += 1;
            found.bytes = found.bytes.saturating_add(extent.length);
            if extent.flags & EXTENT_UNWRITTEN != 0 {
                found.unwritten_bytes = found.unwritten_bytes.saturating_add(extent.length);
            }
            start = extent.logical.saturating_add(extent.length);
        }
        if mapped == 0 || map.extents[mapped - 1].flags & EXTENT_LAST != 0 {
            break;
        }
    }
    Ok(found)
}

fn query(file: &File, start: u64) -> io::Result<Map> {
    let mut map = Map {
        start,
        length: u64::MAX - start,
        flags: FLAG_SYNC,
        mapped: 0,
        count: BATCH as u32,
        reserved: 0,
        extents: [Extent::default(); BATCH],
    };
    // SAFETY: the request takes a `struct fiemap`, which `Map` is, with room for `count` extents
    // behind its head; it lives until the call returns, and the kernel writes no more than that.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FIEMAP, &raw mut map) };
    if result == 0 { Ok(map) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FallocateFlags, fallocate};

    const BYTES: u64 = 1 << 20;

    #[test]
    fn extents_of_reserved_blocks_are_reported_unwritten() {
        let directory = tempfile::tempdir().unwrap();
        let (full, bare) = (directory.path().join("full"), directory.path().join("bare"));
        std::fs::write(&full, vec![1; BYTES as usize]).unwrap();
        let file = File::create(&bare).unwrap();
        let reserved = fallocate(&file, FallocateFlags::empty(), 0, BYTES).is_ok();
        match extents(&full) {
            Ok(found) => {
                assert_eq!((found.bytes, found.unwritten_bytes), (BYTES, 0));
                assert!(found.pieces > 0);
            }
            // Some file systems cannot tell.
            Err(error) => {
                eprintln!("skipped: {error}");
                return;
            }
        }
        if reserved {
            assert_eq!(extents(&bare).unwrap().unwritten_bytes, BYTES);
        }
        assert!(extents(&directory.path().join("none")).is_err());
    }
}
