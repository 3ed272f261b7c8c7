//! One connection to another server, without blocking, and what the system has reported of it.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, sendmsg};

/// Bytes that are read at once.
pub(super) const READ_BYTES: usize = 64 << 10;
/// Pieces that are sent at once.
pub(super) const PIECES_MAX: usize = 16;

/// What came of a read.
pub(super) enum Received {
    /// Nothing is there.
    Nothing,
    /// So many bytes were taken.
    Bytes(usize),
    /// The other side has closed the connection.
    End,
    /// The connection is broken.
    Failed(io::Error),
}

/// A socket that is registered for edges: what the system has reported holds until a read or a
/// write finds that it does not. So a socket that is not read, because its bytes have to wait,
/// wakes nothing.
pub(super) struct PeerSocket {
    stream: TcpStream,
    is_readable: bool,
    is_writable: bool,
    /// The other side sends no more, or the connection is broken: reads go on until they say so.
    is_ending: bool,
}

impl PeerSocket {
    /// The edges that it is registered for.
    pub(super) const EDGES: EventFlags =
        EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

    /// A connection of which nothing is known yet: both directions are tried.
    pub(super) fn new(stream: TcpStream) -> PeerSocket {
        PeerSocket { stream, is_readable: true, is_writable: true, is_ending: false }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Whether a read may find something.
    pub(super) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Whether a write may succeed.
    pub(super) fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Whether the system has reported an end.
    #[cfg(test)]
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Takes what the system has reported.
    pub(super) fn note(&mut self, flags: EventFlags) {
        let ended = EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR;
        self.is_readable |= flags.intersects(EventFlags::IN | ended);
        self.is_writable |= flags.intersects(EventFlags::OUT | ended);
        self.is_ending |= flags.intersects(ended);
    }

    /// Reads once. What leaves space in the buffer was all there was: more of it is another edge.
    /// But the edge of an end may have come with the bytes.
    pub(super) fn receive(&mut self, buffer: &mut [u8], take: impl FnOnce(&[u8])) -> Received {
        match rustix::net::recv(&self.stream, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Received::End,
            Ok((count, _)) => {
                self.is_readable = count == buffer.len() || self.is_ending;
                take(&buffer[..count]);
                Received::Bytes(count)
            }
            Err(Errno::AGAIN) => {
                self.is_readable = false;
                Received::Nothing
            }
            Err(Errno::INTR) => Received::Nothing,
            Err(error) => Received::Failed(error.into()),
        }
    }

    /// Sends some of the bytes of these pieces, at most [`PIECES_MAX`] of which are looked at; 0
    /// where none can be sent now.
    pub(super) fn send<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let mut control = SendAncillaryBuffer::default();
        match sendmsg(&self.stream, &slices[..count], &mut control, flags) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN) => {
                self.is_writable = false;
                Ok(0)
            }
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
