//! Opening a server's directories: whose they are, what state they hold, the log behind it.
//!
//! The order is the same for a server and for a simulation. Locking the directories comes before
//! and is the caller's: another process can hold only real ones.

use super::note::Note;
use super::recover::{self, Recovered, recover};
use super::refusal::Refusal;
use super::{Dirs, Settings, refuse, survey};
use crate::Zxid;
use crate::database::{CommitStatus, Database};
use crate::device::{BadIdentity, Directory, DiskError, Epochs, Identity, Life, Membership};
use crate::snapshot::{self, Loading, Stage, keep_digest};
use crate::tree::Digest;

/// The file that allows a start from nothing where `db.autocreate=false` forbids it. A start
/// removes it, as in ZooKeeper.
pub const INITIALIZE: &str = "initialize";

/// How directories are opened.
#[derive(Clone, Debug)]
pub struct OpenSettings {
    /// The server that they have to belong to.
    pub membership: Membership,
    /// Whether a directory without any state is taken as an empty database (`db.autocreate`).
    pub autocreate: bool,
    /// Whether the tree keeps its digest.
    pub digest: Digest,
    /// What keys the hash tables.
    pub seed: u64,
    /// Sizes of the log.
    pub log: Settings,
}

/// Directories that were opened.
pub struct Opened<D: Directory> {
    /// Whose they are. Where [`Identity::diverged`] says so, a member offers its leader nothing; its
    /// database may end before its log.
    pub identity: Identity,
    /// What a member may not fall behind, now that the end of the log is known.
    pub epochs: Epochs,
    /// The log, which goes on where it ended.
    pub recovered: Recovered<D>,
    /// The state.
    pub db: Database,
}

/// Why directories were not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// They are not this server's.
    #[error(transparent)]
    Identity(#[from] BadIdentity),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no state, and that has to be meant. A server whose disk was swapped for an empty
    /// one must not start as if nothing had been there.
    #[error(
        "{directory} holds no state, and db.autocreate=false forbids to start empty; bring the \
         state back, or create {directory}/{INITIALIZE} if it should start empty"
    )]
    Empty {
        /// The directory of the snapshots.
        directory: String,
    },
    /// A server on its own would serve a state that its ensemble does not have.
    #[error(
        "the state in {directory} is not that of its ensemble since transaction {zxid}; start it as \
         a member, to take the ensemble's over, or on an empty directory"
    )]
    Diverged {
        /// The directory of the snapshots.
        directory: String,
        /// The transaction.
        zxid: Zxid,
    },
    /// The log or the snapshots are not usable.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Checks whose the directories are, restores the state and opens the log.
pub fn open<D: Directory>(
    dirs: &Dirs<D>,
    settings: &OpenSettings,
    on_stage: impl FnMut(Stage),
) -> Result<Opened<D>, OpenError> {
    let (mut identity, renumbered) = Identity::open_as(&dirs.snapshots, settings.membership)?;
    check_state(&dirs.snapshots, settings, &identity)?;
    let is_member = matches!(settings.membership, Membership::Member(_));
    let mut loading = Loading::new(settings.seed, on_stage);
    if is_member {
        loading = loading.ending_before_misfit();
    }
    let mut recovered = recover(dirs, &mut identity, &settings.log, &mut loading)?;
    recovered.notes.extend(renumbered.map(Note::Renumbered));
    if let Some((zxid, why)) = loading.misfit() {
        recovered.log.mark_diverged(zxid).map_err(refuse)?;
        identity.diverged = Some(zxid);
        recovered.notes.push(Note::Diverged { zxid, why });
    }
    let alone = identity.alone_at(settings.membership, recovered.last);
    if alone != identity.alone {
        recovered.log.mark_alone(alone).map_err(refuse)?;
        identity.alone = alone;
    }
    let mut db = loading.finish();
    if dirs.snapshots.list()?.iter().any(|entry| entry.name == INITIALIZE) {
        dirs.snapshots.remove(INITIALIZE)?;
    }
    keep_digest(&mut db.tree, settings.digest, dirs.snapshots.threads());
    if is_member {
        db.set_commit_status(CommitStatus::Unknown);
    }
    let epochs = identity.epochs.recovered(recovered.last);
    Ok(Opened { identity, epochs, recovered, db })
}

