//! Removing every transaction behind a zxid from the end of a log.
//!
//! A member does this when its leader's history ends earlier than its own, or goes on otherwise:
//! what goes was never committed. Several files change, so the whole is a recovery with an
//! [`Intent`]: noted first, erased last, and carried on by the next start if it was cut short. Each
//! step can be repeated and is durable before the next one:
//!
//! 1. what a start would begin from is read: a snapshot before the cut, unless the log reaches back
//!    to the beginning; where none is whole the cut is refused, for the later ones are to go;
//! 2. the log is read up to the cut; a log that is damaged before it is refused, unchanged;
//! 3. the intent, with the last transaction that stays;
//! 4. snapshots behind the cut are removed, the early one with them;
//! 5. later segments are removed, the newest first, so that no gap is ever left;
//! 6. the rest of the segment that holds the cut is overwritten with zeros, then its waypoints
//!    behind the cut are dropped;
//! 7. the intent is erased.
//!
//! Until 7 nothing judges the log, so a crash within 6 may leave records behind a hole.

use super::header::{self, Header};
use super::high_water::HighWater;
use super::read_ahead::{Found, Opened, Part, read};
use super::refusal::{BadSnapshots, Proof, Refusal};
use super::scan::Tail;
use super::survey::{End, Lost, Newest, read_header};
use super::{CUT_BYTES, Dirs, Each, Fatal, Log, layout};
use crate::Zxid;
use crate::device::{Demand, Directory, DiskError, Identity, Intent, Segment};
use crate::snapshot::{self, LogGrowth};

/// What a cut is going to do.
pub(super) struct Cut {
    /// The last transaction that stays.
    last: Zxid,
    /// First zxids of the segments to be removed, newest first.
    later: Vec<Zxid>,
    /// The segment that holds the cut.
    header: Header,
    high_water: HighWater,
    /// Where it ends from now on, and where the last trace of a record behind that ends.
    end: usize,
    traces_end: usize,
    /// The checksum of the record before the end.
    chain: u32,
    /// Whether a record behind the cut was met, in this segment.
    meets_later: bool,
}

impl<D: Directory> Log<D> {
    /// Removes every transaction behind `after` and goes on there; returns the last one that is
    /// left. Nothing may be under way. Not for transactions that are known to be committed: a
    /// leader that asks for those has lost them, and the server must stop, with nothing changed.
    ///
    /// `Ok` means that what was removed will not come back whatever happens; an error means that
    /// the process must stop. The next start finishes what was begun.
    pub fn cut(&mut self, after: Zxid, committed: Zxid) -> Result<Zxid, Fatal> {
        if self.failed {
            return Err(Fatal::Failed);
        }
        if after < committed {
            return Err(Fatal::Committed { after, committed });
        }
        if after >= self.last {
            return Ok(self.last);
        }
        let cut = Cut::plan(&self.dirs, &self.identity, after)?;
        cut.check_end(&self.dirs, self.last)?;
        assert!(cut.last >= committed, "the log holds everything that is committed");
        self.failed = true;
        self.gauge.shared.feeds.end_history();
        self.identity.intent = Some(Intent::Cut(cut.last));
        self.identity.save(&self.dirs.snapshots)?;
        let end = cut.execute(&self.dirs, &self.identity)?;
        self.identity.intent = None;
        self.identity.save(&self.dirs.snapshots)?;
        self.reopen(&end)?;
        self.gauge.shared.feeds.begin_history();
        Ok(self.last)
    }
}

/// Finishes a cut that the last process did not live to finish, but for the intent.
pub(super) fn resume<D: Directory>(
    dirs: &Dirs<D>,
    identity: &Identity,
    last: Zxid,
) -> Result<(), Refusal> {
    let cut = Cut::plan(dirs, identity, last)?;
    if cut.last != last {
        // It was there when the intent was written.
        let file = dirs.log.path_of(&header::name(cut.header.first));
        let (offset, why) = (cut.end as u64, Proof::Intent(last));
        return Err(Refusal::Damaged { file, offset, last: cut.last, why });
    }
    cut.execute(dirs, identity)?;
    Ok(())
}

