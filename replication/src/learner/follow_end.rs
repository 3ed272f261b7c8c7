//! Why a leader is not followed any more.

use std::fmt;

use super::LinkEnd;
use crate::{Divergence, LeaderFault};

/// Why a link to a leader has ended, for its node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FollowEnd {
    /// The connection is gone, or was given up.
    Disconnected,
    /// The leader's side of the protocol was wrong.
    Link(LinkEnd),
    /// What the leader answered was wrong.
    Fault(LeaderFault),
    /// The states differ. The next leader sends its own as a whole.
    Diverged(Divergence),
}

impl FollowEnd {
    /// Whether the server must not look for another leader: the ensemble has lost what was
    /// acknowledged.
    pub fn is_fatal(self) -> bool {
        matches!(self, FollowEnd::Link(LinkEnd::LostCommitted { .. }))
    }
}

/// One sentence for the log.
impl fmt::Display for FollowEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FollowEnd::Disconnected => f.write_str("the connection to the leader is gone"),
            FollowEnd::Link(end) => end.fmt(f),
            FollowEnd::Fault(fault) => fault.fmt(f),
            FollowEnd::Diverged(Divergence { zxid, expected, found }) => write!(
                f,
                "behind {zxid} the leader's state has the digest {expected:#x}, and this server's \
                 has {found:#x}: the leader's is taken over as a whole"
            ),
        }
    }
}

impl std::error::Error for FollowEnd {}
