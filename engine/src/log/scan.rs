//! Reading a segment: pure, over the bytes of a whole file or of parts of it, one after the other.

use super::header::Header;
use super::high_water::Waypoint;
use super::layout;
use super::record::{self, Record, Window};
use crate::Zxid;

/// How far a segment was read, and what was found there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Where the good records end.
    pub end: usize,
    /// The zxid of the last good record, or what the header says came before.
    pub last: Zxid,
    /// Its checksum, or what the header says.
    pub chain: u32,
    /// Whether the last group is known to have been durable.
    pub sealed: bool,
    /// Why it ended there.
    pub stop: Stop,
    group: u32,
    salt: u64,
}

/// Why a [`Scan`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// There is no record at this place, or it is damaged, or not all of it has been read.
    NoRecord,
    /// There is one, but it does not go with the record before it.
    Chain,
    /// There is one, but its zxid may not stand here.
    Order(Zxid),
}

impl Scan {
    /// Starts behind the header.
    pub fn new(header: &Header) -> Scan {
        Scan {
            end: layout::RECORDS_AT,
            last: header.prev,
            chain: header.chain,
            sealed: true,
            stop: Stop::NoRecord,
            group: 0,
            salt: header.salt,
        }
    }

    /// Starts at a place where a group begins, which the segment knows.
    pub(super) fn at(header: &Header, waypoint: Waypoint) -> Scan {
        let Waypoint { offset, chain, last } = waypoint;
        Scan { end: offset as usize, last, chain, ..Scan::new(header) }
    }

    /// Goes on with a window that holds what stands at the end of the scan.
    pub fn records<'a>(&'a mut self, window: Window<'a>) -> Records<'a> {
        Records { window, scan: self }
    }

    fn check(&self, record: &Record<'_>) -> Result<(), Stop> {
        let in_group = record.group == self.group || record.group as usize == self.end;
        if record.prev != self.chain || !in_group {
            return Err(Stop::Chain);
        }
        match record.zxid() {
            Some(zxid) if !zxid.may_follow(self.last) => Err(Stop::Order(zxid)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The records of a window, up to the first that is not there or not right.
#[derive(Debug)]
pub struct Records<'a> {
    window: Window<'a>,
    scan: &'a mut Scan,
}

impl<'a> Iterator for Records<'a> {
    type Item = (usize, Record<'a>);

    /// Seals are followed, but not returned.
    fn next(&mut self) -> Option<(usize, Record<'a>)> {
        // A record that does not belong here is the end, whatever comes behind it.
        while self.scan.stop == Stop::NoRecord {
            let record = record::verify(self.window, self.scan.end, self.scan.salt)?;
            if let Err(stop) = self.scan.check(&record) {
                self.scan.stop = stop;
                return None;
            }
            let scan = &mut *self.scan;
            let offset = scan.end;
            scan.end += record.bytes();
            (scan.chain, scan.group, scan.sealed) = (record.crc, record.group, record.is_seal());
            if let Some(zxid) = record.zxid() {
                scan.last = zxid;
                return Some((offset, record));
            }
        }
        None
    }
}

/// Verifies a segment.
pub fn scan(segment: &[u8], header: &Header) -> Scan {
    let mut scan = Scan::new(header);
    scan.records(segment.into()).for_each(drop);
    scan
}

/// What of this incarnation lies behind the good records of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tail {
    /// Where the last trace of a record ends. Pieces of the flush that was under way when
    /// everything ended look like this: nothing of it was acknowledged.
    pub traces_end: Option<usize>,
    /// Where a group begins that is later than the one that should go on at the end. A group is
    /// begun only when the one before it is durable, so this proves that what should stand at the
    /// end was durable once.
    pub later_group: Option<usize>,
}

/// Looks for records of this incarnation behind `end`, where the good ones stop.
pub fn judge_tail(segment: &[u8], header: &Header, end: usize) -> Tail {
    judge_rest(segment.into(), header, end)
}

/// The same, where only what stands at `end` and behind it is there.
pub(super) fn judge_rest(window: Window<'_>, header: &Header, end: usize) -> Tail {
    let mut tail = Tail::default();
    let mut at = end;
    if record::is_nearly_marked(window, end, header.salt) {
        tail.traces_end = Some((end + record::HEADER_BYTES).min(window.end()));
    }
    while at + record::HEADER_BYTES <= window.end() {
        if record::is_marked(window, at, header.salt) {
            tail.traces_end = Some(at + record::HEADER_BYTES);
            let group = record::group_of(window, at, header.salt).map(|group| group as usize);
            tail.later_group = tail.later_group.or(group.filter(|&group| group > end));
        }
        at += record::ALIGN;
    }
    tail
}
