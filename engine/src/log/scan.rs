//! Reading a segment: pure, over the bytes of a whole file.

use super::group::follows;
use super::header::{self, Header};
use super::record::{self, Record};
use crate::Zxid;

/// The records of a segment, from the first up to the first that is not there or not right.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    segment: &'a [u8],
    salt: u64,
    at: usize,
    chain: u32,
    last: Zxid,
    group: u32,
    stop: Stop,
}

/// Why [`Records`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// There is no record at this place, or it is damaged.
    NoRecord,
    /// There is one, but it does not go with the record before it.
    Chain,
    /// There is one, but its zxid may not stand here.
    Order(Zxid),
}

impl<'a> Records<'a> {
    /// Starts behind the header.
    pub fn new(segment: &'a [u8], header: &Header) -> Records<'a> {
        Records {
            segment,
            salt: header.salt,
            at: header::BLOCK_BYTES,
            chain: header.chain,
            last: header.prev,
            group: 0,
            stop: Stop::NoRecord,
        }
    }

    /// Where the next record would begin.
    pub fn offset(&self) -> usize {
        self.at
    }

    fn check(&self, record: &Record<'_>) -> Result<(), Stop> {
        let in_group = record.group == self.group || record.group as usize == self.at;
        if record.prev != self.chain || !in_group {
            return Err(Stop::Chain);
        }
        let zxid = record.zxid();
        if follows(self.last, zxid) { Ok(()) } else { Err(Stop::Order(zxid)) }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (usize, Record<'a>);

    fn next(&mut self) -> Option<(usize, Record<'a>)> {
        let record = record::verify(self.segment, self.at, self.salt)?;
        if let Err(stop) = self.check(&record) {
            self.stop = stop;
            return None;
        }
        let offset = self.at;
        self.at += record.bytes();
        (self.chain, self.last, self.group) = (record.crc, record.zxid(), record.group);
        Some((offset, record))
    }
}

/// What was found in a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Where each good record begins.
    pub offsets: Vec<u32>,
    /// Where the good records end.
    pub end: usize,
    /// The zxid of the last good record, or what the header says came before.
    pub last: Zxid,
    /// Its checksum, or what the header says.
    pub chain: u32,
    /// Why it ended there.
    pub stop: Stop,
}

/// Verifies a segment.
pub fn scan(segment: &[u8], header: &Header) -> Scan {
    let mut records = Records::new(segment, header);
    let offsets = records
        .by_ref()
        .map(|(offset, _)| u32::try_from(offset).expect("segments are smaller than 4 GiB"))
        .collect();
    Scan { offsets, end: records.at, last: records.last, chain: records.chain, stop: records.stop }
}

/// What of this incarnation lies behind the good records of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tail {
    /// Where the last trace of a record ends. Pieces of the commit that was under way when
    /// everything ended look like this: nothing of it was acknowledged.
    pub traces_end: Option<usize>,
    /// Where a group begins that is later than the one that should go on at the end. A group is
    /// begun only when the one before it is durable, so this proves that what should stand at the
    /// end was durable once.
    pub later_group: Option<usize>,
}

/// Looks for records of this incarnation behind `end`, where the good ones stop.
pub fn judge_tail(segment: &[u8], header: &Header, end: usize) -> Tail {
    let mut tail = Tail::default();
    let mut at = end;
    while at + record::HEADER_BYTES <= segment.len() {
        if record::is_marked(segment, at, header.salt) {
            tail.traces_end = Some(at + record::HEADER_BYTES);
            let group = record::group_of(segment, at, header.salt).map(|group| group as usize);
            tail.later_group = tail.later_group.or(group.filter(|&group| group > end));
        }
        at += record::ALIGN;
    }
    tail
}
