//! Reading segments, piece by piece, ahead of the thread that applies their records.
//!
//! Every byte is looked at once and in its order. What is handed on was verified: its checksum, its
//! place in the chain, its zxid. What is behind the last good record of a segment stays together
//! until all of it is there, for only the whole says whether a flush was cut short or
//! acknowledged records were damaged.

use super::header::Header;
use super::high_water::HighWater;
use super::layout;
use super::record::{self, Window};
use super::scan::{self, Scan, Stop, Tail};
use crate::Zxid;
use crate::device::{Demand, Directory, DiskError, ReadAt};

/// The most that is read at once while not even one whole record has been found.
const GROWN_BYTES_MAX: usize = 16 << 20;

/// What is handed on.
pub(super) enum Part {
    /// A segment begins.
    Begin(Header),
    /// Some of its transactions.
    Records(Piece),
    /// It was read.
    End(Found),
    /// A segment cannot be read. Nothing follows.
    Failed(DiskError),
    /// What was handed on has been taken out.
    Taken,
}

/// A part of a segment, and the transactions in it.
#[derive(Default)]
pub(super) struct Piece {
    base: usize,
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl Piece {
    /// The zxid and the payload of each transaction.
    pub(super) fn txns(&self) -> impl Iterator<Item = (Zxid, &[u8])> {
        let window = Window::new(self.base, &self.bytes);
        self.offsets.iter().map(move |&offset| record::at(window, offset as usize))
    }

    /// Where each transaction stands in the segment.
    pub(super) fn records(&self) -> impl Iterator<Item = Position> {
        let window = Window::new(self.base, &self.bytes);
        self.offsets.iter().map(move |&offset| {
            let offset = offset as usize;
            let (zxid, _) = record::at(window, offset);
            Position { zxid, offset, prev: record::prev(window, offset) }
        })
    }
}

/// Where a transaction stands.
pub(super) struct Position {
    pub(super) zxid: Zxid,
    pub(super) offset: usize,
    /// The checksum of the record before it.
    pub(super) prev: u32,
}

/// A segment whose first blocks were read.
pub(super) struct Opened<R> {
    pub(super) reader: R,
    /// What the second one says.
    pub(super) high_water: HighWater,
}

/// A segment that was read.
pub(super) struct Found {
    pub(super) header: Header,
    pub(super) scan: Scan,
    pub(super) tail: Tail,
    /// What its second block says, where that can be relied on.
    pub(super) high_water: HighWater,
}

/// Why reading ends early.
enum Halt {
    /// The consumer takes no more.
    Stopped,
    Failed(DiskError),
}

impl From<DiskError> for Halt {
    fn from(error: DiskError) -> Halt {
        Halt::Failed(error)
    }
}

/// Reads segments and hands them on, until there are no more or the consumer stops. Of what is not
/// behind `base`, no more is read than has to be to find the rest.
pub(super) fn read<D: Directory>(
    dir: &D,
    segments: impl Iterator<Item = (Header, Result<Opened<D::Reader>, DiskError>)>,
    base: Zxid,
    hand: &mut dyn FnMut(Part) -> Demand<Part>,
) {
    let mut pieces = Pieces { bytes: dir.piece_bytes(), hand, used: None };
    for (header, opened) in segments {
        let read = |opened: Opened<_>| {
            Segment::new(header, opened.reader).read(base, opened.high_water, &mut pieces)
        };
        match opened.map_err(Halt::from).and_then(read) {
            Ok(()) => {}
            Err(Halt::Stopped) => return,
            Err(Halt::Failed(error)) => {
                // Whether it is taken or not: this was the last one.
                let _ = pieces.hand(Part::Failed(error));
                return;
            }
        }
    }
}

/// Where pieces go, and where memory for new ones comes from.
struct Pieces<'a> {
    /// Bytes of each.
    bytes: usize,
    hand: &'a mut dyn FnMut(Part) -> Demand<Part>,
    used: Option<Piece>,
}

impl Pieces<'_> {
    fn hand(&mut self, part: Part) -> Result<(), Halt> {
        match (self.hand)(part) {
            Demand::More(Some(Part::Records(piece))) => self.used = Some(piece),
            Demand::More(_) => {}
            Demand::Stop => return Err(Halt::Stopped),
        }
        Ok(())
    }

    /// An empty piece. One that had to grow for a huge record is not kept.
    fn fresh(&mut self, base: usize) -> Piece {
        let used = self.used.take().filter(|piece| piece.bytes.capacity() <= 4 * self.bytes);
        let mut piece = used.unwrap_or_default();
        piece.bytes.clear();
        piece.offsets.clear();
        Piece { base, ..piece }
    }
}

