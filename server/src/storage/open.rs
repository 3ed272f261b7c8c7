//! The directories of a server, from names to a recovered state.

use std::path::Path;

use anyhow::bail;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{Device, Disk, Durability, Home, Identity, Life};
use ringkeeper_engine::log::{self, Dirs, Recovered};
use ringkeeper_engine::snapshot;
use ringkeeper_engine::tree::Digest;

use crate::admin::Startup;
use crate::config::Settings;
use crate::log::device::LogWay;
use crate::storage::restore::{self, Restore};

/// The file that allows a start from nothing where `db.autocreate=false` forbids it. It is used up
/// by a start, as in ZooKeeper.
const INITIALIZE: &str = "initialize";
/// The most segments of the log that are kept ready.
const AHEAD_MAX: usize = 64;

/// The directories, recovered and locked.
pub(crate) struct Store {
    /// Held until the end: they are the locks.
    pub(crate) homes: Vec<Home>,
    /// Whose directories they are.
    pub(crate) identity: Identity,
    /// Where everything is written.
    pub(crate) dirs: Dirs<Disk>,
    /// The log, which goes on where it ended.
    pub(crate) recovered: Recovered<Disk>,
    /// The state.
    pub(crate) db: Database,
    /// How the log reaches the device.
    pub(crate) way: LogWay,
    /// What keys the hash tables.
    pub(crate) seed: u64,
    /// How long it took to bring the state back.
    pub(crate) loading: Startup,
}

impl Store {
    /// Locks the directories and brings the state back.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Store> {
        let apart = settings.data_log_dir != settings.data_dir;
        let mut homes = vec![open_home(&settings.data_dir, settings)?];
        if apart {
            homes.push(open_home(&settings.data_log_dir, settings)?);
        }
        let way = LogWay::choose(settings)?;
        let durability =
            if settings.force_sync { Durability::Synced } else { Durability::Unsynced };
        let snapshots = Disk::open(&settings.data_dir, way.strategy, durability)?;
        let log = if apart {
            Disk::open(&settings.data_log_dir, way.strategy, durability)?
        } else {
            snapshots.clone()
        };
        let dirs = Dirs { snapshots, log };
        let mut identity = Identity::open(&dirs.snapshots, settings.my_id.unwrap_or(0))?;
        forbid_empty(settings, &dirs, &identity)?;
        let seed = random_seed()?;
        let mut restore = Restore::new(seed);
        let recovered = log::recover(&dirs, &mut identity, &log_settings(settings), &mut restore)?;
        let loading = Startup { transactions: recovered.replayed, ..restore.loading() };
        for note in &recovered.notes {
            tracing::warn!("{note}");
        }
        if dirs.snapshots.list()?.iter().any(|entry| entry.name == INITIALIZE) {
            dirs.snapshots.remove(INITIALIZE)?;
        }
        let mut db = restore.finish();
        let digest = if settings.digest_enabled { Digest::Kept } else { Digest::Off };
        restore::keep_digest(&mut db.tree, digest);
        Ok(Store { homes, identity, dirs, recovered, db, way, seed, loading })
    }
}

fn open_home(path: &Path, settings: &Settings) -> anyhow::Result<Home> {
    if !settings.data_dir_autocreate && !path.is_dir() {
        bail!(
            "{} does not exist, and datadir.autocreate=false forbids to create it; create it, or \
             allow it",
            path.display()
        );
    }
    Ok(Home::open(path)?)
}

/// A server whose disk was swapped for an empty one should not start as if nothing had been there:
/// with `db.autocreate=false`, a directory without any state has to be meant.
fn forbid_empty(settings: &Settings, dirs: &Dirs<Disk>, identity: &Identity) -> anyhow::Result<()> {
    if settings.db_autocreate || identity.life != Life::New {
        return Ok(());
    }
    let entries = dirs.snapshots.list()?;
    let state = |name: &str| name == INITIALIZE || snapshot::parse_name(name).is_some();
    if !entries.iter().any(|entry| state(&entry.name)) {
        bail!(
            "{directory} holds no state, and db.autocreate=false forbids to start empty; bring the \
             state back, or create {directory}/{INITIALIZE} if it should start empty",
            directory = settings.data_dir.display()
        );
    }
    Ok(())
}

/// How the log is set up. What is prepared ahead of use is also the reserve for a full disk.
pub(crate) fn log_settings(settings: &Settings) -> log::Settings {
    let segment_bytes = u64::from(settings.pre_alloc_size_kb) << 10;
    let reserve_bytes = u64::from(settings.reserve_mb) << 20;
    let wanted = usize::try_from(reserve_bytes.div_ceil(segment_bytes)).unwrap_or(AHEAD_MAX);
    let ahead = wanted.clamp(1, AHEAD_MAX);
    let usual = log::Settings::default();
    log::Settings { segment_bytes, ahead, spares_max: usual.spares_max.max(ahead), ..usual }
}

/// What keys hash tables, so that nobody can foresee collisions.
pub(crate) fn random_seed() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|e| anyhow::anyhow!("no randomness for hash seeds: {e}"))?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::StartArgs;
    use crate::config::Env;

    fn settings(definitions: &[&str]) -> Settings {
        let definitions = definitions.iter().map(|text| (*text).to_owned()).collect();
        let args = StartArgs { definitions, ..StartArgs::default() };
        Settings::load(&args, &Env::default()).expect("good settings").0
    }

    fn ahead(definitions: &[&str]) -> usize {
        log_settings(&settings(definitions)).ahead
    }

    #[test]
    fn the_reserve_is_made_of_whole_segments() {
        assert_eq!(ahead(&[]), 4);
        assert_eq!(ahead(&["ringkeeper.reserveMb=65"]), 5);
        assert_eq!(ahead(&["ringkeeper.reserveMb=0"]), 1);
        assert_eq!(ahead(&["ringkeeper.reserveMb=8", "preAllocSize=1024"]), 8);
        assert_eq!(ahead(&["preAllocSize=1"]), AHEAD_MAX);
        assert_eq!(log_settings(&settings(&["preAllocSize=1"])).spares_max, AHEAD_MAX);
    }

    #[test]
    fn an_empty_directory_has_to_be_meant_where_autocreate_is_off() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().to_str().expect("a path in UTF-8");
        let data_dir = format!("dataDir={path}");
        let forbidding = settings(&[&data_dir, "db.autocreate=false", "preAllocSize=64"]);
        for _ in 0..2 {
            let error = Store::open(&forbidding).err().expect("it is empty").to_string();
            assert!(error.contains("db.autocreate=false") && error.contains(path), "{error}");
        }
        let mark = directory.path().join(INITIALIZE);
        std::fs::write(&mark, "").expect("a writable directory");
        drop(Store::open(&forbidding).expect("it is meant to be empty"));
        assert!(!mark.exists(), "the permission is used up");
        drop(Store::open(&forbidding).expect("it is not empty any more"));
    }
}
