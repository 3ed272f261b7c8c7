//! The state of the whole server, as reports show it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering::Relaxed};

use parking_lot::Mutex;
use ringkeeper_engine::{SessionId, Zxid};

use super::host::dir_bytes;
use super::sources::ReportSources;
use super::totals::{self, Totals};

/// ZooKeeper's, before the first `stmk`.
const TRACE_MASK: i64 = 306;
/// Ephemeral nodes that are read under one hold of the database's guard.
const EPHEMERALS_SLICE: usize = 1_024;

/// What a server says of itself that has no others around it.
pub(super) const MODE: &str = "standalone";

/// What reports know of the server beside its shards.
pub struct ServerState {
    pub(super) sources: ReportSources,
    /// `stmk` sets it and `gtmk` shows it; nothing else looks at it.
    pub(super) trace_mask: AtomicI64,
    /// The port for clients; 0 until it is bound.
    client_port: AtomicU16,
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
    /// The state of a server that has not bound its port yet.
    pub fn new(sources: ReportSources) -> ServerState {
        ServerState {
            sources,
            trace_mask: AtomicI64::new(TRACE_MASK),
            client_port: AtomicU16::new(0),
            reset_at: Mutex::default(),
        }
    }

    /// Says which port is really bound.
    pub fn listens_on(&self, port: u16) {
        self.client_port.store(port, Relaxed);
    }

    /// The port for clients.
    pub(super) fn client_port(&self) -> u16 {
        self.client_port.load(Relaxed)
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
        totals::clear(&self.sources);
    }
}
