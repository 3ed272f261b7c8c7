//! A whole server in memory: the node and the shards of the product, and a log that becomes durable
//! when the test says so.
//!
//! Who moves when is the caller's choice, so that every interleaving of threads can be played on
//! one. Only the turn of a shard is put together here, as `server/src/shards/turn.rs` does it.

use std::cell::{Cell, Ref, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::device::{EnsembleIdentity, Standing};
use ringkeeper_engine::log::{LogCapacity, LogCommand, LogEvent};
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::sasl::SaslSettings;
use ringkeeper_engine::session::{Passwords, ServerId, SessionIdSource, SessionTable};
use ringkeeper_engine::shard::{KnownWord, Moment, Phase, Shard, ShardSettings, WordEvent};
use ringkeeper_engine::throttle::{ConnectionLimits, ConnectionThrottle, RequestLimits};
use ringkeeper_engine::tree::{Digest, Tree};
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::{Millis, Now, SessionId, Zxid};
use ringkeeper_replication::node::{
    ClockPort, DatabasePort, GroupSettings, LeaderPort, LogPort, MailboxLimits, NoLeader, World,
};
use ringkeeper_replication::{
    EpochLimits, LearningSettings, Node, NodeSettings, PasswordSource, Replica, ReplicaSettings,
    SpentRemoval, WriteAdmission,
};

use super::ports::{
    Event, History, Mailbox, Mailboxes, MemoryClock, MemoryDatabase, MemoryLog, MemoryPorts,
};

/// The time at which every server starts.
pub(crate) const NOW: Now = Now { wall: Millis(1_700_000_000_000), mono: Millis(1_000) };
/// Seed of the hash tables; any will do.
pub(crate) const HASH_SEED: u64 = 7;
/// Batches of requests that fit between a shard and the node.
const REQUEST_BATCHES_MAX: usize = 4;

/// What differs from server to server.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    /// Shards, each with its connections.
    pub(crate) shards: u16,
    /// Steps applied in one critical section.
    pub(crate) apply_batch: usize,
    /// How far a shard may be behind.
    pub(crate) mailboxes: MailboxLimits,
    /// How groups are cut.
    pub(crate) groups: GroupSettings,
    /// Requests under way on a shard above which it reads idle connections only.
    pub(crate) outstanding_max: usize,
    /// The largest frame.
    pub(crate) frame_bytes_max: usize,
    /// What limits requests on all shards together.
    pub(crate) requests: RequestLimits,
    /// What limits new connections.
    pub(crate) connections: Option<ConnectionLimits>,
    /// The number of the server in its ensemble.
    pub(crate) id: u8,
    /// The shortest timeout of a session, milliseconds.
    pub(crate) session_ms_min: i32,
    /// How often time passes, milliseconds.
    pub(crate) tick_ms: i64,
    /// How far an epoch goes.
    pub(crate) epochs: EpochLimits,
    /// Whose secret the passwords of sessions have.
    pub(crate) secret: SessionSecret,
}

/// Whose secret the passwords of sessions have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SessionSecret {
    /// All servers have the same from the beginning.
    Common,
    /// An ensemble's, which is not known yet.
    Unknown,
    /// That of this ensemble.
    Ensemble(EnsembleIdentity),
}

impl SessionSecret {
    fn passwords(self) -> PasswordSource {
        match self {
            SessionSecret::Common => PasswordSource::Fixed(Passwords::keyed(b"secret")),
            SessionSecret::Unknown => PasswordSource::Unknown(Passwords::Java),
            SessionSecret::Ensemble(ensemble) => {
                let passwords = Passwords::of_ensemble(&ensemble);
                match ensemble.standing {
                    Standing::Proposed => PasswordSource::Unknown(passwords),
                    Standing::Confirmed => PasswordSource::Ensemble(passwords),
                }
            }
        }
    }
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        let frame_bytes_max = ringkeeper_engine::limits::FRAME_BYTES_MAX;
        ServerSettings {
            shards: 1,
            apply_batch: 32,
            mailboxes: MailboxLimits::default(),
            groups: GroupSettings::default(),
            outstanding_max: 1_000,
            frame_bytes_max,
            requests: RequestLimits::default(),
            connections: None,
            id: 1,
            session_ms_min: 4_000,
            tick_ms: 1,
            epochs: EpochLimits::default(),
            secret: SessionSecret::Common,
        }
    }
}

