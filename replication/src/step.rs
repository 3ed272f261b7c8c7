//! What reaches a replica, and what it wants done.

use std::sync::Arc;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::{ChunkTxn, Group, LogCapacity, TxnChunk};
use ringkeeper_engine::op::Read;
use ringkeeper_engine::request::{Attachment, Origin, Outcome, Request};
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::session::{LastHeard, ServerId};
use ringkeeper_engine::tree::Misfit;
use ringkeeper_engine::txn::{Txn, TxnBody, TxnDigest};
use ringkeeper_engine::zookeeper::Entry;
use ringkeeper_engine::{Now, SessionId, Zxid};

use crate::leader::{Acknowledgement, LearnerEvent, ToLearners};
use crate::session_life::SessionLife;

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
    /// This process did not run for a while, and may have missed what clients have sent.
    Paused {
        /// Both clocks, after it.
        now: Now,
    },
    /// Time passes.
    Tick {
        /// The state that is applied.
        db: &'a Database,
        /// The time.
        now: Now,
    },
    /// What the log can still take.
    Capacity(LogCapacity),
    /// What the leader of a learner has sent, in its order.
    Leader {
        /// What it is.
        event: LeaderEvent,
        /// The time.
        now: Now,
    },
    /// This server leads: a quorum has its history. From a server that has a leader only.
    ///
    /// Order: everything that it has learned is committed, on its disk and applied. The first
    /// transaction is that of the epoch with counter 1. Requests that waited for a leader are
    /// ordered with the next [`Input::Requests`]: see [`super::Replica::has_kept`].
    Lead {
        /// Its epoch, later than that of any transaction.
        epoch: u32,
        /// The members with a vote, of which it is one.
        voters: Vec<ServerId>,
        /// The state that is applied.
        db: &'a Database,
        /// The time.
        now: Now,
    },
    /// This server leads no more, and has no leader yet. What it has ordered waits for what the
    /// next leader makes of it.
    StopLeading {
        /// The time.
        now: Now,
    },
    /// What moves the commit point of a leader. The vector is drained.
    Acked(&'a mut Vec<Acknowledgement>),
    /// What the learners of a leader have sent, each in its order. The vector is drained.
    Learners {
        /// What they have sent.
        events: &'a mut Vec<LearnerEvent>,
        /// The state that is applied.
        db: &'a Database,
        /// The time.
        now: Now,
    },
    /// Sessions of clients here that no leader has confirmed for as long as they live: their
    /// connections are closed.
    Unconfirmed {
        /// The sessions.
        sessions: &'a [SessionId],
        /// The time.
        now: Now,
    },
    /// The state was replaced by one that the leader has sent. Nothing that was ordered or learned
    /// before is in the queues any more.
    Replaced {
        /// The new state.
        db: &'a Database,
        /// The time.
        now: Now,
    },
}

/// What happens on the link to the leader, behind the protocol.
#[derive(Debug)]
pub enum LeaderEvent {
    /// The next transaction.
    ///
    /// Order: its zxid may follow that of the last one.
    Learned(Box<Entry>),
    /// The next transactions, which follow each other.
    ///
    /// Order: the first may follow the last one.
    LearnedChunk(TxnChunk),
    /// Everything up to here is committed. It was learned before.
    Committed(Zxid),
    /// The oldest sync that was forwarded is answered: what was committed before it is here.
    Synced,
    /// A session that a client takes up here lives, or does not.
    Revalidated(SessionId, SessionLife),
    /// A session is another server's now: a connection here that has it is stale.
    SessionMoved(SessionId),
    /// The leader of this epoch takes requests from now on: this server is as far as it is.
    Serving(u32, LostRequests),
    /// The link is lost. What is not answered waits for the next leader.
    Lost,
    /// The log was cut behind this zxid: what was learned behind it is gone.
    Cut(Zxid),
}

impl LeaderEvent {
    /// The last of its transactions, where it has some.
    pub(crate) fn learned(&self) -> Option<Zxid> {
        match self {
            LeaderEvent::Learned(entry) => Some(entry.txn.zxid),
            LeaderEvent::LearnedChunk(chunk) => Some(chunk.last),
            LeaderEvent::Committed(_) | LeaderEvent::Synced | LeaderEvent::Revalidated(..) => None,
            LeaderEvent::Serving(..) | LeaderEvent::Lost | LeaderEvent::Cut(_) => None,
            LeaderEvent::SessionMoved(_) => None,
        }
    }
}

/// What becomes of requests that a leader has got over a link that is lost, and has not ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LostRequests {
    /// Those that are ordered come before everything that is taken over the next link.
    OrderedFirst,
    /// They may be ordered at any time; and the leader takes nothing over the next link for a
    /// session that was used over the one before, until its client has connected again.
    Unknown,
}

