//! A request that has arrived.

use crate::op::OpSpec;
use crate::wire::header::RequestHeader;
use crate::wire::{Malformed, Reader};
use crate::{Code, Zxid};

/// A request, read and classified once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    /// Its header.
    pub header: RequestHeader,
    /// The row of its operation.
    pub spec: &'static OpSpec,
    /// What follows the header.
    pub record: &'a [u8],
    /// When it arrived, microseconds of the monotonic clock.
    pub since_us: u64,
}

/// A request that waits for its turn.
#[derive(Debug)]
pub struct WaitingRequest {
    pub(super) header: RequestHeader,
    spec: &'static OpSpec,
    record: Box<[u8]>,
    since_us: u64,
}

/// The reply to a request, but for its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    /// The request.
    pub header: RequestHeader,
    /// When it arrived.
    pub since_us: u64,
    /// The last zxid before its place in the order. It may be older than the moment in which the
    /// request is served.
    pub zxid: Zxid,
    /// What came of it.
    pub code: Code,
}

impl<'a> Arrival<'a> {
    /// Reads the payload of a frame.
    pub(super) fn read(payload: &'a [u8], since_us: u64) -> Result<Arrival<'a>, Malformed> {
        let mut reader = Reader::new(payload);
        let header = RequestHeader::read(&mut reader)?;
        Ok(Arrival { header, spec: OpSpec::of(header.op), record: reader.rest(), since_us })
    }

    /// Bytes of its payload.
    pub(super) fn bytes(&self) -> usize {
        RequestHeader::BYTES + self.record.len()
    }

    /// A reader of its record.
    pub(super) fn reader(&self) -> Reader<'a> {
        Reader::new(self.record)
    }

    /// Its reply.
    pub(super) fn reply(&self, zxid: Zxid, code: Code) -> Reply {
        Reply { header: self.header, since_us: self.since_us, zxid, code }
    }

    /// The same, independent of the bytes it was read from.
    pub(super) fn to_waiting(self) -> WaitingRequest {
        let Arrival { header, spec, record, since_us } = self;
        WaitingRequest { header, spec, record: record.into(), since_us }
    }
}

impl WaitingRequest {
    /// As it arrived.
    pub(super) fn arrival(&self) -> Arrival<'_> {
        let WaitingRequest { header, spec, record, since_us } = self;
        Arrival { header: *header, spec, record, since_us: *since_us }
    }

    /// Bytes of its payload.
    pub(super) fn bytes(&self) -> usize {
        self.arrival().bytes()
    }
}
