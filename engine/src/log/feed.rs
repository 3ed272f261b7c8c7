//! Reading a log that is being written, for a member that lags behind.
//!
//! A feed begins behind a transaction and hands out what follows, in portions, up to what its
//! caller knows to be durable (or committed, which is never later). It runs on any thread, beside
//! the one that writes the log, the one that prepares segments and the one that purges:
//!
//! - it never looks at what is behind the durable end, so a flush that is under way is nothing to
//!   it. What should be there and is not is damage, for it was durable;
//! - it is registered: a purge keeps the segment with the last transaction that it has, and all
//!   later ones. What a purge has begun to take is not read;
//! - a cut or an install ends it: nothing that was read while one began is handed out. So what a
//!   feed hands out was one history at the moment of the call;
//! - files are read through the page cache, and no file is synced or dropped from it: all of it is
//!   known to be durable, and the active one belongs to the thread that writes.
//!
//! What it hands out was verified: checksum, place in the chain, order.

use super::feeds::{Registration, Unregistered};
use super::header::{self, Header};
use super::high_water::Waypoint;
use super::read_ahead::Opened;
use super::record::{self, Window};
use super::refusal::{Proof, Refusal};
use super::scan::{Scan, Stop};
use super::survey::open_segment;
use super::{Gauge, Portion, PortionLimit, layout};
use crate::Zxid;
use crate::device::{Directory, DirectoryId, DiskError, ReadAt, Source};

/// Reads a live log from one transaction on. Dropping it gives up what a purge keeps for it: to be
/// done when its reader is gone or has stopped, for the log grows meanwhile.
#[derive(Debug)]
pub struct Feed<D: Directory> {
    dir: D,
    directory: DirectoryId,
    registration: Registration,
    /// The last transaction that its reader has.
    after: Zxid,
    at: Position<D::Reader>,
    /// What was met behind what has been handed out.
    met: Option<FeedError>,
}

/// Why a feed hands out nothing more.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The log begins later: only a snapshot helps.
    #[error("the log goes back to {oldest} only, and not to {after}")]
    NotReached {
        /// Where reading should have begun.
        after: Zxid,
        /// What the oldest segment goes on behind.
        oldest: Zxid,
    },
    /// The transaction that the reader has last is not in this log. Only what is before it can be
    /// common to both.
    #[error("{after} is not in the log; the last transaction in it before that is {before}")]
    Unknown {
        /// Where reading should have begun.
        after: Zxid,
        /// The transaction before it.
        before: Zxid,
    },
    /// The log was cut or replaced, or is about to be. What is there then has to be read anew, from
    /// a transaction that is in it.
    #[error("the log was cut or replaced while it was read")]
    HistoryChanged,
    /// There are as many feeds as there may be.
    #[error("too many readers of the log at one time")]
    TooMany,
    /// The disk fails, or the log is damaged. What was handed out before is good.
    #[error(transparent)]
    Log(#[from] Refusal),
}

impl From<DiskError> for FeedError {
    fn from(error: DiskError) -> FeedError {
        FeedError::Log(error.into())
    }
}

impl From<Unregistered> for FeedError {
    fn from(why: Unregistered) -> FeedError {
        match why {
            Unregistered::TooMany => FeedError::TooMany,
            Unregistered::Changing => FeedError::HistoryChanged,
        }
    }
}

impl<D: Directory> Feed<D> {
    /// Begins behind `after`. `dir` and `directory` are those of the log that the gauge is of.
    pub fn open(
        dir: &D,
        directory: DirectoryId,
        gauge: &Gauge,
        after: Zxid,
    ) -> Result<Feed<D>, FeedError> {
        let registration = Registration::new(gauge.shared.feeds.clone(), after)?;
        let found = locate(dir, directory, registration.readable_from, after);
        // Order: a change that begins before this is seen, and one that begins later has changed
        // nothing of what was read.
        if !registration.advance(after) {
            return Err(FeedError::HistoryChanged);
        }
        Ok(Feed { dir: dir.clone(), directory, registration, after, at: found?, met: None })
    }

