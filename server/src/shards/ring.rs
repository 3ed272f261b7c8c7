//! A shard's sockets on io_uring: multishot accept and receive, provided buffers, one coalesced
//! send per connection and sweep.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use ringkeeper_engine::watch::ConnId;
use rustix::io::Errno;

use super::accept::{Listener, Pause, Turnstile, peer, prepare};
use super::ring_buffers::{BufferRing, GROUP};
use super::ring_token::Token;
use super::turn::{ShardThread, Wish};

/// Entries of the submission queue; a full one is submitted in between.
const SUBMISSIONS: u32 = 1024;
/// Entries of the completion queue.
const COMPLETIONS: u32 = 8192;
/// A send buffer that has grown beyond this is given back to the allocator.
const SEND_BYTES_KEPT: usize = 64 << 10;

/// One socket. It stays until no completion for it can come any more.
struct Socket {
    fd: OwnedFd,
    conn: ConnId,
    ip: IpAddr,
    receiving: bool,
    cancelling: bool,
    sending: bool,
    /// The bytes under way; they do not move while `sending`.
    bytes: Vec<u8>,
    sent: usize,
    /// The connection is over: only completions are waited for.
    over: bool,
    /// Monotonic milliseconds after which a closing connection is cut off.
    cut_off_ms: Option<i64>,
}

/// How the other end of a socket went away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// It sends no more, but may still read.
    Input,
    /// It is gone.
    Broken,
}

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
    listener: Listener,
    slots: Vec<Option<Socket>>,
    free: Vec<u32>,
    /// The socket of each connection id in use.
    of_conn: Vec<u32>,
    accept: Accept,
    pause: Pause,
    keep_alive: bool,
    turnstile: Arc<Turnstile>,
    wake_count: Box<[u8; 8]>,
    waking: bool,
    /// Sockets to look at again after the turn.
    again: Vec<u32>,
    /// Sockets whose other end is gone. They are lost after what they sent before has been served:
    /// only then may their connection's id be used again.
    ended: Vec<(u32, End)>,
}

