//! Which server of an ensemble this release can be.

use super::PeerRole;

/// Why this release cannot be the server that a configuration with several servers describes, or
/// nothing if it can. `role` is that of this server, unless the configuration leaves it open;
/// `servers` is how many are listed.
///
/// This is the one place that refuses an ensemble without a fault. It is reached with everything
/// else checked. The arm for a participant stays until it can vote.
pub(in crate::config) fn unsupported(role: Option<PeerRole>, servers: usize) -> Option<String> {
    match role {
        Some(PeerRole::Participant) => Some(format!(
            "it is this server, one of {servers}, and would vote, and voting membership is not \
             supported yet; keep one server line, or none, or stay with ZooKeeper for an ensemble"
        )),
        Some(PeerRole::Observer) => None,
        None => Some(format!(
            "{servers} servers are listed, and this release runs one server on its own; keep one \
             server line, or none, or stay with ZooKeeper for an ensemble"
        )),
    }
}