/// What the leader's pings are answered from: the sessions of clients that are connected here.
#[derive(Clone, Debug)]
pub enum SessionAttachment {
    /// A connection here owns the session, with this timeout in milliseconds.
    Attached(SessionId, i32, LastHeard),
    /// The session has ended.
    Ended(SessionId),
}

/// What a leader has done that no leader does. The link to it has to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaderFault {
    /// The answer to one request came before that to an earlier one of the same session.
    OutOfOrder(&'static str),
    /// The end of a session does not say which nodes go with it.
    PathsMissing,
}

impl std::fmt::Display for LeaderFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LeaderFault::OutOfOrder(what) => write!(f, "the leader answered {what} out of order"),
            LeaderFault::PathsMissing => f.write_str(
                "the leader does not list the ephemeral nodes of sessions that end: its setting \
                 zookeeper.closeSessionTxn.enabled must be true",
            ),
        }
    }
}

/// The state here is another one than the leader's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Divergence {
    /// The digests differ.
    Digest {
        /// The transaction behind which they were compared.
        zxid: Zxid,
        /// The leader's digest.
        expected: u64,
        /// Our own.
        found: u64,
    },
    /// A transaction of the leader does not fit the state before it.
    Misfit(Zxid, Misfit),
}

impl Divergence {
    /// The transaction that showed it.
    pub fn zxid(self) -> Zxid {
        match self {
            Divergence::Digest { zxid, .. } | Divergence::Misfit(zxid, _) => zxid,
        }
    }
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Divergence::Digest { zxid, expected, found } => write!(
                f,
                "behind {zxid} the leader's state has the digest {expected:#x}, and this server's \
                 has {found:#x}"
            ),
            Divergence::Misfit(zxid, why) => {
                write!(f, "the leader's transaction {zxid} does not fit this server's state: {why}")
            }
        }
    }
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
    /// Packets for the leader, in order. Empty where this server has none.
    pub to_leader: Vec<u8>,
    /// Sessions that connections of this server own from now on, and sessions that have ended or
    /// whose owners a leader hears of no more. Empty where this server has no leader.
    pub sessions: Vec<SessionAttachment>,
    /// What is for the learners of this server, in order. Empty where it does not lead others.
    pub to_learners: Vec<ToLearners>,
    /// What the leader has done wrong.
    pub fault: Option<LeaderFault>,
    /// Every connection of this server has to be closed: waiting for a leader took too long, or
    /// the state was replaced, so that watches would miss changes.
    pub close_connections: bool,
}

/// One thing that is due: a commit, or what waited behind one.
#[derive(Debug)]
pub enum Committed {
    /// Apply the transaction, report its changes to the watches, then answer.
    Apply(Proposal),
    /// Apply the transaction in these bytes, which neither begins nor ends a session. No client
    /// here waits for it.
    Replay(ChunkTxn),
    /// Answer: nothing changes.
    Answer(Origin, Outcome),
    /// Answer this read from the tree as it is at this point.
    Read(Origin, Caller, Box<Read>),
    /// Close this connection if it still owns the session, which has ended or moved.
    CloseConnection(Origin, SessionId),
    /// Compare the state with the digest that stood behind the transaction applied last.
    Verify {
        /// The digest.
        digest: TxnDigest,
        /// The session of the transaction.
        session: SessionId,
        /// The nodes that it has created.
        created: Vec<Arc<str>>,
    },
}

impl Committed {
    /// The transaction that it applies, if it does.
    pub(crate) fn applies(&self) -> Option<Zxid> {
        match self {
            Committed::Apply(proposal) => Some(proposal.txn.zxid),
            Committed::Replay(txn) => Some(txn.zxid()),
            Committed::Answer(..) | Committed::Read(..) => None,
            Committed::CloseConnection(..) | Committed::Verify { .. } => None,
        }
    }

    /// The client that is answered, and whose request changes nothing.
    pub(crate) fn waiting_client(&self) -> Option<Origin> {
        match self {
            Committed::Answer(origin, _) | Committed::Read(origin, ..) => Some(*origin),
            Committed::Apply(_) | Committed::Replay(_) | Committed::Verify { .. } => None,
            Committed::CloseConnection(..) => None,
        }
    }

    /// What is left of it where its change is not made any more: a client that waits for the
    /// change is cut off.
    pub(crate) fn without_change(self) -> Option<Committed> {
        match self {
            Committed::Apply(proposal) => {
                let outcome = match proposal.txn.body {
                    TxnBody::CreateSession { .. } => Outcome::Unavailable,
                    _ => Outcome::Moved,
                };
                proposal.origin.map(|origin| Committed::Answer(origin, outcome))
            }
            Committed::Verify { .. } | Committed::Replay(_) => None,
            // The end of the session may be what is not made.
            Committed::Answer(origin, Outcome::Gone) => {
                Some(Committed::Answer(origin, Outcome::Unavailable))
            }
            Committed::Answer(..) | Committed::Read(..) | Committed::CloseConnection(..) => {
                Some(self)
            }
        }
    }
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
