//! One turn of a shard's thread, whatever the sockets are driven with.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ringkeeper_engine::shard::{Moment, Phase, Shard};
use ringkeeper_engine::watch::ConnId;

use super::ConnectionLimiter;
use super::drain::{Drain, has_unread};
use crate::admin::ShardReporter;
use crate::admin::audit::AuditEnd;
use crate::node::clock::Clock;
use crate::node::mailbox::ShardEnd;
use crate::node::reporting::NodeParts;
use crate::node::view::View;
use crate::node::waker::Waker;
use crate::tls::channels::Channels;
use crate::tls::material::TlsMaterial;
use crate::tls::port_kind::PortKind;

/// Bytes of unparsed input after which a connection that cannot go on is not read any more.
const INPUT_BACKLOG: usize = 64 << 10;
/// Milliseconds between looks at handshakes that take too long.
const TICK_MS: i64 = 500;
/// Milliseconds that a closing connection has to take its last bytes.
const LINGER_MS: i64 = 2_000;
/// Milliseconds that a server which stops has to answer what it has read, where it does so itself.
const DRAIN_MS: i64 = 5_000;
/// And where a leader answers, which may be lost or held up.
const LEADER_DRAIN_MS: i64 = 2_000;

/// The server that orders writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteLeader {
    /// This one.
    Own,
    /// The leader that it follows.
    Followed,
}

/// What a shard's thread is made of.
pub struct ShardParts {
    /// The pure core.
    pub shard: Shard,
    /// The database.
    pub view: Arc<View>,
    /// The rings to the sequencer.
    pub mailbox: ShardEnd,
    /// The node, where it shares this thread.
    pub fused: Option<NodeParts>,
    /// The clocks.
    pub clock: Clock,
    /// What wakes this thread.
    pub waker: Arc<Waker>,
    /// Limits on connections.
    pub limiter: Arc<ConnectionLimiter>,
    /// Its side of reports.
    pub reporter: ShardReporter,
    /// The audit log, where there is one.
    pub audit: Option<AuditEnd>,
    /// The server that orders writes.
    pub leader: WriteLeader,
    /// The keys of TLS, where a port has it.
    pub tls: Option<Arc<TlsMaterial>>,
}

/// A shard's thread, without its sockets.
pub struct ShardThread {
    /// The pure core.
    pub shard: Shard,
    /// Limits on connections.
    pub limiter: Arc<ConnectionLimiter>,
    /// What wakes this thread.
    pub waker: Arc<Waker>,
    view: Arc<View>,
    mailbox: ShardEnd,
    fused: Option<NodeParts>,
    clock: Clock,
    reporter: ShardReporter,
    audit: Option<AuditEnd>,
    channels: Channels,
    drain_ms: i64,
    next_tick_ms: i64,
    /// Set when the server stops.
    drain: Option<Drain>,
}

/// What the sockets have to do for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoInterest {
    /// Read when something arrives.
    Read,
    /// Do not read: a bound is reached.
    Pause,
    /// Close when the output is sent.
    Close,
    /// Close now, or read: see [`super::drain::part`].
    Depart,
}

impl ShardThread {
    /// Puts the parts together.
    pub fn new(parts: ShardParts) -> ShardThread {
        let channels = Channels::new(parts.tls, &parts.limiter);
        ShardThread {
            channels,
            shard: parts.shard,
            limiter: parts.limiter,
            waker: parts.waker,
            view: parts.view,
            mailbox: parts.mailbox,
            fused: parts.fused,
            clock: parts.clock,
            reporter: parts.reporter,
            audit: parts.audit,
            drain_ms: match parts.leader {
                WriteLeader::Own => DRAIN_MS,
                WriteLeader::Followed => LEADER_DRAIN_MS,
            },
            next_tick_ms: 0,
            drain: None,
        }
    }

    /// Takes a connection in, or says that it has to be closed at once.
    pub fn accept(&mut self, peer: SocketAddr, kind: PortKind) -> Option<ConnId> {
        let now = self.clock.now();
        if !self.channels.admits(kind) {
            return None;
        }
        match self.limiter.acquire(peer.ip(), now.mono.0) {
            Ok(()) => {
                self.limiter.tls.accepted(peer.ip(), kind);
                let conn = self.shard.open(peer, now);
                if let Some(open) = self.shard.conn_mut(conn) {
                    open.port = kind.port();
                }
                self.channels.open(conn, (peer, kind), now.mono.0);
                Some(conn)
            }
            Err(refusal) => {
                self.limiter.log.refused(peer, refusal);
                None
            }
        }
    }

