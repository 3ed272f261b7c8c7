//! `io_uring`: a write linked to an fdatasync, one system call for both.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, opcode, squeue};

use super::blocks::{Blocks, Piece};
use super::direct::aligned;

const WRITE: u64 = 1;
const SYNC: u64 = 2;

/// A segment written with linked operations.
pub(super) struct Uring {
    file: File,
    ring: IoUring,
    blocks: Blocks,
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uring").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Uring {
    pub(super) fn open(path: &Path, end: u64) -> io::Result<Uring> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Where there are no direct writes, the same blocks go through the page cache.
        let direct = options.clone().custom_flags(libc::O_DIRECT).open(path);
        let file = direct.or_else(|_| options.open(path))?;
        let blocks = Blocks::new(end, |block, at| file.read_exact_at(block, at))?;
        Ok(Uring { file, ring: IoUring::new(4).map_err(unavailable)?, blocks })
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let piece = self.blocks.stage(bytes);
            self.write_piece(&piece)?;
            self.blocks.written(&piece);
            bytes = &bytes[piece.taken..];
        }
        Ok(())
    }

    /// Writes a block that is not among those staged; rare, so that plain calls will do.
    pub(super) fn rewrite(&self, offset: u64, block: &[u8]) -> io::Result<()> {
        self.file.write_all_at(&aligned(block)?, offset)?;
        self.file.sync_data()
    }

    fn write_piece(&mut self, piece: &Piece) -> io::Result<()> {
        let fd = Fd(self.file.as_raw_fd());
        let staged = self.blocks.bytes(piece);
        let len = u32::try_from(staged.len()).expect("the staging buffer is smaller than 4 GiB");
        let write = opcode::Write::new(fd, staged.as_ptr(), len)
            .offset(piece.offset)
            .build()
            .flags(squeue::Flags::IO_LINK)
            .user_data(WRITE);
        let sync = opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build().user_data(SYNC);
        // SAFETY: the file and the staging buffer belong to `self`, which is borrowed until both
        // operations have completed: `complete` does not return before, whatever happens.
        unsafe { self.ring.submission().push_multiple(&[write, sync]) }
            .expect("the queue is empty between commits and holds four");
        complete(&mut self.ring, 2, |data, result| match (data, result) {
            (WRITE, Ok(count)) if count == staged.len() => Ok(()),
            // The linked sync does not run after a short write, so nothing is claimed.
            (WRITE, Ok(_)) => Err(io::Error::other("a short write")),
            (_, result) => result.map(|_| ()),
        })
    }
}

/// Syncs the data of a file and waits.
pub(super) fn sync_data(ring: &mut IoUring, file: &File) -> io::Result<()> {
    let sync = opcode::Fsync::new(Fd(file.as_raw_fd())).flags(FsyncFlags::DATASYNC);
    // SAFETY: the operation refers to no memory, and the file outlives it: `complete` waits.
    unsafe { ring.submission().push(&sync.build().user_data(SYNC)) }
        .expect("the queue is empty between commits");
    complete(ring, 1, |_, result| result.map(|_| ()))
}

/// Submits and waits until `count` operations have completed; the first error is the one that
/// counts, for a failed write cancels the sync behind it.
fn complete(
    ring: &mut IoUring,
    count: usize,
    judge: impl Fn(u64, io::Result<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let mut verdict = Ok(());
    let mut done = 0;
    while done < count {
        match ring.submit_and_wait(count - done) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The kernel may still own the buffer, and no call tells: going on is unsafe.
            Err(error) => panic!("io_uring refuses to wait for the log: {error}"),
        }
        for entry in ring.completion() {
            done += 1;
            let result = match usize::try_from(entry.result()) {
                Ok(count) => Ok(count),
                Err(_) => Err(io::Error::from_raw_os_error(-entry.result())),
            };
            verdict = verdict.and(judge(entry.user_data(), result));
        }
    }
    verdict
}

/// A refusal that would otherwise read as if it were about a file.
fn unavailable(error: io::Error) -> io::Error {
    let text = format!(
        "this system does not allow io_uring ({error}); set ringkeeper.log.device to auto, or to \
         another way"
    );
    io::Error::new(error.kind(), text)
}
