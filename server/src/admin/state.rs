//! The state of the whole server, as reports show it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use ringkeeper_engine::throttle::ConnectionTally;
use ringkeeper_engine::txn::CONFIG_NODE;
use ringkeeper_engine::{SessionId, Zxid};

use super::facts::ServerFacts;
use super::host::dir_bytes;
use crate::config::{Member, NamedMembers, PeerRole};
use crate::log::writer::FlushStats;
use crate::node::observer::{Gauges, TxnCounters};
use crate::node::view::View;
use crate::peers::status::{ClientService, MemberReport, MemberStatus};
use crate::shards::ConnectionLimiter;
use crate::storage::snapshots::SnapshotStats;

/// ZooKeeper's, before the first `stmk`.
const TRACE_MASK: i64 = 306;
/// Ephemeral nodes that are read under one hold of the database's guard.
const EPHEMERALS_SLICE: usize = 1_024;

/// What ZooKeeper says while it does not serve clients.
pub(super) const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// The parts of the server whose numbers reports show.
pub struct ReportSources {
    /// What does not change.
    pub facts: ServerFacts,
    /// The database.
    pub view: Arc<View>,
    /// Numbers of the node.
    pub gauges: Arc<Gauges>,
    /// Numbers of the log.
    pub commits: Arc<FlushStats>,
    /// Numbers of snapshots.
    pub snapshots: Arc<SnapshotStats>,
    /// Numbers of connections that were turned away.
    pub limiter: Arc<ConnectionLimiter>,
    /// What this server is doing as a member of an ensemble, where it is one.
    pub member: Option<Arc<MemberStatus>>,
    /// Lines that the audit log has lost, where there is one.
    pub audit_lost: Option<Arc<AtomicU64>>,
}

/// What reports know of the server beside its shards.
pub struct ServerState {
    pub(super) sources: ReportSources,
    /// `stmk` sets it and `gtmk` shows it; nothing else looks at it.
    pub(super) trace_mask: AtomicI64,
    /// The port for clients without TLS; 0 until it is bound, and where there is none.
    client_port: AtomicU16,
    /// The port for clients with TLS, in the same way.
    secure_client_port: AtomicU16,
    /// What the counters said when they were reset last.
    reset_at: Mutex<Totals>,
}

/// The size of the database, and how far it has come.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct DatabaseSize {
    /// The last transaction applied.
    pub applied: Zxid,
    /// Nodes.
    pub nodes: u64,
    /// Ephemeral nodes.
    pub ephemerals: u64,
    /// Bytes of paths and data, as ZooKeeper estimates them.
    pub data_bytes: u64,
}

/// Bytes in the directories.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct DirBytes {
    /// In `dataDir`.
    pub data: u64,
    /// In `dataLogDir`.
    pub log: u64,
}

/// Sessions with the paths of their ephemeral nodes.
pub(super) type Ephemerals = BTreeMap<SessionId, Vec<String>>;

impl ServerState {
    /// What SIGHUP may change: settings that reports show, and limits on connections.
    pub fn changing(&self) -> (&ServerFacts, &ConnectionLimiter) {
        (&self.sources.facts, &self.sources.limiter)
    }

    /// The state of a server that has not bound its port yet.
    pub fn new(sources: ReportSources) -> ServerState {
        ServerState {
            sources,
            trace_mask: AtomicI64::new(TRACE_MASK),
            client_port: AtomicU16::new(0),
            secure_client_port: AtomicU16::new(0),
            reset_at: Mutex::default(),
        }
    }

    /// Says which ports are really bound: that without TLS, and that with TLS alone.
    pub fn listens_on(&self, plain: Option<SocketAddr>, secure: Option<SocketAddr>) {
        let port = |address: Option<SocketAddr>| address.map_or(0, |address| address.port());
        self.client_port.store(port(plain), Relaxed);
        self.secure_client_port.store(port(secure), Relaxed);
    }

    /// The port for clients with TLS, if there is one.
    pub(super) fn secure_client_port(&self) -> Option<u16> {
        Some(self.secure_client_port.load(Relaxed)).filter(|port| *port != 0)
    }

    /// The port for clients.
    pub(super) fn client_port(&self) -> u16 {
        self.client_port.load(Relaxed)
    }

    /// What this server is doing as a member of an ensemble, where it is one.
    pub(crate) fn member(&self) -> Option<MemberReport> {
        self.sources.member.as_ref().map(|member| member.report())
    }

    /// How far clients are served.
    pub(super) fn clients(&self) -> ClientService {
        self.member().map_or(ClientService::All, |report| report.clients)
    }