impl Cut {
    /// The log goes on behind the cut. Where nothing of that was met, it is damaged before the cut,
    /// and what would be called its end is not.
    fn check_end<D: Directory>(&self, dirs: &Dirs<D>, durable: Zxid) -> Result<(), Refusal> {
        if self.meets_later || !self.later.is_empty() {
            return Ok(());
        }
        let file = dirs.log.path_of(&header::name(self.header.first));
        let (offset, why) = (self.end as u64, Proof::Durable(durable));
        Err(Refusal::Damaged { file, offset, last: self.last, why })
    }

    /// Reads, and changes nothing. Only the segments behind the cut and the one that holds it are
    /// looked at.
    fn plan<D: Directory>(
        dirs: &Dirs<D>,
        identity: &Identity,
        after: Zxid,
    ) -> Result<Cut, Refusal> {
        let names = dirs.log.list()?;
        let mut firsts: Vec<Zxid> =
            names.iter().filter_map(|entry| header::parse_name(&entry.name)).collect();
        firsts.sort_unstable();
        check_beginning(dirs, identity, after, &firsts)?;
        let mut later = Vec::new();
        let mut next: Option<Header> = None;
        for &first in firsts.iter().rev() {
            let (header, opened) = read_header(&dirs.log, first, identity)?;
            if header.prev > after {
                later.push(first);
                next = Some(header);
                continue;
            }
            return Cut::within(dirs, (header, opened), after, next.as_ref())
                .map(|cut| Cut { later, ..cut });
        }
        Err(too_far(dirs, after, BadSnapshots::default()))
    }

    /// The cut in the segment that holds it. The next segment, or a record behind the cut, proves
    /// that the records before it are all there.
    fn within<D: Directory>(
        dirs: &Dirs<D>,
        (header, opened): (Header, Opened<D::Reader>),
        after: Zxid,
        next: Option<&Header>,
    ) -> Result<Cut, Refusal> {
        let high_water = opened.high_water.clone();
        let (mut last, mut at) = (header.prev, None);
        let mut ended = None;
        // From its beginning, so that the last zxid before the cut is seen in any case.
        read(&dirs.log, std::iter::once((header, Ok(opened))), Zxid::ZERO, &mut |part| {
            match part {
                Part::Records(piece) if at.is_none() => {
                    let behind = piece.records().find(|record| record.zxid > after);
                    at = behind.map(|record| (record.offset, record.prev));
                    let before = piece.records().map(|record| record.zxid);
                    last = before.take_while(|zxid| *zxid <= after).last().unwrap_or(last);
                }
                Part::End(found) => ended = Some(Ok(found)),
                Part::Failed(error) => ended = Some(Err(error)),
                Part::Begin(_) | Part::Records(_) | Part::Taken => {}
            }
            Demand::More(None)
        });
        let Found { scan, tail, .. } = ended.expect("a segment has an end")?;
        let (end, chain) = at.unwrap_or((scan.end, scan.chain));
        if let (None, Some(next)) = (at, next)
            && (next.prev, next.chain) != (scan.last, scan.chain)
        {
            let file = dirs.log.path_of(&header::name(header.first));
            let (offset, why) = (end as u64, Proof::LaterSegment(next.prev));
            return Err(Refusal::Damaged { file, offset, last, why });
        }
        let traces_end = tail.traces_end.unwrap_or(end).max(scan.end);
        let (later, meets_later) = (Vec::new(), at.is_some());
        Ok(Cut { last, later, header, high_water, end, traces_end, chain, meets_later })
    }

