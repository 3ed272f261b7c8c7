//! `O_DIRECT | O_DSYNC`: one synchronous call per flush. The active segment is never mapped, for
//! the page cache and direct writes do not agree about who is right.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use memmap2::MmapMut;

use super::blocks::Blocks;

/// A segment written with direct, synchronous writes.
#[derive(Debug)]
pub(super) struct Direct {
    file: File,
    blocks: Blocks,
}

impl Direct {
    pub(super) fn open(path: &Path, end: u64) -> io::Result<Direct> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
            .open(path)?;
        let blocks = Blocks::new(end, |block, at| file.read_exact_at(block, at))?;
        Ok(Direct { file, blocks })
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let piece = self.blocks.stage(bytes);
            // A short write goes on where it stopped; whole blocks stay aligned only if the kernel
            // stopped at one, and if it did not, the next call fails, which is final.
            self.file.write_all_at(self.blocks.bytes(&piece), piece.offset)?;
            self.blocks.written(&piece);
            bytes = &bytes[piece.taken..];
        }
        Ok(())
    }

    /// Writes a block that is not among those staged.
    pub(super) fn rewrite(&self, offset: u64, block: &[u8]) -> io::Result<()> {
        self.file.write_all_at(&aligned(block)?, offset)
    }
}

/// A copy that may be written directly.
pub(super) fn aligned(block: &[u8]) -> io::Result<MmapMut> {
    let mut copy = MmapMut::map_anon(block.len())?;
    copy.copy_from_slice(block);
    Ok(copy)
}

/// Opens a file for direct writes that are synced later.
pub(super) fn open_for_zeros(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path)
}

/// Writes zeros past the page cache.
pub(super) fn zero(file: &File, bytes: u64, piece: usize) -> io::Result<()> {
    let zeros = MmapMut::map_anon(piece)?;
    let mut offset = 0;
    while offset < bytes {
        let count = piece.min(usize::try_from(bytes - offset).unwrap_or(piece));
        file.write_all_at(&zeros[..count], offset)?;
        offset += count as u64;
    }
    Ok(())
}