    /// ZooKeeper's word for what this server is to others.
    pub(super) fn mode(&self) -> &'static str {
        let Some(report) = self.member() else { return "standalone" };
        let own = self.sources.facts.server_id;
        match report.role {
            PeerRole::Observer => "observer",
            PeerRole::Participant => match report.leader {
                Some(leader) if u64::from(leader.id.0) == own => "leader",
                Some(_) | None => "follower",
            },
        }
    }

    pub(super) fn database_size(&self) -> DatabaseSize {
        let db = self.sources.view.read();
        DatabaseSize {
            applied: db.applied(),
            nodes: db.tree.node_count(),
            ephemerals: db.tree.ephemerals_count(),
            data_bytes: db.tree.approximate_data_size(),
        }
    }

    /// The sessions of the ensemble, with their timeouts in milliseconds.
    pub(super) fn global_sessions(&self) -> Vec<(SessionId, i32)> {
        self.sources.view.read().sessions().collect()
    }

    /// The members of the ensemble as text: those that its leader has named, or, before one has,
    /// those of the configuration file. A server on its own has none.
    pub(super) fn members(&self) -> Option<String> {
        let ensemble = self.sources.facts.ensemble.as_ref()?;
        let db = self.sources.view.read();
        let data = db.tree.find(CONFIG_NODE).and_then(|node| db.tree.data(node));
        let named = data.and_then(|data| String::from_utf8(data.to_vec()).ok());
        Some(named.filter(|text| !text.is_empty()).unwrap_or_else(|| ensemble.text()))
    }

    /// The members that vote, by their numbers.
    pub(super) fn voters(&self) -> Vec<Member> {
        let text = self.members().unwrap_or_default();
        let named = NamedMembers::parse(&text).map(|named| named.members).unwrap_or_default();
        named.into_iter().filter(|member| member.role == PeerRole::Participant).collect()
    }

    /// Waits for the disk.
    pub(super) fn dir_bytes(&self) -> DirBytes {
        let facts = &self.sources.facts;
        DirBytes { data: dir_bytes(&facts.data_dir), log: dir_bytes(&facts.data_log_dir) }
    }

    /// The ephemeral nodes, a slice under each hold of the guard.
    pub(super) fn ephemerals(&self) -> Ephemerals {
        let view = &self.sources.view;
        let sessions: Vec<_> = view.read().tree.ephemeral_sessions().collect();
        let mut ephemerals = Ephemerals::new();
        for session in sessions {
            let mut paths = Vec::new();
            loop {
                let before = paths.len();
                let db = view.read();
                let slice = db.tree.ephemerals(session).skip(before).take(EPHEMERALS_SLICE);
                paths.extend(slice.map(|id| db.tree.path_of(id)));
                if paths.len() - before < EPHEMERALS_SLICE {
                    break;
                }
            }
            // The session may have ended meanwhile.
            if !paths.is_empty() {
                ephemerals.insert(session, paths);
            }
        }
        ephemerals
    }

    /// The counters since the last reset.
    pub(super) fn totals(&self) -> Totals {
        let before = *self.reset_at.lock();
        Totals::of(&self.sources).since(before)
    }

    /// Begins the counters anew.
    pub(super) fn reset(&self) {
        *self.reset_at.lock() = Totals::of(&self.sources);
        clear(&self.sources);
    }
}

/// Counters that others need as well, so that they are never set back: a reset is remembered
/// instead.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Totals {
    /// Transactions that this server ordered: made durable, and applied.
    pub ordered: (u64, u64),
    /// The same of those that it learned from a leader.
    pub learned: (u64, u64),
    /// Sessions that expired.
    pub expired: u64,
    /// Connections that were turned away.
    pub rejected: u64,
    /// Commits of the log.
    pub commits: u64,
    /// Records of the log.
    pub records: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// Microseconds of all commits.
    pub commit_us: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Milliseconds of all snapshots.
    pub snapshots_ms: u64,
    /// Snapshots that failed.
    pub snapshots_failed: u64,
}

impl Totals {
    /// What the counters say.
    fn of(sources: &ReportSources) -> Totals {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        let both = |txns: &TxnCounters| (load(&txns.logged), load(&txns.applied));
        Totals {
            ordered: both(&sources.gauges.ordered),
            learned: both(&sources.gauges.learned),
            expired: load(&sources.gauges.expired),
            rejected: load(&sources.limiter.rejected),
            commits: load(&sources.commits.flushes),
            records: load(&sources.commits.records),
            bytes: load(&sources.commits.bytes),
            commit_us: load(&sources.commits.micros_sum),
            snapshots: load(&sources.snapshots.taken),
            snapshots_ms: load(&sources.snapshots.sum_ms),
            snapshots_failed: load(&sources.snapshots.failed),
        }
    }

    fn since(self, before: Totals) -> Totals {
        let both = |now: (u64, u64), before: (u64, u64)| (now.0 - before.0, now.1 - before.1);
        Totals {
            ordered: both(self.ordered, before.ordered),
            learned: both(self.learned, before.learned),
            expired: self.expired - before.expired,
            rejected: self.rejected - before.rejected,
            commits: self.commits - before.commits,
            records: self.records - before.records,
            bytes: self.bytes - before.bytes,
            commit_us: self.commit_us - before.commit_us,
            snapshots: self.snapshots - before.snapshots,
            snapshots_ms: self.snapshots_ms - before.snapshots_ms,
            snapshots_failed: self.snapshots_failed - before.snapshots_failed,
        }
    }
}

/// Forgets the extremes and the distributions. What only grows goes on: see [`Totals`].
fn clear(sources: &ReportSources) {
    let commits = &sources.commits;
    commits.micros_min.store(u64::MAX, Relaxed);
    commits.micros_max.store(0, Relaxed);
    if let Some(histogram) = commits.histogram.lock().as_mut() {
        histogram.reset();
    }
    sources.member.iter().for_each(|member| member.reset());
    sources.snapshots.min_ms.store(u64::MAX, Relaxed);
    sources.snapshots.max_ms.store(0, Relaxed);
    let gauges = &sources.gauges;
    gauges.quotas_refused.lock().clear();
    *gauges.proposals.lock() = None;
    *gauges.connections.lock() = ConnectionTally::default();
    let all = [&gauges.batch, &gauges.prepare, &gauges.gather, &gauges.settle, &gauges.apply];
    all.into_iter().chain([&commits.batch]).for_each(|distribution| distribution.clear());
}
