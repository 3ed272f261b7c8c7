//! Request and reply headers, and the frame around them.

use super::jute::{Malformed, Put, Reader};
use crate::{Code, Zxid};

/// What begins every request after the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// The client's number of the request, echoed in the reply.
    pub xid: i32,
    /// The operation, see [`super::opcode::op`].
    pub op: i32,
}

impl RequestHeader {
    /// Bytes of a header.
    pub const BYTES: usize = 8;

    /// Reads the eight bytes.
    pub fn read(reader: &mut Reader<'_>) -> Result<RequestHeader, Malformed> {
        Ok(RequestHeader { xid: reader.int()?, op: reader.int()? })
    }

    /// Writes the eight bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put_int(self.xid);
        out.put_int(self.op);
    }
}

/// What begins every reply and notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyHeader {
    /// Echo of the request's xid, or one of [`super::opcode::xid`].
    pub xid: i32,
    /// The last zxid that this server had applied.
    pub zxid: i64,
    /// A [`Code`] as a number.
    pub err: i32,
}

impl ReplyHeader {
    /// Reads the sixteen bytes.
    pub fn read(reader: &mut Reader<'_>) -> Result<ReplyHeader, Malformed> {
        Ok(ReplyHeader { xid: reader.int()?, zxid: reader.long()?, err: reader.int()? })
    }
}

/// A reply frame under construction: the length is filled in by [`ReplyFrame::finish`].
#[derive(Debug)]
#[must_use = "a frame without its length breaks the connection"]
pub struct ReplyFrame {
    start: usize,
}

/// Where the code stands in a reply frame: behind length, xid and zxid.
const CODE_OFFSET: usize = 16;

impl ReplyFrame {
    /// Bytes before the body: length, xid, zxid and code.
    pub const HEAD_BYTES: usize = 20;

    /// Begins a reply in `out`; the body is appended by the caller.
    pub fn begin(out: &mut Vec<u8>, xid: i32, zxid: Zxid, code: Code) -> ReplyFrame {
        ReplyFrame::begin_raw(out, xid, zxid.to_wire(), code)
    }

    /// As [`ReplyFrame::begin`], for the headers that carry -1 instead of a zxid.
    pub fn begin_raw(out: &mut Vec<u8>, xid: i32, zxid: i64, code: Code) -> ReplyFrame {
        let start = out.len();
        out.put_int(0);
        out.put_int(xid);
        out.put_long(zxid);
        out.put_int(code.to_wire());
        ReplyFrame { start }
    }

    /// Replaces the code of the header, once the body has said what came of the request.
    pub fn set_code(&self, out: &mut [u8], code: Code) {
        let at = self.start + CODE_OFFSET;
        out[at..at + 4].copy_from_slice(&code.to_wire().to_be_bytes());
    }

    /// Fills in the length.
    pub fn finish(self, out: &mut [u8]) {
        finish_frame(out, self.start);
    }
}

/// Writes the length of the frame that began at `start` (its four length bytes included).
pub fn finish_frame(out: &mut [u8], start: usize) {
    let len = u32::try_from(out.len() - start - 4).expect("replies stay below 4 GiB");
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}
