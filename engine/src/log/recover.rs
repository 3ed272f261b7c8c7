//! From the files to a state and a log that goes on.
//!
//! Recovery reads everything first and changes nothing until it knows that it may start. What it
//! reads of the log comes from the disk, not from the page cache of a process that died on a
//! failed sync.

use super::gauge::Gauge;
use super::header::{self, Header};
use super::high_water::HighWater;
use super::note::Note;
use super::purge::Purger;
use super::refusal::Refusal;
use super::survey::{End, Lost, Newest, Survey};
use super::{Active, Dirs, Fatal, Log, Preparer, Settings, cut, install, layout, prepare, refuse};
use crate::Zxid;
use crate::device::{Directory, DiskError, Durability, Identity, Intent, Life, Segment};
use crate::snapshot::{self, LogGrowth, Replay};

/// A log that goes on where it ended, and what happened on the way.
pub struct Recovered<D: Directory> {
    /// For the thread that flushes.
    pub log: Log<D>,
    /// For the thread that prepares segments.
    pub preparer: Preparer<D>,
    /// For the thread that takes snapshots.
    pub purger: Purger<D>,
    /// For all other threads.
    pub gauge: Gauge,
    /// The last transaction.
    pub last: Zxid,
    /// The snapshot that was used.
    pub snapshot: Option<Zxid>,
    /// What was replayed behind it.
    pub replayed: LogGrowth,
    /// What an operator should know.
    pub notes: Vec<Note>,
}

/// Brings a state back and opens the log behind it. A change of the log that was cut short is
/// finished before anything else.
pub fn recover<D: Directory>(
    dirs: &Dirs<D>,
    identity: &mut Identity,
    settings: &Settings,
    replay: &mut impl Replay,
) -> Result<Recovered<D>, Refusal> {
    let mut notes = Vec::new();
    resume(dirs, identity, settings, &mut notes)?;
    let Restored { survey, snapshot, end } = restore(dirs, identity, replay, &mut notes)?;
    // Everything was read and understood; only now is anything changed.
    let gauge = Gauge::new(settings);
    if let Some(zxid) = survey.early {
        snapshot::keep_early(&dirs.snapshots, zxid)?;
    }
    tidy(dirs, &gauge)?;
    let mut log = open(dirs, identity, &gauge, &end, &mut notes).map_err(refuse)?;
    if let (Some((header, said)), Some(newest)) = (&survey.previous, &end.newest) {
        note_follower(&dirs.log, header, said, (newest.header.prev, newest.header.chain))?;
    }
    if identity.life == Life::New {
        identity.life = Life::Live;
        identity.save(&dirs.snapshots)?;
        log.identity.life = Life::Live;
    }
    Ok(Recovered {
        preparer: Preparer::new(dirs.log.clone(), gauge.clone(), settings),
        purger: Purger::new(dirs.clone(), gauge.clone()),
        last: end.last,
        snapshot,
        replayed: end.replayed,
        notes,
        gauge,
        log,
    })
}

/// What was read.
struct Restored<'a, D: Directory> {
    survey: Survey<'a, D>,
    snapshot: Option<Zxid>,
    end: End,
}

/// Reads a state, and changes nothing.
fn restore<'a, D: Directory>(
    dirs: &'a Dirs<D>,
    identity: &Identity,
    replay: &mut impl Replay,
    notes: &mut Vec<Note>,
) -> Result<Restored<'a, D>, Refusal> {
    let mut survey = Survey::take(dirs, identity)?;
    if let Some((_, refusal)) = survey.trouble.take() {
        return Err(refusal);
    }
    let snapshot = survey.load_snapshot(identity, replay, notes)?;
    let mut end = End::default();
    survey.replay_log(snapshot.unwrap_or(Zxid::ZERO), &mut end, replay)?;
    survey.check_end(&end)?;
    Ok(Restored { survey, snapshot, end })
}

/// Says whether [`recover`] would succeed, and changes nothing. A change of the log that was cut
/// short is not looked at: recovery finishes it first.
pub(super) fn look<D: Directory>(
    dirs: &Dirs<D>,
    identity: &Identity,
    replay: &mut impl Replay,
) -> Result<(), Refusal> {
    match identity.intent {
        Some(_) => Ok(()),
        None => restore(dirs, identity, replay, &mut Vec::new()).map(drop),
    }
}

/// Finishes what the identity says is under way.
fn resume<D: Directory>(
    dirs: &Dirs<D>,
    identity: &mut Identity,
    settings: &Settings,
    notes: &mut Vec<Note>,
) -> Result<(), Refusal> {
    let Some(intent) = identity.intent else { return Ok(()) };
    match intent {
        Intent::Cut(last) => cut::resume(dirs, identity, last)?,
        Intent::Install(zxid) => {
            install::resume(dirs, identity, settings, zxid)?;
            (identity.diverged, identity.alone) = (None, None);
        }
    }
    identity.intent = None;
    identity.save(&dirs.snapshots)?;
    notes.push(Note::Resumed(intent));
    Ok(())
}

