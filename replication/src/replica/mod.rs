//! One member of an ensemble: it serves its clients, orders if it leads, and releases what is
//! committed.
//!
//! [`serving`] and [`commit_queue`] are every server's. One that orders is [`leading`], with an
//! [`orderer`] and a [`quorum`]; a standalone server is a leader whose quorum has one member. One
//! that has a leader is [`learning`], and [`forwarding`] has what its clients wait for. A member
//! goes from one to the other and back.

mod closing;
#[cfg(test)]
mod closing_tests;
mod commit_queue;
mod forwarding;
mod leading;
mod learning;
mod orderer;
mod quorum;
mod serving;

pub use orderer::{EpochLimits, SpentRemoval};

use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::EnsembleIdentity;
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::sequencer::QuotaNotes;
use ringkeeper_engine::session::{ServerId, SessionIdSource, SessionTable};
use ringkeeper_engine::throttle::ConnectionThrottle;
use ringkeeper_engine::{Now, Zxid};

use self::commit_queue::CommitQueue;
use self::forwarding::Kept;
use self::leading::{Ensemble, Leading, LeftCapacity};
use self::learning::Learning;
pub use self::learning::LearningSettings;
use self::orderer::{OrderRules, Ordered, Orderer};
use self::quorum::Quorum;
pub use self::serving::PasswordSource;
use self::serving::Serving;
use crate::{ElectionReason, Input, Outputs, Proposal, ProposalSizes, WriteAdmission};

/// What a replica is built from.
pub struct ReplicaSettings {
    /// This server's number.
    pub server: ServerId,
    /// Rules of the operations.
    pub ops: OpSettings,
    /// Seed of the hash tables, random per process.
    pub hash_seed: u64,
    /// How session passwords are made.
    pub passwords: PasswordSource,
    /// Where session ids come from.
    pub session_ids: SessionIdSource,
    /// When containers and TTL nodes are removed.
    pub removal: SpentRemoval,
    /// Which new connections are let in; `None`: all.
    pub connections: Option<ConnectionThrottle>,
    /// How far an ensemble's leader counts in one epoch.
    pub epochs: EpochLimits,
}

/// One member of an ensemble; alone, it is its own quorum.
///
/// Invariant: applied <= committed <= durable on a quorum <= ordered. A server that has a leader
/// applies nothing either that its own log does not hold.
pub struct Replica {
    common: Common,
    role: Role,
    /// How it has a leader, where others may lead.
    learning: Option<LearningSettings>,
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
    /// How it orders when it does.
    rules: OrderRules,
    /// The last number that a quorum was to confirm.
    confirmations: u64,
    /// Sessions whose end this server has ordered because their time was up.
    expired: u64,
}

impl Common {
    fn new(settings: ReplicaSettings, last: Zxid) -> Common {
        let ReplicaSettings { server, ops, hash_seed, removal, epochs, .. } = settings;
        let ReplicaSettings { passwords, session_ids, connections, .. } = settings;
        let serving = Serving { server, passwords, session_ids, connections };
        let rules = OrderRules { ops, hash_seed, removal, epochs };
        Common { serving, queue: CommitQueue::new(last), rules, confirmations: 0, expired: 0 }
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
        let common = Common::new(settings, last);
        let orderer = Orderer::alone(db, sessions, &common.rules, now);
        let quorum = Quorum::alone(server, last);
        let capacity = LeftCapacity::default();
        let leading = Leading { orderer, quorum, ensemble: None, capacity };
        Replica { common, role: Role::Leading(Box::new(leading)), learning: None }
    }

    /// A server that looks for its leader, behind what was recovered.
    pub fn learner(
        db: &Database,
        sessions: SessionTable,
        (settings, learning): (ReplicaSettings, LearningSettings),
        now: Now,
    ) -> Replica {
        let common = Common::new(settings, db.applied());
        let role = Role::Learning(Box::new(Learning::new(db, sessions, learning, now.mono)));
        Replica { common, role, learning: Some(learning) }
    }

    /// The only way in. Every effect leaves through `out`; the database is read, never changed.
    pub fn step(&mut self, input: Input<'_>, out: &mut Outputs) {
        match input {
            Input::Lead { epoch, voters, db, now } => self.lead((epoch, voters), (db, now), out),
            Input::StopLeading { now } => self.stop_leading(now, out),
            input => match &mut self.role {
                Role::Leading(leading) => leading.step(&mut self.common, input, out),
                Role::Learning(learning) => learning.step(&mut self.common, input, out),
            },
        }
    }

