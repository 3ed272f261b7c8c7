//! What lies in the directories, and whether it makes one history.

use std::collections::BTreeMap;

use super::Dirs;
use super::header::{self, Header};
use super::high_water::HighWater;
use super::note::Note;
use super::read_ahead::{Found, Opened, Part, Piece, read};
use super::refusal::{BadSnapshots, Proof, Refusal};
use super::scan::{Stop, Tail};
use super::{layout, record};
use crate::Zxid;
use crate::device::{Directory, DirectoryId, DiskError, Identity, Life, ReadAt, Source, pipeline};
use crate::snapshot::{self, LogGrowth, Replay};

/// Pieces of the log that were read and wait to be applied.
const PIECES_WAITING: usize = 4;
/// Segments that stay open from the look at their headers on: opening one again costs a sync.
const OPENED_MAX: usize = 64;
/// Bytes of the log that are prefetched while the snapshot is read. More would take longer than it
/// saves: the reader makes the kernel read ahead as well.
const EXPECTED_BYTES_MAX: u64 = 4 << 20;

/// The segments and snapshots that are there.
pub(super) struct Survey<'a, D: Directory> {
    dirs: &'a Dirs<D>,
    /// Oldest first.
    pub(super) segments: Vec<Header>,
    /// The newest of them, open since their headers were read.
    opened: BTreeMap<Zxid, Opened<D::Reader>>,
    /// Oldest first.
    pub(super) snapshots: Vec<Zxid>,
    /// The newest one that was never finished, or an early one, be it damaged.
    begun: Option<(Zxid, String)>,
    /// The early one, where it is newer than all others.
    pub(super) early: Option<Zxid>,
    /// The first segment whose header is unusable, and what is wrong with it; or that there is no
    /// segment where there must be one.
    pub(super) trouble: Option<(Zxid, Refusal)>,
    /// The segment before the newest one, and what its second block says.
    pub(super) previous: Option<(Header, HighWater)>,
}

/// Where the history ends.
#[derive(Default)]
pub(super) struct End {
    pub(super) last: Zxid,
    pub(super) chain: u32,
    pub(super) replayed: LogGrowth,
    /// The newest segment; none only where no log was ever started.
    pub(super) newest: Option<Newest>,
}

/// The newest segment.
pub(super) struct Newest {
    pub(super) header: Header,
    /// Where its good records end.
    pub(super) end: usize,
    pub(super) tail: Tail,
    /// What its second block says, where that can be relied on for what is written next.
    pub(super) high_water: HighWater,
    /// What it says in any case.
    pub(super) said: HighWater,
    pub(super) sealed: bool,
    pub(super) lost: Lost,
}

/// Whether anything that was acknowledged is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Nothing,
    /// Perhaps, but the log was written without waiting for the disk.
    Unsynced,
}

