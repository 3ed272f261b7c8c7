//! A shard's sockets on epoll: for kernels and containers that do not allow io_uring.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringkeeper_engine::shard::ReadyList;
use ringkeeper_engine::watch::ConnId;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

use super::accept::{Listener, Pause, peer, prepare};
use super::drain::{Parting, part};
use super::turn::{IoInterest, ShardThread};
use super::work_queue::{ACCEPTS, ARRIVALS, Backlog, Lingering, WorkQueue};

const WAKER: u64 = u64::MAX;
const LEADER: u64 = u64::MAX - 1;
/// And the numbers behind it: the listeners.
const LISTENERS: u64 = u64::MAX - 16;
/// Bytes read from one socket per turn.
const READ_BYTES: usize = 64 << 10;

struct Socket {
    fd: OwnedFd,
    ip: IpAddr,
    interest: EventFlags,
    /// The other end is gone, or was cut off: nothing is sent any more.
    broken: bool,
    /// Monotonic milliseconds after which a closing connection is cut off.
    cut_off_ms: Option<i64>,
}

struct Sockets {
    epoll: OwnedFd,
    listeners: Vec<Listener>,
    open: BTreeMap<ConnId, Socket>,
    keep_alive: bool,
    lingering: Lingering,
    /// Connections that wait for a turn that looks after them.
    work: WorkQueue,
    pause: Pause,
    /// Whether the listener is looked at.
    accepting: bool,
}

/// Runs a shard until the stop flag is set.
pub fn run(
    mut thread: ShardThread,
    listeners: Vec<Listener>,
    keep_alive: bool,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    for (key, listener) in (LISTENERS..).zip(&listeners) {
        epoll::add(&epoll, listener.fd(), EventData::new_u64(key), EventFlags::IN)?;
    }
    epoll::add(&epoll, thread.waker.fd(), EventData::new_u64(WAKER), EventFlags::IN)?;
    if let Some(leader) = thread.leader_fd() {
        epoll::add(&epoll, leader, EventData::new_u64(LEADER), EventFlags::IN)?;
    }
    let mut sockets = Sockets {
        epoll,
        listeners,
        open: BTreeMap::new(),
        keep_alive,
        lingering: Lingering::default(),
        work: WorkQueue::default(),
        pause: Pause::default(),
        accepting: true,
    };
    let mut events = Vec::with_capacity(ARRIVALS);
    let mut arrivals: Vec<(ConnId, std::ops::Range<usize>)> = Vec::new();
    let mut bytes = Vec::new();
    let mut ready = ReadyList::default();
    let mut due = Vec::new();
    while !thread.is_drained(sockets.open.len()) {
        if stop.load(Ordering::Acquire) && !thread.drains() {
            sockets.drain(&mut thread)?;
            continue;
        }
        sockets.look_at_listener(&thread)?;
        sockets.wait(&thread, &mut events)?;
        bytes.clear();
        arrivals.clear();
        let backlog = if events.len() < ARRIVALS { Backlog::No } else { Backlog::Yes };
        for event in events.drain(..) {
            let (key, flags) = (event.data.u64(), event.flags);
            match key {
                WAKER => thread.waker.drain(),
                LEADER => thread.note_leader(),
                LISTENERS.. => sockets.accept((key - LISTENERS) as usize, &mut thread),
                key => {
                    let conn = ConnId(key as u32);
                    sockets.read(conn, flags, &mut thread, &mut bytes, &mut arrivals);
                }
            }
        }
        thread.turn(arrivals.iter().map(|(conn, range)| (*conn, &bytes[range.clone()])));
        thread.shard.take_ready(&mut ready);
        sockets.work.take(&ready, backlog, &mut due);
        due.iter().for_each(|conn| sockets.service(*conn, &mut thread));
        sockets.cut_off(&thread);
    }
    thread.finish();
    Ok(())
}

impl Sockets {
    /// The server stops: nobody is let in any more.
    fn drain(&mut self, thread: &mut ShardThread) -> io::Result<()> {
        for listener in &self.listeners {
            epoll::delete(&self.epoll, listener.fd())?;
        }
        thread.drain();
        let mut ready = ReadyList::default();
        thread.shard.take_ready(&mut ready);
        self.work.add(&ready);
        Ok(())
    }

