//! One member of an ensemble: it serves its clients, orders if it leads, and releases what is
//! committed.
//!
//! Three roles, one module each: [`serving`] (every server, for its own clients), [`orderer`] (the
//! leader) and [`commit_queue`] (every server). A standalone server is a leader whose quorum has
//! one member.

mod commit_queue;
mod orderer;
mod quorum;
mod serving;

pub use orderer::SpentRemoval;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::LogCapacity;
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::request::{Origin, Outcome, Request, RequestKind};
use ringkeeper_engine::sequencer::{Caller, QuotaNotes};
use ringkeeper_engine::session::{Owner, Passwords, ServerId, SessionIdSource, SessionTable};
use ringkeeper_engine::throttle::{ConnectionThrottle, NewConnection};
use ringkeeper_engine::wire::connect::Password;
use ringkeeper_engine::{Now, SessionId, Zxid};

use self::commit_queue::CommitQueue;
use self::orderer::{Ordered, Orderer};
use self::quorum::Quorum;
use self::serving::{Serving, connection_of};
use crate::{Committed, Input, Outputs, Proposal, WriteAdmission};

/// What a replica is built from.
pub struct ReplicaSettings {
    /// This server's number.
    pub server: ServerId,
    /// Rules of the operations.
    pub ops: OpSettings,
    /// Seed of the hash tables, random per process.
    pub hash_seed: u64,
    /// How session passwords are made.
    pub passwords: Passwords,
    /// Where session ids come from.
    pub session_ids: SessionIdSource,
    /// When containers and TTL nodes are removed.
    pub removal: SpentRemoval,
    /// Which new connections are let in; `None`: all.
    pub connections: Option<ConnectionThrottle>,
}

/// One member of an ensemble; alone, it is its own quorum.
///
/// Invariant: applied <= committed <= durable on a quorum <= ordered.
pub struct Replica {
    serving: Serving,
    orderer: Orderer,
    queue: CommitQueue,
    quorum: Quorum,
}

impl Replica {
    /// Begins behind what was recovered.
    pub fn new(
        db: &Database,
        sessions: SessionTable,
        settings: ReplicaSettings,
        now: Now,
    ) -> Replica {
        let ReplicaSettings { server, ops, hash_seed, .. } = settings;
        let ReplicaSettings { passwords, session_ids, removal, connections, .. } = settings;
        let last = db.applied();
        Replica {
            serving: Serving { server, passwords, session_ids, connections },
            orderer: Orderer::new(db, sessions, (ops, hash_seed), removal, now),
            queue: CommitQueue::new(last),
            quorum: Quorum::new([server], last),
        }
    }

    /// The only way in. Every effect leaves through `out`; the database is read, never changed.
    pub fn step(&mut self, input: Input<'_>, out: &mut Outputs) {
        match input {
            Input::Requests { requests, db, now } => {
                self.look_at(db);
                for request in requests.drain(..) {
                    self.on_request(db, request, now, out);
                }
            }
            Input::Flushed(upto) => self.on_flushed(upto),
            Input::Tick { db, now } => {
                self.look_at(db);
                self.on_tick(db, now, out);
            }
            Input::Capacity(capacity) => self.on_capacity(capacity),
        }
        self.release(out);
    }

    /// The sessions, for reports.
    pub fn sessions(&self) -> &SessionTable {
        self.orderer.sessions()
    }

    /// The last zxid given.
    pub fn last(&self) -> Zxid {
        self.orderer.last()
    }

    /// The last zxid committed.
    pub fn committed(&self) -> Zxid {
        self.queue.committed()
    }

    /// Requests that wait for their commit.
    pub fn outstanding(&self) -> usize {
        self.queue.len()
    }

    /// Which requests are accepted.
    pub fn admission(&self) -> WriteAdmission {
        self.orderer.admission()
    }

    /// Notes about quotas since the last call.
    pub fn take_quota_notes(&mut self) -> Option<QuotaNotes> {
        self.orderer.take_quota_notes()
    }

    /// The limit of new connections, for reports.
    pub fn connections(&mut self) -> Option<&mut ConnectionThrottle> {
        self.serving.connections.as_mut()
    }

    /// Whether the next tick should come at once: more sessions were due than one step looks at.
    pub fn wants_tick(&self) -> bool {
        self.orderer.wants_tick()
    }

    /// The database may be behind what is committed, never ahead of it. What it has not applied is
    /// among the outstanding changes.
    fn look_at(&mut self, db: &Database) {
        assert!(db.applied() <= self.committed(), "something was applied before its commit");
        self.orderer.applied(db.applied());
    }

