//! The phases of Zab, by their names.

use std::fmt;

/// What a link is doing: ZooKeeper's `QuorumPeer.ZabState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZabState {
    /// The link has ended: a leader is to be found.
    Election,
    /// It agrees with the leader on an epoch.
    Discovery,
    /// It takes over the leader's history.
    Synchronization,
    /// It follows what the leader orders.
    Broadcast,
}

/// ZooKeeper's name.
impl fmt::Display for ZabState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ZabState::Election => "election",
            ZabState::Discovery => "discovery",
            ZabState::Synchronization => "synchronization",
            ZabState::Broadcast => "broadcast",
        })
    }
}
