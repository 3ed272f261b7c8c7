//! One turn of a shard's thread, whatever the sockets are driven with.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use ringkeeper_engine::shard::{Moment, Phase, Shard};
use ringkeeper_engine::watch::ConnId;

use super::ConnectionLimiter;
use crate::admin::ShardReporter;
use crate::admin::audit::AuditEnd;
use crate::node::clock::Clock;
use crate::node::mailbox::ShardEnd;
use crate::node::reporting::NodeParts;
use crate::node::view::View;
use crate::node::waker::Waker;

/// Bytes of unparsed input after which a connection that cannot go on is not read any more.
const INPUT_BACKLOG: usize = 64 << 10;
/// Milliseconds between looks at handshakes that take too long.
const TICK_MS: i64 = 500;
/// Milliseconds that a closing connection has to take its last bytes.
const LINGER_MS: i64 = 2_000;
/// Milliseconds that a server which stops has to answer what it has read, where it does so itself.
const DRAIN_MS: i64 = 5_000;
/// And where a leader answers, which may be lost or held up.
const LEADER_DRAIN_MS: i64 = 300;

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
    drain_ms: i64,
    next_tick_ms: i64,
    /// Set when the server stops: until when answers are waited for.
    drained_by_ms: Option<i64>,
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
}

impl ShardThread {
    /// Puts the parts together.
    pub fn new(parts: ShardParts) -> ShardThread {
        ShardThread {
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
            drained_by_ms: None,
        }
    }

    /// Takes a connection in, or says that it has to be closed at once.
    pub fn accept(&mut self, peer: SocketAddr) -> Option<ConnId> {
        let now = self.clock.now();
        match self.limiter.acquire(peer.ip(), now.mono.0) {
            Ok(()) => Some(self.shard.open(peer, now)),
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
        for (conn, bytes) in arrivals {
            self.shard.received(conn, bytes, moment);
        }
        self.shard.resume_stalled(moment);
        self.mailbox.publish_interest(self.shard.has_interest());
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        if now.mono.0 >= self.next_tick_ms {
            self.next_tick_ms = now.mono.0 + TICK_MS;
            self.shard.tick(now);
            self.limiter.log.tick();
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
            || self.fused.as_ref().is_some_and(NodeParts::has_work);
        if work {
            return 0;
        }
        let due_ms = self.drained_by_ms.unwrap_or(i64::MAX).min(self.next_tick_ms);
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

    /// The server stops: nothing more is read from these connections. What was read is answered,
    /// after the next turns, and then they are closed.
    pub fn drain(&mut self, conns: impl Iterator<Item = ConnId>) {
        self.drained_by_ms = Some(self.now_ms() + self.drain_ms);
        conns.for_each(|conn| self.shard.end_input(conn));
    }

    /// Whether the server stops.
    pub fn drains(&self) -> bool {
        self.drained_by_ms.is_some()
    }

    /// Whether it stops and has waited long enough for answers.
    pub fn is_drained(&self, open: usize) -> bool {
        let done = || open == 0 && self.has_audited();
        self.drained_by_ms.is_some_and(|by_ms| done() || self.now_ms() >= by_ms)
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
            self.shard.outputs.audit_lines.drain(..).for_each(|line| audit.push(line));
        }
    }

    /// What the socket of a connection has to do.
    pub fn io_interest(&self, id: ConnId) -> IoInterest {
        let Some(conn) = self.shard.conn(id) else { return IoInterest::Close };
        match conn.phase {
            Phase::Closing | Phase::Lost => IoInterest::Close,
            _ if conn.input_ended && conn.is_settled() => IoInterest::Close,
            _ if conn.input_ended => IoInterest::Pause,
            _ if self.shard.wants_input(id) => IoInterest::Read,
            _ if conn.input.len() < INPUT_BACKLOG => IoInterest::Read,
            _ => IoInterest::Pause,
        }
    }
}
