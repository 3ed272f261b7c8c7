//! What recovery hands to the state that it restores: a snapshot, then transactions.

use crate::txn::Txn;
use crate::{SessionId, Zxid};

/// Where a replay starts: what a snapshot says before its blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start<'a> {
    /// Everything up to here is in the snapshot.
    pub zxid: Zxid,
    /// The sessions and their timeouts in milliseconds.
    pub sessions: &'a [(SessionId, i32)],
    /// The caller's own header.
    pub header: &'a [u8],
}

/// The state that recovery restores: the tree and the sessions.
pub trait Replay {
    /// A snapshot begins. Whatever came before it is void: that was a snapshot whose end turned
    /// out to be damaged, and this is an older one.
    fn begin(&mut self, start: Start<'_>) -> Result<(), String>;
    /// The next block of the snapshot.
    fn block(&mut self, bytes: &[u8]) -> Result<(), String>;
    /// The snapshot was whole.
    fn end(&mut self) -> Result<(), String>;
    /// There is no usable snapshot and none is needed: the log has everything. Void what came
    /// before, and start from the empty tree.
    fn begin_empty(&mut self);
    /// The next transaction, in order, without gaps.
    fn txn(&mut self, txn: Txn) -> Result<(), String>;
    /// The same, as it stands in the log; for an implementation that does not need the [`Txn`].
    fn record(&mut self, payload: &[u8]) -> Result<(), String> {
        self.txn(Txn::read(payload).map_err(|error| error.to_string())?)
    }
}
