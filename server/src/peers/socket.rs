//! The socket of the link to the leader, behind one descriptor that stays the same.

use std::io;
use std::iter;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::peer_socket::{PeerSocket, READ_BYTES, Received};

/// The link's socket, if there is one, in a set of its own.
pub(crate) struct LeaderSocket {
    epoll: OwnedFd,
    socket: Option<PeerSocket>,
    buffer: Box<[u8]>,
}

impl LeaderSocket {
    pub(super) fn new() -> io::Result<LeaderSocket> {
        Ok(LeaderSocket {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            socket: None,
            buffer: vec![0; READ_BYTES].into(),
        })
    }

    /// The descriptor that becomes readable when something has happened to the socket.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Takes a connection that does not block.
    pub(super) fn open(&mut self, stream: TcpStream) -> io::Result<()> {
        epoll::add(&self.epoll, &stream, EventData::new_u64(0), PeerSocket::EDGES)?;
        self.socket = Some(PeerSocket::new(stream));
        Ok(())
    }

    /// Closes it.
    pub(super) fn close(&mut self) {
        // A descriptor that is closed leaves the set by itself.
        self.socket = None;
    }

    /// Whether a read may find something.
    pub(super) fn is_readable(&self) -> bool {
        self.socket.as_ref().is_some_and(PeerSocket::is_readable)
    }

    /// Whether a write may succeed.
    pub(super) fn is_writable(&self) -> bool {
        self.socket.as_ref().is_some_and(PeerSocket::is_writable)
    }

    /// The descriptor has become readable: notes what has happened, which ends that.
    pub(crate) fn note_events(&mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(4);
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let spare = rustix::buffer::spare_capacity(&mut events);
        let result = epoll::wait(&self.epoll, spare, Some(&now));
        let Some(socket) = &mut self.socket else { return };
        if result.is_err() {
            // It was interrupted: everything may have happened.
            socket.note(EventFlags::all());
        }
        events.iter().for_each(|event| socket.note(event.flags));
    }

    /// Reads once.
    pub(super) fn receive(&mut self, take: impl FnOnce(&[u8])) -> Received {
        let Some(socket) = &mut self.socket else { return Received::Nothing };
        socket.receive(&mut self.buffer, take)
    }

    /// Sends some of the bytes; 0 where none can be sent now.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(socket) = &mut self.socket else { return Ok(0) };
        socket.send(iter::once(bytes))
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
        assert!(!socket.is_readable(), "that was all");
        leader.write_all(b"two").unwrap();
        wait(&mut socket);
        assert_eq!(receive(&mut socket).as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn bytes_that_fill_the_buffer_leave_more_to_read() {
        let (mut socket, mut leader) = link();
        assert_eq!(receive(&mut socket), None);
        let bytes = vec![5; READ_BYTES + 1];
        leader.write_all(&bytes).unwrap();
        let mut taken = 0;
        while taken < bytes.len() {
            if !socket.is_readable() {
                wait(&mut socket);
            }
            taken += receive(&mut socket).map_or(0, |bytes| bytes.len());
        }
        assert_eq!(taken, bytes.len());
    }

    /// One edge may tell of both.
    #[test]
    fn end_behind_bytes_is_seen_with_them() {
        let (mut socket, mut leader) = link();
        assert_eq!(receive(&mut socket), None);
        leader.write_all(b"last").unwrap();
        leader.shutdown(Shutdown::Write).unwrap();
        // Until the end has come: what is noted then is one event for both.
        while !socket.socket.as_ref().is_some_and(PeerSocket::is_ending) {
            wait(&mut socket);
        }
        assert_eq!(receive(&mut socket).as_deref(), Some(&b"last"[..]));
        assert!(matches!(socket.receive(|_| ()), Received::End));
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