/// One shard.
pub(crate) struct ShardThread {
    /// The pure shard.
    pub(crate) shard: Shard,
    /// How often changes were lost, so that its connections were closed.
    pub(crate) resets: usize,
}

/// A server, what it has for a leader, and its log.
pub(crate) struct Server<L: LeaderPort = NoLeader, G: LogPort = MemoryLog> {
    /// Everything applied, in order; what the log would give back.
    pub(crate) history: Vec<Rc<Txn>>,
    /// The shards.
    pub(crate) shards: Vec<ShardThread>,
    /// The time.
    pub(crate) now: Now,
    /// What the node did, in order.
    pub(crate) events: Rc<RefCell<Vec<Event>>>,
    node: Node<MemoryPorts<L, G>>,
    clock: MemoryClock,
}

/// A fresh, empty database.
pub(crate) fn empty_database() -> Database {
    let mut tree = Tree::new(HASH_SEED);
    tree.keep_digest(Digest::Kept);
    Database::new(tree, [])
}

/// The state that transactions make.
pub(crate) fn database_of(history: &[Rc<Txn>]) -> Database {
    let mut db = empty_database();
    history.iter().for_each(|txn| drop(db.apply(txn, Interest::None)));
    db
}

/// The rules that every server here has.
pub(crate) fn op_settings() -> OpSettings {
    OpSettings { extended_types: true, ..OpSettings::default() }
}

impl Server {
    /// A server that was just started for the first time.
    pub(crate) fn new(settings: ServerSettings) -> Server {
        Server::after(Vec::new(), settings)
    }

    /// A server that was started on a log.
    pub(crate) fn after(history: Vec<Rc<Txn>>, settings: ServerSettings) -> Server {
        let db = database_of(&history);
        let replica = replica(&db, &settings, NOW, None);
        Server::with(replica, (db, history), settings, NoLeader, NOW, MemoryLog::new)
    }
}

impl<L: LeaderPort> Server<L> {
    /// A server that was just started for the first time, and that has a leader. Its clients wait
    /// for one no longer than `hold_ms`.
    pub(crate) fn learner(settings: ServerSettings, link: L, hold_ms: i64) -> Server<L> {
        let db = empty_database();
        let learning = LearningSettings { record_bytes_max: settings.frame_bytes_max, hold_ms };
        let replica = replica(&db, &settings, NOW, Some(learning));
        Server::with(replica, (db, Vec::new()), settings, link, NOW, MemoryLog::new)
    }

    /// The log's device is done with the group that it was given.
    pub(crate) fn sync(&mut self) {
        self.node.world_mut().log.sync();
    }

    /// Everything moves once, with bytes for one connection of the first shard.
    pub(crate) fn turn(&mut self, conn: ConnId, bytes: &[u8]) {
        self.release();
        self.serve(0, std::iter::once((conn, bytes)));
        self.order(usize::MAX);
        self.sync();
        self.release();
        (0..self.shards.len()).for_each(|shard| self.serve(shard, std::iter::empty()));
    }

    /// Fills or empties the disk, so that the log admits this.
    pub(crate) fn set_admission(&mut self, admission: WriteAdmission) {
        let few = 4 << 20;
        self.node.world_mut().log.capacity = match admission {
            WriteAdmission::All => LogCapacity::UNBOUNDED,
            WriteAdmission::CloseOnly => LogCapacity { writes: 0, closes: few },
            WriteAdmission::None => LogCapacity { writes: 0, closes: 0 },
        };
    }
}

impl<L: LeaderPort, G: LogPort> Server<L, G> {
    /// A member that starts on what it has recovered, and that follows what is there for a leader.
    /// Its log is made of what becomes of it, and of where it says what is durable.
    pub(crate) fn member(
        (db, history): (Database, Vec<Rc<Txn>>),
        (settings, hold_ms): (ServerSettings, i64),
        leader: L,
        now: Now,
        log: impl FnOnce(Rc<RefCell<Vec<Event>>>) -> (G, Rc<Cell<Zxid>>),
    ) -> Server<L, G> {
        let learning = LearningSettings { record_bytes_max: settings.frame_bytes_max, hold_ms };
        let replica = replica(&db, &settings, now, Some(learning));
        Server::with(replica, (db, history), settings, leader, now, log)
    }

