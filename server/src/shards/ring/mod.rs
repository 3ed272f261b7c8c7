//! A shard's sockets on io_uring: multishot accept and receive, provided buffers, one coalesced
//! send per connection and sweep.

mod buffers;
mod socket;
mod token;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use ringkeeper_engine::shard::ReadyList;
use ringkeeper_engine::watch::ConnId;
use rustix::io::Errno;

use self::buffers::BufferRing;
use self::socket::{End, Socket};
use self::token::Token;
use super::accept::{ConnectionLimiter, Listener, Pause, peer, prepare};
use super::turn::ShardThread;
use super::work_queue::{ACCEPTS, ARRIVALS, Backlog, Lingering, WorkQueue};
use crate::tls::port_kind::PortKind;

/// Entries of the submission queue; a full one is submitted in between.
const SUBMISSIONS: u32 = 1024;
/// Entries of the completion queue.
const COMPLETIONS: u32 = 8192;
/// Completions that one turn takes in; most of them cost it less than an arrival.
const TAKEN_MAX: usize = 1024;
/// Connections that are accepted and wait for their turn, after which no more are accepted.
const COMING_MAX: usize = 1024;
/// Connections that one shard may hold before any of them is counted.
const UNCOUNTED_MAX: usize = COMPLETIONS as usize + COMING_MAX;

/// Whether the kernel lets us do all this; the error says what is missing.
pub fn probe() -> io::Result<()> {
    let ring = build()?;
    let buffers = BufferRing::register(&ring)?;
    drop(ring);
    drop(buffers);
    Ok(())
}

fn build() -> io::Result<IoUring> {
    let ring = IoUring::builder()
        .setup_cqsize(COMPLETIONS)
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .build(SUBMISSIONS)?;
    if !ring.params().is_feature_ext_arg() {
        return Err(io::Error::other("the kernel cannot wait on a ring with a timeout"));
    }
    Ok(ring)
}

/// The sockets of one shard.
struct Sockets {
    // Dropped in this order: the ring lets go of the buffers before they are unmapped.
    ring: IoUring,
    buffers: BufferRing,
    listeners: Vec<Listener>,
    slots: Vec<Option<Socket>>,
    free: Vec<u32>,
    /// The socket of each connection id in use.
    of_conn: Vec<u32>,
    /// Connections that are not over.
    open: usize,
    /// How each listener accepts.
    accepts: Vec<Accept>,
    /// Connections that were accepted and wait for their turn.
    coming: VecDeque<(OwnedFd, PortKind)>,
    pause: Pause,
    keep_alive: bool,
    limiter: Arc<ConnectionLimiter>,
    wake_count: Box<[u8; 8]>,
    waking: bool,
    /// The link to the leader is watched, and nothing has happened to it.
    watching: bool,
    /// Something has.
    leader_ready: bool,
    /// Sockets whose bytes were sent, to look at again after the turn.
    again: Vec<u32>,
    /// Sockets whose other end is gone. They are lost after what they sent before has been served:
    /// only then may their connection's id be used again.
    ended: Vec<(u32, End)>,
    /// Connections that wait for a turn that looks after them.
    work: WorkQueue,
    /// Whether more has arrived than this turn has taken in.
    backlog: Backlog,
    lingering: Lingering,
}

/// Runs a shard until the stop flag is set.
pub fn run(
    mut thread: ShardThread,
    listeners: Vec<Listener>,
    keep_alive: bool,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    let mut sockets = Sockets::new(listeners, keep_alive, thread.limiter.clone())?;
    let mut arrivals = Vec::new();
    let mut ready = ReadyList::default();
    let mut due = Vec::new();
    while !thread.is_drained(sockets.open) {
        if stop.load(Ordering::Acquire) && !thread.drains() {
            sockets.drain(&mut thread)?;
            continue;
        }
        sockets.arm(&thread)?;
        sockets.wait(&thread)?;
        let backlog = sockets.reap(&thread, &mut arrivals)?;
        sockets.acquire_many(&mut thread)?;
        if std::mem::take(&mut sockets.leader_ready) {
            thread.note_leader();
        }
        sockets.backlog = backlog;
        let bytes = arrivals.iter().map(|arrival: &Arrival| {
            (arrival.conn, sockets.buffers.bytes(arrival.buffer, arrival.len))
        });
        thread.turn(bytes);
        for arrival in arrivals.drain(..) {
            sockets.buffers.push(arrival.buffer);
        }
        sockets.buffers.publish();
        sockets.hear_ends(&mut thread);
        thread.shard.take_ready(&mut ready);
        sockets.work.take(&ready, backlog, &mut due);
        for conn in &due {
            sockets.service(*conn, &mut thread)?;
        }
        sockets.look_again(&mut thread)?;
        sockets.cut_off(&thread);
    }
    thread.finish();
    Ok(())
}

