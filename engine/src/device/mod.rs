//! The edge that touches files: log and snapshots reach their directory only through the trait
//! [`Directory`]. [`Disk`] is the real one, [`MemoryDisk`] the faulty one of tests and simulations.
//!
//! A directory is flat. It promises nothing that a file system does not: bytes written are durable
//! after a sync of the file, names after [`Directory::sync_dir`], and in any order or not at all
//! before that.
//!
//! Performance machinery, which a reader may skip on first reading (what is durable does not depend
//! on it; see `docs/understand/performance.md`): the strategies to write a segment ([`Strategy`],
//! `disk/*`), measuring them ([`probe()`]), thread priorities ([`Priority`]), where a file lies on
//! its disk ([`Extents`]), and memory that is fetched ahead ([`prefetch()`]).

mod disk;
mod extents;
mod identity;
mod lock;
mod memory;
mod parallel;
mod pipeline;
mod prefetch;
mod priority;
mod probe;
mod ready_queue;
mod strategy;

use std::io;

pub use disk::{Disk, DiskSegment};
pub use extents::{Extents, extents};
pub use identity::{
    BadIdentity, DirectoryId, EnsembleId, EnsembleIdentity, Epochs, Identity, Intent, Life,
    Membership, Renumbered, Standing,
};
pub use lock::{DirectoryLock, DirectoryLockError, Presence};
pub use memory::{Fault, MemoryDisk, Unsynced};
pub use parallel::map_in_order;
pub use pipeline::{Demand, pipeline};
pub use prefetch::prefetch;
pub use priority::Priority;
pub use probe::{
    Load, Measured, ProbeReport, choose, choose_over_rounds, default_strategy, measure, probe,
    probe_while,
};
pub use ready_queue::ReadyQueue;
pub use strategy::{Durability, Strategy};

/// The unit in which files are zeroed, mapped and written directly.
pub const BLOCK_BYTES: usize = 4_096;

/// An operation on a file that failed: what was being done, and to which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {file}: {source}")]
pub struct DiskError {
    /// The operation, as a verb.
    pub doing: &'static str,
    /// The file, with its directory.
    pub file: String,
    /// What the operating system said.
    pub source: io::Error,
}

impl DiskError {
    /// What helps against a failure that is none of the disk.
    pub fn advice(&self) -> Option<&'static str> {
        match self.source.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => Some("allow more open files"),
            Some(libc::EROFS) => Some("its file system is mounted read-only; remount it"),
            Some(libc::EACCES | libc::EPERM) => Some("give it to the user that runs the server"),
            _ if self.is_full() => Some("make some space on the disk, and start it again"),
            _ => None,
        }
    }

    /// Whether there was no space (or no quota) left, or no descriptor to open a file with: the
    /// failures that may go away by themselves, and of which the disk knows nothing.
    pub fn is_full(&self) -> bool {
        let bare = matches!(self.source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
        let kind = self.source.kind();
        bare || matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// A file in the directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// Its name, without the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Where the bytes of a read come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Any copy will do: the file was synced before it got its name.
    Cached,
    /// The disk itself. After a failed sync the page cache holds bytes that the disk never got and
    /// that no later sync will write; a log must not be recovered from those.
    Disk,
}

/// One directory on one file system.
pub trait Directory: Clone + Send + Sync + 'static {
    /// A log segment open for durable writes.
    type Segment: Segment;
    /// A file open for reading.
    type Reader: ReadAt;
    /// A new file being written from front to back.
    type Sink: Sink;

    /// A file with its directory, for messages.
    fn path_of(&self, name: &str) -> String;
    /// Every regular file, sorted by name.
    fn list(&self) -> Result<Vec<Entry>, DiskError>;
    /// Opens a file for reading.
    fn read(&self, name: &str, source: Source) -> Result<Self::Reader, DiskError>;
    /// Creates a file, or empties the one of that name.
    fn create(&self, name: &str) -> Result<Self::Sink, DiskError>;
    /// Creates a file of `bytes` zeros whose blocks are allocated and written, and syncs it. Blocks
    /// that are only allocated would cost a second flush for every flush into them. File systems
    /// that never write in place (btrfs, ZFS) cannot promise that such a file takes writes on a
    /// full disk; there the log stops instead, and nothing acknowledged is lost.
    fn preallocate(&self, name: &str, bytes: u64) -> Result<(), DiskError>;
    /// Opens a preallocated file for durable writes; `end` is where its contents end.
    fn segment(&self, name: &str, end: u64) -> Result<Self::Segment, DiskError>;
    /// Renames a file, replacing what had the new name. Durable after [`Directory::sync_dir`].
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Removes a file. Durable after [`Directory::sync_dir`].
    fn remove(&self, name: &str) -> Result<(), DiskError>;
    /// Makes every creation, renaming and removal so far durable.
    fn sync_dir(&self) -> Result<(), DiskError>;
    /// Bytes that files can still take.
    fn free_bytes(&self) -> Result<u64, DiskError>;
    /// Fills `out` with random bytes.
    fn random(&self, out: &mut [u8]) -> Result<(), DiskError>;
    /// Whether [`Segment::write`] waits for the disk.
    fn durability(&self) -> Durability;
    /// Threads that may read at once; 1 keeps the order of operations fixed.
    fn threads(&self) -> usize;
    /// Bytes of a segment that are read at once.
    fn piece_bytes(&self) -> usize;
}

/// What one durable write took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Written {
    /// Microseconds from the call until the bytes were durable.
    pub micros: u64,
}

/// A preallocated file that takes durable writes, each after the one before it.
pub trait Segment: Send {
    /// The length of the file.
    fn capacity(&self) -> u64;
    /// Writes `bytes` at `offset` and returns when they are durable. Writes follow each other
    /// without gaps, starting where the segment was opened; an error is final, for it is
    /// unknown what the disk holds after it.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<Written, DiskError>;
    /// Overwrites whole blocks in front of the contents, and returns when they are durable where
    /// writes are. An error is final.
    fn rewrite(&mut self, offset: u64, blocks: &[u8]) -> Result<(), DiskError>;
    /// Makes everything written durable even where writes do not wait for that.
    fn sync(&mut self) -> Result<(), DiskError>;
}

/// A file that is read by position, by several threads at once.
pub trait ReadAt: Send + Sync {
    /// The length of the file when it was opened.
    fn bytes(&self) -> u64;
    /// Fills `buffer` with what stands at `offset`; less than that is an error.
    fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError>;
    /// Exactly `bytes` bytes from `offset`; fewer are an error.
    fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, DiskError>;
    /// Says that these bytes will be read soon. Returns at once, and nothing depends on it.
    fn expect(&self, offset: u64, bytes: u64);
}

/// A file that is written once from front to back.
pub trait Sink: Send {
    /// Appends.
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError>;
    /// Makes everything written durable, the length included, but not the name.
    fn sync(&mut self) -> Result<(), DiskError>;
}

/// Random bytes of the operating system.
pub(crate) fn random(out: &mut [u8]) -> Result<(), DiskError> {
    let mut filled = 0;
    while filled < out.len() {
        let rest = &mut out[filled..];
        // SAFETY: the pointer and the length are those of a slice that is borrowed for the call.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(count) {
            Ok(count) => filled += count,
            Err(_) => {
                let source = io::Error::last_os_error();
                if source.kind() != io::ErrorKind::Interrupted {
                    let file = "the random source of the system".to_owned();
                    return Err(DiskError { doing: "read", file, source });
                }
            }
        }
    }
    Ok(())
}