    /// Replaces the portion with what comes next and is not later than `durable`; with nothing if
    /// the reader has all of that. `durable` is a transaction that the log has reported as durable.
    ///
    /// After an error of the disk the same may be tried again. Every other one stays: the feed is
    /// of no more use.
    pub fn read(
        &mut self,
        durable: Zxid,
        limit: PortionLimit,
        portion: &mut Portion,
    ) -> Result<(), FeedError> {
        portion.clear();
        let filled = match self.met.take() {
            Some(error) => Err(error),
            None => self.fill(durable, limit, portion),
        };
        // Order: as in `open`.
        if !self.registration.advance(self.after) {
            portion.clear();
            return Err(FeedError::HistoryChanged);
        }
        match filled {
            // What is good comes first.
            Err(error) if !portion.is_empty() => {
                self.met = Some(error);
                Ok(())
            }
            filled => filled,
        }
    }

    /// The last transaction that was handed out, or the one behind which it began.
    pub fn after(&self) -> Zxid {
        self.after
    }

    fn fill(
        &mut self,
        durable: Zxid,
        limit: PortionLimit,
        portion: &mut Portion,
    ) -> Result<(), FeedError> {
        // Where the last look at the file itself was.
        let mut fresh = None;
        while self.at.scan.last < durable {
            let before = self.at.scan;
            let offset = match self.at.next() {
                Ok(offset) => offset,
                Err(_) if fresh != Some(self.at.scan.end) => {
                    self.at.read_on(self.dir.piece_bytes())?;
                    fresh = Some(self.at.scan.end);
                    continue;
                }
                Err(stop) => {
                    self.go_on(stop, durable)?;
                    fresh = None;
                    continue;
                }
            };
            let (zxid, payload) = self.at.txn(offset);
            if zxid <= self.after {
                continue;
            }
            if zxid > durable || !portion.takes(payload, limit) {
                self.at.scan = before;
                break;
            }
            if before.last != self.after {
                self.at.scan = before;
                return Err(FeedError::Unknown { after: self.after, before: before.last });
            }
            portion.push(payload);
            self.after = zxid;
        }
        Ok(())
    }

    /// Nothing that is good stands where something durable must: the next segment has it, or it is
    /// damaged.
    fn go_on(&mut self, stop: Stop, durable: Zxid) -> Result<(), FeedError> {
        match stop {
            Stop::Chain => return Err(self.damaged(Proof::Chain)),
            Stop::Order(zxid) => return Err(self.damaged(Proof::Order(zxid))),
            Stop::NoRecord if self.at.is_at_waypoint() => {
                // Where flushes did not wait for the disk, a segment may note what never came.
                self.at.begin_anew();
                return Ok(());
            }
            Stop::NoRecord => {}
        }
        let Header { first, salt, .. } = self.at.header;
        // A record that is too large for a segment which is empty yet gets another one, of the same
        // name.
        let own = self.open_at(first)?;
        if own.header.salt != salt {
            return self.move_to(own);
        }
        let later = segments(&self.dir)?.into_iter().find(|later| *later > first);
        let Some(later) = later else { return Err(self.damaged(Proof::Durable(durable))) };
        let next = self.open_at(later)?;
        self.move_to(next)
    }

    fn open_at(&self, first: Zxid) -> Result<Position<D::Reader>, FeedError> {
        let (header, opened) = open_segment(&self.dir, first, self.directory, Source::Cached)?;
        Ok(Position::new(header, opened.reader, Scan::new(&header)))
    }

    fn move_to(&mut self, next: Position<D::Reader>) -> Result<(), FeedError> {
        let Scan { last, chain, .. } = self.at.scan;
        if (next.header.prev, next.header.chain) != (last, chain) {
            return Err(self.damaged(Proof::LaterSegment(next.header.prev)));
        }
        self.at = next;
        Ok(())
    }

    fn damaged(&self, why: Proof) -> FeedError {
        let Scan { end, last, .. } = self.at.scan;
        let file = self.dir.path_of(&header::name(self.at.header.first));
        FeedError::Log(Refusal::Damaged { file, offset: end as u64, last, why })
    }
}