    fn lead(
        &mut self,
        (epoch, voters): (u32, Vec<ServerId>),
        (db, now): (&Database, Now),
        out: &mut Outputs,
    ) {
        assert!(self.is_applied(db), "a leader begins behind everything that it has");
        self.common.serving.passwords.settle();
        let Role::Learning(learning) = &mut self.role else { panic!("it leads already") };
        assert!(self.common.queue.len() == 0, "everything that is committed is released");
        let (sessions, attached, forwarding) = learning.give_up_role(out);
        let quorum = Quorum::of(voters, self.common.serving.server, (epoch, db.applied()));
        let sessions = (sessions, attached);
        let orderer = Orderer::of_ensemble(epoch, db, sessions, &self.common.rules, now);
        let ensemble = Some(Ensemble::new(Kept::new(forwarding)));
        let capacity = LeftCapacity::default();
        let leading = Leading { orderer, quorum, ensemble, capacity };
        self.role = Role::Leading(Box::new(leading));
    }

    fn stop_leading(&mut self, now: Now, out: &mut Outputs) {
        let settings = self.learning.expect("a standalone server leads for ever");
        let Role::Leading(leading) = &mut self.role else { panic!("it does not lead") };
        let mut learning = Learning::after(leading, &mut self.common, settings, now.mono, out);
        learning.release(&mut self.common, out);
        self.role = Role::Learning(Box::new(learning));
    }

    /// This server belongs to this ensemble.
    pub(crate) fn adopt(&mut self, ensemble: &EnsembleIdentity, now: Now) {
        let Serving { passwords, session_ids, .. } = &mut self.common.serving;
        passwords.adopt(ensemble);
        session_ids.advance(now.wall);
    }

    /// Whether everything that was learned is committed, on the disk and applied.
    pub fn is_applied(&self, db: &Database) -> bool {
        match &self.role {
            Role::Leading(_) => db.applied() == self.last(),
            Role::Learning(learning) => learning.is_at(db.applied()),
        }
    }

    /// Whether this server leads others, or could.
    pub fn leads_ensemble(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.ensemble.is_some(),
            Role::Learning(_) => false,
        }
    }

    /// Whether this server orders: it leads others, or is alone.
    pub fn orders(&self) -> bool {
        match &self.role {
            Role::Leading(_) => true,
            Role::Learning(_) => false,
        }
    }

    /// Sessions that this server has let expire.
    pub fn expired(&self) -> u64 {
        self.common.expired
    }

    /// Syncs of clients here and at learners that wait for a quorum or a commit.
    pub fn pending_syncs(&self) -> usize {
        self.common.queue.syncs()
    }

    /// How large the proposals since the last call were, ordered here or learned.
    pub fn take_proposal_sizes(&mut self) -> Option<ProposalSizes> {
        self.common.queue.take_sizes()
    }

    /// Whether requests that waited for a leader are ordered with the next [`Input::Requests`]. New
    /// ones come behind them.
    pub fn has_kept(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.kept().is_some_and(|kept| !kept.is_empty()),
            Role::Learning(_) => false,
        }
    }

    /// Whether requests can be ordered, or sent to a leader. Not where the epoch is used up.
    pub fn can_order(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => !leading.orderer.is_used_up(),
            Role::Learning(_) => true,
        }
    }

    /// Whether this server should lead in a later epoch, or another one: the epoch is as good as
    /// used up; or the log had no space even for refusals, and has some again. What learners have
    /// sent meanwhile was dropped, and they send it to the next leader.
    pub fn wants_election(&self) -> Option<ElectionReason> {
        let Role::Leading(leading) = &self.role else { return None };
        let has_space = leading.orderer.admission() == WriteAdmission::All;
        let has_dropped = leading.ensemble.as_ref().is_some_and(|it| it.has_dropped);
        match () {
            () if leading.orderer.wants_election() => Some(ElectionReason::EpochUsedUp),
            () if has_space && has_dropped => Some(ElectionReason::SpaceAgain),
            () => None,
        }
    }

    /// The sessions, for reports.
    pub fn sessions(&self) -> &SessionTable {
        match &self.role {
            Role::Leading(leading) => leading.orderer.sessions(),
            Role::Learning(learning) => learning.sessions(),
        }
    }

    /// The last transaction that was ordered, or learned.
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
            Role::Leading(leading) => leading.kept().map_or(0, Kept::len),
            Role::Learning(learning) => learning.outstanding(),
        };
        self.common.queue.len() + forwarded
    }

    /// What is ordered or learned and not committed, and what waits behind it.
    pub fn uncommitted(&self) -> usize {
        self.common.queue.len()
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

    /// Whether a tick would go on with ends of sessions, where everything up to `applied` is in the
    /// tree.
    pub fn wants_step(&self, applied: impl FnOnce() -> Zxid) -> bool {
        match &self.role {
            Role::Leading(leading) => {
                leading.orderer.closing.len() > 0 && leading.orderer.wants_step(applied())
            }
            Role::Learning(_) => false,
        }
    }

    /// Whether the next tick should come at once: more sessions were due than one step looks at.
    pub fn wants_tick(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.orderer.wants_tick(),
            Role::Learning(_) => false,
        }
    }
}