    /// One turn: what has become durable is released, messages are delivered, bytes that arrived
    /// are served, and new requests are ordered.
    ///
    /// Order: the mailbox is emptied under the guard before a byte is parsed, so no reply shows a
    /// state whose events were not sent (see [`ringkeeper_engine::request::ShardMessage`]).
    pub fn turn<'b>(&mut self, arrivals: impl Iterator<Item = (ConnId, &'b [u8])>) {
        if let Some(node) = &mut self.fused {
            node.driver.release();
        }
        self.serve(arrivals);
        self.mailbox.send(&mut self.shard.outputs.requests);
        if let Some(node) = &mut self.fused {
            node.driver.order();
            if self.mailbox.has_messages() {
                self.serve(std::iter::empty());
                self.mailbox.send(&mut self.shard.outputs.requests);
            }
        }
        self.audit();
        self.tick();
        self.report();
    }

    /// Hands the lines of this turn to the audit log, as many as it takes now.
    ///
    /// Order: before the replies are sent, so that the line about a write is on its way when its
    /// client hears of it.
    fn audit(&mut self) {
        if let Some(audit) = &self.audit {
            audit.take(&mut self.shard.outputs.audit_lines);
        }
    }

    /// Whether lines wait that the audit log takes now. It wakes this thread where it does not.
    fn can_audit(&self) -> bool {
        let waits = !self.shard.outputs.audit_lines.is_empty();
        waits && self.audit.as_ref().is_some_and(AuditEnd::has_capacity)
    }

    fn serve<'b>(&mut self, arrivals: impl Iterator<Item = (ConnId, &'b [u8])>) {
        let db = self.view.read();
        let moment = Moment { db: &db, now: self.clock.now(), now_us: self.clock.micros() };
        if let Some(why) = self.mailbox.take_changes_lost() {
            self.limiter.log.all_ended(self.shard.changes_lost(), &why);
        }
        while let Some(batch) = self.mailbox.receive() {
            for message in batch {
                self.shard.deliver(message, moment);
            }
        }
        let drains = self.drain.is_some();
        for (conn, bytes) in arrivals {
            // What comes behind the end of a connection's input is not served any more.
            let is_late = drains && self.shard.conn(conn).is_some_and(|it| it.input_ended);
            if is_late {
                continue;
            }
            if self.channels.has(conn) {
                self.channels.arrived(conn, bytes, &mut self.shard, moment);
            } else {
                self.shard.received(conn, bytes, moment);
            }
        }
        if self.channels.has_work() {
            let clock = self.clock;
            self.channels.go_on(&mut self.shard, moment, &|| clock.micros());
        }
        self.shard.resume_stalled(moment);
        self.mailbox.publish_interest(self.shard.has_interest());
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        if now.mono.0 >= self.next_tick_ms {
            self.next_tick_ms = now.mono.0 + TICK_MS;
            self.channels.tick(&mut self.shard, now.mono.0);
            self.shard.tick(now);
            self.limiter.log.tick();
        }
        if let Some(drain) = &mut self.drain {
            drain.tick(&mut self.shard, now.mono.0);
        }
        // What a client was told is on its way; a line of the log may take longer.
        self.shard.outputs.ended.drain(..).for_each(|client| self.limiter.log.ended(&client));
    }

    /// Answers four-letter words, and makes this thread's part of reports.
    fn report(&mut self) {
        self.reporter.note_replies(&mut self.shard);
        if !self.shard.outputs.words.is_empty() || self.reporter.has_work() {
            self.reporter.serve(&mut self.shard);
        }
        if let Some(node) = &mut self.fused {
            node.report();
        }
    }

    /// Milliseconds that the thread may sleep; 0 where there is work. Call it between
    /// [`Waker::about_to_sleep`] and the sleep.
    pub fn sleep_ms(&self) -> i64 {
        let work = self.mailbox.has_messages()
            || self.reporter.has_work()
            || self.shard.can_resume()
            || self.can_audit()
            || self.channels.has_work()
            || self.fused.as_ref().is_some_and(NodeParts::has_work);
        if work {
            return 0;
        }
        let due_ms = self.drain.as_ref().map_or(i64::MAX, Drain::due_ms).min(self.next_tick_ms);
        let tick = (due_ms - self.clock.now().mono.0).clamp(0, TICK_MS);
        let tick = self.shard.held_ms().map_or(tick, |held| tick.min(held));
        let node_ms = |us: u64| i64::try_from(us.div_ceil(1_000)).unwrap_or(TICK_MS);
        self.fused.as_ref().map_or(tick, |node| tick.min(node_ms(node.driver.wait_us())))
    }

    /// The same as microseconds, where something is due sooner than in so many milliseconds.
    pub fn cut_sleep(&self, ms: i64) -> u64 {
        let us = u64::try_from(ms).unwrap_or(0) * 1_000;
        self.fused.as_ref().map_or(us, |node| us.min(node.driver.wait_us()))
    }

    /// The descriptor of the link to the leader, where the node that has it shares this thread.
    pub(crate) fn leader_fd(&self) -> Option<BorrowedFd<'_>> {
        self.fused.as_ref()?.driver.links()
    }

    /// It has become readable.
    pub(crate) fn note_leader(&mut self) {
        if let Some(node) = &mut self.fused {
            node.driver.note_links();
        }
    }

    /// Monotonic milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.clock.now().mono.0
    }

    /// When a connection that closes now is cut off, sent or not.
    pub fn linger_until_ms(&self) -> i64 {
        self.now_ms() + LINGER_MS
    }

    /// The server stops: its clients are served until they wait for nothing, and then left.
    pub fn drain(&mut self) {
        let now_ms = self.now_ms();
        self.drain = Some(Drain::begin(&mut self.shard, now_ms, self.drain_ms));
    }

    /// Whether the server stops.
    pub fn drains(&self) -> bool {
        self.drain.is_some()
    }

    /// Whether it stops and has waited long enough for answers. Then the node, where it is here,
    /// leaves its ensemble; a leader hands over.
    pub fn is_drained(&mut self, open: usize) -> bool {
        let Some(drain) = &self.drain else { return false };
        let is_answered = open == 0 && self.has_audited();
        if !is_answered && !drain.is_over(self.now_ms()) {
            return false;
        }
        self.fused.as_mut().is_none_or(|node| node.driver.leave())
    }

    /// Whether every change of this shard has its line: an answer makes it, also where the
    /// connection is gone.
    fn has_audited(&self) -> bool {
        let idle = self.shard.outstanding() == 0 && self.shard.outputs.audit_lines.is_empty();
        self.audit.is_none() || idle
    }

    /// The thread ends: the node leaves its ensemble, and lines that still wait are handed over
    /// however many they are.
    pub fn finish(mut self) {
        if let Some(node) = &mut self.fused {
            node.driver.finish();
        }
        if let Some(audit) = &self.audit {
            while let Some(line) = self.shard.outputs.audit_lines.pop() {
                audit.push(line);
            }
        }
    }

    /// What the socket of a connection has to send: its output, or the records that it was sealed
    /// in. The caller takes what was sent from it.
    pub fn outgoing(&mut self, id: ConnId) -> Option<&mut Vec<u8>> {
        if !self.channels.has(id) {
            return Some(&mut self.shard.conn_mut(id)?.out);
        }
        self.seal(id)?;
        if self.io_interest(id) == IoInterest::Close {
            self.channels.get_mut(id)?.finish();
        }
        Some(self.channels.get_mut(id)?.wire())
    }

    /// As [`ShardThread::outgoing`], of a client that departs: the end of the conversation is the
    /// last thing it is sent, unless its socket holds something that was not read.
    pub fn parting(&mut self, id: ConnId, socket: impl AsFd) -> Option<&mut Vec<u8>> {
        if self.channels.has(id) && !has_unread(socket) {
            self.seal(id)?;
            self.channels.get_mut(id)?.finish();
        }
        self.outgoing(id)
    }

    fn seal(&mut self, id: ConnId) -> Option<()> {
        let conn = self.shard.conn_mut(id)?;
        if self.channels.get_mut(id)?.seal(&mut conn.out).is_err() {
            self.shard.keys_used_up(id);
        }
        Some(())
    }

    /// So many bytes of what [`ShardThread::outgoing`] gave are left. Where they were sealed, they
    /// count as unsent; else they are in the output and count there.
    pub fn left(&mut self, id: ConnId, bytes: usize) {
        if self.channels.has(id)
            && let Some(conn) = self.shard.conn_mut(id)
        {
            conn.sending = bytes;
        }
    }

    /// The socket of a connection is gone.
    pub fn lost(&mut self, id: ConnId) {
        self.channels.forget(id);
        self.shard.lost(id);
    }

    /// What the socket of a connection has to do.
    pub fn io_interest(&self, id: ConnId) -> IoInterest {
        let Some(conn) = self.shard.conn(id) else { return IoInterest::Close };
        match conn.phase {
            Phase::Closing | Phase::Lost => IoInterest::Close,
            // What it has sent before may still be among the bytes of its handshake.
            _ if conn.input_ended && self.channels.waits(id) => IoInterest::Pause,
            _ if conn.input_ended && conn.is_settled() => IoInterest::Close,
            _ if conn.input_ended => IoInterest::Pause,
            _ if conn.departs() => IoInterest::Depart,
            _ if self.channels.is_full(id) => IoInterest::Pause,
            _ if self.shard.wants_input(id) => IoInterest::Read,
            _ if conn.input.len() < INPUT_BACKLOG => IoInterest::Read,
            _ => IoInterest::Pause,
        }
    }
}