impl<D: Directory> Log<D> {
    /// Goes on at another end, in which everything is durable.
    pub(super) fn reopen(&mut self, end: &End) -> Result<(), Fatal> {
        *self = open(&self.dirs, &self.identity, &self.gauge, end, &mut Vec::new())?;
        Ok(())
    }
}

/// Removes what was never finished, and takes spare segments over.
fn tidy<D: Directory>(dirs: &Dirs<D>, gauge: &Gauge) -> Result<(), Refusal> {
    for entry in dirs.snapshots.list()? {
        if snapshot::is_unfinished(&entry.name) {
            dirs.snapshots.remove(&entry.name)?;
        }
    }
    for entry in dirs.log.list()? {
        if prepare::is_unfinished(&entry.name) {
            dirs.log.remove(&entry.name)?;
        } else if let Some(number) = prepare::parse_spare(&entry.name) {
            gauge.adopt(&dirs.log, entry, number)?;
        }
    }
    // Names that the last process saw but did not live to sync must not vanish later.
    dirs.snapshots.sync_dir()?;
    if dirs.log.path_of("") != dirs.snapshots.path_of("") {
        dirs.log.sync_dir()?;
    }
    Ok(())
}

/// Opens the newest segment where its good records end, or begins the first one.
fn open<D: Directory>(
    dirs: &Dirs<D>,
    identity: &Identity,
    gauge: &Gauge,
    end: &End,
    notes: &mut Vec<Note>,
) -> Result<Log<D>, Fatal> {
    let dir = &dirs.log;
    let synced = dir.durability() == Durability::Synced;
    if !synced {
        notes.push(Note::Unsynced);
    }
    if let Some(newest) = &end.newest {
        notes.extend(cut(dir, newest, end.last)?);
    }
    let active = match &end.newest {
        Some(newest) if newest.header.synced == synced => {
            let name = header::name(newest.header.first);
            let at = newest.end as u64;
            let segment = dir.segment(&name, at)?;
            let (header, sealed) = (newest.header, newest.sealed);
            let mut high_water = newest.high_water.clone();
            high_water.cut(newest.end, header.capacity);
            Active { segment, header, end: at, high_water, sealed }
        }
        // The flag in the header holds for a whole segment, so another mode needs another one.
        Some(_) | None => {
            let header = Header {
                synced,
                capacity: gauge.shared.first_capacity(),
                salt: 0,
                first: Zxid(end.last.0 + 1),
                prev: end.last,
                chain: end.chain,
                directory: identity.directory,
            };
            let active = Active::begin(dir, header, &gauge.shared)?;
            if let Some(Newest { header: previous, high_water, .. }) = &end.newest
                && previous.first != header.first
            {
                note_follower(dir, previous, high_water, (end.last, end.chain))?;
            }
            active
        }
    };
    let mut log = Log {
        dirs: dirs.clone(),
        identity: identity.clone(),
        active,
        last: end.last,
        chain: end.chain,
        gauge: gauge.clone(),
        failed: false,
    };
    // What was recovered will be read by clients: from now on its loss is damage.
    log.seal()?;
    gauge.shared.set_left(log.left());
    Ok(log)
}

/// Makes sure, durably, that a segment says that another one goes on behind this transaction: the
/// process may have died between the two, or be of a version that did not say it. Where flushes do
/// not wait for the disk, nothing is said.
fn note_follower<D: Directory>(
    dir: &D,
    header: &Header,
    said: &HighWater,
    (last, chain): (Zxid, u32),
) -> Result<(), DiskError> {
    if !header.synced || said.is_followed(header.capacity) {
        return Ok(());
    }
    let mut said = said.clone();
    said.follow(last, chain, header.capacity);
    let mut segment = dir.segment(&header::name(header.first), layout::RECORDS_AT as u64)?;
    segment.rewrite(layout::HIGH_WATER_AT as u64, &said.encode(header))?;
    segment.sync()
}

/// Cuts off what the last flush left, durably, before anything new is acknowledged. A good prefix
/// of that flush stays: it is a prefix of the order, no client got an error for it, and it is on
/// the disk (it was read from there). What goes is overwritten up to the last trace of a record,
/// for a trace left behind a later end would look like a flush that came after it.
pub(super) fn cut<D: Directory>(
    dir: &D,
    newest: &Newest,
    last: Zxid,
) -> Result<Option<Note>, DiskError> {
    let lost = newest.said.lost(newest.end, newest.header.capacity);
    if newest.tail.traces_end.is_none() && lost.is_none() && !newest.said.is_erased() {
        return Ok(None);
    }
    let behind = newest.end..newest.tail.traces_end.unwrap_or(newest.end);
    cut::erase(dir, &newest.header, behind, &mut newest.said.clone())?;
    let name = header::name(newest.header.first);
    let (file, offset) = (dir.path_of(&name), newest.end as u64);
    Ok(Some(match newest.lost {
        Lost::Nothing => Note::TornTail { file, offset, last },
        Lost::Unsynced => Note::UnsyncedDamage { file, offset, last },
    }))
}
