//! The sockets of a member, behind one descriptor that stays the same.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::peer_socket::{PeerSocket, READ_BYTES, Received};

/// Events that are taken at once; those that are left keep the descriptor readable.
const EVENTS: usize = 64;

/// Sockets under numbers that are never used again.
pub(crate) struct SocketSet {
    epoll: OwnedFd,
    sockets: BTreeMap<u64, PeerSocket>,
    buffer: Box<[u8]>,
    /// Where the next round of reads begins.
    turn: u64,
}

impl SocketSet {
    pub(super) fn new() -> io::Result<SocketSet> {
        Ok(SocketSet {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            sockets: BTreeMap::new(),
            buffer: vec![0; READ_BYTES].into(),
            turn: 0,
        })
    }

    /// The descriptor that becomes readable when something has happened to a socket.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Takes a connection that does not block.
    pub(super) fn open(&mut self, number: u64, stream: TcpStream) -> io::Result<()> {
        let socket = PeerSocket::new(stream);
        epoll::add(&self.epoll, socket.fd(), EventData::new_u64(number), PeerSocket::EDGES)?;
        let before = self.sockets.insert(number, socket);
        assert!(before.is_none(), "connection {number} is opened twice");
        Ok(())
    }

    /// Closes a connection, if it is open.
    pub(super) fn close(&mut self, number: u64) {
        // A descriptor that is closed leaves the set by itself.
        self.sockets.remove(&number);
    }

    /// The descriptor has become readable: notes what has happened, which ends that unless more has
    /// happened than is taken at once.
    pub(crate) fn note_events(&mut self) {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut events, Some(&now)) else {
            // It was interrupted: everything may have happened.
            self.sockets.values_mut().for_each(|socket| socket.note(EventFlags::all()));
            return;
        };
        for event in events.iter() {
            // Copied: an event is packed.
            let (number, flags) = (event.data.u64(), event.flags);
            if let Some(socket) = self.sockets.get_mut(&number) {
                socket.note(flags);
            }
        }
    }

    /// Those that may be read, each once, in another order each time.
    pub(super) fn readable(&mut self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.all_readable().collect();
        let first = numbers.partition_point(|number| *number < self.turn);
        numbers.rotate_left(first);
        self.turn = numbers.first().map_or(0, |first| first + 1);
        numbers
    }

    /// Those that may be read.
    pub(super) fn all_readable(&self) -> impl Iterator<Item = u64> {
        let readable =
            |(number, socket): (&u64, &PeerSocket)| socket.is_readable().then_some(*number);
        self.sockets.iter().filter_map(readable)
    }

    /// Those that may be written.
    pub(super) fn all_writable(&self) -> impl Iterator<Item = u64> {
        let writable =
            |(number, socket): (&u64, &PeerSocket)| socket.is_writable().then_some(*number);
        self.sockets.iter().filter_map(writable)
    }

    /// Whether a write may succeed.
    pub(super) fn is_writable(&self, number: u64) -> bool {
        self.sockets.get(&number).is_some_and(PeerSocket::is_writable)
    }

    /// Reads once.
    pub(super) fn receive(&mut self, number: u64, take: impl FnOnce(&[u8])) -> Received {
        let Some(socket) = self.sockets.get_mut(&number) else { return Received::Nothing };
        socket.receive(&mut self.buffer, take)
    }

    /// Sends some of the bytes of these pieces; 0 where none can be sent now.
    pub(super) fn send<'a>(
        &mut self,
        number: u64,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        let Some(socket) = self.sockets.get_mut(&number) else { return Ok(0) };
        socket.send(pieces)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::iter;
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    /// A set with these connections, and the other ends of them.
    fn set(numbers: &[u64]) -> (SocketSet, Vec<TcpStream>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut set = SocketSet::new().unwrap();
        let open = |number: &u64| {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            set.open(*number, stream).unwrap();
            listener.accept().unwrap().0
        };
        let ends = numbers.iter().map(open).collect();
        (set, ends)
    }

    /// Whether something has happened to a socket within a time.
    fn is_woken(set: &SocketSet, patience: Duration) -> bool {
        let limit = Timespec::try_from(patience).unwrap();
        poll(&mut [PollFd::from_borrowed_fd(set.fd(), PollFlags::IN)], Some(&limit)).unwrap() > 0
    }

    fn wait(set: &mut SocketSet) {
        assert!(is_woken(set, Duration::from_secs(30)), "nothing happens");
        set.note_events();
    }

    /// Reads everything that is there.
    fn drain(set: &mut SocketSet, number: u64) -> Vec<u8> {
        let mut all = Vec::new();
        while set.all_readable().any(|readable| readable == number) {
            match set.receive(number, |bytes| all.extend_from_slice(bytes)) {
                Received::Nothing | Received::Bytes(_) => {}
                Received::End => panic!("it has ended"),
                Received::Failed(error) => panic!("{error}"),
            }
        }
        all
    }

    #[test]
    fn each_connection_has_its_own_bytes_and_the_set_wakes_once() {
        let (mut set, mut ends) = set(&[3, 8]);
        set.note_events();
        assert_eq!((drain(&mut set, 3), drain(&mut set, 8)), (vec![], vec![]));
        ends[1].write_all(b"one").unwrap();
        wait(&mut set);
        assert!(!is_woken(&set, Duration::ZERO), "what waits in a socket wakes nothing");
        assert_eq!(set.all_readable().collect::<Vec<u64>>(), [8]);
        assert_eq!(drain(&mut set, 8), b"one");
        set.close(8);
        assert!(!set.is_writable(8) && !set.all_readable().any(|readable| readable == 8));
        assert_eq!(ends[1].read(&mut [0; 8]).unwrap(), 0, "the other side sees the end");
        assert!(set.is_writable(3));
    }

    #[test]
    fn pieces_leave_in_order_and_no_more_at_a_time_than_one_call_takes() {
        let (mut set, mut ends) = set(&[1]);
        let pieces: Vec<Vec<u8>> = (0..40).map(|byte| vec![byte; 3]).collect();
        let mut sent = 0;
        while sent < pieces.len() {
            let bytes = set.send(1, pieces[sent..].iter().map(Vec::as_slice)).unwrap();
            assert!(bytes <= 16 * 3 && bytes % 3 == 0, "{bytes}");
            sent += bytes / 3;
        }
        let mut received = vec![0; 120];
        ends[0].read_exact(&mut received).unwrap();
        assert_eq!(received, pieces.concat());
        assert_eq!(set.send(7, iter::once(&b"x"[..])).unwrap(), 0, "there is no such connection");
    }

    #[test]
    fn reads_begin_with_another_connection_each_time() {
        let (mut set, _ends) = set(&[2, 5, 9]);
        let rounds: Vec<Vec<u64>> = (0..4).map(|_| set.readable()).collect();
        assert_eq!(rounds, [vec![2, 5, 9], vec![5, 9, 2], vec![9, 2, 5], vec![2, 5, 9]]);
    }
}
