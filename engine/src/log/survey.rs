//! What lies in the directories, and whether it makes one history.

use super::header::{self, Header};
use super::recover::{Note, Replay};
use super::refusal::{BadSnapshots, Proof, Refusal};
use super::scan::{self, Scan, Stop, Tail};
use super::{Dirs, high_water, record};
use crate::Zxid;
use crate::device::{Device, DiskError, Identity, Life, ReadAt, Source, map_in_order};
use crate::snapshot;
use crate::txn::Txn;

/// Segments in memory at once, and one more that is being replayed.
const SEGMENTS_AT_ONCE: usize = 3;

/// Transactions that are understood at once, and the threads that do it.
const TXNS_AT_ONCE: usize = 2_048;
const READERS: usize = 2;

/// The segments and snapshots that are there.
pub(super) struct Survey<'a, D> {
    dirs: &'a Dirs<D>,
    /// Oldest first.
    pub(super) segments: Vec<Header>,
    /// Oldest first.
    pub(super) snapshots: Vec<Zxid>,
    /// The first segment whose header is unusable, and what is wrong with it.
    pub(super) trouble: Option<(Zxid, Refusal)>,
}

/// Where the history ends.
#[derive(Default)]
pub(super) struct End {
    pub(super) last: Zxid,
    pub(super) chain: u32,
    pub(super) replayed: u64,
    /// The newest segment; none only where no log was ever started.
    pub(super) newest: Option<Newest>,
}

/// The newest segment.
pub(super) struct Newest {
    pub(super) header: Header,
    /// Where its good records end.
    pub(super) end: usize,
    pub(super) tail: Tail,
    /// What its second block says, where that can be relied on; 0 where it has to be said anew.
    pub(super) limit: u64,
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

/// A segment in memory, verified.
struct Loaded {
    header: Header,
    bytes: Vec<u8>,
    scan: Scan,
    tail: Tail,
    limit: u64,
}

impl Loaded {
    /// Reads so many bytes of a segment and verifies them.
    fn verify(
        header: &Header,
        reader: &impl ReadAt,
        bytes: u64,
        limit: u64,
    ) -> Result<Loaded, DiskError> {
        let len = usize::try_from(bytes).expect("segments are smaller than 4 GiB");
        let bytes = reader.read_at(0, len)?;
        let scan = scan::scan(&bytes, header);
        let tail = scan::judge_tail(&bytes, header, scan.end);
        Ok(Loaded { header: *header, bytes, scan, tail, limit })
    }

