//! `ringkeeper.meta`: whose directory this is, and what its server has promised.
//!
//! The file is small and replaced as a whole. Its form is in [`text`].

mod ensemble;
mod epochs;
mod text;

pub use ensemble::{EnsembleId, EnsembleIdentity, Standing};
pub use epochs::Epochs;

use super::{Directory, DiskError, ReadAt, Sink, Source};
use crate::{Millis, Zxid};

const NAME: &str = "ringkeeper.meta";
const NEW: &str = "ringkeeper.meta.tmp";
/// Far more than the file ever takes; what is larger is something else.
const BYTES_MAX: u64 = 4_096;

/// Random number of a directory: a segment or snapshot that strayed in from another one is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectoryId(pub [u8; 16]);

/// A change of the log that is under way. It is noted durably before anything is changed and erased
/// when all of it is durable. A start that finds one finishes it before anything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    /// The log ends behind this transaction, which it holds (or begins behind).
    Cut(Zxid),
    /// The log begins anew behind a state received at this zxid.
    Install(Zxid),
}

/// As which server a directory is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Membership {
    /// No servers are listed. The number is that of `myid`, 0 where there is none.
    Alone(u64),
    /// A member of an ensemble, with its number.
    Member(u64),
}

/// A directory got another number than the one it had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renumbered {
    /// Before; 0 for none.
    pub from: u64,
    /// From now on; 0 for none.
    pub to: u64,
}

/// Whether the log has been started. A directory that is live and has no log has lost it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// Not yet.
    New,
    /// It has.
    Live,
}

/// Whose directory it is, and the secret behind its sessions' passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The directory.
    pub directory: DirectoryId,
    /// The server (`myid`; 0 where there is none).
    pub server: u64,
    /// Whether the log has been started.
    pub life: Life,
    /// Key of the session passwords, the ensemble's where there is one. It must survive restarts,
    /// or no session would.
    pub secret: [u8; 32],
    /// What was promised and reached, as it was noted: see [`Epochs::recovered`].
    pub epochs: Epochs,
    /// The ensemble, once it is known. Its secret is [`Identity::secret`].
    pub ensemble: Option<EnsembleIdentity>,
    /// What is being done to the log.
    pub intent: Option<Intent>,
    /// The transaction behind which the state was found to be another one than the leader's:
    /// nothing of log and snapshots can be trusted until another state is installed.
    pub diverged: Option<Zxid>,
    /// The end of a history that this server has ordered on its own, before it was a member: no
    /// other server has it. [`Zxid::ZERO`] while a server with such a history is on its own again.
    /// See [`Identity::own_history`].
    pub alone: Option<Zxid>,
}

/// The secret stays out of every message.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("directory", &self.directory)
            .field("server", &self.server)
            .field("life", &self.life)
            .field("epochs", &self.epochs)
            .field("ensemble", &self.ensemble)
            .field("intent", &self.intent)
            .field("diverged", &self.diverged)
            .field("alone", &self.alone)
            .finish_non_exhaustive()
    }
}

/// Why a directory is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadIdentity {
    /// The disk failed.
    #[error("{0}{advice}", advice = .0.advice().map(|it| format!("; {it}")).unwrap_or_default())]
    Disk(#[from] DiskError),
    /// The file is damaged, or is no such file.
    #[error(
        "{file} is damaged ({what}); bring it back from a backup. Without it the passwords of all \
         sessions are lost, and the log cannot be told from a stranger's"
    )]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The directory holds data but nothing that says whose.
    #[error(
        "{file} is missing, but there are logs or snapshots beside it; bring it back from a \
         backup, or start on an empty directory"
    )]
    Missing {
        /// The file.
        file: String,
    },
    /// A later version wrote it.
    #[error(
        "{file} was written by a later version of Ringkeeper (format {format}); start that one"
    )]
    Version {
        /// The file.
        file: String,
        /// Its format.
        format: u32,
    },
    /// It is another server's.
    #[error(
        "{file} says that this directory belongs to server {owner}, but this is server {server}; \
         correct myid, or name this server's own directory"
    )]
    OtherServer {
        /// The file.
        file: String,
        /// The server that it belongs to.
        owner: u64,
        /// The server that wants it.
        server: u64,
    },
}

