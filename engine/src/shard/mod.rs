//! A shard: the connections of one thread, their sessions' requests in order, their watches.
//!
//! Pure: bytes come in with [`Shard::received`], leave through each connection's output, requests
//! for the sequencer gather in [`Shard::requests`], and its answers come back as
//! [`ShardMessage`](crate::request::ShardMessage)s. The thread around it owns the sockets.

mod conn;
mod deliver;
mod handshake;
mod hold;
mod serve;
mod touch;
mod word;

pub use conn::{Attached, Conn, ConnStats, Phase, Replied, Slot};
pub use touch::{Touch, Touched};
pub use word::Word;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use self::hold::Held;
use crate::database::Database;
use crate::op::OpSettings;
use crate::request::{Origin, Request};
use crate::throttle::RequestLimits;
use crate::watch::{ConnId, Subject, WatchTable};
use crate::wire::event::EventType;
use crate::{Now, SessionId, limits};

/// What a shard is told at its start.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// Rules of the operations.
    pub ops: OpSettings,
    /// The largest payload of a frame.
    pub frame_bytes_max: usize,
    /// How long a connection may take for its handshake, milliseconds.
    pub handshake_ms: i64,
    /// Seed of the hash tables, random per process.
    pub hash_seed: u64,
    /// Requests under way on this shard above which only idle connections are read.
    pub outstanding_max: usize,
    /// Limits of requests that all shards share.
    pub requests: RequestLimits,
    /// Whether writes are noted for the audit log.
    pub audits: bool,
    /// Whether the word `stmk` is answered: only then its argument is waited for.
    pub stmk_allowed: bool,
}

/// One moment: the state to read from, and the time.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The committed state, which does not change during the moment.
    pub db: &'a Database,
    /// Both clocks.
    pub now: Now,
    /// The monotonic clock in microseconds, for latencies.
    pub now_us: u64,
}

/// Counters of a shard; they only grow, apart from resets of the latencies.
#[derive(Clone, Debug, Default)]
pub struct ShardCounters {
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Failed authentications.
    pub auth_failed: u64,
    /// Connections closed because their handshake took too long.
    pub sessionless_expired: u64,
    /// Session opens and re-attachments asked for.
    pub connection_requests: u64,
    /// Re-attachments asked for.
    pub revalidations: u64,
    /// Notifications sent, by event type (index 1 to 4).
    pub notifications: [u64; 5],
    /// Watches that one change fired, by event type (index 1 to 4).
    pub fired: [Fired; 5],
    /// Connections that went away while their session was open.
    pub dropped: u64,
    /// What the limits of requests did.
    pub throttle: ThrottleCounters,
    /// Bytes of the last, smallest and largest reply.
    pub reply_bytes: Option<ReplyBytes>,
    /// Bytes of all replies.
    pub reply_bytes_sum: u64,
    /// Operations by number; see [`crate::wire::opcode::op`].
    pub ops: std::collections::BTreeMap<i32, u64>,
}

/// What the limits of requests did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ThrottleCounters {
    /// Connections closed because large requests had too many bytes together.
    pub large_rejected: u64,
    /// Looks at held requests that ended in waiting for others.
    pub waits: u64,
    /// Requests refused because they were held for too long.
    pub throttled: u64,
    /// Stale requests that were carried out.
    pub stale: u64,
    /// Connections of which a stale request, and what came behind it, was dropped.
    pub stale_dropped: u64,
    /// Replies to connections that were gone.
    pub stale_replies: u64,
}

/// How many watches changes fired. Only changes that fired one count.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Fired {
    /// Changes.
    pub changes: u64,
    /// Watches of all of them.
    pub watches: u64,
    /// The fewest of one.
    pub min: u64,
    /// The most of one.
    pub max: u64,
}

impl Fired {
    fn note(&mut self, watches: u64) {
        self.min = if self.changes == 0 { watches } else { self.min.min(watches) };
        self.max = self.max.max(watches);
        self.changes += 1;
        self.watches += watches;
    }
}

/// Bytes of replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyBytes {
    /// Of the last reply.
    pub last: u64,
    /// Of the smallest.
    pub min: u64,
    /// Of the largest.
    pub max: u64,
}

/// The connections of one thread.
pub struct Shard {
    index: u16,
    settings: Arc<ShardSettings>,
    conns: Vec<Option<Box<Conn>>>,
    free: Vec<u32>,
    /// Watches of these connections.
    pub watches: WatchTable,
    /// What has to go to the sequencer, in order.
    pub requests: Vec<Request>,
    /// Four-letter words that wait for their text.
    pub words: Vec<(ConnId, Word)>,
    /// Replies made since they were last taken, for the latency histograms.
    pub replied: Vec<Replied>,
    /// Microseconds for which requests were held back, since they were last taken.
    pub waited_us: Vec<u64>,
    /// Counters.
    pub counters: ShardCounters,
    touched: Touched,
    /// Room for the events of one change, kept between changes.
    events: Vec<(ConnId, EventType, Subject)>,
    stalled: Vec<ConnId>,
    /// Connections whose first bytes wait for their turn.
    newcomers: VecDeque<ConnId>,
    outstanding: usize,
    /// What is held back until fewer requests are in process, in order.
    held: VecDeque<Held>,
    /// Reads with a watch that are at the sequencer.
    watches_in_flight: usize,
    /// Local requests behind a request that is at the sequencer; any of them may set a watch.
    locals_waiting: usize,
}

