//! The directory that a probe writes in: made by it, held by it, and gone with it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;

/// Its name. A probe that was killed leaves it, and the next one takes it away.
const NAME: &str = "ringkeeper-tune.tmp";

/// A directory for temporary files.
pub(crate) struct Scratch {
    path: PathBuf,
    /// Holds the lock as long as the probe runs.
    lock: File,
}

impl Scratch {
    /// Makes it in `directory`, on whose disk everything is measured.
    pub(crate) fn make(directory: &Path) -> Result<Scratch> {
        let path = directory.join(NAME);
        let shown = path.display();
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("cannot make {shown}; name a directory that exists and can be written")
                });
            }
        }
        let lock = File::open(&path).with_context(|| format!("cannot open {shown}"))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another probe is under way in {shown}; wait until it is through");
        }
        for entry in std::fs::read_dir(&path).with_context(|| format!("cannot list {shown}"))? {
            let left = entry?.path();
            let gone = match left.is_dir() {
                true => std::fs::remove_dir_all(&left),
                false => std::fs::remove_file(&left),
            };
            gone.with_context(|| format!("cannot remove {}, which is left over", left.display()))?;
        }
        Ok(Scratch { path, lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("ringkeeper tune: cannot remove {}: {error}", self.path.display());
        }
        // A process that is just being started may still hold the descriptor, and with it the lock.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_removes_leftovers_and_is_exclusive() {
        let directory = tempfile::tempdir().unwrap();
        let left = directory.path().join(NAME);
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("direct"), "left by a kill").unwrap();
        let scratch = Scratch::make(directory.path()).unwrap();
        assert!(!scratch.file("direct").exists());
        let second = Scratch::make(directory.path()).map(|_| ()).unwrap_err();
        assert!(second.to_string().contains("another probe"), "{second}");
        drop(scratch);
        assert!(!left.exists());
        assert!(Scratch::make(&directory.path().join("none")).is_err());
    }
}
