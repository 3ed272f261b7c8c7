//! Reading one file of a transaction log.
//!
//! ```text
//! header | (Adler-32 as a long | length | entry | 'B')* | zeros
//! ```
//! The file is made larger than it is, with zeros, so an entry of length 0 is its end. Nothing
//! links entries to each other: what a crash cut short and what a disk lost look alike. What tells
//! them apart is whether a good entry stands behind, so that is looked for.

use std::io::{self, Read};

use super::entry::Entry;
use super::{Bad, HEADER_BYTES, Header, LOG_MAGIC};
use crate::Zxid;

/// Bytes in front of an entry.
const PREFIX_BYTES: usize = 12;
/// Bytes of the smallest entry: the header of a transaction.
const ENTRY_BYTES_MIN: usize = 32;
/// What ends an entry.
const MARK: u8 = b'B';
/// How much behind the end is searched for later entries.
const SEARCHED_BYTES_MAX: u64 = 64 << 20;
/// How many bytes of what looks like an entry are summed to find out whether it is one.
const SUMMED_BYTES_MAX: usize = 1 << 30;

/// A log file that is read entry by entry.
pub struct LogReader<R> {
    inner: R,
    /// The length of the file.
    bytes: u64,
    at: u64,
    /// Bytes of the last entry with what stands around it, or what of it could be read.
    record: Vec<u8>,
}

/// What comes next in a log.
#[derive(Debug)]
pub enum Item {
    /// An entry.
    Entry(Entry),
    /// The file has no more.
    End(End),
}

/// Where a log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// The byte behind the last entry.
    pub at: u64,
    /// How it ends there.
    pub ending: Ending,
    /// What stands behind.
    pub behind: Behind,
}

/// How a log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With the file, or with zeros.
    Clean,
    /// With an entry that is not whole, for this reason.
    Torn(&'static str),
}

/// What stands behind the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behind {
    /// Zeros, or the rest of the entry that is not whole.
    Nothing,
    /// A good entry: the end is a damage in the middle.
    Later {
        /// Where it begins.
        at: u64,
        /// Its zxid.
        zxid: Zxid,
    },
    /// More than could be searched.
    Unknown,
}

impl<R: Read> LogReader<R> {
    /// Begins with a file of `bytes` bytes.
    pub fn open(mut inner: R, bytes: u64) -> Result<LogReader<R>, Bad> {
        let mut header = [0; HEADER_BYTES];
        if bytes < HEADER_BYTES as u64 {
            return Err(Bad::CutOff { at: bytes });
        }
        inner.read_exact(&mut header).map_err(|source| Bad::Read { at: 0, source })?;
        Header::of(header).check(LOG_MAGIC, "transaction log")?;
        Ok(LogReader { inner, bytes, at: HEADER_BYTES as u64, record: Vec::new() })
    }

    /// Bytes read so far.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next entry, or the end; nothing is to be read behind that. An error is a disk that
    /// fails, or an entry whose checksum is right and whose contents are not.
    pub fn next(&mut self, last: Zxid) -> Result<Item, Bad> {
        let begin = self.at;
        self.record.clear();
        let left = usize::try_from(self.bytes.saturating_sub(begin)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(Item::End(End {
                at: begin,
                ending: Ending::Clean,
                behind: Behind::Nothing,
            }));
        }
        self.read_more(PREFIX_BYTES.min(left))?;
        let torn = match self.measure(left) {
            Measured::Entry(len) => {
                self.read_more(len + 1)?;
                match self.check(len) {
                    Ok(()) => {
                        let entry = &self.record[PREFIX_BYTES..PREFIX_BYTES + len];
                        let what = "an entry with a good checksum that is no transaction";
                        let entry = Entry::read(entry);
                        let entry = entry.map_err(|_| Bad::Damaged { at: self.at, what })?;
                        return Ok(Item::Entry(entry));
                    }
                    Err(what) => Ending::Torn(what),
                }
            }
            Measured::Zeros => Ending::Clean,
            Measured::Torn(what) => Ending::Torn(what),
        };
        let behind = self.look_behind(begin, last)?;
        Ok(Item::End(End { at: begin, ending: torn, behind }))
    }

    fn measure(&self, left: usize) -> Measured {
        let Some(prefix) = self.record.first_chunk::<PREFIX_BYTES>() else {
            let is_zero = self.record.iter().all(|byte| *byte == 0);
            return if is_zero { Measured::Zeros } else { Measured::Torn("it is cut off") };
        };
        let len = i32::from_be_bytes(prefix[8..].try_into().expect("four bytes"));
        match usize::try_from(len) {
            Ok(0) if prefix[..8] == [0; 8] => Measured::Zeros,
            Ok(0) => Measured::Torn("its length is missing"),
            Ok(len) if len < left.saturating_sub(PREFIX_BYTES) => Measured::Entry(len),
            Ok(_) => Measured::Torn("it is cut off"),
            Err(_) => Measured::Torn("its length is negative"),
        }
    }

