//! What lies in the directories of a ZooKeeper.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use ringkeeper_engine::Zxid;

/// The folder with the files, in each of the two directories.
const VERSION_2: &str = "version-2";
/// Files with the number of an epoch.
const EPOCHS: [&str; 2] = ["acceptedEpoch", "currentEpoch"];

/// The files of a ZooKeeper, as they were when they were looked at.
pub(super) struct Source {
    /// Where snapshots and epochs are.
    pub(super) snapshot_dir: PathBuf,
    /// Where the log is.
    pub(super) log_dir: PathBuf,
    /// The newest first.
    pub(super) snapshots: Vec<SnapshotFile>,
    /// The oldest first.
    pub(super) logs: Vec<LogFile>,
    /// The newest epoch that the server knew of; 0 without an ensemble.
    pub(super) epoch: u32,
    /// What is strange about the files.
    pub(super) notes: Vec<String>,
}

/// How a snapshot is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Packing {
    None,
    Gzip,
    Snappy,
}

/// A file that is still there and has not changed since.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) bytes: u64,
    changed: Option<SystemTime>,
}

/// A snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SnapshotFile {
    pub(super) found: Found,
    pub(super) zxid: Zxid,
    pub(super) packing: Packing,
}

/// A file of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LogFile {
    pub(super) found: Found,
    /// Its first transaction.
    pub(super) first: Zxid,
}

impl Source {
    /// Lists what is there. `from` is the data directory, and where it is not one by its whole
    /// name, two directories with a comma between them.
    pub(super) fn look(from: &Path) -> anyhow::Result<Source> {
        let (data, log) = split(from);
        let snapshot_dir = version_2(&data)?;
        let log_dir = log.as_deref().map_or_else(|| Ok(snapshot_dir.clone()), version_2)?;
        let mut notes = Vec::new();
        let mut snapshots = Vec::new();
        let mut logs = Vec::new();
        for found in list(&snapshot_dir)? {
            if let Some((zxid, packing)) = parse_snapshot(&found.name) {
                snapshots.push(SnapshotFile { found, zxid, packing });
            } else if log_dir != snapshot_dir && parse_log(&found.name).is_some() {
                notes.push(format!(
                    "{} lies beside the snapshots and is not looked at, as the log is in {}",
                    found.name,
                    log_dir.display()
                ));
            } else if found.name.starts_with("snapshot.") {
                notes.push(format!(
                    "{} is not the name of a snapshot; it is not looked at",
                    found.name
                ));
            }
        }
        for found in list(&log_dir)? {
            if let Some(first) = parse_log(&found.name) {
                logs.push(LogFile { found, first });
            }
        }
        snapshots.sort_by(|a, b| b.zxid.cmp(&a.zxid).then(a.found.name.cmp(&b.found.name)));
        logs.sort_by_key(|log| log.first);
        let epoch = newest_epoch(&snapshot_dir, &mut notes)?;
        Ok(Source { snapshot_dir, log_dir, snapshots, logs, epoch, notes })
    }

    /// Refuses what changed since it was listed: a server is at work there.
    pub(super) fn check_unchanged(&self, from: &Path) -> anyhow::Result<()> {
        let now = Source::look(from)?;
        if now.snapshots != self.snapshots || now.logs != self.logs || now.epoch != self.epoch {
            bail!(
                "{} changed while it was read; stop the ZooKeeper that works there, and import \
                 again",
                self.snapshot_dir.display()
            );
        }
        Ok(())
    }

    /// The log files that a state at `zxid` needs: the last one that begins at or before what
    /// follows, and all behind it.
    pub(super) fn logs_from(&self, zxid: Zxid) -> &[LogFile] {
        let next = Zxid(zxid.0.saturating_add(1));
        let behind = self.logs.partition_point(|log| log.first <= next);
        &self.logs[behind.saturating_sub(1)..]
    }
}

impl Found {
    pub(super) fn open(&self) -> anyhow::Result<BufReader<File>> {
        let file = File::open(&self.path);
        let file = file.with_context(|| format!("{} cannot be opened", self.path.display()))?;
        Ok(BufReader::with_capacity(1 << 20, file))
    }
}

/// One directory, or two.
fn split(from: &Path) -> (PathBuf, Option<PathBuf>) {
    match from.to_str().and_then(|text| text.split_once(',')) {
        Some((data, log)) if !from.is_dir() => (data.into(), Some(log.into())),
        _ => (from.into(), None),
    }
}

