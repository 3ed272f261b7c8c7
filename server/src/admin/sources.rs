//! What reports are made from, beside the shards.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::facts::ServerFacts;
use crate::log::writer::FlushStats;
use crate::node::observer::Gauges;
use crate::node::view::View;
use crate::shards::ConnectionLimiter;
use crate::storage::snapshots::SnapshotStats;

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
    /// Lines that the audit log has lost, where there is one.
    pub audit_lost: Option<Arc<AtomicU64>>,
}