impl Shard {
    /// A shard without connections.
    pub fn new(index: u16, settings: Arc<ShardSettings>) -> Shard {
        Shard {
            index,
            conns: Vec::new(),
            free: Vec::new(),
            watches: WatchTable::new(settings.hash_seed),
            requests: Vec::new(),
            words: Vec::new(),
            replied: Vec::new(),
            waited_us: Vec::new(),
            counters: ShardCounters::default(),
            touched: Touched::default(),
            events: Vec::new(),
            stalled: Vec::new(),
            newcomers: VecDeque::new(),
            outstanding: 0,
            held: VecDeque::new(),
            watches_in_flight: 0,
            locals_waiting: 0,
            settings,
        }
    }

    /// Takes a new connection in.
    pub fn open(&mut self, peer: SocketAddr, now: Now) -> ConnId {
        let conn = Box::new(Conn::new(peer, now));
        match self.free.pop() {
            Some(slot) => {
                self.conns[slot as usize] = Some(conn);
                ConnId(slot)
            }
            None => {
                let slot = u32::try_from(self.conns.len()).expect("fewer than 2^32 connections");
                self.conns.push(Some(conn));
                ConnId(slot)
            }
        }
    }

    /// A connection, while its id is in use.
    pub fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(id.0 as usize)?.as_deref()
    }

    /// As [`Shard::conn`], to change it.
    pub fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// Every connection whose socket is open.
    pub fn conns(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        let all = self.conns.iter().enumerate();
        all.filter_map(|(slot, conn)| Some((ConnId(slot as u32), conn.as_deref()?)))
            .filter(|(_, conn)| conn.phase != Phase::Lost)
    }

    /// As [`Shard::conns`], to change them.
    pub fn conns_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        let all = self.conns.iter_mut().filter_map(Option::as_deref_mut);
        all.filter(|conn| conn.phase != Phase::Lost)
    }

    /// Connections in the table.
    pub fn conn_count(&self) -> usize {
        self.conns.len() - self.free.len()
    }

    /// One more than the largest id in use or free: the end of a scan over all connections.
    pub fn conn_slots(&self) -> u32 {
        u32::try_from(self.conns.len()).expect("fewer than 2^32 connections")
    }

    /// Requests under way.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Whether changes must be reported to this shard: it holds watches, or is about to.
    pub fn has_interest(&self) -> bool {
        !self.watches.is_empty() || self.watches_in_flight + self.locals_waiting > 0
    }

    /// Bytes arrived. They are parsed as far as whole frames and bounds go.
    pub fn received(&mut self, id: ConnId, bytes: &[u8], moment: Moment<'_>) {
        self.counters.received_bytes += bytes.len() as u64;
        self.with_conn(id, Touch::Served, |shard, conn| {
            if matches!(conn.phase, Phase::Closing | Phase::Lost | Phase::Word) {
                return;
            }
            if conn.phase == Phase::First {
                return shard.greet(id, conn, bytes);
            }
            if conn.input.is_empty() {
                let used = shard.consume(id, conn, bytes, moment);
                if !matches!(conn.phase, Phase::Closing | Phase::Lost) {
                    conn.input.extend_from_slice(&bytes[used..]);
                }
            } else {
                conn.input.extend_from_slice(bytes);
                shard.consume_input(id, conn, moment);
            }
        });
    }

    /// Whether the socket should be read.
    pub fn wants_input(&self, id: ConnId) -> bool {
        let Some(conn) = self.conn(id) else { return false };
        match conn.phase {
            Phase::First => !conn.newcomer,
            Phase::Leaving => true,
            Phase::Established => self.may_take(conn),
            Phase::Word | Phase::Opening | Phase::Closing | Phase::Lost => false,
        }
    }

    fn may_take(&self, conn: &Conn) -> bool {
        let shard_full = self.outstanding + self.held.len() >= self.settings.outstanding_max;
        conn.has_room() && (!shard_full || conn.is_idle())
    }

    /// The client has closed its side of the connection.
    pub fn end_input(&mut self, id: ConnId) {
        self.with_conn(id, Touch::Later, |_, conn| conn.input_ended = true);
    }

    /// The socket is gone. The id stays in use until the last answer has come back.
    pub fn lost(&mut self, id: ConnId) {
        let settings = self.settings.clone();
        let Some(conn) = self.conn_mut(id) else { return };
        let dropped = conn.phase == Phase::Established;
        conn.phase = Phase::Lost;
        conn.input = Vec::new();
        conn.out = Vec::new();
        let local = conn.pipeline.len();
        conn.pipeline.retain(|slot| match slot {
            Slot::InFlight { .. } => true,
            Slot::Throttled { .. } => false,
            Slot::Local { payload, .. } => {
                settings.requests.free_bytes(payload.len());
                false
            }
        });
        let unserved = local - conn.pipeline.len();
        let done = conn.is_done();
        self.end(unserved);
        self.locals_waiting -= unserved;
        self.counters.dropped += u64::from(dropped);
        self.watches.drop_connection(id);
        if done {
            self.forget(id);
        }
    }

    /// One more request is under way.
    fn begin(&mut self) {
        self.outstanding += 1;
        self.settings.requests.begin();
    }

    /// So many requests have ended.
    fn end(&mut self, count: usize) {
        self.outstanding -= count;
        self.settings.requests.end(count);
    }

    /// Gives the id of a connection whose socket is gone back, once nothing can come for it.
    fn forget_if_done(&mut self, id: ConnId) {
        if self.conn(id).is_some_and(|conn| conn.phase == Phase::Lost && conn.is_done()) {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: ConnId) {
        let conn = self.conns[id.0 as usize].take().expect("the id is in use");
        assert!(conn.in_flight == 0, "an answer is still on its way to this connection");
        self.free.push(id.0);
    }

    /// Closes what takes too long for its handshake, and clears watches of connections that are
    /// gone, a slice at a time.
    pub fn tick(&mut self, now: Now) {
        self.watches.sweep(limits::WATCH_SWEEP);
        let oldest = now.mono.0 - self.settings.handshake_ms;
        let mut late = Vec::new();
        for (id, conn) in self.conns() {
            if conn.phase == Phase::First && conn.accepted.0 < oldest {
                late.push(id);
            }
        }
        for id in late {
            self.counters.sessionless_expired += 1;
            self.with_conn(id, Touch::Later, |_, conn| conn.abort());
        }
    }

    /// Gives a four-letter word the beginning of a long text, as far as there is room in the
    /// output. The answer is the number of bytes taken; `None` where nobody waits any more.
    pub fn begin_word(&mut self, id: ConnId, text: &[u8]) -> Option<usize> {
        let mut taken = None;
        self.with_conn(id, Touch::Answered, |_, conn| {
            if conn.phase == Phase::Word {
                let room = limits::CONN_OUT_BYTES_SOFT.saturating_sub(conn.out.len());
                let piece = &text[..text.len().min(room)];
                conn.out.extend_from_slice(piece);
                taken = Some(piece.len());
            }
        });
        taken
    }

    /// Gives a four-letter word its text, or the end of it; the connection closes behind it.
    /// Call it exactly once per word: until then the connection keeps its id.
    pub fn finish_word(&mut self, id: ConnId, text: &[u8]) {
        self.with_conn(id, Touch::Answered, |shard, conn| {
            conn.in_flight -= 1;
            if conn.phase == Phase::Word {
                conn.out.extend_from_slice(text);
                shard.count_sent(conn);
                conn.close();
            }
        });
        self.forget_if_done(id);
    }

    fn consume_input(&mut self, id: ConnId, conn: &mut Conn, moment: Moment<'_>) {
        let mut input = std::mem::take(&mut conn.input);
        let used = self.consume(id, conn, &input, moment);
        if matches!(conn.phase, Phase::Closing | Phase::Lost) {
            return;
        }
        input.drain(..used);
        assert!(conn.input.is_empty(), "input arrived while input was parsed");
        conn.input = input;
    }

    fn origin(&self, id: ConnId) -> Origin {
        Origin { shard: self.index, conn: id }
    }

    /// Goes on with newcomers, with what is held back, and with input that waited for a session to
    /// open, or for room. Call it at the end of every moment.
    pub fn resume_stalled(&mut self, moment: Moment<'_>) {
        self.admit(moment);
        self.release_held(moment);
        if self.stalled.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.stalled) {
            let wants = self.wants_input(id);
            self.with_conn(id, Touch::Answered, |shard, conn| {
                if !conn.stalled {
                    return;
                }
                conn.stalled = false;
                match conn.phase {
                    Phase::Established if wants => shard.consume_input(id, conn, moment),
                    Phase::Established | Phase::Opening => shard.stall(id, conn),
                    Phase::First | Phase::Word => {}
                    Phase::Leaving | Phase::Closing | Phase::Lost => {}
                }
            });
        }
        self.release_held(moment);
    }

    /// Whether [`Shard::resume_stalled`] would go on with something.
    pub fn can_resume(&self) -> bool {
        !self.newcomers.is_empty()
            || self.can_release()
            || self.stalled.iter().any(|id| self.wants_input(*id))
    }

    /// Whether a session is spoken for by this connection.
    fn speaks_for(&self, id: ConnId, session: SessionId) -> bool {
        self.conn(id).is_some_and(|conn| conn.session() == session)
    }
}

#[cfg(test)]
mod tests;
