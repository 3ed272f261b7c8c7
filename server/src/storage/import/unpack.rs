//! Snapshots as they are packed: plain, gzip, or the framing that Java programs put around Snappy.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use super::source::{Packing, SnapshotFile};

/// What a stream in Java's framing begins with, before two version numbers.
const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// The only version of the framing, and the oldest that can read it.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// A block has 32 KiB unless another size was set; this bounds what a hostile one takes.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// Opens a snapshot; `count` counts every byte of the file.
pub(super) fn open(
    file: &SnapshotFile,
    count: impl FnMut(usize) + 'static,
) -> anyhow::Result<Box<dyn Read>> {
    let counted = Counted { inner: file.found.open()?, count };
    let buffered = io::BufReader::with_capacity(1 << 20, counted);
    Ok(match file.packing {
        Packing::None => Box::new(buffered),
        Packing::Gzip => Box::new(io::BufReader::new(MultiGzDecoder::new(buffered))),
        Packing::Snappy => Box::new(Snappy::new(buffered)),
    })
}

/// Counts what is read.
struct Counted<R, F> {
    inner: R,
    count: F,
}

impl<R: Read, F: FnMut(usize)> Read for Counted<R, F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        (self.count)(read);
        Ok(read)
    }
}

/// Blocks of raw Snappy, each behind its length.
struct Snappy<R> {
    inner: R,
    has_begun: bool,
    packed: Vec<u8>,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> Snappy<R> {
    fn new(inner: R) -> Snappy<R> {
        Snappy { inner, has_begun: false, packed: Vec::new(), block: Vec::new(), at: 0 }
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut head = [0; 16];
        self.inner.read_exact(&mut head)?;
        if head[..8] != MAGIC {
            return Err(strange("it does not begin as a stream of Snappy does"));
        }
        if head[8..] != VERSIONS {
            return Err(strange("a version of the framing of Snappy that is not known"));
        }
        self.has_begun = true;
        Ok(())
    }

    /// Unpacks the next block. False behind the last one.
    fn next(&mut self) -> io::Result<bool> {
        let mut length = Vec::with_capacity(4);
        self.inner.by_ref().take(4).read_to_end(&mut length)?;
        if length.is_empty() {
            return Ok(false);
        }
        let length: [u8; 4] = length.try_into().map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > BLOCK_BYTES_MAX {
            return Err(strange("a block of Snappy is too large"));
        }
        self.packed.clear();
        let read = self.inner.by_ref().take(length as u64).read_to_end(&mut self.packed)?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let unpacked = snap::raw::decompress_len(&self.packed).map_err(io::Error::other)?;
        if unpacked > BLOCK_BYTES_MAX {
            return Err(strange("a block of Snappy is too large"));
        }
        self.block.resize(unpacked, 0);
        let mut decoder = snap::raw::Decoder::new();
        let unpacked = decoder.decompress(&self.packed, &mut self.block);
        self.block.truncate(unpacked.map_err(io::Error::other)?);
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Snappy<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.has_begun {
            self.begin()?;
        }
        while self.at == self.block.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let count = out.len().min(self.block.len() - self.at);
        out[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn strange(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &VERSIONS[..]].concat();
        for block in blocks {
            let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
            bytes.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            bytes.extend(block);
        }
        bytes
    }

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Snappy::new(bytes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn snappy_blocks_are_joined_and_truncation_is_an_error() {
        let bytes = packed(&[b"abc", b"", &[7; 5_000]]);
        let whole = unpacked(&bytes).unwrap();
        assert_eq!((whole.len(), &whole[..3]), (5_003, &b"abc"[..]));
        let ends: Vec<usize> =
            (0..=bytes.len()).filter(|at| unpacked(&bytes[..*at]).is_ok()).collect();
        assert_eq!((ends.len(), ends.last()), (4, Some(&bytes.len())), "between blocks only");
    }

    #[test]
    fn non_snappy_input_is_refused_without_allocation() {
        let mut huge = [&MAGIC[..], &VERSIONS[..]].concat();
        huge.extend([0xff; 4]);
        let mut claims = [&MAGIC[..], &VERSIONS[..]].concat();
        claims.extend([0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        for bytes in [&b"0123456789abcdef"[..], &huge, &claims] {
            assert!(unpacked(bytes).is_err());
        }
    }
}