    /// The node, for what drives it besides its turns.
    pub(crate) fn node(&mut self) -> &mut Node<MemoryPorts<L, G>> {
        &mut self.node
    }

    /// The node, to look at.
    pub(crate) fn node_ref(&self) -> &Node<MemoryPorts<L, G>> {
        &self.node
    }

    /// Whether a shard is to close its connections, because it missed changes.
    pub(crate) fn has_lost_changes(&self) -> bool {
        self.node.world().shards.each.iter().any(|mailbox| mailbox.changes_lost)
    }

    fn with(
        replica: Replica,
        (db, history): (Database, Vec<Rc<Txn>>),
        settings: ServerSettings,
        leader: L,
        now: Now,
        log: impl FnOnce(Rc<RefCell<Vec<Event>>>) -> (G, Rc<Cell<Zxid>>),
    ) -> Server<L, G> {
        let events = Rc::new(RefCell::new(Vec::new()));
        let clock = MemoryClock::at(now);
        let (log, synced) = log(events.clone());
        let world = World {
            clock: clock.clone(),
            log,
            database: MemoryDatabase(RefCell::new(db)),
            shards: Mailboxes::new(usize::from(settings.shards), events.clone()),
            leader,
            observer: History::new(synced),
        };
        let node_settings = NodeSettings {
            ops: op_settings(),
            groups: settings.groups,
            tick_ms: settings.tick_ms,
            apply_batch: settings.apply_batch,
            mailboxes: settings.mailboxes,
        };
        let shard_settings = Arc::new(shard_settings(&settings));
        let shards = (0..settings.shards)
            .map(|index| ShardThread {
                shard: Shard::new(index, shard_settings.clone()),
                resets: 0,
            })
            .collect();
        let node = Node::new(replica, node_settings, world);
        Server { history, shards, now, events, node, clock }
    }

    /// The last zxid given, or learned.
    pub(crate) fn last(&self) -> Zxid {
        self.node.replica().last()
    }

