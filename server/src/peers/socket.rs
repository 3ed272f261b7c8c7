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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, Shutdown, TcpListener};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use socket2::SockRef;

    use super::*;

    /// A link, and the leader's end of it.
    fn link() -> (LeaderSocket, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut socket = LeaderSocket::new().unwrap();
        socket.open(stream).unwrap();
        (socket, listener.accept().unwrap().0)
    }

    /// Whether something has happened to the socket within a time.
    fn is_woken(socket: &LeaderSocket, patience: Duration) -> bool {
        let limit = Timespec::try_from(patience).unwrap();
        poll(&mut [PollFd::from_borrowed_fd(socket.fd(), PollFlags::IN)], Some(&limit)).unwrap() > 0
    }

    /// Waits until something has happened to the socket.
    fn wait(socket: &mut LeaderSocket) {
        assert!(is_woken(socket, Duration::from_secs(30)), "nothing happens");
        socket.note_events();
    }

    fn receive(socket: &mut LeaderSocket) -> Option<Vec<u8>> {
        let mut taken = Vec::new();
        match socket.receive(|bytes| taken.extend_from_slice(bytes)) {
            Received::Nothing => None,
            Received::Bytes(count) => {
                assert_eq!(count, taken.len());
                Some(taken)
            }
            Received::End => panic!("it has ended"),
            Received::Failed(error) => panic!("{error}"),
        }
    }

    #[test]
    fn socket_that_has_nothing_is_not_read_until_something_comes() {
        let (mut socket, mut leader) = link();
        socket.note_events();
        assert!(socket.is_readable() && socket.is_writable(), "it is new: both are tried");
        assert_eq!(receive(&mut socket), None);
        assert!(!socket.is_readable());
        leader.write_all(b"one").unwrap();
        wait(&mut socket);
        assert!(socket.is_readable());
        assert_eq!(receive(&mut socket).as_deref(), Some(&b"one"[..]));
        assert!(socket.is_readable(), "there may be more");
        assert_eq!(receive(&mut socket), None);
    }

    /// Bytes that have to wait wake nothing, and are there afterwards.
    #[test]
    fn socket_with_bytes_that_are_not_read_wakes_once() {
        let (mut socket, mut leader) = link();
        socket.note_events();
        leader.write_all(b"one").unwrap();
        wait(&mut socket);
        assert!(!is_woken(&socket, Duration::ZERO));
        assert_eq!(receive(&mut socket).as_deref(), Some(&b"one"[..]));
    }

    #[test]
    fn socket_that_is_full_is_not_written_until_there_is_space() {
        let (mut socket, mut leader) = link();
        let piece = vec![7; 1 << 20];
        let mut sent = 0;
        while socket.is_writable() {
            sent += socket.send(&piece).unwrap();
        }
        assert_eq!(socket.send(&piece).unwrap(), 0);
        socket.note_events();
        let mut received = vec![0; sent];
        leader.read_exact(&mut received).unwrap();
        while !socket.is_writable() {
            wait(&mut socket);
        }
        assert!(socket.send(&piece).unwrap() > 0);
    }

    #[test]
    fn end_and_reset_of_the_other_side_are_seen() {
        let (mut socket, leader) = link();
        assert_eq!(receive(&mut socket), None);
        leader.shutdown(Shutdown::Write).unwrap();
        wait(&mut socket);
        assert!(matches!(socket.receive(|_| ()), Received::End));
        let (mut socket, leader) = link();
        assert_eq!(receive(&mut socket), None);
        SockRef::from(&leader).set_linger(Some(Duration::ZERO)).unwrap();
        drop(leader);
        wait(&mut socket);
        assert!(matches!(socket.receive(|_| ()), Received::Failed(_)));
        assert!(socket.send(b"x").is_err());
    }

    #[test]
    fn socket_that_is_closed_does_nothing_and_the_next_one_begins_anew() {
        let (mut socket, mut leader) = link();
        socket.close();
        assert!(!socket.is_readable() && !socket.is_writable());
        assert_eq!(receive(&mut socket), None);
        assert_eq!(socket.send(b"x").unwrap(), 0);
        assert_eq!(leader.read(&mut [0; 8]).unwrap(), 0, "the other side sees the end");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.open(TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap();
        let mut leader = listener.accept().unwrap().0;
        assert_eq!(receive(&mut socket), None);
        leader.write_all(b"two").unwrap();
        while !socket.is_readable() {
            wait(&mut socket);
        }
        assert_eq!(receive(&mut socket).as_deref(), Some(&b"two"[..]));
    }
}