    fn on_request(&mut self, db: &Database, request: Request, now: Now, out: &mut Outputs) {
        let Request { origin, caller, kind } = request;
        match kind {
            RequestKind::Open { .. } if !self.serving.admits(NewConnection::Open, now) => {
                self.queue.answer(origin, Outcome::Unavailable);
            }
            RequestKind::Attach { .. } if !self.serving.admits(NewConnection::Renew, now) => {
                self.queue.answer(origin, Outcome::Unavailable);
            }
            RequestKind::Open { timeout_ms } => self.open(origin, timeout_ms, now, out),
            RequestKind::Attach { session, password, timeout_ms } => {
                self.attach(origin, (session, password), timeout_ms, now);
            }
            RequestKind::Sync => self.queue.answer(origin, Outcome::Synced),
            RequestKind::Read(read) => self.queue.read(origin, caller, read),
            RequestKind::Close => self.close(db, origin, &caller, now, out),
            RequestKind::Write(write) => {
                let owner = Owner::Connection(origin);
                let ordered = self.orderer.write(db, &caller, owner, write, now);
                self.enter(origin, ordered, out);
            }
        }
    }

    fn close(
        &mut self,
        db: &Database,
        origin: Origin,
        caller: &Caller,
        now: Now,
        out: &mut Outputs,
    ) {
        let ordered = self.orderer.close(db, caller, Owner::Connection(origin), now);
        self.enter(origin, ordered, out);
    }

    fn open(&mut self, origin: Origin, timeout_ms: i32, now: Now, out: &mut Outputs) {
        if self.admission() != WriteAdmission::All {
            return self.queue.answer(origin, Outcome::Unavailable);
        }
        let session = self.serving.new_session(self.orderer.sessions());
        let timeout_ms = self.orderer.sessions().clamp(timeout_ms);
        let owner = Owner::Connection(origin);
        let (txn, last_heard) = self.orderer.open(session, timeout_ms, owner, now);
        let attachment = Some(self.serving.attachment(session, timeout_ms, last_heard));
        let proposal = Proposal { txn, origin: Some(origin), attachment };
        self.queue.propose(proposal, &mut out.group);
    }

    /// The password is verified before anything is disturbed: a stranger who guesses an id does
    /// not disconnect the owner (trap 21).
    fn attach(
        &mut self,
        origin: Origin,
        (session, password): (SessionId, Option<Password>),
        timeout_ms: i32,
        now: Now,
    ) {
        if !self.serving.verify(session, password.as_ref()) {
            return self.queue.answer(origin, Outcome::Gone);
        }
        let timeout_ms = self.orderer.sessions().clamp(timeout_ms);
        let owner = Owner::Connection(origin);
        let Some(attached) = self.orderer.attach(session, timeout_ms, owner, now) else {
            return self.queue.answer(origin, Outcome::Gone);
        };
        let previous = attached.previous.and_then(connection_of);
        if let Some(previous) = previous.filter(|previous| *previous != origin) {
            self.queue.close_connection(previous, session);
        }
        let attachment = self.serving.attachment(session, timeout_ms, attached.last_heard);
        self.queue.answer(origin, Outcome::Granted(attachment));
    }

    /// Gives a client's request its place among what is answered.
    fn enter(&mut self, origin: Origin, ordered: Ordered, out: &mut Outputs) {
        match ordered {
            Ordered::Txn(txn) => self.queue.propose(Proposal::of(origin, txn), &mut out.group),
            Ordered::Refused(outcome) => self.queue.answer(origin, outcome),
        }
    }

    fn on_flushed(&mut self, upto: Zxid) {
        assert!(upto <= self.orderer.last(), "the log holds what was never ordered");
        self.quorum.acked(self.serving.server, upto);
    }

    fn on_capacity(&mut self, capacity: LogCapacity) {
        self.orderer.admit(WriteAdmission::of(capacity));
    }

    fn on_tick(&mut self, db: &Database, now: Now, out: &mut Outputs) {
        let (Replica { orderer, queue, .. }, group) = (self, &mut out.group);
        orderer.expire(db, now, |txn, owner| {
            let session = txn.session;
            queue.propose(Proposal::internal(txn), group);
            if let Some(origin) = owner.and_then(connection_of) {
                queue.close_connection(origin, session);
            }
        });
        orderer.remove_spent(db, now, |txn| queue.propose(Proposal::internal(txn), group));
    }

    fn release(&mut self, out: &mut Outputs) {
        let released = out.committed.len();
        self.queue.release(self.quorum.committed(), &mut out.committed);
        for committed in &out.committed[released..] {
            if let Committed::Apply(proposal) = committed {
                self.orderer.committed(&proposal.txn);
            }
        }
    }
}