/// The folder below a directory, or the directory if it is that folder.
fn version_2(directory: &Path) -> anyhow::Result<PathBuf> {
    let below = directory.join(VERSION_2);
    if below.is_dir() {
        return Ok(below);
    }
    if !directory.is_dir() {
        bail!("{} is no directory", directory.display());
    }
    let holds_files = || -> anyhow::Result<bool> {
        let is_ours = |found: &Found| found.name == "ringkeeper.meta";
        let found = list(directory)?;
        let is_one = |found: &Found| {
            parse_snapshot(&found.name).is_some() || parse_log(&found.name).is_some()
        };
        Ok(found.iter().any(is_one) && !found.iter().any(is_ours))
    };
    if holds_files()? {
        return Ok(directory.to_owned());
    }
    bail!(
        "there is no {VERSION_2} in {}; name the dataDir of a ZooKeeper (and, behind a comma, its \
         dataLogDir)",
        directory.display()
    )
}

fn list(directory: &Path) -> anyhow::Result<Vec<Found>> {
    let unreadable = || format!("{} cannot be listed", directory.display());
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let metadata = fs::metadata(entry.path()).with_context(unreadable)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if metadata.is_file() {
            let changed = metadata.modified().ok();
            all.push(Found { path: entry.path(), name, bytes: metadata.len(), changed });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// `snapshot.<zxid in hex>`, and how it is packed behind another dot.
fn parse_snapshot(name: &str) -> Option<(Zxid, Packing)> {
    let rest = name.strip_prefix("snapshot.")?;
    let (zxid, packing) = match rest.split_once('.') {
        None => (rest, Packing::None),
        Some((zxid, "gz")) => (zxid, Packing::Gzip),
        Some((zxid, "snappy")) => (zxid, Packing::Snappy),
        Some(_) => return None,
    };
    Some((parse_zxid(zxid)?, packing))
}

fn parse_log(name: &str) -> Option<Zxid> {
    parse_zxid(name.strip_prefix("log.")?)
}

fn parse_zxid(digits: &str) -> Option<Zxid> {
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let zxid = i64::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    Some(Zxid::from_wire(zxid))
}

fn newest_epoch(directory: &Path, notes: &mut Vec<String>) -> anyhow::Result<u32> {
    let mut newest = 0;
    for name in EPOCHS {
        let path = directory.join(name);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        };
        match text.trim().parse::<i32>().ok().and_then(|epoch| u32::try_from(epoch).ok()) {
            Some(epoch) => newest = newest.max(epoch),
            None => {
                notes.push(format!("{name} does not hold the number of an epoch; the log decides"))
            }
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let named = |name| parse_snapshot(name).map(|(zxid, packing)| (zxid.0, packing));
        assert_eq!(named("snapshot.1f"), Some((0x1f, Packing::None)));
        assert_eq!(named("snapshot.0.gz"), Some((0, Packing::Gzip)));
        assert_eq!(named("snapshot.500000001.snappy"), Some((0x5_0000_0001, Packing::Snappy)));
        for other in
            ["snapshot", "snapshot.", "snapshot.x", "snapshot.1.lz4", "snapshot.-1", "log.1"]
        {
            assert_eq!(named(other), None, "{other}");
        }
        assert_eq!(parse_log("log.ffffffffffffffff"), None);
        assert_eq!(parse_log("log.1a"), Some(Zxid(0x1a)));
    }

    #[test]
    fn import_takes_the_log_that_covers_the_snapshot() {
        let at = |first: u64| {
            let (path, name) = (PathBuf::new(), String::new());
            LogFile { found: Found { path, name, bytes: 0, changed: None }, first: Zxid(first) }
        };
        let source = Source {
            snapshot_dir: PathBuf::new(),
            log_dir: PathBuf::new(),
            snapshots: Vec::new(),
            logs: [5, 10, 20].map(at).into(),
            epoch: 0,
            notes: Vec::new(),
        };
        let first = |zxid| source.logs_from(Zxid(zxid)).first().map(|log| log.first.0);
        assert_eq!(
            [0, 3, 4, 8, 9, 10, 18, 19, 30].map(first).map(Option::unwrap),
            [5, 5, 5, 5, 10, 10, 10, 20, 20]
        );
    }
}