impl Identity {
    /// Reads the identity of a directory, or gives a new one to a directory that has none. It has
    /// to be this server's.
    pub fn open<D: Directory>(dir: &D, server: u64) -> Result<Identity, BadIdentity> {
        match Identity::read(dir)? {
            None => Identity::create(dir, server),
            Some(identity) if identity.server == server => Ok(identity),
            Some(Identity { server: owner, .. }) => {
                Err(BadIdentity::OtherServer { file: dir.path_of(NAME), owner, server })
            }
        }
    }

    /// As [`Identity::open`], but a directory that was never a member's may get another number,
    /// durably: any, as long as no servers are listed, for there is no other server that it could
    /// be mistaken for; and that of a member, once, where it has none.
    pub fn open_as<D: Directory>(
        dir: &D,
        membership: Membership,
    ) -> Result<(Identity, Option<Renumbered>), BadIdentity> {
        let (Membership::Alone(server) | Membership::Member(server)) = membership;
        let Some((identity, renumbered)) = Identity::look_as(dir, membership)? else {
            return Ok((Identity::create(dir, server)?, None));
        };
        if renumbered.is_some() {
            identity.save(dir)?;
        }
        Ok((identity, renumbered))
    }

    /// The identity that [`Identity::open_as`] would find, or give the directory; nothing where it
    /// has none yet. Nothing is changed.
    pub fn look_as<D: Directory>(
        dir: &D,
        membership: Membership,
    ) -> Result<Option<(Identity, Option<Renumbered>)>, BadIdentity> {
        let (Membership::Alone(server) | Membership::Member(server)) = membership;
        let Some(mut identity) = Identity::read(dir)? else { return Ok(None) };
        let owner = identity.server;
        if owner == server {
            return Ok(Some((identity, None)));
        }
        let free = match membership {
            Membership::Alone(_) => true,
            Membership::Member(_) => owner == 0,
        };
        if !free || identity.is_member() {
            return Err(BadIdentity::OtherServer { file: dir.path_of(NAME), owner, server });
        }
        identity.server = server;
        Ok(Some((identity, Some(Renumbered { from: owner, to: server }))))
    }

    /// Whether the directory has been a member's of an ensemble.
    pub fn is_member(&self) -> bool {
        let is_marked = self.ensemble.is_some() || self.diverged.is_some();
        is_marked || self.epochs != Epochs::default()
    }

    /// Becomes a member of this ensemble. The secret of the directory before is given up: what it
    /// was good for is replaced by the ensemble's state, or it is the ensemble's.
    pub fn adopt(&mut self, ensemble: EnsembleIdentity) {
        (self.secret, self.ensemble) = (ensemble.secret, Some(ensemble));
        if ensemble.standing == Standing::Confirmed {
            self.alone = None;
        }
    }

    /// What [`Identity::alone`] is from a start on whose log ends with `last`. A directory that was
    /// never a member's has a history of its own; one that goes on alone for a while has more of it
    /// then.
    pub fn alone_at(&self, membership: Membership, last: Zxid) -> Option<Zxid> {
        let is_own = |end: Zxid| end == last || end == Zxid::ZERO || !self.is_member();
        match (membership, self.alone) {
            (Membership::Alone(_), alone) => alone.filter(|end| is_own(*end)).map(|_| Zxid::ZERO),
            (Membership::Member(_), Some(end)) => Some(if is_own(end) { last } else { end }),
            (Membership::Member(_), None) if self.is_member() => None,
            (Membership::Member(_), None) => (last != Zxid::ZERO).then_some(last),
        }
    }

    /// Whether the history, which ends with `last`, is one that this server has ordered on its own,
    /// so that nothing of it may be given up for another one. What a member has from a quorum ends
    /// elsewhere, or its ensemble is confirmed.
    pub fn own_history(&self, last: Zxid) -> bool {
        self.alone == Some(last) && last != Zxid::ZERO
    }

