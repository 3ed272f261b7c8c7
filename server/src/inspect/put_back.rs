//! Putting a snapshot into an empty directory, for a server to start from.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use ringkeeper_engine::device::{Device, Disk, Durability, Home, Identity, Strategy};
use ringkeeper_engine::snapshot;

use crate::cli::RestoreArgs;

/// What a directory may hold that is still empty: the lock, and the number of the server.
const ALLOWED: &[&str] = &["ringkeeper.lock", "myid"];

/// Puts the snapshot in, and says how it is to be started.
pub fn put_back(args: &RestoreArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let (from, file) = source(&args.snapshot)?;
    let _home = Home::open(&args.directory)?;
    let to = open(&args.directory)?;
    if let Some(entry) = to.list()?.iter().find(|entry| !ALLOWED.contains(&&*entry.name)) {
        bail!(
            "{} is not empty, there is {} in it; name an empty directory or a new one",
            args.directory.display(),
            entry.name
        );
    }
    let identity = Identity::fresh(&to, server_number(&args.directory)?)?;
    let shown = args.snapshot.display();
    let finished = snapshot::copy(&from, &file, &to, identity.directory)
        .with_context(|| format!("{shown} cannot be restored"))?;
    // Order: a start refuses a snapshot without an identity, but would begin empty with an
    // identity that has no snapshot beside it.
    identity.save(&to)?;
    let directory = args.directory.display();
    super::unless_nobody_reads(writeln!(
        out,
        "{directory} holds the state at {} now. Start it with: ringkeeper start 2181 {directory}",
        finished.zxid
    ))
}

fn open(path: &Path) -> anyhow::Result<Disk> {
    Ok(Disk::open(path, Strategy::Pwrite, Durability::Synced)?)
}

/// The directory of a file, and its name there.
fn source(path: &Path) -> anyhow::Result<(Disk, String)> {
    let file = path.file_name().and_then(|name| name.to_str());
    let Some(file) = file.filter(|_| path.is_file()) else {
        bail!("{} is no file", path.display());
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok((open(parent.unwrap_or(Path::new(".")))?, file.to_owned()))
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
