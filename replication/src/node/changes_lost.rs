//! Why all connections of a shard are closed.

use std::fmt;

/// Why a shard closes its connections: their watches would miss changes, or there has been no
/// leader for too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangesLost {
    /// The shard has not taken its messages for too long.
    ShardBehind,
    /// The state was replaced by the leader's.
    StateReplaced,
    /// The state is not the leader's.
    Diverged,
    /// No leader was found for as long as clients are served without one.
    Leaderless,
}

impl fmt::Display for ChangesLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChangesLost::ShardBehind => "their thread was too far behind with changes",
            ChangesLost::StateReplaced => "the state was replaced by the leader's",
            ChangesLost::Diverged => "the state is not the leader's",
            ChangesLost::Leaderless => "no leader was found in time",
        })
    }
}
