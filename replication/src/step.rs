//! What reaches a replica, and what it wants done.

use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::{Group, LogCapacity};
use ringkeeper_engine::op::Read;
use ringkeeper_engine::request::{Attachment, Origin, Outcome, Request};
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::{Now, SessionId, Zxid};

/// One event for [`super::Replica::step`]. Only what orders takes the database.
pub enum Input<'a> {
    /// Requests, in the order in which their shards received them. The vector is drained.
    Requests {
        /// The requests.
        requests: &'a mut Vec<Request>,
        /// The state that is applied.
        db: &'a Database,
        /// The time.
        now: Now,
    },
    /// Our own log is durable up to here.
    Flushed(Zxid),
    /// Time passes.
    Tick {
        /// The state that is applied.
        db: &'a Database,
        /// The time.
        now: Now,
    },
    /// What the log can still take.
    Capacity(LogCapacity),
}

/// The effects of the steps since it was last emptied.
#[derive(Default)]
pub struct Outputs {
    /// Append to the log and flush, then feed [`Input::Flushed`].
    pub group: Group,
    /// Apply in this order.
    ///
    /// Order: a proposal is in here only after its log record was durable on a quorum, and a
    /// client is answered only after its proposal was applied.
    pub committed: Vec<Committed>,
}

/// One thing that is due: a commit, or what waited behind one.
#[derive(Debug)]
pub enum Committed {
    /// Apply the transaction, report its changes to the watches, then answer.
    Apply(Proposal),
    /// Answer: nothing changes.
    Answer(Origin, Outcome),
    /// Answer this read from the tree as it is at this point.
    Read(Origin, Caller, Box<Read>),
    /// Close this connection if it still owns the session, which has ended or moved.
    CloseConnection(Origin, SessionId),
}

/// An ordered transaction, and who waits for it.
#[derive(Debug)]
pub struct Proposal {
    /// The transaction.
    pub txn: Txn,
    /// Who is answered; `None` for what the server itself decided.
    pub origin: Option<Origin>,
    /// For a new session: what its connection gets.
    pub attachment: Option<Box<Attachment>>,
}

impl Proposal {
    /// A client's write.
    pub(crate) fn of(origin: Origin, txn: Txn) -> Proposal {
        Proposal { txn, origin: Some(origin), attachment: None }
    }

    /// What the server itself decided: no client waits for it.
    pub(crate) fn internal(txn: Txn) -> Proposal {
        Proposal { txn, origin: None, attachment: None }
    }
}
