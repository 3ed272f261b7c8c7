//! A directory of a real file system.
#![expect(clippy::disallowed_methods, reason = "this is the edge that opens files")]

mod blocks;
mod direct;
mod file;
mod mapped;
mod pwrite;
mod segment;
mod uring;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::io::Errno;

pub use segment::DiskSegment;

use self::file::{DiskReader, DiskSink};
use super::{BLOCK_BYTES, Directory, DiskError, Durability, Entry, Source, Strategy};

/// Zeros are written in pieces of this size, so that flushes get their turn between them.
const ZERO_BYTES: usize = 256 << 10;
/// Small enough for a processor's cache, so that what was just read is checked there; large enough
/// that the calls do not count.
const PIECE_BYTES: usize = 256 << 10;
/// Zeros in the page cache before they are pushed out.
const ZERO_SYNC_BYTES: u64 = 4 << 20;
/// Permissions of every file: data and ACL digests are only for the user of the server.
const MODE: u32 = 0o600;

/// A directory of a real file system, and the strategy of flushes into its segments.
#[derive(Clone, Debug)]
pub struct Disk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Open as long as the value lives: what is synced is the directory that was opened.
    directory: File,
    /// A place in [`Strategy::ALL`]: how segments are opened from now on.
    strategy: AtomicUsize,
    durability: Durability,
}

impl Disk {
    /// Opens a directory that exists.
    pub fn open(
        path: &Path,
        strategy: Strategy,
        durability: Durability,
    ) -> Result<Disk, DiskError> {
        let directory = File::open(path).map_err(|source| DiskError {
            doing: "open the directory",
            file: path.display().to_string(),
            source,
        })?;
        let path = path.to_owned();
        let strategy = AtomicUsize::new(index_of(strategy));
        Ok(Disk { inner: Arc::new(Inner { path, directory, strategy, durability }) })
    }

    /// How flushes into a segment reach the disk, if it is opened now.
    pub fn strategy(&self) -> Strategy {
        Strategy::ALL[self.inner.strategy.load(Relaxed)]
    }

    /// Segments that are opened from now on, through any clone, are written with another strategy.
    pub fn set_strategy(&self, strategy: Strategy) {
        self.inner.strategy.store(index_of(strategy), Relaxed);
    }

    /// What tells the file system of the directory from others, as far as the system knows it.
    pub fn file_system(&self) -> Result<String, DiskError> {
        let error = |errno: Errno| self.error("identify the file system of", "")(errno.into());
        let statistics = rustix::fs::fstatvfs(&self.inner.directory).map_err(error)?;
        if statistics.f_fsid != 0 {
            return Ok(format!("{:x}", statistics.f_fsid));
        }
        let directory = rustix::fs::fstat(&self.inner.directory).map_err(error)?;
        Ok(format!("device-{:x}", directory.st_dev))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    fn at(&self, name: &str) -> PathBuf {
        self.inner.path.join(name)
    }

    fn error(&self, doing: &'static str, name: &str) -> impl FnOnce(io::Error) -> DiskError {
        let file = self.path_of(name);
        move |source| DiskError { doing, file, source }
    }

    fn zero(&self, name: &str, bytes: u64) -> io::Result<()> {
        let path = self.at(name);
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&path)?;
        // One call finds out whether there is space, before any time is spent on zeros. Where there
        // is no such call, the zeros find out.
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(errno) => return Err(errno.into()),
        }
        match self.strategy() {
            // What is dirtied is a whole folio, and a folio is as large as the write that made it:
            // zeros in 4 KiB pieces keep a small flush from writing much more than itself (2 MiB,
            // with pieces of 4 MiB and stores into the map).
            Strategy::Mmap | Strategy::Pwrite => zero_cached(&file, bytes, BLOCK_BYTES)?,
            Strategy::Direct | Strategy::Uring => match direct::open_for_zeros(&path) {
                Ok(direct) => direct::zero(&direct, bytes, ZERO_BYTES)?,
                Err(_) => zero_cached(&file, bytes, ZERO_BYTES)?,
            },
        }
        file.sync_all()
    }
}

/// Its index in [`Strategy::ALL`].
fn index_of(strategy: Strategy) -> usize {
    let index = Strategy::ALL.iter().position(|other| *other == strategy);
    index.expect("the list has every strategy")
}

/// Writes zeros through the page cache and leaves them there, so that a partly overwritten block
/// need not be read first.
fn zero_cached(file: &File, bytes: u64, piece: usize) -> io::Result<()> {
    let zeros = vec![0_u8; piece];
    let mut offset = 0;
    while offset < bytes {
        let count = piece.min(usize::try_from(bytes - offset).unwrap_or(piece));
        file.write_all_at(&zeros[..count], offset)?;
        offset += count as u64;
        if offset.is_multiple_of(ZERO_SYNC_BYTES) {
            file.sync_data()?;
        }
    }
    Ok(())
}

impl Directory for Disk {
    type Segment = DiskSegment;
    type Reader = DiskReader;
    type Sink = DiskSink;

    fn path_of(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn list(&self) -> Result<Vec<Entry>, DiskError> {
        let list = || -> io::Result<Vec<Entry>> {
            let mut entries = Vec::new();
            for entry in std::fs::read_dir(&self.inner.path)? {
                let entry = entry?;
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    // Another thread has renamed or removed it since.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                // A name that is not UTF-8 is none of ours.
                if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                    entries.push(Entry { name, bytes: metadata.len() });
                }
            }
            entries.sort();
            Ok(entries)
        };
        list().map_err(self.error("list", ""))
    }

    fn read(&self, name: &str, source: Source) -> Result<DiskReader, DiskError> {
        DiskReader::open(&self.at(name), source).map_err(self.error("open", name))
    }

    fn create(&self, name: &str) -> Result<DiskSink, DiskError> {
        DiskSink::create(&self.at(name), MODE).map_err(self.error("create", name))
    }

    fn preallocate(&self, name: &str, bytes: u64) -> Result<(), DiskError> {
        self.zero(name, bytes).map_err(self.error("preallocate", name))
    }

    fn segment(&self, name: &str, end: u64) -> Result<DiskSegment, DiskError> {
        let (strategy, durability) = (self.strategy(), self.inner.durability);
        DiskSegment::open(&self.at(name), end, strategy, durability)
            .map_err(self.error("open for appending", name))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        std::fs::rename(self.at(from), self.at(to)).map_err(self.error("rename", from))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        std::fs::remove_file(self.at(name)).map_err(self.error("remove", name))
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.inner.directory.sync_all().map_err(self.error("sync the directory", ""))
    }

    fn free_bytes(&self) -> Result<u64, DiskError> {
        let stat = rustix::fs::fstatvfs(&self.inner.directory)
            .map_err(|errno| self.error("measure the free space of", "")(errno.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn random(&self, out: &mut [u8]) -> Result<(), DiskError> {
        super::random(out)
    }

    fn durability(&self) -> Durability {
        self.inner.durability
    }

    fn threads(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).min(16)
    }

    fn piece_bytes(&self) -> usize {
        PIECE_BYTES
    }
}