/// A segment that is being read.
struct Segment<R> {
    header: Header,
    reader: R,
    scan: Scan,
    /// What was read from the end of the scan on, and the records found since the last hand-over.
    piece: Piece,
}

impl<R: ReadAt> Segment<R> {
    fn new(header: Header, reader: R) -> Segment<R> {
        let piece = Piece { base: layout::RECORDS_AT, ..Piece::default() };
        Segment { header, reader, scan: Scan::new(&header), piece }
    }

    /// Reads as far as anything was ever written. Where that does not end in the way a log ends
    /// that nothing happened to, the rest of the file is looked at as well.
    fn read(
        mut self,
        base: Zxid,
        mut said: HighWater,
        pieces: &mut Pieces<'_>,
    ) -> Result<(), Halt> {
        pieces.hand(Part::Begin(self.header))?;
        self.piece = pieces.fresh(layout::RECORDS_AT);
        self.read_behind(base, &said, pieces)?;
        if said.limit < self.header.capacity {
            let tail = self.judge_tail();
            if self.ends_below(said.limit, &tail) {
                return pieces.hand(Part::End(self.found(tail, said)));
            }
            said = HighWater::default();
        }
        self.read_to(self.header.capacity, pieces)?;
        let tail = self.judge_tail();
        pieces.hand(Part::End(self.found(tail, said)))
    }

    /// Reads what is below the limit, from the last waypoint on that is early enough.
    fn read_behind(
        &mut self,
        base: Zxid,
        said: &HighWater,
        pieces: &mut Pieces<'_>,
    ) -> Result<(), Halt> {
        if let Some(waypoint) = said.waypoint(base) {
            self.scan = Scan::at(&self.header, waypoint);
            self.piece = pieces.fresh(self.scan.end);
            self.read_to(said.limit, pieces)?;
            if self.scan.end > waypoint.offset as usize {
                return Ok(());
            }
            // Nothing stands there, so nothing was handed on: the group never came.
            self.scan = Scan::new(&self.header);
            self.piece = pieces.fresh(self.scan.end);
        }
        self.read_to(said.limit, pieces)
    }

    /// Reads on, up to this place at most, and hands on what is whole.
    fn read_to(&mut self, limit: u64, pieces: &mut Pieces<'_>) -> Result<(), Halt> {
        let limit = usize::try_from(limit).expect("segments are smaller than 4 GiB");
        let mut step = pieces.bytes;
        loop {
            let filled = self.piece.bytes.len();
            let at = self.piece.base + filled;
            if at >= limit {
                return Ok(());
            }
            self.piece.bytes.resize(filled + step.min(limit - at), 0);
            self.reader.read_into(at as u64, &mut self.piece.bytes[filled..])?;
            let window = Window::new(self.piece.base, &self.piece.bytes);
            for (offset, _) in self.scan.records(window) {
                let offset = u32::try_from(offset).expect("segments are smaller than 4 GiB");
                self.piece.offsets.push(offset);
            }
            if self.scan.end > self.piece.base {
                step = pieces.bytes;
                self.hand_on(pieces)?;
            } else {
                // What is here is larger than what was read of it, or is the end.
                step = (step * 2).min(GROWN_BYTES_MAX);
            }
        }
    }

    /// Hands on everything in front of the end of the scan; what is behind it stays.
    fn hand_on(&mut self, pieces: &mut Pieces<'_>) -> Result<(), Halt> {
        let mut next = pieces.fresh(self.scan.end);
        let rest = &self.piece.bytes[self.scan.end - self.piece.base..];
        next.bytes.extend_from_slice(rest);
        pieces.hand(Part::Records(std::mem::replace(&mut self.piece, next)))
    }

    fn judge_tail(&self) -> Tail {
        let window = Window::new(self.piece.base, &self.piece.bytes);
        scan::judge_rest(window, &self.header, self.scan.end)
    }

    /// Whether good records, and nothing behind them, stay clear of the limit. It is always raised
    /// first, so that records which reach it prove that the disk has lost the last raise.
    fn ends_below(&self, limit: u64, tail: &Tail) -> bool {
        let clear = (self.scan.end + record::HEADER_BYTES) as u64 <= limit;
        clear && self.scan.stop == Stop::NoRecord && tail.traces_end.is_none()
    }

    fn found(self, tail: Tail, high_water: HighWater) -> Found {
        Found { header: self.header, scan: self.scan, tail, high_water }
    }
}