    fn wait(&mut self, thread: &ShardThread, events: &mut Vec<Event>) -> io::Result<()> {
        thread.waker.about_to_sleep();
        let ms = if self.work.is_empty() { thread.sleep_ms() } else { 0 };
        let ms = self.pause.cut_sleep(ms, thread.now_ms());
        let timeout = crate::node::clock::timespec(thread.cut_sleep(ms));
        let spare = rustix::buffer::spare_capacity(events);
        let result = epoll::wait(&self.epoll, spare, Some(&timeout));
        thread.waker.awake();
        match result {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Looks away from the listeners where accepting cannot succeed now: it stays readable.
    fn look_at_listener(&mut self, thread: &ShardThread) -> io::Result<()> {
        if thread.drains() {
            return Ok(());
        }
        let accepting = !self.pause.lasts(thread.now_ms());
        if accepting != self.accepting {
            self.accepting = accepting;
            let interest = if accepting { EventFlags::IN } else { EventFlags::empty() };
            for (key, listener) in (LISTENERS..).zip(&self.listeners) {
                epoll::modify(&self.epoll, listener.fd(), EventData::new_u64(key), interest)?;
            }
        }
        Ok(())
    }

    /// Accepts a portion of those who wait, unless nobody can be let in.
    fn accept(&mut self, listener: usize, thread: &mut ShardThread) {
        let listener = &self.listeners[listener];
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        for _ in 0..ACCEPTS {
            let fd = match rustix::net::accept_with(listener.fd(), flags) {
                Ok(fd) => fd,
                Err(error) => return self.pause.failed(error, thread.now_ms()),
            };
            let Ok(address) = peer(fd.as_fd()) else { continue };
            if prepare(fd.as_fd(), self.keep_alive).is_err() {
                continue;
            }
            let Some(conn) = thread.accept(address, listener.kind()) else { continue };
            let data = EventData::new_u64(u64::from(conn.0));
            let interest = EventFlags::IN;
            if epoll::add(&self.epoll, &fd, data, interest).is_err() {
                thread.lost(conn);
                thread.limiter.release(address.ip());
                continue;
            }
            let socket = Socket { fd, ip: address.ip(), interest, broken: false, cut_off_ms: None };
            self.open.insert(conn, socket);
        }
    }

    fn read(
        &mut self,
        conn: ConnId,
        flags: EventFlags,
        thread: &mut ShardThread,
        bytes: &mut Vec<u8>,
        arrivals: &mut Vec<(ConnId, std::ops::Range<usize>)>,
    ) {
        if flags.contains(EventFlags::OUT) {
            self.service(conn, thread);
        }
        let Some(socket) = self.open.get(&conn) else { return };
        let ended = EventFlags::HUP | EventFlags::ERR;
        if !flags.intersects(EventFlags::IN | ended) {
            return;
        }
        let start = bytes.len();
        bytes.reserve(READ_BYTES);
        let spare = rustix::buffer::spare_capacity(bytes);
        match rustix::net::recv(&socket.fd, spare, RecvFlags::empty()) {
            // Nothing can be sent any more either.
            Ok((0, _)) if flags.intersects(ended) => self.break_off(conn),
            Ok((0, _)) => {
                thread.shard.end_input(conn);
                // Until its turn comes, its end would be reported again and again.
                let unsent = socket.interest.contains(EventFlags::OUT);
                self.set_interest(conn, IoInterest::Pause, unsent);
            }
            Ok(_) => arrivals.push((conn, start..bytes.len())),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.break_off(conn),
        }
    }

    /// Gives a connection up, in a turn that has time for it. Its events would come until then.
    fn break_off(&mut self, conn: ConnId) {
        if let Some(socket) = self.open.get_mut(&conn) {
            let _ = epoll::delete(&self.epoll, &socket.fd);
            socket.broken = true;
            self.work.add_later(conn);
        }
    }

    fn service(&mut self, conn: ConnId, thread: &mut ShardThread) {
        let Some(socket) = self.open.get_mut(&conn) else { return };
        let departs = thread.io_interest(conn) == IoInterest::Depart;
        if departs {
            let Some(out) = thread.parting(conn, &socket.fd) else { return };
            if part(&socket.fd, out) == Parting::Done {
                return self.lose(conn, thread);
            }
        }
        let Some(out) = thread.outgoing(conn) else { return };
        let mut broken = socket.broken;
        while !broken && !out.is_empty() {
            match rustix::net::send(&socket.fd, out, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    out.drain(..count);
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => broken = true,
            }
        }
        let unsent_bytes = out.len();
        let unsent = unsent_bytes > 0;
        thread.left(conn, unsent_bytes);
        thread.shard.recount(conn);
        // Order: asked for after sending, because the last byte sent may be what ends it.
        let wish = thread.io_interest(conn);
        if broken || (wish == IoInterest::Close && !unsent) {
            return self.lose(conn, thread);
        }
        if wish == IoInterest::Close && socket.cut_off_ms.is_none() {
            let until = thread.linger_until_ms();
            socket.cut_off_ms = Some(until);
            self.lingering.add(conn, until);
        }
        self.set_interest(conn, wish, unsent);
    }

    fn set_interest(&mut self, conn: ConnId, wish: IoInterest, unsent: bool) {
        let Some(socket) = self.open.get_mut(&conn) else { return };
        let mut interest = EventFlags::empty();
        interest.set(EventFlags::IN, matches!(wish, IoInterest::Read | IoInterest::Depart));
        interest.set(EventFlags::OUT, unsent);
        if interest != socket.interest {
            socket.interest = interest;
            let data = EventData::new_u64(u64::from(conn.0));
            let _ = epoll::modify(&self.epoll, &socket.fd, data, interest);
        }
    }

    fn lose(&mut self, conn: ConnId, thread: &mut ShardThread) {
        if let Some(socket) = self.open.remove(&conn) {
            let _ = epoll::delete(&self.epoll, &socket.fd);
            let _ = rustix::net::shutdown(&socket.fd, rustix::net::Shutdown::Both);
            thread.lost(conn);
            thread.limiter.release(socket.ip);
        }
    }

    /// Gives up connections that do not take their last bytes.
    fn cut_off(&mut self, thread: &ShardThread) {
        while let Some((conn, until)) = self.lingering.late(|| thread.now_ms()) {
            // Its id may have been given to another connection since.
            if self.open.get(&conn).is_some_and(|socket| socket.cut_off_ms == Some(until)) {
                self.break_off(conn);
            }
        }
    }
}
