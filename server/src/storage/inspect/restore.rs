//! Putting a snapshot into an empty directory, for a server to start from.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use ringkeeper_engine::device::{Disk, Durability, Strategy};
use ringkeeper_engine::snapshot;

use super::EmptyDirectory;
use crate::cli::RestoreArgs;

/// Puts the snapshot in, and says how it is to be started.
pub fn restore(args: &RestoreArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let (from, file) = source(&args.snapshot)?;
    let to = EmptyDirectory::open(&args.directory)?;
    let shown = args.snapshot.display();
    let finished = snapshot::copy(&from, &file, &to.disk, to.identity.directory)
        .with_context(|| format!("{shown} cannot be restored"))?;
    to.finish()?;
    let directory = args.directory.display();
    super::ignore_broken_pipe(writeln!(
        out,
        "{directory} holds the state at {} now. Start it with: ringkeeper start 2181 {directory}",
        finished.zxid
    ))
}

/// The directory of a file, and its name there.
fn source(path: &Path) -> anyhow::Result<(Disk, String)> {
    let file = path.file_name().and_then(|name| name.to_str());
    let Some(file) = file.filter(|_| path.is_file()) else {
        bail!("{} is no file", path.display());
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    Ok((Disk::open(parent, Strategy::Pwrite, Durability::Synced)?, file.to_owned()))
}
