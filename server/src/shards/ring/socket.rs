//! One socket of the ring: what it receives and sends, and how it ends.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{cqueue, opcode, types};
use ringkeeper_engine::watch::ConnId;

use super::buffers::GROUP;
use super::token::Token;
use super::{Arrival, Sockets};
use crate::shards::drain::{Parting, part};
use crate::shards::turn::{IoInterest, ShardThread};
use crate::shards::work_queue::Backlog;

/// A send buffer that has grown beyond this is given back to the allocator.
const SEND_BYTES_KEPT: usize = 64 << 10;
const NO_BUFFERS: i32 = -libc::ENOBUFS;
const CANCELLED: i32 = -libc::ECANCELED;
const INTERRUPTED: i32 = -libc::EINTR;

/// One socket. It stays until no completion for it can come any more.
pub(super) struct Socket {
    fd: OwnedFd,
    pub(super) conn: ConnId,
    ip: IpAddr,
    receiving: bool,
    cancelling: bool,
    sending: bool,
    /// The bytes under way; they do not move while `sending`.
    bytes: Vec<u8>,
    sent: usize,
    /// The other end is gone, or was cut off: nothing is sent any more.
    broken: bool,
    /// The connection is over: only completions are waited for.
    pub(super) over: bool,
    /// Monotonic milliseconds after which a closing connection is cut off.
    cut_off_ms: Option<i64>,
}

/// How the other end of a socket went away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// It sends no more, but may still read.
    Input,
    /// It is gone.
    Broken,
}

impl Socket {
    /// A socket of which nothing is asked yet.
    pub(super) fn new(fd: OwnedFd, conn: ConnId, ip: IpAddr) -> Socket {
        Socket {
            fd,
            conn,
            ip,
            receiving: false,
            cancelling: false,
            sending: false,
            bytes: Vec::new(),
            sent: 0,
            broken: false,
            over: false,
            cut_off_ms: None,
        }
    }
}

impl Sockets {
    fn socket(&mut self, slot: u32) -> &mut Socket {
        self.slots[slot as usize].as_mut().expect("completions only come for sockets that exist")
    }

    pub(super) fn receive(&mut self, slot: u32) -> io::Result<()> {
        let socket = self.socket(slot);
        socket.receiving = true;
        let receive = opcode::RecvMulti::new(types::Fd(socket.fd.as_raw_fd()), GROUP).build();
        self.push(receive, Token::Receive(slot))
    }

    pub(super) fn received(
        &mut self,
        slot: u32,
        done: &cqueue::Entry,
        arrivals: &mut Vec<Arrival>,
    ) {
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
            // The buffers ran out, or it was paused.
            1.. | NO_BUFFERS | CANCELLED | INTERRUPTED => self.work.add_soon(conn),
            _ => self.ended.push((slot, End::Broken)),
        }
    }

    pub(super) fn sent(&mut self, slot: u32, result: i32) -> io::Result<()> {
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
    pub(super) fn service(&mut self, conn: ConnId, thread: &mut ShardThread) -> io::Result<()> {
        let Some(slot) = self.slot_of(conn) else { return Ok(()) };
        let is_sending = self.socket(slot).sending;
        if let Some(pure) = thread.shard.conn_mut(conn).filter(|_| !is_sending) {
            pure.sending = 0;
        }
        let wish = thread.io_interest(conn);
        let socket = self.slots[slot as usize].as_mut().expect("looked up above");
        if socket.broken {
            self.lose(slot, thread);
            return Ok(());
        }
        if wish == IoInterest::Depart && !socket.sending {
            // What has arrived for it may be among what the next turn takes in.
            if self.backlog == Backlog::Yes {
                self.work.add_soon(conn);
            } else {
                let Some(out) = thread.parting(conn, &socket.fd) else { return Ok(()) };
                if part(&socket.fd, out) == Parting::Done {
                    self.lose(slot, thread);
                    return Ok(());
                }
            }
        }
        if !self.socket(slot).sending {
            self.begin_send((slot, conn), thread)?;
        }
        thread.shard.recount(conn);
        let socket = self.socket(slot);
        match wish {
            IoInterest::Close if !socket.sending => self.lose(slot, thread),
            IoInterest::Close => {
                // The first look decides, or a connection that is looked at often stays for ever.
                if socket.cut_off_ms.is_none() {
                    let until = thread.linger_until_ms();
                    socket.cut_off_ms = Some(until);
                    self.lingering.add(conn, until);
                }
            }
            IoInterest::Read | IoInterest::Depart if !socket.receiving => self.receive(slot)?,
            IoInterest::Pause if socket.receiving && !socket.cancelling => {
                socket.cancelling = true;
                let cancel = opcode::AsyncCancel::new(Token::Receive(slot).pack()).build();
                self.push(cancel, Token::Cancel)?;
            }
            IoInterest::Read | IoInterest::Depart | IoInterest::Pause => {}
        }
        Ok(())
    }

    /// Sends what a connection has, all of it in one go.
    fn begin_send(
        &mut self,
        (slot, conn): (u32, ConnId),
        thread: &mut ShardThread,
    ) -> io::Result<()> {
        let Some(out) = thread.outgoing(conn).filter(|out| !out.is_empty()) else { return Ok(()) };
        let socket = self.socket(slot);
        std::mem::swap(&mut socket.bytes, out);
        socket.sent = 0;
        let bytes = socket.bytes.len();
        if let Some(pure) = thread.shard.conn_mut(conn) {
            pure.sending = bytes;
        }
        self.send(slot)
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
        self.open -= 1;
        thread.lost(conn);
        self.release(slot);
    }

    /// Takes note of who has gone, once what they sent before has been served. Not earlier: an id
    /// that is free can be given to the next connection of the same turn.
    pub(super) fn hear_ends(&mut self, thread: &mut ShardThread) {
        for (slot, end) in self.ended.drain(..) {
            let Some(socket) = self.slots[slot as usize].as_mut() else { continue };
            match end {
                _ if socket.over => {}
                End::Input => thread.shard.end_input(socket.conn),
                End::Broken => {
                    socket.broken = true;
                    self.work.add_later(socket.conn);
                }
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
            self.limiter.release(ip);
        }
    }

    /// Looks again at connections whose bytes were sent: there may be more, or that was the end.
    pub(super) fn look_again(&mut self, thread: &mut ShardThread) -> io::Result<()> {
        let mut again = std::mem::take(&mut self.again);
        for slot in again.drain(..) {
            if let Some(socket) = &self.slots[slot as usize] {
                self.service(socket.conn, thread)?;
            }
        }
        self.again = again;
        Ok(())
    }

    /// Gives up connections that do not take their last bytes.
    pub(super) fn cut_off(&mut self, thread: &ShardThread) {
        while let Some((conn, until)) = self.lingering.late(|| thread.now_ms()) {
            // Its id may have been given to another connection since.
            if let Some(slot) = self.slot_of(conn)
                && self.socket(slot).cut_off_ms == Some(until)
            {
                self.socket(slot).broken = true;
                self.work.add_later(conn);
            }
        }
    }
}
