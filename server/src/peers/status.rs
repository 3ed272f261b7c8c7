//! What a member of an ensemble is doing, for reports.

use parking_lot::Mutex;
use ringkeeper_engine::Millis;
use ringkeeper_engine::session::ServerId;
use ringkeeper_replication::ZabState;

use crate::config::PeerRole;

/// The leader of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderAddress {
    /// Its number.
    pub id: ServerId,
    /// The epoch that the election named.
    pub epoch: u32,
    /// `host:port`, where it takes learners.
    pub address: String,
}

/// Whether clients are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientService {
    /// Not since the start, or not any more: the leader was not found in time. Connections wait, or
    /// are closed.
    None,
    /// The leader is lost. Sessions read on, and writes wait for the next one.
    Reads,
    /// This server is as far as its leader.
    All,
}

/// How a member stands to its ensemble.
#[derive(Clone, Debug)]
pub struct MemberReport {
    /// Whether it votes.
    pub role: PeerRole,
    /// What its link is doing: election while it looks for a leader.
    pub zab: ZabState,
    /// The leader of the link, if there is one.
    pub leader: Option<LeaderAddress>,
    /// Whether clients are served.
    pub clients: ClientService,
    /// Since when `zab` and `leader` are what they are. Monotonic milliseconds.
    pub since: Millis,
    /// Bytes that have come over the link.
    pub received_bytes: u64,
    /// Milliseconds that the last search for a leader took, if one has ended.
    pub search_ms: Option<i64>,
    /// Milliseconds that the last synchronization took, if one has ended.
    pub sync_ms: Option<i64>,
    /// Links that were synchronized with.
    pub synced: u64,
    /// Whole states that were taken over.
    pub states_installed: u64,
    /// Why the last link ended, if one has: one sentence.
    pub last_end: Option<String>,
}

/// Written by the node's thread, read by reports.
pub struct MemberStatus {
    report: Mutex<MemberReport>,
}

impl MemberStatus {
    /// A member that begins to look for a leader.
    pub fn new(role: PeerRole) -> MemberStatus {
        let report = MemberReport {
            role,
            zab: ZabState::Election,
            leader: None,
            clients: ClientService::None,
            since: Millis(0),
            received_bytes: 0,
            search_ms: None,
            sync_ms: None,
            synced: 0,
            states_installed: 0,
            last_end: None,
        };
        MemberStatus { report: Mutex::new(report) }
    }

    /// What holds now.
    pub fn report(&self) -> MemberReport {
        self.report.lock().clone()
    }

    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut MemberReport)) {
        change(&mut self.report.lock());
    }
}
