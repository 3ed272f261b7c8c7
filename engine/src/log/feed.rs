//! Reading a log that is being written, for a member that is behind.
//!
//! A feed hands over what is durable and never more: whole segments, and the newest one up to the
//! zxid that it is given. It reads through the page cache, because a second look at the disk would
//! slow down the flushes that go on, and it judges no tail: behind what is durable there may be any
//! part of the flush that is under way. Each record is verified, its place in the chain included,
//! so a segment that a purge has taken and that is used again cannot be mistaken for what it was.
//!
//! [`Gauge::need_from`] keeps segments from the purge. A feed that comes too late for that finds
//! them gone, and the member has to receive the whole state.

use std::io::ErrorKind;

use super::gauge::Gauge;
use super::header::{self, Header};
use super::read_ahead::Opened;
use super::record::{self, Window};
use super::refusal::Refusal;
use super::scan::{Scan, Stop};
use super::survey::read_header;
use crate::Zxid;
use crate::device::{Directory, DiskError, Identity, ReadAt, Source};

/// The most that is read at once to find one whole record.
const GROWN_BYTES_MAX: usize = 64 << 20;

/// Reads the log from some transaction on, portion by portion.
#[derive(Debug)]
pub struct Feed<D: Directory> {
    dir: D,
    identity: Identity,
    header: Header,
    reader: D::Reader,
    /// Behind the last transaction that was handed over.
    scan: Scan,
    after: Zxid,
    buffer: Vec<u8>,
}

/// Why a feed cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log does not reach back so far, or not any more.
    #[error("the log does not reach back to {after}")]
    Gone {
        /// The transaction behind which reading would go on.
        after: Zxid,
    },
    /// A segment is not what it should be.
    #[error(transparent)]
    Refused(Refusal),
    /// What is durable is not there.
    #[error("{file} should hold a transaction behind {after} at byte {offset}, and does not")]
    Unreadable {
        /// The segment.
        file: String,
        /// Where it should be.
        offset: u64,
        /// The last transaction before it.
        after: Zxid,
    },
}

impl<D: Directory> Feed<D> {
    /// Begins behind `after`, which need not be in the log. The directory is that of the log.
    pub fn begin(dir: &D, identity: &Identity, after: Zxid) -> Result<Feed<D>, FeedError> {
        let found = find(dir, identity, after, |header| header.prev <= after)?;
        let (header, opened) = found.ok_or(FeedError::Gone { after })?;
        let waypoint = opened.high_water.waypoint(after);
        let scan = match waypoint.filter(|waypoint| u64::from(waypoint.offset) < header.capacity) {
            Some(waypoint) => Scan::at(&header, waypoint),
            None => Scan::new(&header),
        };
        let (dir, identity) = (dir.clone(), identity.clone());
        let (reader, buffer) = (opened.reader, Vec::new());
        Ok(Feed { dir, identity, header, reader, scan, after, buffer })
    }

    /// The last transaction that was handed over, or the one behind which reading began.
    pub fn after(&self) -> Zxid {
        self.after
    }

    /// Hands over the next transactions, with their payloads as they stand in the log: all up to
    /// `durable`, or about `bytes` bytes of them. Returns whether there are more.
    ///
    /// After an error, what was handed over is good, and the feed is of no more use.
    pub fn read(
        &mut self,
        durable: Zxid,
        bytes: usize,
        mut each: impl FnMut(Zxid, &[u8]),
    ) -> Result<bool, FeedError> {
        let (mut left, mut step) = (bytes, self.dir.piece_bytes());
        while self.after < durable && self.scan.last < durable {
            if left == 0 {
                return Ok(true);
            }
            let start = self.scan.end;
            self.fill(step)?;
            let (mut scan, window) = (self.scan, Window::new(start, &self.buffer));
            let mut ended = false;
            loop {
                let before = scan;
                let Some((_, record)) = scan.records(window).next() else { break };
                let zxid = record.zxid().expect("seals are not returned");
                ended = zxid > durable;
                if ended || left == 0 {
                    scan = before;
                    break;
                }
                if zxid > self.after {
                    each(zxid, record.payload);
                    self.after = zxid;
                    left = left.saturating_sub(record.bytes());
                }
            }
            self.scan = scan;
            if ended {
                return Ok(false);
            }
            if scan.end == start && left > 0 {
                step = self.go_on(step)?;
            } else {
                step = self.dir.piece_bytes();
            }
        }
        Ok(false)
    }

    /// Reads so many bytes from the end of the scan on, or what there is.
    fn fill(&mut self, bytes: usize) -> Result<(), FeedError> {
        let at = self.scan.end as u64;
        let rest = usize::try_from(self.header.capacity - at).unwrap_or(usize::MAX);
        self.buffer.clear();
        self.buffer.resize(bytes.min(rest), 0);
        Ok(self.reader.read_into(at, &mut self.buffer)?)
    }

    /// There is no whole record in what was read: the log goes on in the next segment, or more has
    /// to be read. Returns how much.
    fn go_on(&mut self, step: usize) -> Result<usize, FeedError> {
        let (last, chain, first) = (self.scan.last, self.scan.chain, self.header.first);
        let next =
            |header: &Header| header.first > first && (header.prev, header.chain) == (last, chain);
        if let Some((header, opened)) = find(&self.dir, &self.identity, self.after, next)? {
            self.scan = Scan::new(&header);
            (self.header, self.reader) = (header, opened.reader);
            return Ok(self.dir.piece_bytes());
        }
        let window = Window::new(self.scan.end, &self.buffer);
        let begun = record::is_marked(window, self.scan.end, self.header.salt);
        let whole = self.scan.end + self.buffer.len() == self.header.capacity as usize;
        if begun && !whole && step < GROWN_BYTES_MAX && self.scan.stop == Stop::NoRecord {
            return Ok(step * 2);
        }
        let name = header::name(first);
        if !self.dir.list()?.iter().any(|entry| entry.name == name) {
            return Err(FeedError::Gone { after: self.after });
        }
        let (file, offset) = (self.dir.path_of(&name), self.scan.end as u64);
        Err(FeedError::Unreadable { file, offset, after: last })
    }
}

/// A segment and its header.
type Found<D> = (Header, Opened<<D as Directory>::Reader>);

/// The newest segment that is wanted. Others may go meanwhile.
fn find<D: Directory>(
    dir: &D,
    identity: &Identity,
    after: Zxid,
    wanted: impl Fn(&Header) -> bool,
) -> Result<Option<Found<D>>, FeedError> {
    let names = dir.list()?;
    let mut firsts: Vec<Zxid> =
        names.iter().filter_map(|entry| header::parse_name(&entry.name)).collect();
    firsts.sort_unstable();
    for first in firsts.into_iter().rev() {
        let (header, opened) = match read_header(dir, first, identity, Source::Cached) {
            Ok(found) => found,
            Err(Refusal::Disk(error)) if error.source.kind() == ErrorKind::NotFound => {
                return Err(FeedError::Gone { after });
            }
            Err(Refusal::Disk(error)) => return Err(error.into()),
            Err(refusal) => return Err(FeedError::Refused(refusal)),
        };
        if wanted(&header) {
            return Ok(Some((header, opened)));
        }
        if header.prev <= after {
            // What is older ends before it.
            return Ok(None);
        }
    }
    Ok(None)
}

impl Gauge {
    /// Says from which transaction on segments are read: the purge keeps those that hold it or a
    /// later one. `Zxid(u64::MAX)` is none.
    pub fn need_from(&self, zxid: Zxid) {
        self.shared.set_needed_from(zxid);
    }
}
