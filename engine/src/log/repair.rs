//! What an operator may decide when recovery refuses: to keep what is good and lose the rest.

use super::gauge::Gauge;
use super::header;
use super::inspect::Each;
use super::note::Note;
use super::recover::cut;
use super::refusal::Refusal;
use super::survey::{End, Newest, Survey};
use super::{Dirs, Fatal, Settings, install, refuse};
use crate::Zxid;
use crate::device::{Directory, DiskError, Identity, ReadAt, Sink, Source};
use crate::snapshot::{self, Replay};

/// Bytes copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What a repair did, or would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repaired {
    /// The log ends here now; every transaction behind it is lost.
    pub last: Zxid,
    /// What was wrong; nothing, if there was nothing to repair.
    pub trouble: Option<String>,
    /// The newest transaction that the names and headers of the files speak of, where it is lost.
    /// There may be more behind it.
    pub lost_to: Option<Zxid>,
    /// Files kept aside, under these names: they hold what was lost, as far as it can be read.
    pub aside: Vec<String>,
    /// What else an operator should know.
    pub notes: Vec<Note>,
}

/// Ends the log behind its last good transaction. Acknowledged transactions are lost by this; the
/// files that hold them are kept aside. Where the log is damaged before the newest good snapshot,
/// it begins anew behind that snapshot. A change of the log that was under way is void then: what
/// it should have removed and is left was not committed, and a leader has it removed again.
pub fn repair_truncate<D: Directory>(
    dirs: &Dirs<D>,
    identity: &Identity,
    settings: &Settings,
) -> Result<Repaired, Refusal> {
    let Examined { plan: mut repaired, base, early, end } = examine(dirs, identity)?;
    if repaired.trouble.is_some() {
        settle_early(dirs, base, early)?;
        Repair { dirs, identity, settings, repaired: &mut repaired }
            .run(base, &end)
            .map_err(refuse)?;
        if identity.intent.is_some() {
            Identity { intent: None, ..identity.clone() }.save(&dirs.snapshots)?;
        }
    }
    Ok(repaired)
}

/// Says what [`repair_truncate`] would do, and changes nothing. The names of the files that would
/// be kept aside are those that they have now.
pub fn repair_plan<D: Directory>(dirs: &Dirs<D>, identity: &Identity) -> Result<Repaired, Refusal> {
    let Examined { mut plan, base, end, .. } = examine(dirs, identity)?;
    if plan.trouble.is_none() {
        return Ok(plan);
    }
    let from = |first: Zxid| match &end.newest {
        // The segment that is cut is kept aside as well, as it is now.
        Some(newest) if end.last >= base => first >= newest.header.first,
        Some(_) | None => true,
    };
    for entry in dirs.snapshots.list()? {
        let zxid = snapshot::parse_name(&entry.name);
        let zxid = zxid.or_else(|| snapshot::parse_unfinished(&entry.name));
        if zxid.is_some_and(|zxid| zxid > plan.last) {
            plan.aside.push(dirs.snapshots.path_of(&entry.name));
        }
    }
    for entry in dirs.log.list()? {
        if header::parse_name(&entry.name).is_some_and(from) {
            plan.aside.push(dirs.log.path_of(&entry.name));
        }
    }
    plan.aside.sort_unstable();
    Ok(plan)
}

/// What was found.
struct Examined {
    plan: Repaired,
    /// The snapshot that holds.
    base: Zxid,
    /// The early one, if it is that.
    early: Option<Zxid>,
    /// How far the log behind it is good.
    end: End,
}

/// Reads everything: what is wrong, which snapshot holds, and how far the log behind it is good.
fn examine<D: Directory>(dirs: &Dirs<D>, identity: &Identity) -> Result<Examined, Refusal> {
    let mut survey = Survey::take(dirs, identity)?;
    let mut notes = Vec::new();
    let base = survey.load_snapshot(identity, &mut checked(), &mut notes)?.unwrap_or(Zxid::ZERO);
    let mut end = End::default();
    let verdict = survey.replay_log(base, &mut end, &mut checked());
    let stranger = survey.trouble.take();
    let trouble = match (verdict, &stranger) {
        (Err(refusal), _) if !refusal.is_repairable() => return Err(refusal),
        (_, Some((_, refusal))) if !refusal.is_repairable() => {
            return Err(stranger.map(|(_, refusal)| refusal).expect("it was just looked at"));
        }
        (Err(refusal), _) => Some(refusal.to_string()),
        (Ok(()), Some((_, refusal))) => Some(refusal.to_string()),
        (Ok(()), None) => survey.check_end(&end).err().map(|refusal| refusal.to_string()),
    };
    let last = end.last.max(base);
    // A segment begins behind what its name says, so that much was there at least.
    let segments = survey.segments.iter().map(|header| header.prev);
    let noted = end.newest.as_ref().and_then(|it| it.said.lost(it.end, it.header.capacity));
    let spoken_of = segments.chain(survey.snapshots.iter().copied());
    let spoken_of = spoken_of.chain(noted.map(|waypoint| waypoint.last)).max();
    let lost_to = spoken_of.filter(|zxid| *zxid > last);
    let plan = Repaired { last, trouble, lost_to, aside: Vec::new(), notes };
    Ok(Examined { plan, base, early: survey.early, end })
}