impl<'a, D: Directory> Survey<'a, D> {
    /// Looks at names and headers.
    pub(super) fn take(dirs: &'a Dirs<D>, identity: &Identity) -> Result<Survey<'a, D>, Refusal> {
        let names = dirs.snapshots.list()?;
        let mut snapshots: Vec<Zxid> =
            names.iter().filter_map(|entry| snapshot::parse_name(&entry.name)).collect();
        snapshots.sort_unstable();
        let begun = names.iter().filter_map(|entry| {
            let zxid = snapshot::begun_at(&dirs.snapshots, &entry.name, identity.directory)?;
            Some((zxid, entry.name.clone()))
        });
        let begun: Vec<(Zxid, String)> = begun.collect();
        let early = begun.iter().find(|(_, name)| name == snapshot::EARLY).map(|(zxid, _)| *zxid);
        let early = early.filter(|zxid| snapshots.last().is_none_or(|newest| zxid > newest));
        let begun = begun.into_iter().max();
        let names = dirs.log.list()?;
        let mut firsts: Vec<Zxid> =
            names.iter().filter_map(|entry| header::parse_name(&entry.name)).collect();
        firsts.sort_unstable();
        let (mut segments, mut opened, mut trouble) = (Vec::new(), BTreeMap::new(), None);
        let (mut newest, mut previous) = (None, None);
        for first in firsts {
            match read_header(&dirs.log, first, identity) {
                Ok((header, segment)) => {
                    previous = newest.replace((header, segment.high_water.clone()));
                    segments.push(header);
                    opened.insert(first, segment);
                    if opened.len() > OPENED_MAX {
                        opened.pop_first();
                    }
                }
                Err(refusal) => {
                    trouble = Some((first, refusal));
                    break;
                }
            }
        }
        if segments.is_empty() && trouble.is_none() && identity.life == Life::Live {
            let refusal = gone(&dirs.snapshots, dirs.log.path_of(""))?;
            trouble = Some((Zxid::ZERO, refusal));
        }
        let survey = Survey { dirs, segments, opened, snapshots, begun, early, trouble, previous };
        survey.expect_log();
        Ok(survey)
    }

    /// Has the disk begin with what will probably be replayed: what is behind the newest snapshot.
    /// Without one, reading begins at once.
    fn expect_log(&self) {
        let Some(base) = self.early.or(self.snapshots.last().copied()) else { return };
        let segments = self.start(base).map_or(&[][..], |start| &self.segments[start..]);
        let mut left = EXPECTED_BYTES_MAX;
        for header in segments {
            let Some(Opened { reader, high_water }) = self.opened.get(&header.first) else {
                return;
            };
            let waypoint = high_water.waypoint(base);
            let from = waypoint.map_or(layout::RECORDS_AT as u64, |place| u64::from(place.offset));
            let bytes = high_water.limit.saturating_sub(from).min(left);
            reader.expect(from, bytes);
            left -= bytes;
        }
    }

    /// Loads the newest snapshot that is whole and behind which the log goes on.
    pub(super) fn load_snapshot(
        &mut self,
        identity: &Identity,
        replay: &mut impl Replay,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Zxid>, Refusal> {
        self.early = self.early.filter(|&zxid| {
            let dir = &self.dirs.snapshots;
            self.start(zxid).is_some()
                && snapshot::load_early(dir, zxid, identity.directory, replay).is_ok()
        });
        if self.early.is_some() {
            return Ok(self.early);
        }
        let mut bad = BadSnapshots::default();
        let mut found = None;
        for &zxid in self.snapshots.iter().rev() {
            let file = self.dirs.snapshots.path_of(&snapshot::name(zxid));
            if !self.segments.is_empty() && self.start(zxid).is_none() {
                bad.0.push((file, "the log does not reach back to it".to_owned()));
                continue;
            }
            match snapshot::load(&self.dirs.snapshots, zxid, identity.directory, replay) {
                Ok(()) => {
                    found = Some(zxid);
                    break;
                }
                Err(why) => bad.0.push((file, why.to_string())),
            }
        }
        if found.is_none() {
            self.check_beginning(&bad)?;
            replay.begin_empty();
        }
        notes.extend(bad.0.into_iter().map(|(file, why)| Note::BadSnapshot { file, why }));
        Ok(found)
    }

    /// Without a snapshot, the log must begin at the beginning. Where no log was started yet, a
    /// snapshot was put there to start from, and must not be ignored.
    fn check_beginning(&self, bad: &BadSnapshots) -> Result<(), Refusal> {
        match self.segments.first() {
            None if bad.0.is_empty() => Ok(()),
            None => Err(Refusal::Snapshot { bad: bad.clone() }),
            Some(oldest) if oldest.prev == Zxid::ZERO => Ok(()),
            Some(oldest) => Err(Refusal::NoBeginning {
                file: self.path_of(oldest),
                prev: oldest.prev,
                bad: bad.clone(),
            }),
        }
    }

    /// The segment that holds the first transaction behind `zxid`, or will.
    fn start(&self, zxid: Zxid) -> Option<usize> {
        self.segments.iter().rposition(|header| header.prev <= zxid)
    }

    /// Replays everything behind `base`. After an error, `end` is the last good place.
    ///
    /// One thread reads and verifies while this one applies. It may be ahead by some pieces, but
    /// what it finds is judged in the order of the log.
    pub(super) fn replay_log(
        &mut self,
        base: Zxid,
        end: &mut End,
        replay: &mut impl Replay,
    ) -> Result<(), Refusal> {
        end.last = base;
        let Some(start) = self.start(base) else { return Ok(()) };
        (end.last, end.chain) = (self.segments[start].prev, self.segments[start].chain);
        let mut opened = std::mem::take(&mut self.opened);
        let dir = &self.dirs.log;
        let segments = self.segments[start..].iter().map(|header| {
            let kept = opened.remove(&header.first);
            (*header, kept.map_or_else(|| open_again(dir, header), Ok))
        });
        let mut at = None;
        pipeline(
            dir.threads(),
            PIECES_WAITING,
            |hand| read(dir, segments, base, hand),
            |part| match std::mem::replace(part, Part::Taken) {
                Part::Begin(header) => {
                    at = Some(header);
                    self.begin(&header, end)
                }
                Part::Records(piece) => {
                    let header = at.as_ref().expect("a segment begins before its records");
                    let replayed = self.replay_piece(header, &piece, base, end, replay);
                    *part = Part::Records(piece);
                    replayed
                }
                Part::End(found) => self.finish(found, end),
                Part::Failed(error) => Err(error.into()),
                Part::Taken => unreachable!("each part is taken once"),
            },
        )?;
        self.judge_newest(end)
    }

    /// A segment goes on where the one before it ends.
    fn begin(&self, header: &Header, end: &End) -> Result<(), Refusal> {
        if (header.prev, header.chain) == (end.last, end.chain) {
            Ok(())
        } else {
            Err(self.broken(header, end))
        }
    }

    fn replay_piece(
        &self,
        header: &Header,
        piece: &Piece,
        base: Zxid,
        end: &mut End,
        replay: &mut impl Replay,
    ) -> Result<(), Refusal> {
        for (zxid, payload) in piece.txns().filter(|(zxid, _)| *zxid > base) {
            let refuse = |why| Refusal::Replay { file: self.path_of(header), zxid, why };
            replay.record(payload).map_err(refuse)?;
            end.replayed.records += 1;
            end.replayed.bytes += record::framed(payload.len()) as u64;
        }
        Ok(())
    }

    /// Ends a segment whose records were replayed.
    fn finish(&self, found: Found, end: &mut End) -> Result<(), Refusal> {
        let Found { header, scan, tail, high_water, said } = found;
        (end.last, end.chain) = (scan.last, scan.chain);
        let (sealed, lost) = (scan.sealed, Lost::Nothing);
        let newest = Newest { header, end: scan.end, tail, high_water, said, sealed, lost };
        let newest = end.newest.insert(newest);
        let proof = match scan.stop {
            Stop::NoRecord => return Ok(()),
            Stop::Chain => Proof::Chain,
            Stop::Order(zxid) => Proof::Order(zxid),
        };
        self.judge(newest, scan.last, proof)
    }

    /// Damage, unless the segment was written without waiting for the disk.
    fn judge(&self, newest: &mut Newest, last: Zxid, why: Proof) -> Result<(), Refusal> {
        if !newest.header.synced {
            newest.lost = Lost::Unsynced;
            return Ok(());
        }
        let (file, offset) = (self.path_of(&newest.header), newest.end as u64);
        Err(Refusal::Damaged { file, offset, last, why })
    }

    /// A segment that does not go on where the one before it ends.
    fn broken(&self, next: &Header, end: &End) -> Refusal {
        let file = self.path_of(next);
        let Some(before) = &end.newest else {
            return Refusal::Stranger { file, why: "nothing is known of what came before it" };
        };
        if before.tail.traces_end.is_some() || next.prev == end.last {
            return Refusal::Damaged {
                file: self.path_of(&before.header),
                offset: before.end as u64,
                last: end.last,
                why: Proof::LaterSegment(next.prev),
            };
        }
        if next.prev < end.last {
            return Refusal::Stranger { file, why: "it repeats transactions that came before it" };
        }
        Refusal::Gap { file, last: end.last, prev: next.prev }
    }

    /// Behind the good records of the newest segment there may be the rest of one flush.
    fn judge_newest(&self, end: &mut End) -> Result<(), Refusal> {
        let last = end.last;
        let Some(newest) = &mut end.newest else { return Ok(()) };
        if let Some(group) = newest.tail.later_group {
            return self.judge(newest, last, Proof::LaterGroup(group as u64));
        }
        if newest.said.is_erased() {
            return self.judge(newest, last, Proof::Erased);
        }
        let Some(waypoint) = newest.said.lost(newest.end, newest.header.capacity) else {
            return Ok(());
        };
        if waypoint.last == last && newest.said.is_followed(newest.header.capacity) {
            return Err(Refusal::NextMissing { file: self.path_of(&newest.header), last });
        }
        self.judge(newest, last, Proof::Waypoint(waypoint.last))
    }

    /// The log must reach every snapshot: each was taken of what was durable. One that was never
    /// finished, or cannot be used, says so as well, but where flushes did not wait for the disk
    /// that is no news.
    pub(super) fn check_end(&self, end: &End) -> Result<(), Refusal> {
        let newest = self.snapshots.last().map(|&zxid| (zxid, snapshot::name(zxid)));
        let newest = self.early.map(|zxid| (zxid, snapshot::EARLY.to_owned())).or(newest);
        let synced = end.newest.as_ref().is_some_and(|newest| newest.header.synced);
        let newest = newest.max(self.begun.clone().filter(|_| synced));
        match newest {
            Some((zxid, name)) if zxid > end.last => {
                let file = self.dirs.snapshots.path_of(&name);
                Err(Refusal::LogTooShort { file, last: end.last })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn path_of(&self, header: &Header) -> String {
        self.dirs.log.path_of(&header::name(header.first))
    }
}

/// There must be a log in the directory, and there is none.
pub(super) fn gone<D: Directory>(snapshots: &D, directory: String) -> Result<Refusal, DiskError> {
    let names = snapshots.list()?;
    let newest = names.iter().filter_map(|entry| snapshot::parse_name(&entry.name)).max();
    Ok(match newest {
        Some(last) => {
            let file = snapshots.path_of(&snapshot::name(last));
            Refusal::LogGoneBehind { directory, file, last }
        }
        None => Refusal::LogGone { directory },
    })
}

/// Reads the header of a segment and checks that it is the one that belongs there.
pub(super) fn read_header<D: Directory>(
    dir: &D,
    first: Zxid,
    identity: &Identity,
) -> Result<(Header, Opened<D::Reader>), Refusal> {
    open_segment(dir, first, identity.directory, Source::Disk)
}

/// The same, from where its bytes are to be read.
pub(super) fn open_segment<D: Directory>(
    dir: &D,
    first: Zxid,
    directory: DirectoryId,
    source: Source,
) -> Result<(Header, Opened<D::Reader>), Refusal> {
    let name = header::name(first);
    let file = dir.path_of(&name);
    let reader = dir.read(&name, source)?;
    let bytes = layout::RECORDS_AT.min(usize::try_from(reader.bytes()).unwrap_or(usize::MAX));
    let blocks = reader.read_at(0, bytes)?;
    let header = match Header::decode(&blocks) {
        Ok(header) => header,
        Err(why) => return Err(Refusal::Header { file, why }),
    };
    if header.directory != directory {
        return Err(Refusal::Stranger { file, why: "it is of another directory" });
    }
    if header.first != first {
        return Err(Refusal::Stranger { file, why: "its name is not the one it was given" });
    }
    if header.capacity != reader.bytes() {
        let (found, expected) = (reader.bytes(), header.capacity);
        return Err(Refusal::Length { file, found, expected });
    }
    let high_water = HighWater::read(&blocks, &header);
    Ok((header, Opened { reader, high_water }))
}

/// Opens a segment whose header is known.
fn open_again<D: Directory>(dir: &D, header: &Header) -> Result<Opened<D::Reader>, DiskError> {
    let reader = dir.read(&header::name(header.first), Source::Disk)?;
    let high_water = HighWater::read(&reader.read_at(0, layout::RECORDS_AT)?, header);
    Ok(Opened { reader, high_water })
}
