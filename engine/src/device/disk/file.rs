//! Files read by position, and files written once.
#![expect(clippy::disallowed_methods, reason = "this is the edge that opens files")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::Advice;

use crate::device::{DiskError, ReadAt, Sink, Source};

/// Bytes written before the kernel has to start writeback: a snapshot of gigabytes must not
/// pile up in the page cache and hold up the flushes of the log when it is synced.
const PUSH_BYTES: u64 = 2 << 20;

/// A file open for reading.
#[derive(Debug)]
pub struct DiskReader {
    file: File,
    name: String,
    bytes: u64,
}

impl DiskReader {
    pub(super) fn open(path: &Path, source: Source) -> io::Result<DiskReader> {
        // A sync of a file that an earlier process left dirty needs no write permission.
        let file = File::open(path)?;
        if source == Source::Disk {
            file.sync_data()?;
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        }
        rustix::fs::fadvise(&file, 0, None, Advice::Sequential)?;
        let bytes = file.metadata()?.len();
        Ok(DiskReader { file, name: path.display().to_string(), bytes })
    }

    fn error(&self) -> impl FnOnce(io::Error) -> DiskError {
        let file = self.name.clone();
        move |source| DiskError { doing: "read", file, source }
    }
}

impl ReadAt for DiskReader {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_exact_at(buffer, offset).map_err(self.error())
    }

    fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, DiskError> {
        // Lengths come from the disk: they are checked before anything is reserved.
        if offset.checked_add(bytes as u64).is_none_or(|end| end > self.bytes) {
            return Err(self.error()(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut buffer = vec![0; bytes];
        self.read_into(offset, &mut buffer)?;
        Ok(buffer)
    }

    fn expect(&self, offset: u64, bytes: u64) {
        // A file system that cannot prefetch reads later.
        let bytes = NonZeroU64::new(bytes);
        let _ = bytes.map(|_| rustix::fs::fadvise(&self.file, offset, bytes, Advice::WillNeed));
    }
}

/// A file that grows at its end.
#[derive(Debug)]
pub struct DiskSink {
    file: File,
    name: String,
    written: u64,
    pushed: u64,
}

impl DiskSink {
    pub(super) fn create(path: &Path, mode: u32) -> io::Result<DiskSink> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
        Ok(DiskSink { file, name: path.display().to_string(), written: 0, pushed: 0 })
    }

    fn error(&self, doing: &'static str) -> impl FnOnce(io::Error) -> DiskError {
        let file = self.name.clone();
        move |source| DiskError { doing, file, source }
    }
}

impl Sink for DiskSink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all(bytes).map_err(self.error("write"))?;
        self.written += bytes.len() as u64;
        if self.written - self.pushed >= PUSH_BYTES {
            self.file.sync_data().map_err(self.error("sync"))?;
            self.pushed = self.written;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.file.sync_all().map_err(self.error("sync"))
    }
}