/// Runs a shard until the stop flag is set.
pub fn run(
    mut thread: ShardThread,
    listener: Listener,
    keep_alive: bool,
    stop: Arc<AtomicBool>,
) -> io::Result<()> {
    let ring = build()?;
    let buffers = BufferRing::register(&ring)?;
    let mut sockets = Sockets {
        ring,
        buffers,
        listener,
        slots: Vec::new(),
        free: Vec::new(),
        of_conn: Vec::new(),
        accept: Accept::No,
        pause: Pause::default(),
        keep_alive,
        turnstile: thread.turnstile.clone(),
        wake_count: Box::new([0; 8]),
        waking: false,
        again: Vec::new(),
        ended: Vec::new(),
    };
    let mut arrivals = Vec::new();
    let mut touched = Vec::new();
    while !thread.is_drained(sockets.count()) {
        if stop.load(Ordering::Acquire) && !thread.drains() {
            sockets.drain(&mut thread)?;
            continue;
        }
        sockets.arm(&thread)?;
        sockets.wait(&thread)?;
        sockets.reap(&mut thread, &mut arrivals)?;
        // A server that stops answers what it had read before.
        let read = if thread.drains() { &[] } else { &arrivals[..] };
        let bytes = read.iter().map(|arrival: &Arrival| {
            (arrival.conn, sockets.buffers.bytes(arrival.buffer, arrival.len))
        });
        thread.turn(bytes);
        for arrival in arrivals.drain(..) {
            sockets.buffers.push(arrival.buffer);
        }
        sockets.buffers.publish();
        sockets.lose_ended(&mut thread);
        thread.shard.take_touched(&mut touched);
        for conn in &touched {
            sockets.look_after(*conn, &mut thread)?;
        }
        sockets.cut_off(&mut thread);
    }
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
    /// Keeps the accept and the wake-up armed.
    fn arm(&mut self, thread: &ShardThread) -> io::Result<()> {
        if self.accept == Accept::No && !thread.drains() && !self.pause.lasts(thread.now_ms()) {
            self.arm_accept()?;
        }
        if !self.waking {
            let fd = types::Fd(thread.waker.raw_fd());
            let read = opcode::Read::new(fd, self.wake_count.as_mut_ptr(), 8).build();
            self.push(read, Token::Wake)?;
            self.waking = true;
        }
        Ok(())
    }

    /// Each connection takes a descriptor before anybody here hears of it, and the files of the log
    /// need some. So the kernel is let go on by itself only while it cannot take the last ones.
    fn arm_accept(&mut self) -> io::Result<()> {
        let fd = types::Fd(self.listener.fd().as_raw_fd());
        let (accept, entry) = if self.turnstile.has_descriptors_for(COMPLETIONS as usize) {
            (Accept::Many, opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build())
        } else {
            let nobody = std::ptr::null_mut();
            let one = opcode::Accept::new(fd, nobody, nobody.cast());
            (Accept::One, one.flags(libc::SOCK_CLOEXEC).build())
        };
        self.push(entry, Token::Accept)?;
        self.accept = accept;
        Ok(())
    }

    fn cancel_accept(&mut self) -> io::Result<()> {
        let cancel = opcode::AsyncCancel::new(Token::Accept.pack()).build();
        self.push(cancel, Token::Cancel)
    }

    /// The server stops: nobody is let in any more, and nothing more is read.
    fn drain(&mut self, thread: &mut ShardThread) -> io::Result<()> {
        if self.accept != Accept::No {
            self.cancel_accept()?;
        }
        thread.drain(self.slots.iter().flatten().filter(|s| !s.over).map(|socket| socket.conn));
        let mut touched = Vec::new();
        thread.shard.take_touched(&mut touched);
        touched.iter().try_for_each(|conn| self.look_after(*conn, thread))
    }

    /// Connections that are not over.
    fn count(&self) -> usize {
        self.slots.iter().flatten().filter(|socket| !socket.over).count()
    }

    fn wait(&mut self, thread: &ShardThread) -> io::Result<()> {
        thread.waker.about_to_sleep();
        let ms = thread.sleep_ms();
        let ms =
            if self.accept != Accept::No { ms } else { self.pause.cut_sleep(ms, thread.now_ms()) };
        let ms = u64::try_from(ms).unwrap_or(0);
        let timeout = types::Timespec::new().sec(ms / 1_000).nsec((ms % 1_000) as u32 * 1_000_000);
        let args = types::SubmitArgs::new().timespec(&timeout);
        let result = self.ring.submitter().submit_with_args(1, &args);
        thread.waker.awake();
        match result {
            Ok(_) => Ok(()),
            Err(e) if matches!(e.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn reap(&mut self, thread: &mut ShardThread, arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        self.ring.completion().sync();
        loop {
            let Some(done) = self.ring.completion().next() else { return Ok(()) };
            match Token::unpack(done.user_data()) {
                Token::Accept => self.accepted(&done, thread)?,
                Token::Wake => self.waking = false,
                Token::Receive(slot) => self.received(slot, &done, arrivals),
                Token::Send(slot) => self.sent(slot, done.result())?,
                Token::Cancel => {}
            }
        }
    }

    fn accepted(&mut self, done: &cqueue::Entry, thread: &mut ShardThread) -> io::Result<()> {
        if !cqueue::more(done.flags()) {
            self.accept = Accept::No;
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
        let Ok(address) = peer(fd.as_fd()) else { return Ok(()) };
        if prepare(fd.as_fd(), self.keep_alive).is_err() {
            return Ok(());
        }
        let Some(conn) = thread.accept(address) else { return Ok(()) };
        let socket = Socket {
            fd,
            conn,
            ip: address.ip(),
            receiving: false,
            cancelling: false,
            sending: false,
            bytes: Vec::new(),
            sent: 0,
            over: false,
            cut_off_ms: None,
        };
        let slot = self.insert(socket);
        if self.of_conn.len() <= conn.0 as usize {
            self.of_conn.resize(conn.0 as usize + 1, u32::MAX);
        }
        self.of_conn[conn.0 as usize] = slot;
        self.receive(slot)?;
        if self.accept == Accept::Many && !self.turnstile.has_descriptors_for(COMPLETIONS as usize)
        {
            self.accept = Accept::ManyNoMore;
            self.cancel_accept()?;
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

    fn socket(&mut self, slot: u32) -> &mut Socket {
        self.slots[slot as usize].as_mut().expect("completions only come for sockets that exist")
    }

    fn receive(&mut self, slot: u32) -> io::Result<()> {
        let socket = self.socket(slot);
        socket.receiving = true;
        let receive = opcode::RecvMulti::new(types::Fd(socket.fd.as_raw_fd()), GROUP).build();
        self.push(receive, Token::Receive(slot))
    }

    fn received(&mut self, slot: u32, done: &cqueue::Entry, arrivals: &mut Vec<Arrival>) {
        let buffer = cqueue::buffer_select(done.flags());
        let socket = self.socket(slot);
        if !cqueue::more(done.flags()) {
            socket.receiving = false;
            socket.cancelling = false;
        }
        let (conn, over) = (socket.conn, socket.over);
        match (usize::try_from(done.result()), buffer) {
            (Ok(len), Some(buffer)) if len > 0 && !over => {
                arrivals.push(Arrival { conn, buffer, len });
            }
            (_, Some(buffer)) => self.buffers.push(buffer),
            (_, None) => {}
        }
        if over {
            return self.release(slot);
        }
        match done.result() {
            0 => self.ended.push((slot, End::Input)),
            1.. | NO_BUFFERS | CANCELLED | INTERRUPTED if cqueue::more(done.flags()) => {}
            // The buffers ran out, or it was paused: looked at again after this turn.
            1.. | NO_BUFFERS | CANCELLED | INTERRUPTED => self.again.push(slot),
            _ => self.ended.push((slot, End::Broken)),
        }
    }

    fn sent(&mut self, slot: u32, result: i32) -> io::Result<()> {
        let socket = self.socket(slot);
        socket.sending = false;
        if socket.over {
            self.release(slot);
            return Ok(());
        }
        match usize::try_from(result) {
            Ok(count) => {
                socket.sent += count;
                if socket.sent < socket.bytes.len() {
                    return self.send(slot);
                }
                socket.bytes.clear();
                socket.bytes.shrink_to(SEND_BYTES_KEPT);
                // Looked at again after this turn.
                self.again.push(slot);
            }
            Err(_) => self.ended.push((slot, End::Broken)),
        }
        Ok(())
    }

    /// Does what a connection needs: send, close, read, pause.
    fn look_after(&mut self, conn: ConnId, thread: &mut ShardThread) -> io::Result<()> {
        let Some(slot) = self.slot_of(conn) else { return Ok(()) };
        let wish = thread.wish(conn);
        let Some(pure) = thread.shard.conn_mut(conn) else { return Ok(()) };
        let socket = self.slots[slot as usize].as_mut().expect("looked up a line above");
        if !socket.sending && !pure.out.is_empty() {
            std::mem::swap(&mut socket.bytes, &mut pure.out);
            socket.sent = 0;
            self.send(slot)?;
        }
        let socket = self.socket(slot);
        match wish {
            Wish::Close if !socket.sending => self.lose(slot, thread),
            Wish::Close => {
                // The first look decides, or a connection that is looked at often stays for ever.
                if socket.cut_off_ms.is_none() {
                    socket.cut_off_ms = Some(thread.linger_until_ms());
                    self.again.push(slot);
                }
            }
            Wish::Read if !socket.receiving => self.receive(slot)?,
            Wish::Pause if socket.receiving && !socket.cancelling => {
                socket.cancelling = true;
                let cancel = opcode::AsyncCancel::new(Token::Receive(slot).pack()).build();
                self.push(cancel, Token::Cancel)?;
            }
            Wish::Read | Wish::Pause => {}
        }
        Ok(())
    }

    fn slot_of(&self, conn: ConnId) -> Option<u32> {
        let slot = *self.of_conn.get(conn.0 as usize)?;
        let socket = self.slots.get(slot as usize)?.as_ref()?;
        (socket.conn == conn && !socket.over).then_some(slot)
    }

    fn send(&mut self, slot: u32) -> io::Result<()> {
        let socket = self.socket(slot);
        socket.sending = true;
        let rest = &socket.bytes[socket.sent..];
        let len = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let send = opcode::Send::new(types::Fd(socket.fd.as_raw_fd()), rest.as_ptr(), len)
            .flags(libc::MSG_NOSIGNAL)
            .build();
        self.push(send, Token::Send(slot))
    }

    /// The connection is over, for whatever reason.
    fn lose(&mut self, slot: u32, thread: &mut ShardThread) {
        let socket = self.socket(slot);
        if socket.over {
            return;
        }
        socket.over = true;
        let conn = socket.conn;
        // What is still armed completes at once on a socket that is shut down.
        let _ = rustix::net::shutdown(&socket.fd, rustix::net::Shutdown::Both);
        thread.shard.lost(conn);
        self.release(slot);
    }

    /// Lets go of connections, once what they sent before has been served. Not earlier: an id that
    /// is free can be given to the next connection of the same turn.
    fn lose_ended(&mut self, thread: &mut ShardThread) {
        for (slot, end) in std::mem::take(&mut self.ended) {
            let Some(socket) = self.slots[slot as usize].as_ref() else { continue };
            match end {
                End::Broken => self.lose(slot, thread),
                End::Input => thread.shard.end_input(socket.conn),
            }
        }
    }

    /// Frees the slot once no completion can come any more.
    fn release(&mut self, slot: u32) {
        let socket = self.socket(slot);
        if socket.over && !socket.receiving && !socket.sending {
            let ip = socket.ip;
            self.slots[slot as usize] = None;
            self.free.push(slot);
            // Not earlier: until now it has had its descriptor.
            self.turnstile.leave(ip);
        }
    }

    /// Looks again at paused connections, and cuts off those that do not take their last bytes.
    fn cut_off(&mut self, thread: &mut ShardThread) {
        if self.again.is_empty() {
            return;
        }
        let now = thread.now_ms();
        for slot in std::mem::take(&mut self.again) {
            let Some(socket) = self.slots[slot as usize].as_ref() else { continue };
            if socket.over {
                continue;
            }
            let (conn, until) = (socket.conn, socket.cut_off_ms);
            let late = until.is_some_and(|until| until <= now);
            if late || self.look_after(conn, thread).is_err() {
                self.lose(slot, thread);
            } else if until.is_some() && self.slot_of(conn) == Some(slot) {
                self.again.push(slot);
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

const NO_BUFFERS: i32 = -libc::ENOBUFS;
const CANCELLED: i32 = -libc::ECANCELED;
const INTERRUPTED: i32 = -libc::EINTR;
