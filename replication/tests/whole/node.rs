//! A whole server in memory: shards, sequencer and a log that becomes durable when it is told to.
//!
//! The parts are put together as the server's threads do it (`server/src/sequencer.rs` and
//! `server/src/shards/turn.rs`); who moves when is the caller's choice, so that every interleaving
//! of threads can be played on one.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::request::{Request, ShardMessage};
use ringkeeper_engine::session::{Passwords, SessionIdSource, SessionTable};
use ringkeeper_engine::shard::{Moment, Phase, Shard, ShardSettings};
use ringkeeper_engine::throttle::{ConnectionLimits, ConnectionThrottle, RequestLimits};
use ringkeeper_engine::tree::{Digest, Tree};
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::{Millis, Now, Zxid};
use ringkeeper_replication::{
    Committed, Input, Outputs, Replica, ReplicaSettings, ShardOutbox, WriteAdmission,
    apply_committed,
};

/// Seed of the hash tables; any will do.
pub(crate) const HASH_SEED: u64 = 7;

/// What differs from node to node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSettings {
    /// Shards, each with its connections.
    pub(crate) shards: u16,
    /// Steps carried out under one hold of the tree.
    pub(crate) hold_max: usize,
    /// Batches that fit into a shard's mailbox.
    pub(crate) batches_max: usize,
    /// Requests under way on a shard above which it reads idle connections only.
    pub(crate) outstanding_max: usize,
    /// The largest frame.
    pub(crate) frame_bytes_max: usize,
    /// What limits requests on all shards together.
    pub(crate) requests: RequestLimits,
    /// What limits new connections.
    pub(crate) connections: Option<ConnectionLimits>,
}

impl Default for NodeSettings {
    fn default() -> NodeSettings {
        let frame_bytes_max = ringkeeper_engine::limits::FRAME_BYTES_MAX;
        NodeSettings {
            shards: 1,
            hold_max: 32,
            batches_max: 256,
            outstanding_max: 1_000,
            frame_bytes_max,
            requests: RequestLimits::default(),
            connections: None,
        }
    }
}

/// One shard and the rings between it and the sequencer.
pub(crate) struct Seat {
    /// The pure shard.
    pub(crate) shard: Shard,
    mailbox: VecDeque<Vec<ShardMessage>>,
    outbox: Vec<ShardMessage>,
    requests: VecDeque<Vec<Request>>,
    interest: bool,
}

/// A server.
pub(crate) struct Node {
    /// The committed state.
    pub(crate) db: Database,
    /// Everything applied, in order; what the log would give back.
    pub(crate) history: Vec<Txn>,
    /// The shards.
    pub(crate) seats: Vec<Seat>,
    /// The time.
    pub(crate) now: Now,
    /// Whether the log has room.
    pub(crate) admission: WriteAdmission,
    replica: Replica,
    settings: NodeSettings,
    ops: OpSettings,
    outputs: Outputs,
    committed: VecDeque<Committed>,
    in_flight: Option<Zxid>,
    durable: Option<Zxid>,
    synced: Zxid,
}

/// A fresh, empty database.
pub(crate) fn empty_database() -> Database {
    let mut tree = Tree::new(HASH_SEED);
    tree.keep_digest(Digest::Kept);
    Database::new(tree, [])
}

/// The rules that every node here has.
pub(crate) fn op_settings() -> OpSettings {
    OpSettings { extended_types: true, ..OpSettings::default() }
}

impl Node {
    /// A server that was just started for the first time.
    pub(crate) fn new(settings: NodeSettings) -> Node {
        Node::after(Vec::new(), settings)
    }

