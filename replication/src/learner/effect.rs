//! What reaches a link, and what it wants done.

use ringkeeper_engine::device::{EnsembleIdentity, Epochs};
use ringkeeper_engine::log::TxnChunk;
use ringkeeper_engine::wire::peer::{BadPacket, LeaderPacket, LearnerPacket, SettingDifference};
use ringkeeper_engine::zookeeper::Entry;
use ringkeeper_engine::{SessionId, Zxid};

use crate::Divergence;

/// One event for [`super::LearnerLink::step`].
#[derive(Clone, Copy, Debug)]
pub enum LinkInput<'a> {
    /// The next packet of the leader. Only while [`super::LearnerLink::wants_packets`].
    Packet(LeaderPacket<'a>),
    /// The leader's bytes are no packet, or one of a learner.
    Malformed(BadPacket),
    /// The epochs of [`LinkEffect::Save`] are durable.
    Saved(Epochs),
    /// The identity of [`LinkEffect::Adopt`] is durable.
    Adopted(EnsembleIdentity),
    /// The log was cut as [`LinkEffect::Cut`] wants it, durably, and ends here; a tree that held
    /// more was made anew.
    Cut(Zxid),
    /// The log could not be cut, and is as it was: it does not reach back that far.
    CutTooFar,
    /// The state of [`LinkEffect::InstallState`] is durable, and what came before it is gone.
    Installed(Zxid),
    /// The state that was received cannot be used; the one before is as it was.
    NotInstalled,
    /// The log is durable up to here. Flushes of a generation before a cut or an install do not
    /// count.
    Flushed(Zxid),
}

/// A transaction as the leader sent it.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaderTxn {
    /// The transaction, and the digest that the leader expects behind it.
    pub entry: Entry,
    /// How many bytes it came in, with those of the digest.
    pub bytes: usize,
}

impl LeaderTxn {
    /// Its place in the order.
    pub fn zxid(&self) -> Zxid {
        self.entry.txn.zxid
    }
}

/// One thing to be done. The order of effects is the order in which they are to be begun.
#[derive(Clone, PartialEq, Debug)]
pub enum LinkEffect {
    /// Send this packet.
    ///
    /// Order: ACKEPOCH comes after the promise was saved; the ACK of NEWLEADER after everything
    /// before NEWLEADER is durable and then the current epoch saved; the ACK of a proposal after
    /// the proposal is durable, once per zxid, and after the ACK of NEWLEADER. The leader takes
    /// anything else in front of that one for a broken learner.
    Send(LearnerPacket<'static>),
    /// Make the epochs durable, then feed [`LinkInput::Saved`].
    ///
    /// Order: the history of `current` is durable before.
    Save(Epochs),
    /// Remove every transaction behind this one, then feed [`LinkInput::Cut`] with the end of the
    /// log. The link wants no packet until then.
    ///
    /// Order: never below what was committed.
    Cut(Zxid),
    /// A whole state follows on the socket as raw bytes, see
    /// [`ringkeeper_engine::zookeeper::load_stream`]. The packets behind it are the next input. The
    /// state that is there stays until [`LinkEffect::InstallState`].
    ReceiveState(Zxid),
    /// Add a committed transaction to the state that was received, as
    /// [`ringkeeper_engine::zookeeper::Rebuild::take`] does. Some may be in it already.
    AddToState(LeaderTxn),
    /// The state is whole. Make it durable in place of log and snapshots, then feed
    /// [`LinkInput::Installed`]. The link wants no packet until then.
    ///
    /// Order: never below what was committed. Clients see the state from [`LinkEffect::Serve`] on.
    InstallState(Zxid),
    /// Append to the log and flush, then feed [`LinkInput::Flushed`]. Not to be applied yet.
    ///
    /// Order: each one may follow the one before, a cut or an installed state.
    Append(LeaderTxn),
    /// As [`LinkEffect::Append`], of several that were framed for the log already.
    AppendChunk(TxnChunk),
    /// Everything up to this transaction is committed, durable here, and may be applied.
    ///
    /// Order: only grows; not before the leader has said that a quorum has its history.
    Committed(Zxid),
    /// The transaction at this zxid has changed the members. Who should lead from now on is the
    /// server's number, -1 if the leader does not say.
    ///
    /// Order: behind the [`LinkEffect::Committed`] that covers it.
    Activate(Zxid, i64),
    /// Serve clients: the history of the leader is here. The text is the leader's configuration.
    ///
    /// Order: once per link, behind the [`LinkEffect::Committed`] of the whole history, which is to
    /// be applied first. A state without a transaction in it has none.
    Serve(Option<Box<[u8]>>),
    /// Answer the leader's ping with its zxid and the sessions of [`super::TouchedSessions`].
    AnswerPing(Zxid),
    /// The leader has answered a REVALIDATE: whether the session lives, and is this server's now.
    AnswerRevalidate(SessionId, bool),
    /// The leader has answered the oldest sync of this server that is not answered yet: everything
    /// that it had ordered before was sent.
    AnswerSync,
    /// A majority has another state than this server: it has to be replaced.
    Diverged(Divergence),
    /// The session is another server's now: its connection here is to be closed.
    SessionMoved(SessionId),
    /// Note durably that the directory belongs to this ensemble, then feed [`LinkInput::Adopted`].
    ///
    /// Order: before the epoch of the leader that has it is current, so that whoever has the
    /// history of a leader has its identity.
    Adopt(EnsembleIdentity),
    /// The leader has other settings than this server where they should be the same.
    Differs(Vec<SettingDifference>),
    /// The link has ended and is to be closed. Nothing more is sent; commands to the log that are
    /// under way end first.
    End(super::LinkEnd),
}
