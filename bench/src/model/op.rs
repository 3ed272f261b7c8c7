//! One operation, and what is kept of it while it is in flight.

use super::clock::Nanos;
use super::kind::Kind;

/// One operation to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Op {
    pub kind: Kind,
    /// On which of the keys; on nodes of a session's own: the number of the session.
    pub key: u32,
    /// The session's number of this write or of its node: marks values and names nodes.
    pub seq: u64,
}

/// What is kept with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    pub op: Op,
    /// When it should have been sent.
    pub intended: Nanos,
    pub started: Nanos,
}
