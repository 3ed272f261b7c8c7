//! An empty directory that a state is put into.

use std::path::Path;

use anyhow::{Context, bail};
use ringkeeper_engine::device::{Directory, DirectoryLock, Disk, Durability, Identity, Strategy};

/// What a directory may hold that is still empty: the lock, and the number of the server.
const ALLOWED: &[&str] = &["ringkeeper.lock", "myid"];

/// A directory that holds nothing yet, locked.
pub(crate) struct EmptyDirectory {
    _lock: DirectoryLock,
    /// What writes there.
    pub(crate) disk: Disk,
    /// Whose it is going to be.
    pub(crate) identity: Identity,
}

impl EmptyDirectory {
    /// Makes the directory if there is none, and refuses one that is not empty.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<EmptyDirectory> {
        let _lock = DirectoryLock::acquire(directory)?;
        let disk = Disk::open(directory, Strategy::Pwrite, Durability::Synced)?;
        if let Some(entry) = disk.list()?.iter().find(|entry| !ALLOWED.contains(&&*entry.name)) {
            bail!(
                "{} is not empty, there is {} in it; name an empty directory or a new one",
                directory.display(),
                entry.name
            );
        }
        let identity = Identity::fresh(&disk, server_number(directory)?)?;
        Ok(EmptyDirectory { _lock, disk, identity })
    }

    /// The state is there, whole: now it is a server's directory.
    ///
    /// Order: a start refuses a snapshot without an identity, but would begin empty with an
    /// identity that has no snapshot beside it.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        Ok(self.identity.save(&self.disk)?)
    }
}

/// The number in `myid`; 0 where there is none.
fn server_number(directory: &Path) -> anyhow::Result<u64> {
    let path = directory.join("myid");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let number = text.trim().parse();
            number.with_context(|| format!("{} holds no number", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}