    /// Whether the record is whole.
    fn check(&self, len: usize) -> Result<(), &'static str> {
        let (entry, mark) = self.record[PREFIX_BYTES..].split_at(len);
        if mark != [MARK] {
            return Err("the mark at its end is missing");
        }
        if is_summed(&self.record[..8], entry) { Ok(()) } else { Err("its checksum is wrong") }
    }

    fn read_more(&mut self, count: usize) -> Result<(), Bad> {
        let read = self.inner.by_ref().take(count as u64).read_to_end(&mut self.record);
        let failed = |source| Bad::Read { at: self.at, source };
        let read = read.map_err(failed)?;
        self.at += read as u64;
        if read < count {
            let source = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(Bad::Read { at: self.at, source });
        }
        Ok(())
    }

    /// Looks for a later entry behind the one that began at `begin`, whose bytes are in `record`.
    fn look_behind(&mut self, begin: u64, last: Zxid) -> Result<Behind, Bad> {
        let mut bytes = std::mem::take(&mut self.record);
        // What was taken for the length of an entry may have swallowed good ones; that was read
        // into memory already and is bounded by the file.
        let room = SEARCHED_BYTES_MAX.saturating_sub(bytes.len() as u64);
        let failed = |at| move |source| Bad::Read { at, source };
        let start = bytes.len() as u64;
        let skipped = self.skip_zeros(&mut bytes)?;
        self.inner.by_ref().take(room).read_to_end(&mut bytes).map_err(failed(self.at))?;
        let rest = io::copy(&mut self.inner.by_ref().take(1), &mut io::sink());
        let is_all = rest.map_err(failed(self.at))? == 0;
        let mut summed = 0;
        for at in 1..bytes.len().saturating_sub(PREFIX_BYTES + ENTRY_BYTES_MIN) {
            let Some((sum, entry)) = entry_at(&bytes[at..]) else { continue };
            summed += entry.len();
            if summed > SUMMED_BYTES_MAX {
                return Ok(Behind::Unknown);
            }
            let zxid = Entry::peek_zxid(entry).filter(|zxid| *zxid > last);
            if let Some(zxid) = zxid.filter(|_| is_summed(sum, entry)) {
                let gap = if at as u64 >= start { skipped } else { 0 };
                return Ok(Behind::Later { at: begin + at as u64 + gap, zxid });
            }
        }
        Ok(if is_all { Behind::Nothing } else { Behind::Unknown })
    }

    /// Passes over the zeros that usually follow, which are many. The few in front of what follows
    /// them are kept, for an entry begins with some.
    fn skip_zeros(&mut self, bytes: &mut Vec<u8>) -> Result<u64, Bad> {
        const KEPT: usize = 8;
        let mut chunk = Vec::new();
        let mut skipped = 0;
        loop {
            chunk.clear();
            let read = self.inner.by_ref().take(1 << 16).read_to_end(&mut chunk);
            read.map_err(|source| Bad::Read { at: self.at, source })?;
            if chunk.is_empty() {
                return Ok(skipped);
            }
            let Some(first) = chunk.iter().position(|byte| *byte != 0) else {
                skipped += chunk.len() as u64;
                continue;
            };
            // As many zeros as were really there, if that is fewer.
            let kept = KEPT.min(usize::try_from(skipped).unwrap_or(KEPT) + first);
            bytes.extend(std::iter::repeat_n(0, kept));
            bytes.extend_from_slice(&chunk[first..]);
            return Ok(skipped + first as u64 - kept as u64);
        }
    }
}

/// What the front of a record says.
enum Measured {
    Entry(usize),
    Zeros,
    Torn(&'static str),
}

/// The checksum and the bytes of the entry that may begin with these bytes.
fn entry_at(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    if prefix[..4] != [0; 4] {
        return None;
    }
    let len = usize::try_from(i32::from_be_bytes(prefix[8..].try_into().ok()?)).ok()?;
    let (entry, behind) = rest.split_at_checked(len)?;
    let is_whole = len >= ENTRY_BYTES_MIN && behind.first() == Some(&MARK);
    is_whole.then_some((&prefix[..8], entry))
}

fn is_summed(sum: &[u8], entry: &[u8]) -> bool {
    u64::from(simd_adler32::adler32(&entry)).to_be_bytes() == sum
}