    /// What this server proposes as the identity of a new ensemble that it leads. The secret is its
    /// own, so that sessions of a standalone server that becomes a member keep their passwords.
    /// Where sessions have had ZooKeeper's until this moment, `java_before` is the wall clock, else
    /// 0.
    pub fn propose_ensemble<D: Directory>(
        &self,
        dir: &D,
        java_before: Millis,
    ) -> Result<EnsembleIdentity, DiskError> {
        let (mut id, standing) = (EnsembleId([0; 16]), Standing::Proposed);
        dir.random(&mut id.0)?;
        Ok(EnsembleIdentity { id, secret: self.secret, java_before, standing })
    }

    /// Reads the identity of a directory, whosever it is; nothing where there is none yet.
    pub fn read<D: Directory>(dir: &D) -> Result<Option<Identity>, BadIdentity> {
        let file = dir.path_of(NAME);
        let entries = dir.list()?;
        let Some(entry) = entries.iter().find(|entry| entry.name == NAME) else {
            let used = |name: &str| name.starts_with("log.") || name.starts_with("snapshot.");
            return match entries.iter().any(|entry| used(&entry.name)) {
                true => Err(BadIdentity::Missing { file }),
                false => Ok(None),
            };
        };
        if entry.bytes > BYTES_MAX {
            return Err(BadIdentity::Damaged { file, what: "it is far too long" });
        }
        let bytes = dir.read(NAME, Source::Cached)?.read_at(0, entry.bytes as usize)?;
        Identity::parse(&bytes, &file).map(Some)
    }

    fn create<D: Directory>(dir: &D, server: u64) -> Result<Identity, BadIdentity> {
        let identity = Identity::fresh(dir, server)?;
        identity.save(dir)?;
        Ok(identity)
    }

    /// A new identity, which is not in the directory yet.
    pub fn fresh<D: Directory>(dir: &D, server: u64) -> Result<Identity, DiskError> {
        let mut identity = Identity {
            directory: DirectoryId([0; 16]),
            server,
            life: Life::New,
            secret: [0; 32],
            epochs: Epochs::default(),
            ensemble: None,
            intent: None,
            diverged: None,
            alone: None,
        };
        dir.random(&mut identity.directory.0)?;
        dir.random(&mut identity.secret)?;
        Ok(identity)
    }

    /// Replaces the file: at any moment the old or the new one is there, whole.
    pub fn save<D: Directory>(&self, dir: &D) -> Result<(), DiskError> {
        let mut sink = dir.create(NEW)?;
        sink.write(self.text().as_bytes())?;
        sink.sync()?;
        drop(sink);
        dir.rename(NEW, NAME)?;
        dir.sync_dir()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Fault, MemoryDisk};

    fn directory(server: u64) -> MemoryDisk {
        let dir = MemoryDisk::new(1);
        Identity::open(&dir, server).unwrap();
        dir
    }

    fn opened(dir: &MemoryDisk, membership: Membership) -> Option<Option<(u64, u64)>> {
        let (identity, renumbered) = Identity::open_as(dir, membership).ok()?;
        let (Membership::Alone(server) | Membership::Member(server)) = membership;
        assert_eq!((identity.server, &identity), (server, &Identity::open(dir, server).unwrap()));
        Some(renumbered.map(|it| (it.from, it.to)))
    }

    #[test]
    fn number_that_came_went_or_changed_is_taken_while_no_servers_are_listed() {
        for (from, to) in [(0, 1), (1, 0), (1, 2), (255, 7)] {
            let dir = directory(from);
            let secret = Identity::open(&dir, from).unwrap().secret;
            assert_eq!(opened(&dir, Membership::Alone(to)), Some(Some((from, to))));
            assert_eq!(opened(&dir, Membership::Alone(to)), Some(None), "once");
            assert_eq!(Identity::open(&dir, to).unwrap().secret, secret);
        }
    }

