//! The record of changes: written, and on the disk, before each of them is made.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;

/// A change that was made, or was about to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The file, from the root.
    pub(crate) path: String,
    /// What it held before we touched it.
    pub(crate) old: String,
    /// What we wrote.
    pub(crate) new: String,
    /// Seconds since 1970.
    pub(crate) unix_s: u64,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    format: u32,
    changes: Vec<Record>,
}

/// All changes that were not undone yet.
pub(crate) struct Journal {
    path: PathBuf,
    pub(crate) records: Vec<Record>,
    /// Two runs at once would lose each other's records.
    lock: File,
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A process that is just being started may still hold the descriptor, and with it the lock.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

impl Journal {
    /// Reads it; one that is not there is empty.
    pub(crate) fn open(path: &Path) -> Result<Journal> {
        let shown = path.display();
        let parent = parent(path);
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot make {}; name another --state", parent.display()))?;
        let mut options = File::options();
        let lock = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_extension("lock"))
            .with_context(|| format!("cannot write beside {shown}; be root, or name --state"))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another apply or undo works with {shown}; wait until it is through");
        }
        let records = match std::fs::read_to_string(path) {
            Ok(text) => parse(&text).with_context(|| {
                format!("{shown} is no record of changes; undo them by hand, then remove it")
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        Ok(Journal { path: path.to_owned(), records, lock })
    }

    /// Notes a change that is about to be made. What a file held before our first change is kept:
    /// that is what `undo` brings back.
    pub(crate) fn note(&mut self, record: Record) -> Result<()> {
        match self.records.iter_mut().find(|known| known.path == record.path) {
            Some(known) if known.new == record.old => known.new = record.new,
            // Another program changed it in between: undo restores what it set.
            Some(known) => *known = record,
            None => self.records.push(record),
        }
        self.save()
    }

    pub(crate) fn forget(&mut self, path: &str) -> Result<()> {
        self.records.retain(|record| record.path != path);
        self.save()
    }

    /// Replaces the file: at any moment the old or the new one is there, whole.
    fn save(&self) -> Result<()> {
        let shown = self.path.display();
        let contents = Contents { format: FORMAT, changes: self.records.clone() };
        let text = serde_json::to_string_pretty(&contents)?;
        let new = self.path.with_extension("tmp");
        let save = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            File::open(parent(&self.path))?.sync_all()
        };
        save().with_context(|| format!("cannot record the change in {shown}; it was not made"))
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn parse(text: &str) -> Result<Vec<Record>> {
    let contents: Contents = serde_json::from_str(text)?;
    if contents.format != FORMAT {
        bail!("it has format {}, this version knows {FORMAT}", contents.format);
    }
    // Only files of the kernel are ever changed; a record that names another is not ours.
    let foreign = contents.changes.iter().find(|record| !is_kernel_file(&record.path));
    if let Some(record) = foreign {
        bail!("it names {}, which is no file that this tool changes", record.path);
    }
    Ok(contents.changes)
}

/// Whether a path is one of the kernel's, without a way out.
pub(crate) fn is_kernel_file(path: &str) -> bool {
    let below = ["/proc/sys/", "/sys/"].iter().any(|prefix| path.starts_with(prefix));
    below && !path.split('/').any(|part| part == "..")
}
