//! One member of an ensemble: it serves its clients, orders if it leads, and releases what is
//! committed.
//!
//! [`serving`] and [`commit_queue`] are every server's. One that orders is [`leading`], with an
//! [`orderer`] and a [`quorum`]; a standalone server is a leader whose quorum has one member. One
//! that has a leader is [`learning`].

mod commit_queue;
mod leading;
mod learning;
mod orderer;
mod quorum;
mod serving;

pub use orderer::SpentRemoval;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::sequencer::QuotaNotes;
use ringkeeper_engine::session::{Passwords, ServerId, SessionIdSource, SessionTable};
use ringkeeper_engine::throttle::ConnectionThrottle;
use ringkeeper_engine::{Now, Zxid};

use self::commit_queue::CommitQueue;
use self::leading::Leading;
use self::learning::Learning;
pub use self::learning::LearningSettings;
use self::orderer::{Ordered, Orderer};
use self::quorum::Quorum;
use self::serving::Serving;
use crate::{Input, Outputs, Proposal, WriteAdmission};

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
/// Invariant: applied <= committed <= durable on a quorum <= ordered. A server that has a leader
/// applies nothing either that its own log does not hold.
pub struct Replica {
    common: Common,
    role: Role,
}

/// What a server is in its ensemble.
enum Role {
    /// It orders.
    Leading(Box<Leading>),
    /// It has a leader.
    Learning(Box<Learning>),
}

/// What a server does in every role.
struct Common {
    serving: Serving,
    queue: CommitQueue,
}

impl Common {
    fn new(settings: ReplicaSettings, last: Zxid) -> (Common, SpentRemoval, (OpSettings, u64)) {
        let ReplicaSettings { server, ops, hash_seed, removal, .. } = settings;
        let ReplicaSettings { passwords, session_ids, connections, .. } = settings;
        let serving = Serving { server, passwords, session_ids, connections };
        (Common { serving, queue: CommitQueue::new(last) }, removal, (ops, hash_seed))
    }

    /// Gives a client's request its position among what is answered.
    fn enter(&mut self, origin: Origin, ordered: Ordered, out: &mut Outputs) {
        match ordered {
            Ordered::Txn(txn) => self.queue.propose(Proposal::of(origin, txn), &mut out.group),
            Ordered::Refused(outcome) => self.queue.answer(origin, outcome),
        }
    }

    fn assert_applied(&self, db: &Database) {
        let committed = self.queue.committed();
        assert!(db.applied() <= committed, "something was applied before its commit");
    }
}

impl Replica {
    /// A server that orders, behind what was recovered.
    pub fn new(
        db: &Database,
        sessions: SessionTable,
        settings: ReplicaSettings,
        now: Now,
    ) -> Replica {
        let (server, last) = (settings.server, db.applied());
        let (common, removal, rules) = Common::new(settings, last);
        let orderer = Orderer::new(db, sessions, rules, removal, now);
        let quorum = Quorum::new([server], last);
        Replica { common, role: Role::Leading(Box::new(Leading { orderer, quorum })) }
    }

    /// A server that looks for its leader, behind what was recovered.
    pub fn learner(
        db: &Database,
        sessions: SessionTable,
        (settings, learning): (ReplicaSettings, LearningSettings),
        now: Now,
    ) -> Replica {
        let (common, ..) = Common::new(settings, db.applied());
        let learning = Learning::new(db, sessions, learning, now.mono);
        Replica { common, role: Role::Learning(Box::new(learning)) }
    }

    /// The only way in. Every effect leaves through `out`; the database is read, never changed.
    pub fn step(&mut self, input: Input<'_>, out: &mut Outputs) {
        match &mut self.role {
            Role::Leading(leading) => leading.step(&mut self.common, input, out),
            Role::Learning(learning) => learning.step(&mut self.common, input, out),
        }
    }

    /// The sessions, for reports.
    pub fn sessions(&self) -> &SessionTable {
        match &self.role {
            Role::Leading(leading) => leading.orderer.sessions(),
            Role::Learning(learning) => learning.sessions(),
        }
    }

    /// The last zxid given, or learned.
    pub fn last(&self) -> Zxid {
        match &self.role {
            Role::Leading(leading) => leading.orderer.last(),
            Role::Learning(learning) => learning.last(),
        }
    }

    /// The last zxid committed.
    pub fn committed(&self) -> Zxid {
        self.common.queue.committed()
    }

    /// Requests that wait for their commit.
    pub fn outstanding(&self) -> usize {
        let forwarded = match &self.role {
            Role::Leading(_) => 0,
            Role::Learning(learning) => learning.outstanding(),
        };
        self.common.queue.len() + forwarded
    }

    /// Which requests are accepted. A server that has a leader accepts what the leader does.
    pub fn admission(&self) -> WriteAdmission {
        match &self.role {
            Role::Leading(leading) => leading.orderer.admission(),
            Role::Learning(_) => WriteAdmission::All,
        }
    }

    /// Notes about quotas since the last call. The leader has them.
    pub fn take_quota_notes(&mut self) -> Option<QuotaNotes> {
        match &mut self.role {
            Role::Leading(leading) => leading.orderer.take_quota_notes(),
            Role::Learning(_) => None,
        }
    }

    /// The limit of new connections, for reports.
    pub fn connections(&mut self) -> Option<&mut ConnectionThrottle> {
        self.common.serving.connections.as_mut()
    }

    /// Whether the next tick should come at once: more sessions were due than one step looks at.
    pub fn wants_tick(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.orderer.wants_tick(),
            Role::Learning(_) => false,
        }
    }
}
