//! The directories of a server, from names to a recovered state.

use std::path::Path;

use anyhow::bail;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{DirectoryLock, Disk, Durability, Identity, Membership};
use ringkeeper_engine::log::{self, Dirs, OpenSettings, Opened, Recovered};
use ringkeeper_engine::tree::Digest;

use crate::admin::Startup;
use crate::config::Settings;
use crate::log::device::StrategyChoice;
use crate::storage::load_times::LoadTimes;

/// The most segments of the log that are kept ready.
const AHEAD_MAX: usize = 64;

/// The directories of a server, recovered and locked.
pub(crate) struct DataDirectories {
    /// Held until the end: they are the locks.
    pub(crate) locks: Vec<DirectoryLock>,
    /// Whose directories they are.
    pub(crate) identity: Identity,
    /// Where everything is written.
    pub(crate) dirs: Dirs<Disk>,
    /// The log, which goes on where it ended.
    pub(crate) recovered: Recovered<Disk>,
    /// The state.
    pub(crate) db: Database,
    /// The strategy of the log.
    pub(crate) choice: StrategyChoice,
    /// What keys the hash tables.
    pub(crate) seed: u64,
    /// How long it took to restore the state.
    pub(crate) loading: Startup,
}

impl DataDirectories {
    /// Locks the directories and restores the state.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<DataDirectories> {
        let two = settings.data_log_dir != settings.data_dir;
        let mut locks = vec![lock_directory(&settings.data_dir, settings)?];
        if two {
            locks.push(lock_directory(&settings.data_log_dir, settings)?);
        }
        let choice = StrategyChoice::choose(settings)?;
        let durability =
            if settings.force_sync { Durability::Synced } else { Durability::Unsynced };
        let snapshots = Disk::open(&settings.data_dir, choice.strategy, durability)?;
        let log = if two {
            Disk::open(&settings.data_log_dir, choice.strategy, durability)?
        } else {
            snapshots.clone()
        };
        let dirs = Dirs { snapshots, log };
        let seed = random_seed()?;
        let mut times = LoadTimes::default();
        let opened = log::open(&dirs, &open_settings(settings, seed), |stage| times.note(stage))?;
        let Opened { identity, recovered, db, epochs: _ } = opened;
        let loading = times.startup(recovered.replayed.records);
        for note in &recovered.notes {
            tracing::warn!("{note}");
        }
        Ok(DataDirectories { locks, identity, dirs, recovered, db, choice, seed, loading })
    }
}

fn open_settings(settings: &Settings, seed: u64) -> OpenSettings {
    OpenSettings {
        membership: match &settings.ensemble {
            Some(own) => Membership::Member(own.id.0.into()),
            None => Membership::Alone(settings.my_id.unwrap_or(0)),
        },
        autocreate: settings.db_autocreate,
        digest: digest(settings),
        seed,
        log: log_settings(settings),
    }
}

/// Whether the tree keeps its digest.
pub(crate) fn digest(settings: &Settings) -> Digest {
    if settings.digest_enabled { Digest::Kept } else { Digest::Off }
}

fn lock_directory(path: &Path, settings: &Settings) -> anyhow::Result<DirectoryLock> {
    if !settings.data_dir_autocreate && !path.is_dir() {
        bail!(
            "{} does not exist, and datadir.autocreate=false forbids to create it; create it, or \
             allow it",
            path.display()
        );
    }
    Ok(DirectoryLock::acquire(path)?)
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

/// What keys hash tables, so that collisions cannot be foreseen.
pub(crate) fn random_seed() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|e| anyhow::anyhow!("no randomness for hash seeds: {e}"))?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::log::INITIALIZE;

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
    fn reserve_is_rounded_up_to_whole_segments() {
        assert_eq!(ahead(&[]), 4);
        assert_eq!(ahead(&["ringkeeper.reserveMb=65"]), 5);
        assert_eq!(ahead(&["ringkeeper.reserveMb=0"]), 1);
        assert_eq!(ahead(&["ringkeeper.reserveMb=8", "preAllocSize=1024"]), 8);
        assert_eq!(ahead(&["preAllocSize=1"]), AHEAD_MAX);
        assert_eq!(log_settings(&settings(&["preAllocSize=1"])).spares_max, AHEAD_MAX);
    }

    #[test]
    fn empty_directory_without_autocreate_needs_the_initialize_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().to_str().expect("a path in UTF-8");
        let data_dir = format!("dataDir={path}");
        let forbidding = settings(&[&data_dir, "db.autocreate=false", "preAllocSize=64"]);
        for _ in 0..2 {
            let error = DataDirectories::open(&forbidding).err().expect("it is empty").to_string();
            assert!(error.contains("db.autocreate=false") && error.contains(path), "{error}");
        }
        let mark = directory.path().join(INITIALIZE);
        std::fs::write(&mark, "").expect("a writable directory");
        drop(DataDirectories::open(&forbidding).expect("it is meant to be empty"));
        assert!(!mark.exists(), "the permission is used up");
        drop(DataDirectories::open(&forbidding).expect("it is not empty any more"));
    }

    #[test]
    fn directory_opens_again_after_its_myid_came_changed_and_went() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().to_str().expect("a path in UTF-8");
        let myid = directory.path().join("myid");
        let mut secrets = Vec::new();
        for (number, notes) in [("", 0), ("1", 1), ("1", 0), ("7", 1), ("", 1), ("", 0)] {
            let _ = std::fs::remove_file(&myid);
            if !number.is_empty() {
                std::fs::write(&myid, number).expect("a writable directory");
            }
            let definitions = vec![format!("dataDir={path}"), "preAllocSize=64".to_owned()];
            let args = StartArgs { definitions, ..StartArgs::default() };
            let env = Env::default().with_files_below(directory.path());
            let settings = Settings::load(&args, &env).expect("good settings").0;
            let opened = DataDirectories::open(&settings).expect("nothing else has changed");
            assert_eq!(opened.recovered.notes.len(), notes, "{:?}", opened.recovered.notes);
            secrets.push(opened.identity.secret);
        }
        secrets.dedup();
        assert_eq!(secrets.len(), 1, "sessions keep their passwords");
    }
}
