//! What travels between a shard and the sequencer, in both directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::limits::CONN_OUT_BYTES_HARD;
use crate::op::{Change, OpResult, Read, ReadReply, Write};
pub use crate::origin::Origin;
use crate::sequencer::Caller;
use crate::session::LastHeard;
use crate::watch::ConnId;
use crate::wire::connect::Password;
use crate::{Code, SessionId, Zxid};

/// Something that needs the total order.
#[derive(Debug)]
pub struct Request {
    /// The connection that is answered; exactly one [`Answer`] follows.
    pub origin: Origin,
    /// The session and its identities.
    pub caller: Caller,
    /// What it requests.
    pub kind: RequestKind,
}

/// The kinds of requests.
#[derive(Debug)]
pub enum RequestKind {
    /// A change of the tree.
    Write(Write),
    /// A read that has a write of its own session ahead of it, so that it has to be answered
    /// between two transactions: after that write and before the session's next one.
    Read(Box<Read>),
    /// A new session.
    Open {
        /// The timeout requested, milliseconds.
        timeout_ms: i32,
    },
    /// A session that a new connection re-attaches.
    Attach {
        /// The session.
        session: SessionId,
        /// What proves that the client may have it; `None` where it sent none of the right length.
        password: Option<Password>,
        /// The timeout requested, milliseconds.
        timeout_ms: i32,
    },
    /// The end of the session.
    Close,
    /// An answer after everything that is ordered now is applied.
    Sync,
}

/// What a connection has waiting of replies to reads that the node makes. It is shared with the
/// node, and within this process only.
#[derive(Default, Debug)]
pub struct ReadBacklog {
    bytes: AtomicUsize,
    is_left: AtomicBool,
}

impl ReadBacklog {
    /// Whether the next reply is to be made.
    pub fn accepts(&self) -> bool {
        !self.is_left.load(Relaxed) && self.bytes() < CONN_OUT_BYTES_HARD
    }

    /// A reply of so many bytes was made.
    pub fn made(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// It has reached its connection.
    pub fn taken(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// The connection takes no reply any more.
    pub fn leave(&self) {
        self.is_left.store(true, Relaxed);
    }

    /// Bytes that are made and have not reached the connection.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }
}

/// An answer to one request.
#[derive(Debug)]
pub struct Answer {
    /// The connection of the request.
    pub origin: Origin,
    /// The last zxid applied when it was answered.
    pub zxid: Zxid,
    /// The result.
    pub outcome: Outcome,
}

/// The result of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The write was applied, or refused in its turn.
    Result(OpResult),
    /// The write was refused before it was ordered; no zxid was spent.
    Refused(Code),
    /// The read was answered.
    Read(Box<ReadReply>),
    /// The session is open, or attached to this connection.
    Granted(Box<Attachment>),
    /// The session does not exist, or the password is not its own.
    Gone,
    /// No session can be opened now (the log has no room).
    Unavailable,
    /// Everything ordered before the request is applied.
    Synced,
    /// The session is owned by another connection or server (SessionMoved).
    Moved,
}

/// What a client needs to know of its session. It holds values only, so it can travel between
/// servers.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The session.
    pub session: SessionId,
    /// The timeout agreed, milliseconds.
    pub timeout_ms: i32,
    /// What proves the session later.
    pub password: Password,
}

/// A session that is attached to a connection of this server.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// What the client is answered.
    pub grant: Grant,
    /// Where the shard notes that it heard from the client. Shared within this process only.
    pub last_heard: LastHeard,
}

/// What reaches a shard, in the order in which it happened.
///
/// Order: everything up to zxid Z is in a shard's mailbox before any shard can read the tree at
/// Z, and a shard empties its mailbox before it answers a read. So an event precedes its data.
#[derive(Debug)]
pub enum ShardMessage {
    /// Watches may fire on these changes of one transaction.
    Changes(Zxid, Arc<[Change]>),
    /// A request of this shard is answered.
    Answer(Answer),
    /// This connection's session has ended, or is another connection's now.
    CloseConnection(ConnId, SessionId),
}
