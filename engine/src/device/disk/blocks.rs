//! The page-aligned buffer from which whole blocks are written directly.

use std::io;

use memmap2::MmapMut;

use crate::device::BLOCK_BYTES;

/// Bytes of a buffer: a full group and a frame. Untouched pages cost nothing.
const STAGING_BYTES: usize = 8 << 20;

/// The end of a segment, staged: the partly filled last block and what comes behind it.
#[derive(Debug)]
pub(super) struct Blocks {
    staging: MmapMut,
    /// Where in the file the first staged block belongs.
    base: u64,
    /// Bytes of the first staged block that are on the disk already.
    filled: usize,
}

/// Whole blocks to write at `offset`; `taken` bytes of the input are in them.
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) bytes: usize,
    pub(super) taken: usize,
}

impl Blocks {
    /// Stages the end of a file; `read` fills the buffer with the block at an offset.
    pub(super) fn new(
        end: u64,
        read: impl FnOnce(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<Blocks> {
        let mut staging = MmapMut::map_anon(STAGING_BYTES)?;
        let filled = (end % BLOCK_BYTES as u64) as usize;
        let base = end - filled as u64;
        if filled > 0 {
            read(&mut staging[..BLOCK_BYTES], base)?;
        }
        Ok(Blocks { staging, base, filled })
    }

    /// Stages as much of `bytes` as fits and fills the last block up with zeros.
    pub(super) fn stage(&mut self, bytes: &[u8]) -> Piece {
        let taken = bytes.len().min(self.staging.len() - self.filled);
        let end = self.filled + taken;
        self.staging[self.filled..end].copy_from_slice(&bytes[..taken]);
        let whole = end.next_multiple_of(BLOCK_BYTES);
        self.staging[end..whole].fill(0);
        Piece { offset: self.base, bytes: whole, taken }
    }

    /// The piece is on the disk: its last block, if partly filled, becomes the first one.
    pub(super) fn written(&mut self, piece: &Piece) {
        let end = self.filled + piece.taken;
        let last = end - end % BLOCK_BYTES;
        self.filled = end - last;
        self.base += last as u64;
        if last > 0 && self.filled > 0 {
            self.staging.copy_within(last..last + BLOCK_BYTES, 0);
        }
    }

    /// The staged blocks.
    pub(super) fn bytes(&self, piece: &Piece) -> &[u8] {
        &self.staging[..piece.bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_blocks_equal_the_written_bytes() {
        let mut file = vec![7_u8; 64 << 20];
        let mut expected = file.clone();
        let mut end = 5_000;
        let mut blocks = Blocks::new(end as u64, |block, at| {
            block.copy_from_slice(&file[at as usize..][..BLOCK_BYTES]);
            Ok(())
        })
        .unwrap();
        for len in [1, 8, 3_183, 1, 4_096, 4_095, 1, 20_000, 9 << 20, 30 << 20, 100] {
            let bytes: Vec<u8> = (0..len).map(|n: usize| (n * 31 + len) as u8).collect();
            expected[end..end + len].copy_from_slice(&bytes);
            end += len;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let piece = blocks.stage(rest);
                file[piece.offset as usize..][..piece.bytes].copy_from_slice(blocks.bytes(&piece));
                blocks.written(&piece);
                rest = &rest[piece.taken..];
            }
            assert!(file[..end] == expected[..end]);
        }
    }
}