/// An early snapshot that is all there is becomes one like the others, durable. Otherwise it goes:
/// the history that it belongs to ends here.
fn settle_early<D: Directory>(
    dirs: &Dirs<D>,
    base: Zxid,
    early: Option<Zxid>,
) -> Result<(), DiskError> {
    let dir = &dirs.snapshots;
    if early == Some(base) {
        snapshot::keep_early(dir, base)?;
    }
    for entry in dir.list()?.iter().filter(|entry| snapshot::is_early(&entry.name)) {
        dir.remove(&entry.name)?;
    }
    dir.sync_dir()
}

struct Repair<'a, D> {
    dirs: &'a Dirs<D>,
    identity: &'a Identity,
    settings: &'a Settings,
    repaired: &'a mut Repaired,
}

impl<D: Directory> Repair<'_, D> {
    fn run(&mut self, base: Zxid, end: &End) -> Result<(), Fatal> {
        let last = self.repaired.last;
        self.move_newer(&self.dirs.snapshots, last, snapshot::parse_name)?;
        self.move_newer(&self.dirs.snapshots, last, snapshot::parse_unfinished)?;
        if end.last < base || end.newest.is_none() {
            return self.begin_anew(base);
        }
        let newest = end.newest.as_ref().expect("it was just looked at");
        self.move_newer(&self.dirs.log, newest.header.first, header::parse_name)?;
        self.copy(newest)?;
        cut(&self.dirs.log, newest, end.last)?;
        Ok(())
    }

    /// Moves aside every file whose name has a later zxid.
    fn move_newer(
        &mut self,
        dir: &D,
        limit: Zxid,
        parse: fn(&str) -> Option<Zxid>,
    ) -> Result<(), DiskError> {
        for entry in dir.list()? {
            if parse(&entry.name).is_some_and(|zxid| zxid > limit) {
                self.move_aside(dir, &entry.name)?;
            }
        }
        dir.sync_dir()
    }

    fn move_aside(&mut self, dir: &D, name: &str) -> Result<(), DiskError> {
        let aside = aside(dir, name)?;
        dir.rename(name, &aside)?;
        self.repaired.aside.push(dir.path_of(&aside));
        Ok(())
    }

    /// The segment that is cut stays as it was in a copy.
    fn copy(&mut self, newest: &Newest) -> Result<(), DiskError> {
        let dir = &self.dirs.log;
        let name = header::name(newest.header.first);
        let reader = dir.read(&name, Source::Disk)?;
        let aside = aside(dir, &name)?;
        let mut sink = dir.create(&aside)?;
        let mut at = 0;
        while at < reader.bytes() {
            let count = COPY_BYTES.min(usize::try_from(reader.bytes() - at).unwrap_or(COPY_BYTES));
            sink.write(&reader.read_at(at, count)?)?;
            at += count as u64;
        }
        sink.sync()?;
        dir.sync_dir()?;
        self.repaired.aside.push(dir.path_of(&aside));
        Ok(())
    }

    /// Nothing of the log is behind the snapshot: it begins again there.
    fn begin_anew(&mut self, base: Zxid) -> Result<(), Fatal> {
        let dir = &self.dirs.log;
        for entry in dir.list()? {
            if header::parse_name(&entry.name).is_some() {
                self.move_aside(dir, &entry.name)?;
            }
        }
        dir.sync_dir()?;
        let gauge = Gauge::new(self.settings);
        gauge.adopt_all(dir)?;
        install::begin(dir, self.identity, &gauge, base)?;
        self.repaired.last = base;
        Ok(())
    }
}

/// A name that is free: what an earlier repair kept is not overwritten.
fn aside<D: Directory>(dir: &D, name: &str) -> Result<String, DiskError> {
    let taken = dir.list()?;
    let free = |aside: &String| taken.iter().all(|entry| entry.name != *aside);
    let mut names = (1_u64..).map(|number| format!("damaged.{number}.{name}"));
    Ok(names.find(free).expect("there are more numbers than files"))
}

/// Checks what can be checked without a tree.
fn checked() -> impl Replay {
    Each(|_| Ok(()))
}
