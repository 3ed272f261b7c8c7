//! A shard: the connections of one thread, their sessions' requests in order, their watches.
//!
//! Pure: bytes come in with [`Shard::received`] and leave through each connection's output;
//! requests for the sequencer gather in [`Shard::outputs`], and its answers come back as
//! [`ShardMessage`](crate::request::ShardMessage)s. The thread around it owns the sockets.

mod arrival;
mod auth;
mod catching_up;
mod client_end;
mod conn;
mod counters;
mod deliver;
mod departure;
mod handshake;
mod listing;
mod local;
mod outputs;
mod pending_listing;
mod port;
mod prefetch;
mod ready;
mod reply;
mod secured;
mod serve;
mod throttled;
mod waiting;
mod word;
mod work;

pub use arrival::WaitingRequest;
pub use client_end::{ClientEnd, EndSeverity, EndedClient};
pub use conn::Departure;
pub use conn::{Attached, Conn, ConnStats, Phase, Replied, Slot};
pub use counters::{Fired, OpCounts, ReplyBytes, ShardCounters, ThrottleCounters};
pub use outputs::ShardOutputs;
pub use pending_listing::PendingListing;
pub use port::Port;
pub use ready::{ReadyList, Urgency};
pub use word::{FirstBytes, KnownWord, Word, WordEvent};

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use self::catching_up::CatchingUp;
use self::throttled::Held;
use self::work::TurnWork;
use crate::database::Database;
use crate::op::OpSettings;
use crate::request::Origin;
use crate::sasl::{NonceSource, SaslSettings};
use crate::throttle::RequestLimits;
use crate::watch::{ConnId, Subject, WatchTable};
use crate::wire::event::EventType;
use crate::{Now, SessionId, limits};

/// The settings of a shard.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// Rules of the operations.
    pub ops: OpSettings,
    /// How clients authenticate with SASL.
    pub sasl: SaslSettings,
    /// The largest payload of a frame.
    pub frame_bytes_max: usize,
    /// How long a connection may take for its handshake, milliseconds.
    pub handshake_ms: i64,
    /// How long a client may wait for the state that it has seen, milliseconds; 0 where the server
    /// has every state that there is.
    pub catch_up_ms: i64,
    /// Seed of the hash tables, random per process.
    pub hash_seed: u64,
    /// Requests under way on this shard above which only idle connections are read.
    pub outstanding_max: usize,
    /// Limits of requests that all shards share.
    pub requests: RequestLimits,
    /// Whether writes are noted for the audit log.
    pub audits: bool,
    /// The four-letter words that the server answers.
    pub words: Vec<KnownWord>,
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

/// One connection while it is served. It is out of the shard's table meanwhile.
struct Turn<'a> {
    /// Its id.
    id: ConnId,
    /// The connection.
    conn: &'a mut Conn,
    /// The state to read from, and the time.
    moment: Moment<'a>,
}

