//! What reaches a replica, and what it asks of the world around it.

use ringkeeper_engine::log::Group;
use ringkeeper_engine::op::Read;
use ringkeeper_engine::request::{Grant, Origin, Outcome, Request};
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::{Now, SessionId, Zxid};

/// One event for [`super::Replica::step`].
#[derive(Debug)]
pub enum Input<'a> {
    /// Requests, in the order in which their shards received them. The vector is drained.
    Requests(&'a mut Vec<Request>, Now),
    /// Our log is durable up to here.
    Durable(Zxid),
    /// Time passes.
    Tick(Now),
}

/// Whether the log can take more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteAdmission {
    /// Everything is accepted.
    All,
    /// Only what ends sessions is accepted: the disk is full.
    CloseOnly,
    /// Nothing is accepted.
    None,
}

/// The effects of the steps since it was last emptied.
pub struct Outputs {
    /// Append to the log and make durable, then feed `Input::Durable`.
    pub group: Group,
    /// Carry out in this order, before the next step.
    ///
    /// Order: a proposal is in here only after its log record was durable on a quorum, and a
    /// client is answered only after its proposal was applied.
    pub committed: Vec<Committed>,
}

impl Outputs {
    /// No effects yet.
    pub fn new() -> Outputs {
        Outputs { group: Group::new(), committed: Vec::new() }
    }
}

impl Default for Outputs {
    fn default() -> Outputs {
        Outputs::new()
    }
}

/// One thing to carry out.
#[derive(Debug)]
pub enum Committed {
    /// Apply the transaction, tell the watches, then answer.
    Apply(Proposal),
    /// Answer: nothing changes.
    Answer(Origin, Outcome),
    /// Answer this read from the tree as it is at this point.
    Read(Origin, Caller, Box<Read>),
    /// Close this connection if it still speaks for the session, which has ended or lives
    /// elsewhere now.
    CloseConnection(Origin, SessionId),
}

/// An ordered transaction, and who waits for it.
#[derive(Debug)]
pub struct Proposal {
    /// The transaction.
    pub txn: Txn,
    /// Who is answered; `None` for what the server itself decided.
    pub origin: Option<Origin>,
    /// For a new session: what its client is told.
    pub grant: Option<Box<Grant>>,
}

impl Proposal {
    /// What the server itself decided, so that nobody waits for it.
    pub(crate) fn own(txn: Txn) -> Proposal {
        Proposal { txn, origin: None, grant: None }
    }
}
