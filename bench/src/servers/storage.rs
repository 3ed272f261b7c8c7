//! Where a server of this host keeps its log: directory, file system, block device; and how long
//! a sync takes there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::fs::{FallocateFlags, Mode, OFlags};

use crate::model::clock::nanos;
use crate::model::quantiles::histogram;
use crate::model::server::{Storage, SyncProbe};
use crate::servers::mounts::Mount;
use crate::servers::root::{Root, chosen};

/// Syncs of a probe, at most.
const PROBE_SYNCS: u64 = 400;
/// How long a probe takes, at most.
const PROBE_TIME: Duration = Duration::from_secs(3);
/// Bytes that a probe writes before each sync: a block of most file systems.
const PROBE_BYTES: usize = 4_096;
/// Size of the file that a probe writes into.
const PROBE_FILE_BYTES: u64 = 1 << 20;

/// What a server answers to `conf`.
pub(crate) fn configuration(answer: &str) -> BTreeMap<String, String> {
    let pairs = answer.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_string(), value.trim().to_string())).collect()
}

/// Where the log of a process lies, by what its server says of itself.
pub(crate) fn of_server(pid: u32, configuration: &BTreeMap<String, String>) -> Option<Storage> {
    let log = configuration.get("dataLogDir").filter(|value| !value.is_empty());
    let directory = log.or_else(|| configuration.get("dataDir"))?;
    let directory = working_directory(pid).join(directory);
    // A process in a container has mounts of its own.
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
    let mount = Mount::among(&mounts, &directory)?;
    let mut storage = Storage {
        directory: directory.display().to_string(),
        mount_point: mount.point.display().to_string(),
        file_system: mount.kind,
        mount_options: mount.stated_options,
        source: mount.source,
        free_bytes: free_bytes(&seen_from_here(pid, &directory)),
        ..Storage::default()
    };
    describe_device(&mount.device, &mut storage);
    Some(storage)
}

fn working_directory(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default()
}

/// A path of another process as this one can open it.
pub(crate) fn seen_from_here(pid: u32, path: &Path) -> PathBuf {
    let below = path.strip_prefix("/").unwrap_or(path);
    Path::new("/proc").join(pid.to_string()).join("root").join(below)
}

fn free_bytes(path: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(path).ok()?;
    Some(facts.f_bavail * facts.f_frsize)
}

/// Partitions have no queue of their own: their disk has.
fn describe_device(number: &str, storage: &mut Storage) {
    let Ok(device) = fs::canonicalize(format!("/sys/dev/block/{number}")) else { return };
    let with_queue = device.ancestors().take(2).find(|path| path.join("queue").is_dir());
    storage.device = device.file_name().map(|name| name.to_string_lossy().into_owned());
    let Some(disk) = with_queue else { return };
    let of = |name: &str| Root::host().word(disk.join(name));
    storage.scheduler = of("queue/scheduler").map(|all| chosen(&all).to_string());
    storage.write_cache = of("queue/write_cache");
    storage.rotational = of("queue/rotational").map(|value| value == "1");
    storage.model = of("device/model");
}

/// Measures how long it takes to overwrite one block of a file that exists and to sync it. The
/// file has no name, so nothing can be left behind.
pub(crate) fn probe(directory: &Path) -> Result<SyncProbe> {
    probe_for(directory, PROBE_TIME)
        .with_context(|| format!("cannot probe the disk of {}", directory.display()))
}

fn probe_for(directory: &Path, time: Duration) -> io::Result<SyncProbe> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, PROBE_FILE_BYTES)?;
    let block = vec![0x5a_u8; PROBE_BYTES];
    for offset in (0..PROBE_FILE_BYTES).step_by(PROBE_BYTES) {
        rustix::io::pwrite(&file, &block, offset)?;
    }
    rustix::fs::fsync(&file)?;
    let mut times = histogram();
    let begin = Instant::now();
    for turn in 0..PROBE_SYNCS {
        if begin.elapsed() > time {
            break;
        }
        let offset = turn * PROBE_BYTES as u64 % PROBE_FILE_BYTES;
        let before = Instant::now();
        rustix::io::pwrite(&file, &block, offset)?;
        rustix::fs::fdatasync(&file)?;
        times.saturating_record(nanos(before.elapsed()));
    }
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    let (syncs, bytes) = (times.len(), PROBE_BYTES as u64);
    let max_us = times.max() as f64 / 1e3;
    Ok(SyncProbe { syncs, bytes, p50_us: at(0.5), p99_us: at(0.99), max_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_a_process_of_this_host_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let answer = format!("clientPort=1\ndataDir={}\ndataLogDir=\n", directory.path().display());
        let storage = of_server(std::process::id(), &configuration(&answer)).unwrap();
        assert_eq!(storage.directory, directory.path().display().to_string());
        assert!(!storage.file_system.is_empty() && storage.free_bytes.is_some(), "{storage:?}");
        assert_eq!(of_server(std::process::id(), &BTreeMap::new()), None);
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        match probe_for(directory.path(), Duration::from_millis(50)) {
            Ok(probe) => assert!(probe.syncs > 0 && probe.p50_us <= probe.max_us, "{probe:?}"),
            Err(error) => eprintln!("skipped: no unnamed files here: {error}"),
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let missing = probe(&directory.path().join("missing")).unwrap_err();
        assert!(missing.to_string().contains("missing"), "{missing:#}");
    }
}