/// How connections are taken from the listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Accept {
    /// Not now.
    No,
    /// The next one; then it is counted before another one is taken.
    One,
    /// One after the other, up to as many as completions fit, before any of them is counted.
    Many,
    /// As before, until the kernel has heard that this is to end.
    ManyNoMore,
}

/// Bytes in a provided buffer.
struct Arrival {
    conn: ConnId,
    buffer: u16,
    len: usize,
}

impl Sockets {
    fn new(
        listeners: Vec<Listener>,
        keep_alive: bool,
        limiter: Arc<ConnectionLimiter>,
    ) -> io::Result<Sockets> {
        let ring = build()?;
        let buffers = BufferRing::register(&ring)?;
        Ok(Sockets {
            ring,
            buffers,
            accepts: vec![Accept::No; listeners.len()],
            listeners,
            slots: Vec::new(),
            free: Vec::new(),
            of_conn: Vec::new(),
            open: 0,
            coming: VecDeque::new(),
            pause: Pause::default(),
            keep_alive,
            limiter,
            wake_count: Box::new([0; 8]),
            waking: false,
            watching: false,
            leader_ready: false,
            again: Vec::new(),
            ended: Vec::new(),
            work: WorkQueue::default(),
            backlog: Backlog::No,
            lingering: Lingering::default(),
        })
    }

    /// Keeps the accept and the wake-up armed.
    fn arm(&mut self, thread: &ShardThread) -> io::Result<()> {
        let accepts = self.coming.is_empty() && !thread.drains();
        if accepts && self.accepts.contains(&Accept::No) && !self.pause.lasts(thread.now_ms()) {
            for listener in 0..self.listeners.len() {
                if self.accepts[listener] == Accept::No {
                    self.arm_accept(listener)?;
                }
            }
        }
        if !self.waking {
            let fd = types::Fd(thread.waker.raw_fd());
            let read = opcode::Read::new(fd, self.wake_count.as_mut_ptr(), 8).build();
            self.push(read, Token::Wake)?;
            self.waking = true;
        }
        if let Some(leader) = thread.leader_fd().filter(|_| !self.watching) {
            let fd = types::Fd(leader.as_raw_fd());
            self.push(opcode::PollAdd::new(fd, libc::POLLIN as u32).build(), Token::Leader)?;
            self.watching = true;
        }
        Ok(())
    }

    /// Each connection takes a descriptor before anybody here hears of it, and the files of the log
    /// need some. So the kernel is let go on by itself only while it cannot take the last ones.
    fn arm_accept(&mut self, listener: usize) -> io::Result<()> {
        let fd = types::Fd(self.listeners[listener].fd().as_raw_fd());
        let (accept, entry) = if self.may_accept_many() {
            (Accept::Many, opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build())
        } else {
            let nobody = std::ptr::null_mut();
            let one = opcode::Accept::new(fd, nobody, nobody.cast());
            (Accept::One, one.flags(libc::SOCK_CLOEXEC).build())
        };
        self.push(entry, Token::Accept(listener as u32))?;
        self.accepts[listener] = accept;
        Ok(())
    }

    /// Whether there are descriptors for as many as the kernel may accept by itself.
    fn may_accept_many(&self) -> bool {
        self.limiter.has_descriptors_for(UNCOUNTED_MAX * self.listeners.len())
    }

    fn cancel_accept(&mut self, listener: usize) -> io::Result<()> {
        let cancel = opcode::AsyncCancel::new(Token::Accept(listener as u32).pack()).build();
        self.push(cancel, Token::Cancel)
    }

    /// The server stops: nobody is let in any more.
    fn drain(&mut self, thread: &mut ShardThread) -> io::Result<()> {
        for listener in 0..self.listeners.len() {
            if self.accepts[listener] != Accept::No {
                self.cancel_accept(listener)?;
            }
        }
        self.coming.clear();
        thread.drain();
        let mut ready = ReadyList::default();
        thread.shard.take_ready(&mut ready);
        self.work.add(&ready);
        Ok(())
    }