    /// The committed state.
    pub(crate) fn db(&self) -> Ref<'_, Database> {
        self.node.world().database.read()
    }

    /// Accepts a connection.
    pub(crate) fn open(&mut self, shard: usize) -> ConnId {
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4_000);
        self.shards[shard].shard.open(peer, self.now)
    }

    /// A turn of a shard: messages first, then the bytes that arrived.
    pub(crate) fn serve<'b>(
        &mut self,
        index: usize,
        arrivals: impl Iterator<Item = (ConnId, &'b [u8])>,
    ) {
        let world = self.node.world_mut();
        let mailbox = &mut world.shards.each[index];
        let db = world.database.read();
        let moment = Moment { db: &db, now: self.now, now_us: world.clock.micros() };
        let thread = &mut self.shards[index];
        take_messages(thread, mailbox, moment);
        let shard = &mut thread.shard;
        for (conn, bytes) in arrivals {
            shard.received(conn, bytes, moment);
        }
        shard.resume_stalled(moment);
        mailbox.interest = shard.has_interest();
        for event in std::mem::take(&mut shard.outputs.words) {
            if let WordEvent::Arrived(conn, _) = event {
                shard.finish_word(conn, b"a word\n");
            }
        }
        shard.outputs.replied.clear();
        if !shard.outputs.requests.is_empty() && mailbox.requests.len() < REQUEST_BATCHES_MAX {
            mailbox.requests.push_back(std::mem::take(&mut shard.outputs.requests));
        }
    }

    /// First half of a turn of the node.
    pub(crate) fn release(&mut self) {
        self.node.release();
        self.take_history();
    }

    /// Second half: batches of requests that have arrived are ordered, at most so many.
    pub(crate) fn order(&mut self, batches_max: usize) {
        self.node.world_mut().shards.takes = batches_max;
        self.node.order();
        self.take_history();
    }

    /// Gives the log a command.
    pub(crate) fn command(&mut self, command: LogCommand) {
        self.node.command(command);
    }

    /// What came of it.
    pub(crate) fn log_event(&mut self) -> Option<LogEvent> {
        self.node.log_event()
    }

    /// The leader's state takes the place of ours; the log begins behind it.
    pub(crate) fn install(&mut self, state: Database) {
        drop(self.node.install(Box::new(state)));
    }

    /// Sets the clocks, and nothing notices.
    pub(crate) fn set_clock(&mut self, wall: Millis, mono_us: u64) {
        self.clock.set(wall, mono_us);
        self.now = self.clock.now();
    }

    /// The clocks go on, and nothing notices.
    pub(crate) fn skip(&mut self, ms: i64) {
        self.clock.pass(ms);
        self.now = self.clock.now();
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, ms: i64) {
        self.skip(ms);
        self.release();
        let now = self.now;
        self.shards.iter_mut().for_each(|thread| thread.shard.tick(now));
    }

    /// Whether nothing is under way anywhere.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut mailboxes = self.node.world().shards.each.iter();
        let taken = mailboxes.all(|mailbox| {
            mailbox.messages.is_empty() && mailbox.requests.is_empty() && !mailbox.changes_lost
        });
        let mut shards = self.shards.iter().map(|thread| &thread.shard);
        let idle = shards.all(|shard| shard.outputs.requests.is_empty() && shard.held() == 0);
        taken && idle && self.node.is_idle()
    }

    /// Whether a session lives, as far as the node knows.
    pub(crate) fn knows(&self, session: SessionId) -> bool {
        let sessions = self.node.replica().sessions();
        sessions.get(session).is_some_and(|session| !session.is_closing)
    }

    /// Requests that wait for their commit.
    pub(crate) fn outstanding(&self) -> usize {
        self.node.replica().outstanding()
    }

    /// Whether a turn of the node would find something to do.
    pub(crate) fn has_work(&self) -> bool {
        self.node.has_work()
    }

    /// Batches in the mailbox of a shard.
    pub(crate) fn waiting(&self, shard: usize) -> usize {
        self.node.world().shards.each[shard].messages.len()
    }

    /// Whether the server has closed a connection and has nothing left to send on it.
    pub(crate) fn has_closed(&self, shard: usize, conn: ConnId) -> bool {
        let conn = self.shards[shard].shard.conn(conn);
        conn.is_none_or(|conn| {
            matches!(conn.phase, Phase::Closing | Phase::Lost) && conn.out.is_empty()
        })
    }

    fn take_history(&mut self) {
        self.history.append(&mut self.node.world_mut().observer.applied);
    }
}

fn take_messages(thread: &mut ShardThread, mailbox: &mut Mailbox, moment: Moment<'_>) {
    if std::mem::take(&mut mailbox.changes_lost) {
        thread.shard.changes_lost();
        thread.resets += 1;
    }
    while let Some(batch) = mailbox.messages.pop_front() {
        for message in batch {
            thread.shard.deliver(message, moment);
        }
    }
}

fn replica(
    db: &Database,
    settings: &ServerSettings,
    now: Now,
    learning: Option<LearningSettings>,
) -> Replica {
    let sessions = SessionTable::new(2_000, settings.session_ms_min, 40_000);
    let connections = settings.connections.clone();
    let settings = ReplicaSettings {
        server: ServerId(settings.id),
        ops: op_settings(),
        passwords: settings.secret.passwords(),
        session_ids: SessionIdSource::new(settings.id, now.wall),
        removal: SpentRemoval { interval_ms: 5_000, per_minute: 10_000, never_used_ms: 0 },
        hash_seed: HASH_SEED,
        connections: connections.map(|limits| ConnectionThrottle::new(limits, now.mono)),
        epochs: settings.epochs,
    };
    match learning {
        None => Replica::new(db, sessions, settings, now),
        Some(learning) => Replica::learner(db, sessions, (settings, learning), now),
    }
}

fn shard_settings(settings: &ServerSettings) -> ShardSettings {
    ShardSettings {
        ops: op_settings(),
        sasl: SaslSettings::none(),
        frame_bytes_max: settings.frame_bytes_max,
        handshake_ms: 10_000,
        catch_up_ms: 0,
        hash_seed: HASH_SEED,
        outstanding_max: settings.outstanding_max,
        requests: settings.requests.clone(),
        audits: false,
        words: vec![KnownWord { name: *b"stmk", has_argument: true }],
    }
}