/// Says whether [`open`] would succeed, and changes nothing.
pub fn look<D: Directory>(dirs: &Dirs<D>, settings: &OpenSettings) -> Result<(), OpenError> {
    let identity = look_at_identity(&dirs.snapshots, settings)?;
    let mut loading = Loading::new(settings.seed, |_| ());
    if matches!(settings.membership, Membership::Member(_)) {
        loading = loading.ending_before_misfit();
    }
    recover::look(dirs, &identity, &mut loading)?;
    Ok(())
}

/// The same for a directory of the log that a start would make first.
pub fn look_before_the_log<D: Directory>(
    snapshots: &D,
    log: &str,
    settings: &OpenSettings,
) -> Result<(), OpenError> {
    match look_at_identity(snapshots, settings)?.life {
        Life::New => Ok(()),
        Life::Live => Err(survey::gone(snapshots, log.to_owned())?.into()),
    }
}

fn look_at_identity<D: Directory>(
    snapshots: &D,
    settings: &OpenSettings,
) -> Result<Identity, OpenError> {
    let identity = match Identity::look_as(snapshots, settings.membership)? {
        Some((identity, _)) => identity,
        None => Identity::fresh(snapshots, 0)?,
    };
    check_state(snapshots, settings, &identity)?;
    Ok(identity)
}

/// Whether the state may be served by such a server.
fn check_state<D: Directory>(
    snapshots: &D,
    settings: &OpenSettings,
    identity: &Identity,
) -> Result<(), OpenError> {
    if !settings.autocreate && identity.life == Life::New {
        forbid_empty(snapshots)?;
    }
    let is_member = matches!(settings.membership, Membership::Member(_));
    match identity.diverged {
        Some(zxid) if !is_member => {
            Err(OpenError::Diverged { directory: directory(snapshots), zxid })
        }
        Some(_) | None => Ok(()),
    }
}

fn forbid_empty<D: Directory>(snapshots: &D) -> Result<(), OpenError> {
    let entries = snapshots.list()?;
    let state = |name: &str| name == INITIALIZE || snapshot::parse_name(name).is_some();
    if entries.iter().any(|entry| state(&entry.name)) {
        return Ok(());
    }
    Err(OpenError::Empty { directory: directory(snapshots) })
}

