//! What a voting member is doing.

use std::fmt;

use ringkeeper_engine::Millis;
use ringkeeper_engine::session::ServerId;

/// What a voting member is doing, for reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberRole {
    /// It looks for a leader, or is about to.
    Looking,
    /// It follows this server, or connects to it.
    Following(ServerId),
    /// It leads, or begins to.
    Leading,
}

/// ZooKeeper's names (`QuorumPeer.ServerState`).
impl fmt::Display for MemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemberRole::Looking => "looking",
            MemberRole::Following(_) => "following",
            MemberRole::Leading => "leading",
        })
    }
}

/// What it is doing, with what it waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// For everything that was learned or ordered to be on the disk. No election before.
    Resting {
        /// The node has been a leader's, and the link to a leader does not know where its log ends.
        has_led: bool,
        /// Not before this moment.
        not_before: Millis,
    },
    /// For the election's end, or, without a vote, for voters to say who leads.
    Looking,
    /// For a connection to the leader.
    Joining(Joining),
    /// For the end of the link.
    Following(ServerId),
    /// For the end of the leadership.
    Leading,
}

/// A connection to a leader that is about to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Joining {
    pub(super) leader: ServerId,
    /// When it has to be there. The driver's own limit is shorter.
    pub(super) until: Millis,
}
