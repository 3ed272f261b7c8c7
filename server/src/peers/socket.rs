//! The socket of the link to the leader, behind one descriptor that stays the same.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

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

/// The link's socket, if there is one, and whether it is ready.
///
/// The socket is registered for edges: what the system has reported holds until a read or a write
/// finds that it does not. So a socket that is not read, because its bytes have to wait, wakes
/// nothing.
pub(crate) struct LeaderSocket {
    epoll: OwnedFd,
    stream: Option<TcpStream>,
    is_readable: bool,
    is_writable: bool,
    buffer: Box<[u8]>,
}

impl LeaderSocket {
    pub(super) fn new() -> io::Result<LeaderSocket> {
        Ok(LeaderSocket {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            stream: None,
            is_readable: false,
            is_writable: false,
            buffer: vec![0; READ_BYTES].into(),
        })
    }

    /// The descriptor that becomes readable when something has happened to the socket.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Takes a connection that does not block.
    pub(super) fn open(&mut self, stream: TcpStream) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &stream, EventData::new_u64(0), flags)?;
        self.stream = Some(stream);
        (self.is_readable, self.is_writable) = (true, true);
        Ok(())
    }

    /// Closes it.
    pub(super) fn close(&mut self) {
        // A descriptor that is closed leaves the set by itself.
        self.stream = None;
        (self.is_readable, self.is_writable) = (false, false);
    }

    /// Whether a read may find something.
    pub(super) fn is_readable(&self) -> bool {
        self.stream.is_some() && self.is_readable
    }

    /// Whether a write may succeed.
    pub(super) fn is_writable(&self) -> bool {
        self.stream.is_some() && self.is_writable
    }

    /// The descriptor has become readable: notes what has happened, which ends that.
    pub(crate) fn note_events(&mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(4);
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let spare = rustix::buffer::spare_capacity(&mut events);
        if epoll::wait(&self.epoll, spare, Some(&now)).is_err() {
            // It was interrupted: everything may have happened.
            (self.is_readable, self.is_writable) = (true, true);
        }
        let ended = EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR;
        for event in &events {
            // Copied: the event is packed.
            let flags = event.flags;
            self.is_readable |= flags.intersects(EventFlags::IN | ended);
            self.is_writable |= flags.intersects(EventFlags::OUT | ended);
        }
    }

    /// Reads once.
    pub(super) fn receive(&mut self, take: impl FnOnce(&[u8])) -> Received {
        let Some(stream) = &self.stream else { return Received::Nothing };
        match rustix::net::recv(stream, &mut self.buffer[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => Received::End,
            Ok((count, _)) => {
                take(&self.buffer[..count]);
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

    /// Sends some of the bytes; 0 where none can be sent now.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stream) = &self.stream else { return Ok(0) };
        match rustix::net::send(stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
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