fn directory<D: Directory>(snapshots: &D) -> String {
    snapshots.path_of("").trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::MemoryDisk;
    use crate::log::{Group, LogCommand, LogEvent};
    use crate::txn::{Txn, TxnBody};
    use crate::{Millis, SessionId};

    fn settings() -> OpenSettings {
        OpenSettings {
            membership: Membership::Member(3),
            autocreate: true,
            digest: Digest::Kept,
            seed: 9,
            log: Settings { segment_bytes: 64 << 10, ..Settings::default() },
        }
    }

    fn dirs() -> Dirs<MemoryDisk> {
        let dir = MemoryDisk::new(1);
        Dirs { snapshots: dir.clone(), log: dir }
    }

    #[test]
    fn reopened_directories_hold_what_was_flushed() {
        let dirs = dirs();
        let mut stages = Vec::new();
        let mut opened = open(&dirs, &settings(), |stage| stages.push(stage)).unwrap();
        assert_eq!(opened.recovered.last, Zxid::ZERO);
        let mut group = Group::new();
        let body = TxnBody::CreateSession { timeout_ms: 4_000 };
        let (session, time) = (SessionId(5), Millis(1));
        group.push(&Txn { session, cxid: 0, zxid: Zxid(1), time, body });
        assert_eq!(opened.recovered.log.flush(&mut group).unwrap(), Zxid(1));
        drop(opened);
        let opened = open(&dirs, &settings(), |stage| stages.push(stage)).unwrap();
        assert_eq!((opened.recovered.last, opened.recovered.replayed.records), (Zxid(1), 1));
        assert_eq!(opened.db.sessions().collect::<Vec<_>>(), [(session, 4_000)]);
        assert_eq!(opened.db.tree.digest_mode(), Digest::Kept);
        assert_eq!(opened.db.commit_status(), CommitStatus::Unknown, "of a member");
        use Stage::{Empty, Log, Recovered};
        assert_eq!(stages, [Empty, Recovered, Empty, Log, Recovered]);
        let other = OpenSettings { membership: Membership::Member(4), ..settings() };
        assert!(matches!(open(&dirs, &other, |_| ()), Err(OpenError::Identity(_))));
        let alone = OpenSettings { membership: Membership::Alone(4), ..settings() };
        let opened = open(&dirs, &alone, |_| ()).unwrap();
        let [note] = &opened.recovered.notes[..] else { panic!("{:?}", opened.recovered.notes) };
        assert!(note.to_string().contains("was server 3 and is server 4 from now on"), "{note}");
        assert_eq!((opened.recovered.last, opened.epochs), (Zxid(1), Epochs::default()));
        assert_eq!(opened.db.commit_status(), CommitStatus::Committed, "its own quorum");
    }

    /// The log of a member holds what its leader has sent, be it for another state.
    #[test]
    fn member_whose_log_does_not_fit_its_state_ends_before_that_and_says_so() {
        let dirs = dirs();
        let mut group = Group::new();
        let txn = |zxid, body| {
            let (session, time) = (SessionId(5), Millis(1));
            Txn { session, cxid: 0, zxid: Zxid(zxid), time, body }
        };
        let opens = || TxnBody::CreateSession { timeout_ms: 4_000 };
        let path = "/none".into();
        group.push(&txn(1, opens()));
        group.push(&txn(2, TxnBody::SetData { path, data: None, version: 1 }));
        group.push(&txn(3, opens()));
        let alone = OpenSettings { membership: Membership::Alone(3), ..settings() };
        let mut opened = open(&dirs, &alone, |_| ()).unwrap();
        opened.recovered.log.flush(&mut group).unwrap();
        drop(opened);
        let refused = open(&dirs, &alone, |_| ()).err().expect("it is refused");
        assert!(matches!(refused, OpenError::Refused(Refusal::Replay { .. })), "{refused}");
        for notes in [1, 1] {
            let opened = open(&dirs, &settings(), |_| ()).unwrap();
            assert_eq!((opened.db.applied(), opened.recovered.last), (Zxid(1), Zxid(3)));
            assert_eq!(opened.identity.diverged, Some(Zxid(2)));
            assert_eq!(opened.recovered.notes.len(), notes, "{:?}", opened.recovered.notes);
        }
        let refused = open(&dirs, &alone, |_| ()).err().expect("its state is not to be served");
        assert!(matches!(refused, OpenError::Diverged { zxid: Zxid(2), .. }), "{refused}");
    }

    #[test]
    fn divergence_that_is_noted_is_known_at_the_next_start() {
        let dirs = dirs();
        let mut opened = open(&dirs, &settings(), |_| ()).unwrap();
        let event = opened.recovered.log.execute(LogCommand::MarkDiverged(Zxid(7))).unwrap();
        assert_eq!(event, LogEvent::MarkedDiverged(Zxid(7)));
        opened.recovered.log.save_epochs(Epochs { promised: 2, current: 1 }).unwrap();
        let opened = open(&dirs, &settings(), |_| ()).unwrap();
        assert_eq!(opened.identity.diverged, Some(Zxid(7)));
        assert_eq!(opened.epochs, Epochs { promised: 2, current: 1 });
    }

    #[test]
    fn empty_directory_without_autocreate_is_refused_unless_it_is_meant() {
        let (dirs, settings) = (dirs(), OpenSettings { autocreate: false, ..settings() });
        for _ in 0..2 {
            assert!(matches!(open(&dirs, &settings, |_| ()), Err(OpenError::Empty { .. })));
        }
        dirs.snapshots.put(INITIALIZE, Vec::new());
        open(&dirs, &settings, |_| ()).unwrap();
        assert!(dirs.snapshots.contents(INITIALIZE).is_none(), "the permission is used up");
        open(&dirs, &settings, |_| ()).unwrap();
    }
}