    /// A server that was started on a log.
    pub(crate) fn after(history: Vec<Txn>, settings: NodeSettings) -> Node {
        let (mut db, ops) = (empty_database(), op_settings());
        history.iter().for_each(|txn| drop(db.apply(txn, Interest::None)));
        let now = Now { wall: Millis(1_700_000_000_000), mono: Millis(1_000) };
        let sessions = SessionTable::new(2_000, 4_000, 40_000);
        let connections = settings.connections.clone();
        let replica_settings = ReplicaSettings {
            ops: ops.clone(),
            passwords: Passwords::keyed(b"secret"),
            session_ids: SessionIdSource::new(1, now.wall),
            removal_interval_ms: 5_000,
            removals_per_minute: 10_000,
            never_used_ms: 0,
            hash_seed: HASH_SEED,
            connections: connections.map(|limits| ConnectionThrottle::new(limits, now.mono)),
        };
        let replica = Replica::new(&db, sessions, replica_settings, now);
        let shard_settings = Arc::new(ShardSettings {
            ops: ops.clone(),
            frame_bytes_max: settings.frame_bytes_max,
            handshake_ms: 10_000,
            hash_seed: HASH_SEED,
            outstanding_max: settings.outstanding_max,
            requests: settings.requests.clone(),
            audits: false,
            stmk_allowed: true,
        });
        let seats = (0..settings.shards).map(|index| Seat::new(index, shard_settings.clone()));
        Node {
            db,
            history,
            seats: seats.collect(),
            now,
            admission: WriteAdmission::All,
            replica,
            settings,
            ops,
            outputs: Outputs::new(),
            committed: VecDeque::new(),
            in_flight: None,
            durable: None,
            synced: Zxid::ZERO,
        }
    }

