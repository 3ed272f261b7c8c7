//! The directories of a server, from names to a recovered state.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::bail;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{
    DirectoryLock, Disk, DiskError, Durability, Identity, Membership, Presence, ProbeReport,
    Strategy,
};
use ringkeeper_engine::log::{self, Dirs, OpenError, OpenSettings, Opened, Recovered};
use ringkeeper_engine::tree::Digest;

use crate::admin::Startup;
use crate::config::Settings;
use crate::log::device::StrategyChoice;
use crate::storage::load_times::LoadTimes;

/// The most segments of the log that are kept ready.
const AHEAD_MAX: usize = 64;
/// What a first start writes before it serves: the first segment and the identity.
const FIRST_START_BYTES: u64 = (1 << 20) + (64 << 10);

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
        let mut locks = vec![lock_directory(&settings.data_dir, settings)?];
        let two = are_two(settings);
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

/// Says whether the directories could be opened, with the reason that a start would give, and
/// changes nothing.
pub(crate) fn look(settings: &Settings) -> anyhow::Result<()> {
    let data = look_at(&settings.data_dir, settings)?;
    let two = are_two(settings);
    let log = if two { look_at(&settings.data_log_dir, settings)? } else { data };
    let device = |path| Disk::open(path, Strategy::Pwrite, Durability::Synced);
    let is_new = match (data, log) {
        (Presence::Absent, _) if !settings.db_autocreate => {
            let directory = settings.data_dir.display().to_string();
            return Err(OpenError::Empty { directory }.into());
        }
        (Presence::Absent, _) => true,
        (Presence::There, Presence::Absent) => {
            let log = format!("{}/", settings.data_log_dir.display());
            let snapshots = device(&settings.data_dir)?;
            log::look_before_the_log(&snapshots, &log, &open_settings(settings, 0))?;
            true
        }
        (Presence::There, Presence::There) => {
            ProbeReport::load(&settings.data_log_dir)?;
            let snapshots = device(&settings.data_dir)?;
            let log = if two { device(&settings.data_log_dir)? } else { snapshots.clone() };
            let is_new = Identity::read(&snapshots)?.is_none();
            log::look(&Dirs { snapshots, log }, &open_settings(settings, 0))?;
            is_new
        }
    };
    if is_new { look_for_space(settings) } else { Ok(()) }
}

/// A log that is there has its space; a new one needs some.
fn look_for_space(settings: &Settings) -> anyhow::Result<()> {
    let directory = &settings.data_log_dir;
    let mut above = directory.ancestors().filter(|above| !above.as_os_str().is_empty());
    let there = above.find(|above| above.exists()).unwrap_or(Path::new("."));
    let file = directory.join("making").display().to_string();
    let failed = |source| DiskError { doing: "allocate", file: file.clone(), source };
    let found = rustix::fs::statvfs(there).map_err(|errno| failed(errno.into()))?;
    if found.f_bavail.saturating_mul(found.f_frsize) < FIRST_START_BYTES {
        return Err(log::Refusal::Disk(failed(std::io::ErrorKind::StorageFull.into())).into());
    }
    Ok(())
}

/// Locks nothing, and says whether it could be locked.
fn look_at(path: &Path, settings: &Settings) -> anyhow::Result<Presence> {
    forbid_making(path, settings)?;
    Ok(DirectoryLock::look(path)?)
}

/// Whether snapshots and log have a directory each. One may have two names.
fn are_two(settings: &Settings) -> bool {
    let identify = |path: &Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let (data, log) = (&settings.data_dir, &settings.data_log_dir);
    match (identify(data), identify(log)) {
        (Ok(data), Ok(log)) => data != log,
        (Ok(_) | Err(_), Ok(_) | Err(_)) => data != log,
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
    forbid_making(path, settings)?;
    Ok(DirectoryLock::acquire(path)?)
}

fn forbid_making(path: &Path, settings: &Settings) -> anyhow::Result<()> {
    if !settings.data_dir_autocreate && !path.is_dir() {
        bail!(
            "{} does not exist, and datadir.autocreate=false forbids to create it; create it, or \
             allow it",
            path.display()
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

/// What keys hash tables, so that collisions cannot be foreseen.
pub(crate) fn random_seed() -> anyhow::Result<u64> {
    Ok(u64::from_le_bytes(random_bytes()?))
}

/// Bytes that nobody can foresee.
pub(crate) fn random_bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| anyhow::anyhow!("no randomness for seeds and keys: {e}"))?;
    Ok(bytes)
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
    fn directory_of_the_log_under_another_name_is_one_directory() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let [data, log] = ["data", "log"].map(|name| home.path().join(name));
        std::fs::create_dir(&data).expect("a writable directory");
        std::os::unix::fs::symlink(&data, &log).expect("a writable directory");
        let of = |key: &str, path: &Path| format!("{key}={}", path.display());
        let (data, log) = (of("dataDir", &data), of("dataLogDir", &log));
        let settings = settings(&[&data, &log, "preAllocSize=64"]);
        look(&settings).expect("nothing is wrong with it");
        let opened = DataDirectories::open(&settings).expect("nothing is wrong with it");
        assert_eq!(opened.locks.len(), 1);
        let refused = look(&settings).expect_err("it is in use").to_string();
        assert!(refused.contains("is in use by another Ringkeeper"), "{refused}");
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