    /// Whether good records, and nothing behind them, stay clear of the limit. It is always raised
    /// first, so that records which reach it prove that the disk has lost the last raise.
    fn ends_below(&self, limit: u64) -> bool {
        let clear = (self.scan.end + record::HEADER_BYTES) as u64 <= limit;
        clear && self.scan.stop == Stop::NoRecord && self.tail.traces_end.is_none()
    }
}

impl<'a, D: Device> Survey<'a, D> {
    /// Looks at names and headers.
    pub(super) fn take(dirs: &'a Dirs<D>, identity: &Identity) -> Result<Survey<'a, D>, Refusal> {
        let names = dirs.snapshots.list()?;
        let mut snapshots: Vec<Zxid> =
            names.iter().filter_map(|entry| snapshot::parse_name(&entry.name)).collect();
        snapshots.sort_unstable();
        let names = dirs.log.list()?;
        let mut firsts: Vec<Zxid> =
            names.iter().filter_map(|entry| header::parse_name(&entry.name)).collect();
        firsts.sort_unstable();
        let (mut segments, mut trouble) = (Vec::new(), None);
        for first in firsts {
            match read_header(&dirs.log, first, identity) {
                Ok(header) => segments.push(header),
                Err(refusal) => {
                    trouble = Some((first, refusal));
                    break;
                }
            }
        }
        if segments.is_empty() && trouble.is_none() && identity.life == Life::Live {
            return Err(Refusal::LogGone { directory: dirs.log.place("") });
        }
        Ok(Survey { dirs, segments, snapshots, trouble })
    }

    /// Loads the newest snapshot that is whole and behind which the log goes on.
    pub(super) fn load_snapshot(
        &self,
        identity: &Identity,
        replay: &mut impl Replay,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Zxid>, Refusal> {
        let mut bad = BadSnapshots::default();
        let mut found = None;
        for &zxid in self.snapshots.iter().rev() {
            let file = self.dirs.snapshots.place(&snapshot::name(zxid));
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
                file: self.place(oldest),
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
    pub(super) fn replay_log(
        &self,
        base: Zxid,
        end: &mut End,
        replay: &mut impl Replay,
    ) -> Result<(), Refusal> {
        end.last = base;
        let Some(start) = self.start(base) else { return Ok(()) };
        (end.last, end.chain) = (self.segments[start].prev, self.segments[start].chain);
        map_in_order(
            self.dirs.log.threads().min(SEGMENTS_AT_ONCE),
            self.segments[start..].iter().map(Ok),
            |header| self.load(header),
            |loaded| self.follow(loaded?, base, end, replay),
        )?;
        self.judge_newest(end)
    }

    /// Reads and verifies a segment, as far as anything was ever written to it. Where that does not
    /// end in the way a log ends that nothing happened to, all of the file is looked at.
    fn load(&self, header: &Header) -> Result<Loaded, Refusal> {
        let reader = self.dirs.log.read(&header::name(header.first), Source::Disk)?;
        let blocks = reader.read_at(0, header::RECORDS_AT)?;
        // Without waiting for the disk, no write says anything about another one.
        let limit = high_water::decode(&blocks, header).filter(|_| header.synced);
        if let Some(limit) = limit.filter(|&limit| limit < header.capacity) {
            let loaded = Loaded::verify(header, &reader, limit, limit)?;
            if loaded.ends_below(limit) {
                return Ok(loaded);
            }
        }
        Loaded::verify(header, &reader, header.capacity, 0).map_err(Refusal::from)
    }

    /// Continues the history with a segment.
    fn follow(
        &self,
        loaded: Loaded,
        base: Zxid,
        end: &mut End,
        replay: &mut impl Replay,
    ) -> Result<(), Refusal> {
        let Loaded { header, bytes, scan, tail, limit } = loaded;
        if (header.prev, header.chain) != (end.last, end.chain) {
            return Err(self.broken(&header, end));
        }
        let refuse = |(zxid, why)| Refusal::Replay { file: self.place(&header), zxid, why };
        // Where there are many, they are understood on another thread than they are applied on.
        let many = scan.offsets.len() > TXNS_AT_ONCE;
        map_in_order(
            if many { self.dirs.log.threads().min(READERS) } else { 1 },
            scan.offsets.chunks(TXNS_AT_ONCE).map(Ok),
            |offsets| read_behind(base, &bytes, offsets),
            |(txns, trouble)| {
                for txn in txns {
                    let zxid = txn.zxid;
                    replay.txn(txn).map_err(|why| refuse((zxid, why)))?;
                    end.replayed += 1;
                }
                trouble.map_or(Ok(()), |trouble| Err(refuse(trouble)))
            },
        )?;
        (end.last, end.chain) = (scan.last, scan.chain);
        let (sealed, lost) = (scan.sealed, Lost::Nothing);
        let newest = Newest { header, end: scan.end, tail, limit, sealed, lost };
        let newest = end.newest.insert(newest);
        let proof = match scan.stop {
            Stop::NoRecord => return Ok(()),
            Stop::Chain => Proof::Chain,
            Stop::Order(zxid) => Proof::Order(zxid),
        };
        self.judge(newest, scan.last, proof)
    }

    /// Damage, unless nobody ever waited for what is damaged.
    fn judge(&self, newest: &mut Newest, last: Zxid, why: Proof) -> Result<(), Refusal> {
        if !newest.header.synced {
            newest.lost = Lost::Unsynced;
            return Ok(());
        }
        let (file, offset) = (self.place(&newest.header), newest.end as u64);
        Err(Refusal::Damaged { file, offset, last, why })
    }

    /// A segment that does not go on where the one before it ends.
    fn broken(&self, next: &Header, end: &End) -> Refusal {
        let file = self.place(next);
        let Some(before) = &end.newest else {
            return Refusal::Stranger { file, why: "nothing is known of what came before it" };
        };
        if before.tail.traces_end.is_some() || next.prev == end.last {
            return Refusal::Damaged {
                file: self.place(&before.header),
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

    /// Behind the good records of the newest segment there may be the rest of one commit.
    fn judge_newest(&self, end: &mut End) -> Result<(), Refusal> {
        let last = end.last;
        let Some(newest) = &mut end.newest else { return Ok(()) };
        match newest.tail.later_group {
            None => Ok(()),
            Some(group) => self.judge(newest, last, Proof::LaterGroup(group as u64)),
        }
    }

    /// The log must reach every snapshot: each was taken of what was durable.
    pub(super) fn check_end(&self, end: &End) -> Result<(), Refusal> {
        match self.snapshots.last() {
            Some(&newest) if newest > end.last => Err(Refusal::LogTooShort {
                file: self.dirs.snapshots.place(&snapshot::name(newest)),
                last: end.last,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn place(&self, header: &Header) -> String {
        self.dirs.log.place(&header::name(header.first))
    }
}

/// The transactions behind `base` among the records at these offsets, which were verified; up to
/// the first one that cannot be understood, and why.
fn read_behind(base: Zxid, bytes: &[u8], offsets: &[u32]) -> (Vec<Txn>, Option<(Zxid, String)>) {
    let mut txns = Vec::with_capacity(offsets.len());
    for &offset in offsets {
        let (zxid, payload) = record::at(bytes, offset as usize);
        if zxid <= base {
            continue;
        }
        match Txn::read(payload) {
            Ok(txn) => txns.push(txn),
            Err(error) => return (txns, Some((zxid, error.to_string()))),
        }
    }
    (txns, None)
}

/// Reads the header of a segment and checks that it is the one that belongs there.
fn read_header<D: Device>(device: &D, first: Zxid, identity: &Identity) -> Result<Header, Refusal> {
    let name = header::name(first);
    let file = device.place(&name);
    let reader = device.read(&name, Source::Disk)?;
    let bytes = header::RECORDS_AT.min(usize::try_from(reader.bytes()).unwrap_or(usize::MAX));
    let header = match Header::decode(&reader.read_at(0, bytes)?) {
        Ok(header) => header,
        Err(why) => return Err(Refusal::Header { file, why }),
    };
    if header.directory != identity.directory {
        return Err(Refusal::Stranger { file, why: "it is of another directory" });
    }
    if header.first != first {
        return Err(Refusal::Stranger { file, why: "its name is not the one it was given" });
    }
    if header.capacity != reader.bytes() {
        let (found, expected) = (reader.bytes(), header.capacity);
        return Err(Refusal::Length { file, found, expected });
    }
    Ok(header)
}