    /// Removes what is behind the cut. Returns where the log ends.
    fn execute<D: Directory>(self, dirs: &Dirs<D>, identity: &Identity) -> Result<End, DiskError> {
        remove_snapshots(&dirs.snapshots, identity, self.last)?;
        for first in &self.later {
            dirs.log.remove(&header::name(*first))?;
            dirs.log.sync_dir()?;
        }
        let Cut { last, header, end, traces_end, chain, mut high_water, .. } = self;
        erase(&dirs.log, &header, end..traces_end, &mut high_water)?;
        let (tail, lost) = (Tail::default(), Lost::Nothing);
        let said = high_water.clone();
        let newest = Newest { header, end, tail, high_water, said, sealed: false, lost };
        Ok(End { last, chain, replayed: LogGrowth::default(), newest: Some(newest) })
    }
}

/// Overwrites what stands behind the end of a segment, and then takes back what its second block
/// says of it.
///
/// Order: zeros before the block. A limit that is too high costs only time.
pub(super) fn erase<D: Directory>(
    dir: &D,
    header: &Header,
    behind: std::ops::Range<usize>,
    high_water: &mut HighWater,
) -> Result<(), DiskError> {
    let mut segment = dir.segment(&header::name(header.first), behind.start as u64)?;
    let zeros = vec![0; CUT_BYTES.min(behind.len())];
    for at in behind.clone().step_by(CUT_BYTES) {
        let count = CUT_BYTES.min(behind.end - at);
        segment.write(at as u64, &zeros[..count])?;
    }
    if high_water.cut(behind.start, header.capacity) {
        segment.rewrite(layout::HIGH_WATER_AT as u64, &high_water.encode(header))?;
    }
    segment.sync()
}

/// A start after the cut must have something to begin from: the beginning of the log, or a snapshot
/// that stays and is whole. It is read here, while the later ones are there. That the log reaches
/// back to the oldest snapshot is what a purge keeps. One that the disk does not give is not whole.
fn check_beginning<D: Directory>(
    dirs: &Dirs<D>,
    identity: &Identity,
    after: Zxid,
    segments: &[Zxid],
) -> Result<(), Refusal> {
    if segments.first() == Some(&Zxid(1)) {
        return Ok(());
    }
    let dir = &dirs.snapshots;
    let entries = dir.list()?;
    let snapshots = entries.iter().filter_map(|entry| snapshot::parse_name(&entry.name));
    let mut snapshots: Vec<Zxid> = snapshots.filter(|zxid| *zxid <= after).collect();
    snapshots.sort_unstable();
    let mut bad = BadSnapshots::default();
    for zxid in snapshots.into_iter().rev() {
        let (name, whose) = (snapshot::name(zxid), (zxid, identity.directory));
        match snapshot::check_on_disk(dir, &name, whose, &mut Each(|_| Ok(()))) {
            Ok(()) => return Ok(()),
            Err(why) => bad.0.push((dir.path_of(&name), why.to_string())),
        }
    }
    Err(too_far(dirs, after, bad))
}

fn too_far<D: Directory>(dirs: &Dirs<D>, after: Zxid, bad: BadSnapshots) -> Refusal {
    Refusal::CutTooFar { directory: dirs.snapshots.path_of(""), after, bad }
}

/// Removes, durably, every snapshot that is later than `last`, be it unfinished, and an early one
/// unless it is known not to be: each of them says that the log has reached it.
pub(super) fn remove_snapshots<D: Directory>(
    dir: &D,
    identity: &Identity,
    last: Zxid,
) -> Result<(), DiskError> {
    let mut removed = false;
    for entry in dir.list()? {
        let later = match snapshot::parse_name(&entry.name) {
            Some(zxid) => zxid > last,
            None if snapshot::is_early(&entry.name) => {
                let begun = snapshot::begun_at(dir, &entry.name, identity.directory);
                begun.is_none_or(|zxid| zxid > last)
            }
            None => snapshot::parse_unfinished(&entry.name).is_some_and(|zxid| zxid > last),
        };
        if later {
            dir.remove(&entry.name)?;
            removed = true;
        }
    }
    if removed { dir.sync_dir() } else { Ok(()) }
}
