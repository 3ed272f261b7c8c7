//! The lock of a directory: it is ours, we can write it, and no other process does.
//!
//! The directory itself is locked, which no one can remove without removing what is in it; and a
//! file in it, which says who has it, and which versions that know only the file look at.
#![expect(clippy::disallowed_methods, reason = "this is the edge that opens files")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation};
use rustix::io::Errno;

const LOCK: &str = "ringkeeper.lock";
/// Where Apache ZooKeeper keeps its snapshots and logs.
const ZOOKEEPER: &str = "version-2";
/// What our own directories always hold once they have been used.
const META: &str = "ringkeeper.meta";

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryLockError {
    /// Another process has it.
    #[error(
        "{directory} is in use by another Ringkeeper{holder}; two servers must never share a \
         directory, so stop that one or name another directory"
    )]
    InUse {
        /// The directory.
        directory: String,
        /// " (process N)", or nothing where the lock file does not say.
        holder: String,
    },
    /// It is a ZooKeeper's.
    #[error(
        "{directory} holds data of Apache ZooKeeper (version-2), which a server does not start \
         from; name an empty directory, or take the data over into one first: \
         ringkeeper import --from {directory} --to {directory}-ringkeeper"
    )]
    ZooKeeper {
        /// The directory.
        directory: String,
    },
    /// It cannot be made, entered or written.
    #[error("cannot use {directory} ({doing}): {source}; {advice}")]
    Unusable {
        /// The directory.
        directory: String,
        /// What was tried.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
}

/// A directory that this process holds until the value is dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    path: PathBuf,
    /// They hold the lock; the kernel lets go of it when the process ends, however it ends.
    _directory: File,
    _file: File,
}

/// Whether there is a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Not yet, and it can be made.
    Absent,
    /// It can be used.
    There,
}

impl DirectoryLock {
    /// Makes the directory if there is none, checks whose it is, and locks it.
    pub fn acquire(path: &Path) -> Result<DirectoryLock, DirectoryLockError> {
        make_durably(path).map_err(unusable(path, "create it"))?;
        check_contents(path)?;
        // Order: the directory first. The file is not made for a directory that is in use.
        let directory = File::open(path).map_err(unusable(path, "open it"))?;
        lock_directory(path, &directory, FlockOperation::NonBlockingLockExclusive)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path.join(LOCK));
        let mut file = file.map_err(unusable(path, "create a file in it"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(in_use(path, Some(file))),
            Err(errno) => return Err(unusable(path, "lock it")(errno.into())),
        }
        // Only for the message that a second process prints; a full disk may have no room for it.
        let _ = note_holder(&mut file);
        Ok(DirectoryLock { path: path.to_owned(), _directory: directory, _file: file })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says whether [`DirectoryLock::acquire`] would succeed, with the same errors, and changes
    /// nothing. It shares the lock for a moment.
    pub fn look(path: &Path) -> Result<Presence, DirectoryLockError> {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        let missing = path.symlink_metadata().err();
        let missing = missing.filter(|error| error.kind() != io::ErrorKind::PermissionDenied);
        if missing.is_some() {
            let above = path.ancestors().skip(1).map(|above| match above.as_os_str().is_empty() {
                true => Path::new("."),
                false => above,
            });
            let found = above.into_iter().find(|above| above.exists()).unwrap_or(Path::new("/"));
            let found = if found.is_dir() {
                rustix::fs::access(found, access).map_err(io::Error::from)
            } else {
                Err(Errno::NOTDIR.into())
            };
            found.map_err(unusable(path, "create it"))?;
            return Ok(Presence::Absent);
        }
        if !path.is_dir() {
            let exists = io::Error::from(Errno::EXIST);
            return Err(unusable(path, "create it")(exists));
        }
        check_contents(path)?;
        let directory = File::open(path).map_err(unusable(path, "open it"))?;
        lock_directory(path, &directory, FlockOperation::NonBlockingLockShared)?;
        let writable = rustix::fs::access(path, access).map_err(io::Error::from);
        writable.map_err(unusable(path, "create a file in it"))?;
        match OpenOptions::new().read(true).write(true).open(path.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Presence::There),
            Err(error) => Err(unusable(path, "create a file in it")(error)),
            Ok(file) => match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
                Err(Errno::WOULDBLOCK) => Err(in_use(path, Some(file))),
                Ok(()) | Err(_) => Ok(Presence::There),
            },
        }
    }
}

fn unusable(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> DirectoryLockError {
    let directory = path.display().to_string();
    move |source| {
        let advice = advice(&source);
        DirectoryLockError::Unusable { directory, doing, source, advice }
    }
}

/// Whether the directory can be listed and is none of Apache ZooKeeper's.
fn check_contents(path: &Path) -> Result<(), DirectoryLockError> {
    if path.join(ZOOKEEPER).exists() && !path.join(META).exists() {
        return Err(DirectoryLockError::ZooKeeper { directory: path.display().to_string() });
    }
    std::fs::read_dir(path).map(drop).map_err(unusable(path, "list it"))
}

/// Some network file systems lock only what can be written; there the file in it has to do.
fn lock_directory(
    path: &Path,
    directory: &File,
    how: FlockOperation,
) -> Result<(), DirectoryLockError> {
    match rustix::fs::flock(directory, how) {
        Ok(()) | Err(Errno::BADF | Errno::INVAL | Errno::NOTSUP | Errno::NOLCK) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(in_use(path, File::open(path.join(LOCK)).ok())),
        Err(errno) => Err(unusable(path, "lock it")(errno.into())),
    }
}

/// Makes a directory and those above it, and makes sure that none of them is forgotten: everything
/// in a directory is lost with its name.
fn make_durably(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .filter(|ancestor| !ancestor.as_os_str().is_empty())
        .take_while(|ancestor| !ancestor.exists())
        .collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "its file system is mounted read-only; remount it",
        io::ErrorKind::PermissionDenied => "give it to the user that runs the server",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make some space on the disk",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "there is a file of that name; name a directory"
        }
        _ => "check the directory and its disk",
    }
}

fn in_use(path: &Path, file: Option<File>) -> DirectoryLockError {
    let mut holder = String::new();
    // Only for the message: a lock without a number is as good as one with it.
    if let Some(file) = file {
        let _ = file.take(32).read_to_string(&mut holder);
    }
    let holder = match holder.trim().parse::<u32>() {
        Ok(pid) => format!(" (process {pid})"),
        Err(_) => String::new(),
    };
    DirectoryLockError::InUse { directory: path.display().to_string(), holder }
}

fn note_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}
