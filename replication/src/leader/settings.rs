//! How a server leads.

use std::collections::BTreeSet;

use ringkeeper_engine::device::EnsembleIdentity;
use ringkeeper_engine::log::WindowLimit;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{PacketLimits, PeerSettings};

/// How much of its learners a leader keeps in memory.
#[derive(Clone, Copy, Debug)]
pub struct LeaderLimits {
    /// What a packet of a learner may hold.
    pub packets: PacketLimits,
    /// What is kept of the newest transactions.
    pub window: WindowLimit,
    /// Bytes that may be proposed and not committed; from then on nothing more is ordered.
    pub uncommitted_bytes_max: usize,
    /// Bytes that wait for one learner, from which on it is sent what follows as it takes them,
    /// from the window or the disk.
    pub link_bytes_max: usize,
    /// Bytes of requests that the node has not taken, from which on learners are not read.
    pub event_bytes_max: usize,
    /// Connections of learners at one time.
    pub links_max: usize,
}

impl Default for LeaderLimits {
    fn default() -> LeaderLimits {
        LeaderLimits {
            packets: PacketLimits::default(),
            window: WindowLimit { bytes: 32 << 20, records: 1 << 20 },
            uncommitted_bytes_max: 12 << 20,
            link_bytes_max: 4 << 20,
            event_bytes_max: 8 << 20,
            links_max: 256,
        }
    }
}

/// What a leader goes by.
#[derive(Clone, Debug)]
pub struct LeaderSettings {
    /// This server, which votes.
    pub server: ServerId,
    /// All servers that vote.
    pub voters: BTreeSet<ServerId>,
    /// The servers that observe.
    pub observers: BTreeSet<ServerId>,
    /// The configuration as text.
    pub config: Box<[u8]>,
    /// Its version.
    pub config_version: i64,
    /// Milliseconds of a tick: learners are pinged twice in it.
    pub tick_ms: i64,
    /// Milliseconds until a quorum has to follow, and a learner has to be synchronized.
    pub init_ms: i64,
    /// Milliseconds that a learner, or the quorum, may be silent.
    pub sync_ms: i64,
    /// Bounds.
    pub limits: LeaderLimits,
    /// Settings that all members should have in common.
    pub common: PeerSettings,
    /// The identity of the ensemble if this server is its first leader. It is random.
    pub proposed: EnsembleIdentity,
}
