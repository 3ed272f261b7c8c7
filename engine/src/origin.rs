//! Where a request came from.

use crate::watch::ConnId;

/// Where an answer goes: a connection of a shard of this server. A connection keeps its id until
/// every request that it has sent is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The shard.
    pub shard: u16,
    /// The connection.
    pub conn: ConnId,
}
