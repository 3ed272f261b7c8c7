//! Beginning the log anew behind a state that was received from a leader.
//!
//! A member does this when its leader's log does not reach back to its own. The state arrives as a
//! snapshot under the name [`snapshot::RECEIVED`], which a start removes as one that was never
//! finished, unless an [`Intent`] says that it was taken over. So either the old state is there as
//! a whole, or the new one. Each step can be repeated and is durable before the next one:
//!
//! 1. what was received is read from the disk and checked to its end;
//! 2. the intent, with the zxid of the state;
//! 3. all segments of the old log are removed, the newest first;
//! 4. all snapshots but the received one are removed;
//! 5. the received one gets the name of a snapshot;
//! 6. an empty segment behind it begins the new log;
//! 7. the intent is erased, and with it a note that the old state was not the leader's.

use std::io::ErrorKind;

use super::gauge::Gauge;
use super::header::{self, Header};
use super::refusal::Refusal;
use super::survey::End;
use super::{Active, Dirs, Each, Fatal, Log, Settings, refuse};
use crate::Zxid;
use crate::device::{Directory, DiskError, Durability, Identity, Intent};
use crate::snapshot;

impl<D: Directory> Log<D> {
    /// Takes over the state that was received at `zxid` and goes on behind it. Nothing may be under
    /// way, no snapshot either. Not for a state that is older than what is known to be committed: a
    /// leader that sends such a one has lost it, and the server must stop, with nothing changed.
    ///
    /// `Ok` means that the state is there whatever happens, and nothing that came before it; an
    /// error means that the process must stop. The next start finishes what was begun.
    pub fn install(&mut self, zxid: Zxid, committed: Zxid) -> Result<(), Fatal> {
        if self.failed {
            return Err(Fatal::Failed);
        }
        if zxid < committed {
            return Err(Fatal::Committed { after: zxid, committed });
        }
        check_received(&self.dirs.snapshots, snapshot::RECEIVED, &self.identity, zxid)?;
        self.failed = true;
        self.gauge.shared.feeds.end_history();
        // Order: an intent without what it speaks of would leave neither state.
        self.dirs.snapshots.sync_dir()?;
        self.identity.intent = Some(Intent::Install(zxid));
        self.identity.save(&self.dirs.snapshots)?;
        replace(&self.dirs, zxid)?;
        let active = begin(&self.dirs.log, &self.identity, &self.gauge, zxid)?;
        (self.identity.intent, self.identity.diverged) = (None, None);
        self.identity.alone = None;
        self.identity.save(&self.dirs.snapshots)?;
        self.active = active;
        (self.last, self.chain) = (zxid, End::default().chain);
        self.gauge.shared.set_left(self.left());
        self.gauge.shared.feeds.begin_history_at(self.active.header.first);
        self.failed = false;
        Ok(())
    }
}

/// Finishes what the last process did not live to finish, but for the intent.
pub(super) fn resume<D: Directory>(
    dirs: &Dirs<D>,
    identity: &Identity,
    settings: &Settings,
    zxid: Zxid,
) -> Result<(), Refusal> {
    // The old state may be whole yet: it is not touched for one that cannot be used.
    let waits = dirs.snapshots.list()?.iter().any(|entry| entry.name == snapshot::RECEIVED);
    let name = if waits { snapshot::RECEIVED.to_owned() } else { snapshot::name(zxid) };
    check_received(&dirs.snapshots, &name, identity, zxid)?;
    replace(dirs, zxid)?;
    let gauge = Gauge::new(settings);
    gauge.adopt_all(&dirs.log)?;
    begin(&dirs.log, identity, &gauge, zxid).map_err(refuse)?;
    Ok(())
}

/// Whether the file holds, on the disk, the whole state at this zxid.
fn check_received<D: Directory>(
    dir: &D,
    name: &str,
    identity: &Identity,
    zxid: Zxid,
) -> Result<(), Refusal> {
    match snapshot::check_on_disk(dir, name, (zxid, identity.directory), &mut Each(|_| Ok(()))) {
        Ok(()) => Ok(()),
        Err(snapshot::LoadError::Disk(error)) if error.source.kind() == ErrorKind::NotFound => {
            Err(Refusal::Received { zxid, why: "it is not there".to_owned() })
        }
        Err(snapshot::LoadError::Disk(error)) => Err(error.into()),
        Err(snapshot::LoadError::Bad(why)) => Err(Refusal::Received { zxid, why: why.to_string() }),
    }
}

/// Removes the old state and gives the new one its name.
fn replace<D: Directory>(dirs: &Dirs<D>, zxid: Zxid) -> Result<(), DiskError> {
    let mut firsts: Vec<Zxid> =
        dirs.log.list()?.iter().filter_map(|entry| header::parse_name(&entry.name)).collect();
    firsts.sort_unstable();
    for first in firsts.iter().rev() {
        dirs.log.remove(&header::name(*first))?;
        dirs.log.sync_dir()?;
    }
    let dir = &dirs.snapshots;
    let entries = dir.list()?;
    for entry in &entries {
        let other = snapshot::parse_name(&entry.name).is_some_and(|other| other != zxid);
        let unfinished = snapshot::parse_unfinished(&entry.name).is_some();
        if other || unfinished || snapshot::is_early(&entry.name) {
            dir.remove(&entry.name)?;
        }
    }
    dir.sync_dir()?;
    if entries.iter().any(|entry| entry.name == snapshot::RECEIVED) {
        dir.rename(snapshot::RECEIVED, &snapshot::name(zxid))?;
        dir.sync_dir()?;
    }
    Ok(())
}

/// Begins a log behind a snapshot. Nothing of any other one may be there.
pub(super) fn begin<D: Directory>(
    dir: &D,
    identity: &Identity,
    gauge: &Gauge,
    base: Zxid,
) -> Result<Active<D::Segment>, Fatal> {
    let header = Header {
        synced: dir.durability() == Durability::Synced,
        capacity: gauge.shared.first_capacity(),
        salt: 0,
        first: Zxid(base.0 + 1),
        prev: base,
        chain: End::default().chain,
        directory: identity.directory,
    };
    Active::begin(dir, header, &gauge.shared)
}