/// The connections of one thread.
pub struct Shard {
    index: u16,
    settings: Arc<ShardSettings>,
    conns: Vec<Option<Box<Conn>>>,
    free: Vec<u32>,
    /// Watches of these connections.
    pub watches: WatchTable,
    /// What the thread around the shard takes.
    pub outputs: ShardOutputs,
    /// Counters.
    pub counters: ShardCounters,
    ready: ReadyList,
    /// Room for the events of one change, kept between changes.
    events: Vec<(ConnId, EventType, Subject)>,
    /// Connections whose input waits, in the order in which they go on.
    stalled: VecDeque<ConnId>,
    /// Connections that wait for a long list.
    listings: VecDeque<ConnId>,
    /// What is left of this turn.
    work: TurnWork,
    /// Bytes that wait in the outputs of its connections, as far as they are told to all shards.
    unsent: usize,
    unsent_noted: usize,
    /// Connections whose first bytes wait for their turn.
    new_connections: VecDeque<ConnId>,
    outstanding: usize,
    /// What is held back until fewer requests are in process, in order.
    held: VecDeque<Held>,
    /// Connections whose clients have seen a later state.
    catching_up: VecDeque<CatchingUp>,
    /// Where the nonces of SASL exchanges come from.
    nonces: NonceSource,
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
            outputs: ShardOutputs::default(),
            counters: ShardCounters::default(),
            ready: ReadyList::default(),
            events: Vec::new(),
            stalled: VecDeque::new(),
            listings: VecDeque::new(),
            work: TurnWork::default(),
            unsent: 0,
            unsent_noted: 0,
            new_connections: VecDeque::new(),
            outstanding: 0,
            held: VecDeque::new(),
            catching_up: VecDeque::new(),
            nonces: NonceSource::new(settings.sasl.nonce_key, index),
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
        self.with_turn(id, Urgency::Served, moment, |shard, turn| {
            turn.conn.heard();
            if matches!(turn.conn.phase, Phase::Closing | Phase::Lost | Phase::Word) {
                return;
            }
            if turn.conn.phase == Phase::First {
                return shard.on_first_bytes(turn, bytes);
            }
            let is_busy = turn.conn.phase == Phase::Established && shard.work.arrivals == 0;
            if turn.conn.stalled || is_busy {
                // It goes on behind those that wait already.
                turn.conn.input.extend_from_slice(bytes);
                shard.stall(turn.id, turn.conn);
            } else if turn.conn.input.is_empty() {
                let used = shard.consume(turn, bytes);
                if !matches!(turn.conn.phase, Phase::Closing | Phase::Lost) {
                    turn.conn.input.extend_from_slice(&bytes[used..]);
                }
            } else {
                turn.conn.input.extend_from_slice(bytes);
                shard.consume_input(turn);
            }
            turn.conn.extend_session_while_waiting(moment.now.mono);
        });
    }

    /// Whether the socket should be read.
    pub fn wants_input(&self, id: ConnId) -> bool {
        let Some(conn) = self.conn(id) else { return false };
        match conn.phase {
            Phase::First => !conn.is_new,
            Phase::Leaving => true,
            Phase::Established => !conn.stalled && self.may_take(conn),
            Phase::Word | Phase::Opening | Phase::Closing | Phase::Lost => false,
        }
    }

    /// Whether so many lines wait for the audit log that no write is taken in.
    fn audit_is_behind(&self) -> bool {
        self.outputs.audit_lines.is_full()
    }

    /// The client has closed its side of the connection.
    pub fn end_input(&mut self, id: ConnId) {
        self.with_conn(id, Urgency::Later, |_, conn| conn.input_ended = true);
    }

    /// The socket is gone. The id stays in use until the last answer has come back.
    pub fn lost(&mut self, id: ConnId) {
        let settings = self.settings.clone();
        let Some(conn) = self.conn_mut(id) else { return };
        let phase = std::mem::replace(&mut conn.phase, Phase::Lost);
        conn.drop_unsent();
        let local = conn.pipeline.len();
        conn.pipeline.retain(|slot| match slot {
            Slot::InFlight { .. } => true,
            Slot::Refused { .. } => false,
            Slot::Local(request) => {
                settings.requests.free_bytes(request.bytes());
                false
            }
        });
        let unserved = local - conn.pipeline.len();
        let done = conn.is_done();
        self.end(unserved);
        self.locals_waiting -= unserved;
        self.recount(id);
        self.counters.dropped += u64::from(phase == Phase::Established);
        if phase == Phase::Word {
            self.outputs.words.push(WordEvent::ClientGone(id));
        }
        self.watches.drop_connection(id);
        self.forget_catching_up(id);
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
        assert!(conn.unsent_counted == 0, "what a connection had to send is counted for ever");
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
            self.with_conn(id, Urgency::Later, |_, conn| conn.abort_for(ClientEnd::NoSession));
        }
    }

    fn consume_input(&mut self, turn: &mut Turn<'_>) {
        let mut input = std::mem::take(&mut turn.conn.input);
        let used = self.consume(turn, &input);
        if matches!(turn.conn.phase, Phase::Closing | Phase::Lost) {
            return;
        }
        input.drain(..used);
        assert!(turn.conn.input.is_empty(), "input arrived while input was parsed");
        turn.conn.input = input;
    }

    fn origin(&self, id: ConnId) -> Origin {
        Origin { shard: self.index, conn: id }
    }

    /// Goes on with new connections, with what is held back, and with input that waited for a
    /// session to open, or until a bound allowed it. Call it at the end of every moment.
    pub fn resume_stalled(&mut self, moment: Moment<'_>) {
        self.resume_caught_up(moment);
        self.serve_new_connections(moment);
        self.release_held(moment);
        self.resume_listings(moment);
        self.resume_input(moment);
        self.release_held(moment);
        self.end_turn_work();
        self.note_unsent();
    }

    /// Whether [`Shard::resume_stalled`] would go on with something.
    pub fn can_resume(&self) -> bool {
        !self.new_connections.is_empty()
            || self.can_release()
            || self.can_list()
            || self.stalled.iter().any(|id| self.may_resume(*id))
    }

    /// Whether this connection owns a session.
    fn owns(&self, id: ConnId, session: SessionId) -> bool {
        self.conn(id).is_some_and(|conn| conn.session() == session)
    }

    /// The connections that got ready for their sockets since the last call.
    pub fn take_ready(&mut self, into: &mut ReadyList) {
        into.clear();
        std::mem::swap(&mut self.ready, into);
        for id in into.all() {
            if let Some(conn) = self.conn_mut(id) {
                conn.ready = None;
            }
        }
    }

    /// Runs `f` on a connection that is taken out of the table meanwhile, and notes that its socket
    /// has to be served.
    fn with_conn(&mut self, id: ConnId, urgency: Urgency, f: impl FnOnce(&mut Shard, &mut Conn)) {
        let Some(mut conn) = self.conns.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        let before = conn.unsent();
        f(self, &mut conn);
        // One reply may be larger than any bound: a client that was cut off for it would connect
        // and request it again. A client that does not read what is there already gets no more.
        let unsent = conn.unsent();
        if before > limits::CONN_OUT_BYTES_SOFT && unsent > before && self.is_over(before) {
            conn.abort_for(ClientEnd::SlowReader(unsent));
        }
        self.count_unsent(&mut conn);
        self.outputs.ended.extend(conn.take_end());
        self.note_ready(id, &mut conn, urgency);
        self.conns[id.0 as usize] = Some(conn);
    }

    /// As [`Shard::with_conn`], at a moment.
    fn with_turn(
        &mut self,
        id: ConnId,
        urgency: Urgency,
        moment: Moment<'_>,
        f: impl FnOnce(&mut Shard, &mut Turn<'_>),
    ) {
        self.with_conn(id, urgency, |shard, conn| f(shard, &mut Turn { id, conn, moment }));
    }

    fn note_ready(&mut self, id: ConnId, conn: &mut Conn, urgency: Urgency) {
        let news = conn.ready.is_none_or(|before| urgency < before);
        if news && conn.phase != Phase::Lost {
            conn.ready = Some(urgency);
            self.ready.list(urgency).push(id);
        }
    }
}

#[cfg(test)]
mod tests;
