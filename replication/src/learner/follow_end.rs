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
    /// This server cannot go on from its own log and has offered nothing of it, and the leader has
    /// not sent its state; so many times in a row.
    NoState(u32),
    /// The disk has no space for what the leader sends. No link begins until it has.
    Full,
}

/// When to look for a leader again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryDelay {
    /// As after any link that is lost.
    Usual,
    /// Much later: the same is going to happen again.
    Long,
}

impl FollowEnd {
    /// Whether the server must not look for another leader: the ensemble has lost what was
    /// acknowledged.
    pub fn is_fatal(self) -> bool {
        matches!(self, FollowEnd::Link(LinkEnd::LostCommitted { .. }))
    }

    /// When the next link should begin, where it can.
    pub fn retry_delay(self) -> RetryDelay {
        match self {
            FollowEnd::NoState(times) if times > 1 => RetryDelay::Long,
            FollowEnd::Link(LinkEnd::OtherEnsemble { .. } | LinkEnd::OwnHistory { .. }) => {
                RetryDelay::Long
            }
            FollowEnd::NoState(_) | FollowEnd::Disconnected | FollowEnd::Link(_) => {
                RetryDelay::Usual
            }
            FollowEnd::Fault(_) | FollowEnd::Diverged(_) | FollowEnd::Full => RetryDelay::Usual,
        }
    }

    /// Whether the same was said the last time, with all that there is to say.
    pub fn is_repeated(self) -> bool {
        matches!(self, FollowEnd::NoState(times) if times > 2)
    }
}

/// One sentence for the log.
impl fmt::Display for FollowEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FollowEnd::Disconnected => f.write_str("the connection to the leader is gone"),
            FollowEnd::Link(end) => end.fmt(f),
            FollowEnd::Fault(fault) => fault.fmt(f),
            FollowEnd::NoState(1) => LinkEnd::NoState.fmt(f),
            FollowEnd::NoState(_) => write!(
                f,
                "{}, again: it has none, or it is not of this server's ensemble. No clients are \
                 served, and the leader is tried from time to time. If its state is the right one, \
                 stop this server and start it on an empty directory",
                LinkEnd::NoState
            ),
            FollowEnd::Full => f.write_str(
                "the disk has no space for what the leader sends: the link is closed until there \
                 is some, and clients read what is here",
            ),
            FollowEnd::Diverged(divergence) => write!(
                f,
                "{divergence}. Its clients are cut off, and the leader's state is taken over as a \
                 whole"
            ),
        }
    }
}

impl std::error::Error for FollowEnd {}