    /// Accepts a connection.
    pub(crate) fn open(&mut self, seat: usize) -> ConnId {
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4_000);
        self.seats[seat].shard.open(peer, self.now)
    }

    /// A turn of a shard: mail first, then the bytes that arrived.
    pub(crate) fn serve<'b>(
        &mut self,
        seat: usize,
        arrivals: impl Iterator<Item = (ConnId, &'b [u8])>,
    ) {
        let now_us = self.now.mono.0.unsigned_abs() * 1_000;
        let moment = Moment { db: &self.db, now: self.now, now_us };
        let seat = &mut self.seats[seat];
        while let Some(batch) = seat.mailbox.pop_front() {
            for delivery in batch {
                seat.shard.deliver(delivery, moment);
            }
        }
        for (conn, bytes) in arrivals {
            seat.shard.received(conn, bytes, moment);
        }
        seat.shard.resume_stalled(moment);
        seat.interest = seat.shard.has_interest();
        for (conn, _) in std::mem::take(&mut seat.shard.outputs.words) {
            seat.shard.finish_word(conn, b"a word\n");
        }
        seat.shard.outputs.replied.clear();
        if !seat.shard.outputs.requests.is_empty()
            && seat.requests.len() < self.settings.batches_max
        {
            seat.requests.push_back(std::mem::take(&mut seat.shard.outputs.requests));
        }
    }

    /// First half of a sweep of the sequencer: what has become durable is released.
    pub(crate) fn release(&mut self) {
        self.apply_committed();
        if self.committed.is_empty()
            && let Some(durable) = self.durable.take()
        {
            self.step(Input::Durable(durable));
            self.commit();
        }
    }

    /// Second half: batches of requests that have arrived are ordered, at most so many.
    pub(crate) fn order(&mut self, batches_max: usize) {
        for _ in 0..batches_max {
            let full = self.outputs.group.bytes() >= ringkeeper_engine::limits::GROUP_BYTES_MAX;
            if full || !self.committed.is_empty() {
                break;
            }
            let next = self.seats.iter_mut().find_map(|seat| seat.requests.pop_front());
            let Some(mut requests) = next else { break };
            let now = self.now;
            self.step(Input::Requests(&mut requests, now));
        }
        self.commit();
    }

    /// The log's device is done with the group that it was given.
    pub(crate) fn sync(&mut self) {
        if self.durable.is_none() {
            self.durable = self.in_flight.take();
            self.synced = self.durable.unwrap_or(self.synced);
        }
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, ms: i64) {
        self.now.mono.0 += ms;
        self.now.wall.0 += ms;
        if self.committed.is_empty() {
            self.step(Input::Tick(self.now));
        }
        let now = self.now;
        self.seats.iter_mut().for_each(|seat| seat.shard.tick(now));
    }

    /// Everything moves once, with bytes for one connection of the first shard.
    pub(crate) fn turn(&mut self, conn: ConnId, bytes: &[u8]) {
        self.release();
        self.serve(0, std::iter::once((conn, bytes)));
        self.order(usize::MAX);
        self.sync();
        self.release();
        (0..self.seats.len()).for_each(|seat| self.serve(seat, std::iter::empty()));
    }

    /// Whether nothing is under way anywhere.
    pub(crate) fn is_quiet(&self) -> bool {
        let seats = self.seats.iter().all(|seat| {
            let shard = seat.shard.outputs.requests.is_empty() && seat.shard.held() == 0;
            seat.mailbox.is_empty() && seat.requests.is_empty() && shard
        });
        let log = self.outputs.group.is_empty() && self.in_flight.is_none();
        seats && log && self.durable.is_none() && self.committed.is_empty()
    }

    /// Whether a session lives, as far as the sequencer knows.
    pub(crate) fn knows(&self, session: ringkeeper_engine::SessionId) -> bool {
        self.replica.sessions().get(session).is_some_and(|session| !session.is_closing)
    }

    /// Requests that wait for their commit.
    pub(crate) fn outstanding(&self) -> usize {
        self.replica.outstanding()
    }

    /// Whether the server has closed a connection and has nothing left to send on it.
    pub(crate) fn has_closed(&self, seat: usize, conn: ConnId) -> bool {
        let conn = self.seats[seat].shard.conn(conn);
        conn.is_none_or(|conn| {
            matches!(conn.phase, Phase::Closing | Phase::Lost) && conn.out.is_empty()
        })
    }

    fn step(&mut self, input: Input<'_>) {
        self.replica.set_admission(self.admission);
        self.replica.step(&self.db, input, &mut self.outputs);
        self.committed.extend(self.outputs.committed.drain(..));
        self.apply_committed();
    }

    fn apply_committed(&mut self) {
        while !self.committed.is_empty() && self.has_room() {
            let mut post = Post { seats: &mut self.seats };
            for _ in 0..self.settings.hold_max {
                let Some(next) = self.committed.pop_front() else { break };
                if let Committed::Apply(proposal) = &next {
                    let durable = proposal.txn.zxid <= self.synced;
                    assert!(durable, "{} is applied before it is durable", proposal.txn.zxid);
                    self.history.push(through_the_log(&proposal.txn));
                }
                apply_committed(next, &mut self.db, &self.ops, &mut post);
            }
            for seat in self.seats.iter_mut().filter(|seat| !seat.outbox.is_empty()) {
                seat.mailbox.push_back(std::mem::take(&mut seat.outbox));
            }
        }
    }

    fn has_room(&self) -> bool {
        self.seats.iter().all(|seat| seat.mailbox.len() < self.settings.batches_max)
    }

    fn commit(&mut self) {
        let busy = self.in_flight.is_some() || self.durable.is_some();
        if !busy && !self.outputs.group.is_empty() {
            self.in_flight = self.outputs.group.last();
            self.outputs.group.clear();
        }
    }
}

impl Seat {
    fn new(index: u16, settings: Arc<ShardSettings>) -> Seat {
        Seat {
            shard: Shard::new(index, settings),
            mailbox: VecDeque::new(),
            outbox: Vec::new(),
            requests: VecDeque::new(),
            interest: false,
        }
    }
}

/// The log must give back what was ordered.
fn through_the_log(txn: &Txn) -> Txn {
    let mut bytes = Vec::new();
    txn.write(&mut bytes);
    let read = Txn::read(&bytes).expect("what was written can be read");
    assert_eq!(&read, txn, "the log gives back another transaction");
    read
}

struct Post<'a> {
    seats: &'a mut [Seat],
}

impl ShardOutbox for Post<'_> {
    fn interest(&self) -> Interest {
        let somebody = self.seats.iter().any(|seat| seat.interest);
        if somebody { Interest::Watched } else { Interest::None }
    }

    fn to_shard(&mut self, shard: u16, delivery: ShardMessage) {
        self.seats[usize::from(shard)].outbox.push(delivery);
    }

    fn to_watching_shards(&mut self, delivery: impl Fn() -> ShardMessage) {
        for seat in self.seats.iter_mut().filter(|seat| seat.interest) {
            seat.outbox.push(delivery());
        }
    }
}
