//! `ringkeeper log`: looking at a log, and repairing it, while no server runs on it;
//! `ringkeeper snapshot`, which puts a snapshot into a directory; and `ringkeeper recover-quorum`,
//! which makes a directory the beginning of a new ensemble.

mod dump;
mod empty_directory;
mod recover_quorum;
mod repair;
mod restore;

use std::io;

use anyhow::{Context, bail};
use ringkeeper_engine::device::{Disk, Durability, Identity, Strategy};
use ringkeeper_engine::log::Dirs;

pub use dump::dump;
pub(crate) use empty_directory::EmptyDirectory;
pub use recover_quorum::recover_quorum;
pub use repair::{Outcome, repair};
pub use restore::restore;

use crate::cli::Directories;

/// Opens directories that exist and are a server's.
fn open(directories: &Directories) -> anyhow::Result<(Dirs<Disk>, Identity)> {
    let device = |path| Disk::open(path, Strategy::Pwrite, Durability::Synced);
    let snapshots = device(&directories.data_dir)?;
    let log = match &directories.log_dir {
        Some(path) => device(path)?,
        None => snapshots.clone(),
    };
    let Some(identity) = Identity::read(&snapshots)? else {
        bail!("{} is not the data directory of a Ringkeeper", directories.data_dir.display());
    };
    Ok((Dirs { snapshots, log }, identity))
}

/// A reader of the output, such as `head`, may close the pipe when it has enough.
pub(crate) fn ignore_broken_pipe(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