    #[test]
    fn directory_without_a_number_becomes_a_members_once() {
        let dir = directory(0);
        assert_eq!(opened(&dir, Membership::Member(3)), Some(Some((0, 3))));
        assert_eq!(opened(&dir, Membership::Member(3)), Some(None));
        let error = Identity::open_as(&dir, Membership::Member(4)).unwrap_err();
        assert!(matches!(error, BadIdentity::OtherServer { owner: 3, server: 4, .. }), "{error}");
        assert_eq!(opened(&directory(2), Membership::Member(3)), None);
        assert_eq!(opened(&MemoryDisk::new(5), Membership::Member(3)), Some(None), "an empty one");
    }

    #[test]
    fn directory_of_a_member_keeps_its_number() {
        let epochs = Epochs { promised: 1, current: 0 };
        for (epochs, has_ensemble) in [(epochs, false), (Epochs::default(), true)] {
            for owner in [0, 3] {
                let dir = directory(owner);
                let whole = Identity::open(&dir, owner).unwrap();
                let proposed = whole.propose_ensemble(&dir, Millis(0)).unwrap();
                let ensemble = has_ensemble.then_some(proposed);
                Identity { epochs, ensemble, ..whole }.save(&dir).unwrap();
                for other in [Membership::Alone(4), Membership::Member(4)] {
                    assert_eq!(opened(&dir, other), None, "{owner}");
                }
                assert_eq!(opened(&dir, Membership::Alone(owner)), Some(None));
            }
        }
    }

    #[test]
    fn history_of_a_server_on_its_own_is_known_until_a_quorum_has_it_and_more() {
        let (alone, member) = (Membership::Alone(3), Membership::Member(3));
        let own = Identity::open(&directory(3), 3).unwrap();
        let at = |identity: &Identity, membership, last| Identity {
            alone: identity.alone_at(membership, Zxid(last)),
            ..identity.clone()
        };
        assert_eq!(at(&own, alone, 7), own, "it is no member");
        assert!(!at(&own, member, 0).own_history(Zxid::ZERO), "an empty directory");
        let first = at(&own, member, 7);
        assert!(first.own_history(Zxid(7)) && !first.own_history(Zxid(8)), "{first:?}");
        let promised = Identity { epochs: Epochs { promised: 1, current: 1 }, ..first.clone() };
        assert!(at(&promised, member, 7).own_history(Zxid(7)));
        assert!(!at(&promised, member, 8).own_history(Zxid(8)), "an ensemble goes on behind it");
        let again = at(&at(&promised, alone, 7), alone, 9);
        assert!(at(&again, member, 9).own_history(Zxid(9)), "it has gone on alone");
        assert_eq!(at(&at(&promised, member, 8), alone, 8).alone, None);
        let other = Identity { epochs: promised.epochs, ..own };
        assert_eq!(other.alone_at(member, Zxid(7)), None, "a member's");
        let dir = directory(5);
        let proposed = first.propose_ensemble(&dir, Millis(0)).unwrap();
        let mut adopted = first.clone();
        adopted.adopt(proposed);
        assert!(adopted.own_history(Zxid(7)), "no quorum is known to have it");
        adopted.adopt(proposed.confirmed());
        assert!(!adopted.own_history(Zxid(7)));
    }

    /// At any moment the old or the new file is there, whole.
    #[test]
    fn promise_cut_off_at_any_operation_is_made_or_not() {
        let before = directory(3);
        let old = Identity::open(&before, 3).unwrap();
        let new = Identity { epochs: Epochs { promised: 9, current: 8 }, ..old.clone() };
        let (mut operation, mut kept) = (0, 0);
        loop {
            let dir = before.fork();
            dir.fail_at(dir.operations() + operation, Fault::Crash);
            let saved = new.save(&dir);
            for subset in 0..1_usize << dir.unsynced().len() {
                let dir = dir.fork();
                let unsynced = dir.unsynced();
                dir.power_loss(|item| {
                    let number = unsynced.iter().position(|other| *other == item).unwrap();
                    subset & 1 << number != 0
                });
                let found = Identity::open(&dir, 3).unwrap();
                assert!(found == new || (found == old && saved.is_err()), "{found:?}");
                kept += usize::from(found == new);
            }
            if saved.is_ok() {
                break;
            }
            operation += 1;
        }
        assert!(operation >= 5 && kept > 1, "{operation} operations, {kept}");
    }
}
