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
    sealed: bool,
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
            at: header::RECORDS_AT,
            chain: header.chain,
            last: header.prev,
            group: 0,
            sealed: true,
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
        match record.zxid() {
            Some(zxid) if !follows(self.last, zxid) => Err(Stop::Order(zxid)),
            Some(_) | None => Ok(()),
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (usize, Record<'a>);

    /// Seals are followed, but not returned.
    fn next(&mut self) -> Option<(usize, Record<'a>)> {
        loop {
            let record = record::verify(self.segment, self.at, self.salt)?;
            if let Err(stop) = self.check(&record) {
                self.stop = stop;
                return None;
            }
            let offset = self.at;
            self.at += record.bytes();
            (self.chain, self.group, self.sealed) = (record.crc, record.group, record.is_seal());
            if let Some(zxid) = record.zxid() {
                self.last = zxid;
                return Some((offset, record));
            }
        }
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
    /// Whether the last group is known to have been durable.
    pub sealed: bool,
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
    let Records { at: end, last, chain, sealed, stop, .. } = records;
    Scan { offsets, end, last, chain, sealed, stop }
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
    if record::is_nearly_marked(segment, end, header.salt) {
        tail.traces_end = Some((end + record::HEADER_BYTES).min(segment.len()));
    }
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
