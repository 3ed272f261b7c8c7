//! What the server's metrics, messages and audit log take from its node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use ringkeeper_engine::Now;
use ringkeeper_engine::log::Flushed;
use ringkeeper_engine::log::gathering::PaceReport;
use ringkeeper_engine::sequencer::QuotaNotes;
use ringkeeper_engine::throttle::ConnectionTally;
use ringkeeper_engine::txn::TxnBody;
use ringkeeper_replication::node::Observer;
use ringkeeper_replication::{Committed, Proposal, ProposalSizes, Replica, WriteAdmission};

use crate::admin::Distribution;
use crate::admin::audit::AuditEnd;
use crate::client_log::ClientLog;
use crate::node::quotas::QuotaLog;

/// What reports want to know of the node, published once per turn.
#[derive(Default)]
pub struct Gauges {
    /// Requests ordered or waiting.
    pub outstanding: AtomicUsize,
    /// Sessions known.
    pub sessions: AtomicUsize,
    /// Syncs that wait.
    pub pending_syncs: AtomicUsize,
    /// Sessions that this server let expire.
    pub expired: AtomicU64,
    /// Whether this server orders: it leads, or is alone.
    orders: AtomicBool,
    /// What this server has ordered.
    pub ordered: TxnCounters,
    /// What it has learned from a leader.
    pub learned: TxnCounters,
    /// How large the proposals were that this server has ordered, since it leads.
    pub proposals: parking_lot::Mutex<Option<ProposalSizes>>,
    /// What the limit of new connections did.
    pub connections: parking_lot::Mutex<ConnectionTally>,
    /// Requests refused for a quota, by the first component of their paths.
    pub quotas_refused: parking_lot::Mutex<BTreeMap<Box<str>, u64>>,
    /// The bits of the chance with which it turns a connection away.
    pub drop_chance: AtomicU64,
    /// Requests that were ordered together.
    pub batch: Distribution,
    /// Microseconds that ordering took, per request.
    pub prepare: Distribution,
    /// Microseconds from a group's first request to its handing over to the log.
    pub gather: Distribution,
    /// Microseconds from a group's first request until it was durable.
    pub settle: Distribution,
    /// Microseconds of one critical section of the write lock.
    pub apply: Distribution,
    /// What batching delays are decided from, after the last flush.
    pub pace: parking_lot::Mutex<PaceReport>,
}

/// Transactions.
#[derive(Default)]
pub struct TxnCounters {
    /// Those that were made durable here.
    pub logged: AtomicU64,
    /// Those that were applied.
    pub applied: AtomicU64,
}

impl Gauges {
    /// Publishes what the replica knows.
    pub(super) fn publish(&self, replica: &mut Replica) {
        if let Some(throttle) = replica.connections() {
            self.drop_chance.store(throttle.chance().to_bits(), Relaxed);
            self.connections.lock().add(throttle.take_tally());
        }
        self.outstanding.store(replica.outstanding(), Relaxed);
        self.sessions.store(replica.sessions().len(), Relaxed);
        self.pending_syncs.store(replica.pending_syncs(), Relaxed);
        self.expired.store(replica.expired(), Relaxed);
        let (orders, sizes) = (replica.orders(), replica.take_proposal_sizes());
        if !self.orders.swap(orders, Relaxed) {
            // What it has learned, or ordered before it followed another one.
            *self.proposals.lock() = None;
        } else if let Some(sizes) = sizes {
            ProposalSizes::add(&mut self.proposals.lock(), sizes);
        }
    }

    /// The counters of what this server does now: it orders, or learns.
    fn txns(&self) -> &TxnCounters {
        if self.orders.load(Relaxed) { &self.ordered } else { &self.learned }
    }
}

/// Listens to the node of this server.
pub struct NodeObserver {
    /// For reports.
    pub gauges: Arc<Gauges>,
    quotas: QuotaLog,
    audit: Option<AuditEnd>,
    clients: Arc<ClientLog>,
}

impl NodeObserver {
    /// Publishes to `gauges`, sends what the audit log says of sessions that end to `audit`, and
    /// says in `clients` which ones expire.
    pub fn new(
        gauges: Arc<Gauges>,
        audit: Option<AuditEnd>,
        clients: Arc<ClientLog>,
    ) -> NodeObserver {
        NodeObserver { gauges, quotas: QuotaLog::default(), audit, clients }
    }
}

/// Whether the server has ended this session: a client that does has a number for its request.
fn is_expiry(proposal: &Proposal) -> bool {
    let Proposal { txn, origin, .. } = proposal;
    matches!(txn.body, TxnBody::CloseSession { .. }) && origin.is_none() && txn.cxid == 0
}

impl Observer for NodeObserver {
    fn ordered(&mut self, requests: u64, micros: u64) {
        self.gauges.batch.record(requests);
        self.gauges.prepare.record(micros);
    }

    fn flushed(&mut self, group: Flushed, settle_us: u64, gathering: PaceReport) {
        self.gauges.settle.record(settle_us);
        self.gauges.gather.record(settle_us.saturating_sub(group.micros));
        self.gauges.txns().logged.fetch_add(group.records.into(), Relaxed);
        *self.gauges.pace.lock() = gathering;
    }

    fn has_capacity(&self) -> bool {
        self.audit.as_ref().is_none_or(AuditEnd::has_capacity)
    }

    fn applying(&mut self, next: &Committed) {
        if let Committed::Apply(_) | Committed::Replay(_) = next {
            self.gauges.txns().applied.fetch_add(1, Relaxed);
        }
        if let Committed::Apply(proposal) = next
            && is_expiry(proposal)
            && self.gauges.orders.load(Relaxed)
        {
            self.clients.expired(proposal.txn.session);
        }
        if let (Some(audit), Committed::Apply(proposal)) = (&self.audit, next) {
            audit.push_session_end(&proposal.txn);
        }
    }

    fn applied(&mut self, micros: u64) {
        self.gauges.apply.record(micros);
    }

    fn quotas(&mut self, notes: QuotaNotes, now: Now) {
        for (limit, excess) in &notes.excesses {
            self.quotas.note(*limit, excess, now.mono.0);
        }
        let mut refused = self.gauges.quotas_refused.lock();
        for (namespace, count) in notes.refused {
            *refused.entry(namespace).or_default() += count;
        }
    }

    fn admission(&mut self, admission: WriteAdmission) {
        match admission {
            WriteAdmission::All => tracing::info!("there is space again: writes are accepted"),
            WriteAdmission::CloseOnly | WriteAdmission::None => tracing::error!(
                "the disk is full: writes are refused until there is space again; reads go on"
            ),
        }
    }
}