    fn wait(&mut self, thread: &ShardThread) -> io::Result<()> {
        thread.waker.about_to_sleep();
        let waits = self.work.is_empty() && self.coming.is_empty();
        let ms = if waits { thread.sleep_ms() } else { 0 };
        let waits = self.accepts.contains(&Accept::No);
        let ms = if waits { self.pause.cut_sleep(ms, thread.now_ms()) } else { ms };
        let us = thread.cut_sleep(ms);
        let timeout =
            types::Timespec::new().sec(us / 1_000_000).nsec((us % 1_000_000) as u32 * 1_000);
        let args = types::SubmitArgs::new().timespec(&timeout);
        // Who does not sleep needs no timer.
        let result = self.enter(usize::from(us > 0), &args);
        thread.waker.awake();
        result
    }

    /// Hands over what is to be done, and has the kernel finish what it has put off.
    fn enter(&self, want: usize, args: &types::SubmitArgs<'_, '_>) -> io::Result<()> {
        match self.ring.submitter().submit_with_args(want, args) {
            Ok(_) => Ok(()),
            Err(e) if matches!(e.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    /// Takes in what has happened, as much as one turn can take, and says whether there is more.
    fn reap(&mut self, thread: &ShardThread, arrivals: &mut Vec<Arrival>) -> io::Result<Backlog> {
        let mut taken = 0;
        for gathered in 0.. {
            self.ring.completion().sync();
            let before = taken;
            loop {
                let Some(done) = self.ring.completion().next() else { break };
                self.completed(&done, thread, arrivals)?;
                taken += 1;
                if arrivals.len() == ARRIVALS || taken == TAKEN_MAX {
                    return Ok(Backlog::Yes);
                }
            }
            // Newer kernels hand over a few at a time, and a turn has its price. The flag alone is
            // no sign of more: the kernel may set it after the work was done, and then it stays.
            let came = taken > before || gathered == 0;
            if !came || !self.ring.submission().taskrun() {
                break;
            }
            self.enter(0, &types::SubmitArgs::new())?;
        }
        Ok(Backlog::No)
    }

    fn completed(
        &mut self,
        done: &cqueue::Entry,
        thread: &ShardThread,
        arrivals: &mut Vec<Arrival>,
    ) -> io::Result<()> {
        match Token::unpack(done.user_data()) {
            Token::Accept(listener) => self.accepted(listener as usize, done, thread)?,
            Token::Wake => self.waking = false,
            Token::Receive(slot) => self.received(slot, done, arrivals),
            Token::Send(slot) => self.sent(slot, done.result())?,
            Token::Leader => (self.watching, self.leader_ready) = (false, true),
            Token::Cancel => {}
        }
        Ok(())
    }

    fn accepted(
        &mut self,
        listener: usize,
        done: &cqueue::Entry,
        thread: &ShardThread,
    ) -> io::Result<()> {
        if !cqueue::more(done.flags()) {
            self.accepts[listener] = Accept::No;
        }
        if done.result() < 0 {
            let error = Errno::from_raw_os_error(-done.result());
            self.pause.failed(error, thread.now_ms());
            return Ok(());
        }
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(done.result()) };
        if thread.drains() {
            return Ok(());
        }
        self.coming.push_back((fd, self.listeners[listener].kind()));
        let full = self.coming.len() >= COMING_MAX;
        if self.accepts[listener] == Accept::Many && (full || !self.may_accept_many()) {
            self.accepts[listener] = Accept::ManyNoMore;
            self.cancel_accept(listener)?;
        }
        Ok(())
    }

    /// Lets a portion of those in who came.
    fn acquire_many(&mut self, thread: &mut ShardThread) -> io::Result<()> {
        for _ in 0..ACCEPTS.min(self.coming.len()) {
            let (fd, kind) = self.coming.pop_front().expect("there are that many");
            let Ok(address) = peer(fd.as_fd()) else { continue };
            if prepare(fd.as_fd(), self.keep_alive).is_err() {
                continue;
            }
            let Some(conn) = thread.accept(address, kind) else { continue };
            let slot = self.insert(Socket::new(fd, conn, address.ip()));
            if self.of_conn.len() <= conn.0 as usize {
                self.of_conn.resize(conn.0 as usize + 1, u32::MAX);
            }
            self.of_conn[conn.0 as usize] = slot;
            self.open += 1;
            self.receive(slot)?;
        }
        Ok(())
    }

    fn insert(&mut self, socket: Socket) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(socket);
                slot
            }
            None => {
                self.slots.push(Some(socket));
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 sockets")
            }
        }
    }

    fn push(&mut self, entry: squeue::Entry, token: Token) -> io::Result<()> {
        let entry = entry.user_data(token.pack());
        loop {
            // SAFETY: what an entry points to lives until its completion: sockets keep their
            // descriptor and bytes while `receiving` or `sending`, the wake counter is boxed.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return Ok(());
            }
            self.ring.submit()?;
        }
    }
}