/// Opens the segment that holds what is behind `after`, or will, at the last place before that which
/// it knows.
fn locate<D: Directory>(
    dir: &D,
    directory: DirectoryId,
    readable_from: Zxid,
    after: Zxid,
) -> Result<Position<D::Reader>, FeedError> {
    let mut firsts = segments(dir)?;
    firsts.retain(|first| *first >= readable_from);
    let later = firsts.partition_point(|first| *first <= after);
    let open = |first: Zxid| open_segment(dir, first, directory, Source::Cached);
    let next = firsts.get(later).map(|first| open(*first)).transpose()?;
    let (header, opened) = match (next, later.checked_sub(1)) {
        // All of this one is later, but nothing lies between.
        (Some((header, opened)), _) if header.prev <= after => (header, opened),
        (_, Some(holder)) => open(firsts[holder])?,
        (Some((header, _)), None) => {
            return Err(FeedError::NotReached { after, oldest: header.prev });
        }
        (None, None) => {
            return Err(FeedError::Log(Refusal::LogGone { directory: dir.path_of("") }));
        }
    };
    let Opened { reader, high_water } = opened;
    let waypoint = high_water.waypoint(after).filter(|Waypoint { last, .. }| *last >= header.prev);
    let scan = waypoint.map_or_else(|| Scan::new(&header), |place| Scan::at(&header, place));
    Ok(Position::new(header, reader, scan))
}

/// First zxids of the segments that are there, ascending.
fn segments<D: Directory>(dir: &D) -> Result<Vec<Zxid>, DiskError> {
    let entries = dir.list()?;
    let mut firsts: Vec<Zxid> =
        entries.iter().filter_map(|entry| header::parse_name(&entry.name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// How far a segment was read.
#[derive(Debug)]
struct Position<R> {
    header: Header,
    reader: R,
    scan: Scan,
    /// Where the scan began.
    began: usize,
    /// What was read last, and where that stands.
    base: usize,
    bytes: Vec<u8>,
}

impl<R: ReadAt> Position<R> {
    fn new(header: Header, reader: R, scan: Scan) -> Position<R> {
        let (began, base) = (scan.end, scan.end);
        Position { header, reader, scan, began, base, bytes: Vec::new() }
    }

    /// Where the next transaction stands, or why none is known.
    fn next(&mut self) -> Result<usize, Stop> {
        let window = Window::new(self.base, &self.bytes);
        match self.scan.records(window).next() {
            Some((offset, _)) => Ok(offset),
            None => Err(std::mem::replace(&mut self.scan.stop, Stop::NoRecord)),
        }
    }

    fn txn(&self, offset: usize) -> (Zxid, &[u8]) {
        record::at(Window::new(self.base, &self.bytes), offset)
    }

    /// Reads what stands at the end of the scan: so many bytes, or a whole record.
    fn read_on(&mut self, bytes: usize) -> Result<(), DiskError> {
        self.base = self.scan.end;
        let end = usize::try_from(self.reader.bytes()).unwrap_or(usize::MAX);
        let left = end.saturating_sub(self.base);
        if self.bytes.capacity() > 4 * bytes {
            // It had to grow for a huge record.
            self.bytes = Vec::new();
        }
        self.fill_window(bytes.min(left))?;
        let window = Window::new(self.base, &self.bytes);
        let whole = record::claimed_bytes(window, self.base, self.header.salt);
        match whole.map(|whole| whole.min(left)) {
            Some(whole) if whole > self.bytes.len() => self.fill_window(whole),
            Some(_) | None => Ok(()),
        }
    }

    fn fill_window(&mut self, bytes: usize) -> Result<(), DiskError> {
        self.bytes.clear();
        self.bytes.resize(bytes, 0);
        let read = self.reader.read_into(self.base as u64, &mut self.bytes);
        if read.is_err() {
            self.bytes.clear();
        }
        read
    }

    /// Whether nothing was found where a waypoint says that a group begins.
    fn is_at_waypoint(&self) -> bool {
        self.scan.end == self.began && self.began != layout::RECORDS_AT
    }

    fn begin_anew(&mut self) {
        self.scan = Scan::new(&self.header);
        (self.began, self.base) = (self.scan.end, self.scan.end);
        self.bytes.clear();
    }
}
