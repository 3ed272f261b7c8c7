//! One client connection: its input, its requests in flight, its output.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use super::client_end::{ClientEnd, EndedClient};
use super::ready::Urgency;
use super::{PendingListing, Port, WaitingRequest};
use crate::audit::Audited;
use crate::op::{OpClass, OpSpec, ReplyShape};
use crate::request::{Outcome, ReadBacklog};
use crate::sasl::Exchange;
use crate::session::LastHeard;
use crate::wire::Id;
use crate::wire::header::RequestHeader;
use crate::{Code, Millis, SessionId, Zxid, limits};

/// Whether a connection ends because the server stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Departure {
    /// It does not.
    No,
    /// Behind its next reply, or when it has been quiet for a while.
    Due,
    /// As soon as it has nothing under way: nothing has arrived since a reply was made.
    Now,
}

/// How far the conversation has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nothing has arrived: the first four bytes are a frame length or a four-letter word.
    First,
    /// A four-letter word is being answered.
    Word,
    /// The session is being set up; what arrives meanwhile waits.
    Opening,
    /// Requests are served.
    Established,
    /// closeSession is under way: what follows it is ignored.
    Leaving,
    /// The socket is closed, or will be as soon as the output is written.
    Closing,
    /// The socket is gone; the id stays until the last answer has arrived.
    Lost,
}

/// A request whose reply is due, in order.
#[derive(Debug)]
pub enum Slot {
    /// At the sequencer.
    InFlight {
        /// Its header.
        header: RequestHeader,
        /// What the reply looks like.
        reply: ReplyKind,
        /// Bytes of its payload, at most those of a frame.
        bytes: u32,
        /// When it arrived, microseconds of the monotonic clock.
        since_us: u64,
        /// What the audit log says of a write; nothing where there is no audit log.
        audited: Option<Box<Audited>>,
    },
    /// Refused without being served.
    Refused {
        /// Its header.
        header: RequestHeader,
        /// Why.
        code: Code,
        /// When it arrived.
        since_us: u64,
    },
    /// Needs nothing but its turn.
    Local(WaitingRequest),
}

/// What a connection's next request waits for, beside bounds of the connection itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// For nothing.
    Nothing,
    /// It is a write, and the audit log has to catch up.
    AuditLog,
    /// It is a read that may take long, and requests of its session are at the sequencer.
    Answers,
    /// It is a read with a large reply, and all connections together have too much to send.
    Output,
}

/// The forms of a reply that the sequencer's answer turns into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyKind {
    /// Of a write.
    Write(ReplyShape),
    /// Of a read; the body comes with the answer.
    Read,
    /// The path of the request, echoed. It is kept beside the slot.
    Sync,
    /// Header only, then the connection is closed.
    Close,
}

/// What stands for the last operation where there was none.
const NO_OP: i32 = -999;

/// Counters that `cons` and `stat` show.
#[derive(Clone, Debug)]
pub struct ConnStats {
    /// Wall clock of the accept, milliseconds.
    pub established: Millis,
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// The last operation, as a number; -999 before the first.
    pub last_op: i32,
    /// The last request's number.
    pub last_cxid: i64,
    /// The last zxid that a reply carried.
    pub last_zxid: i64,
    /// Monotonic milliseconds of the last reply.
    pub last_response: i64,
    /// Milliseconds that the last reply took.
    pub last_latency: i64,
    /// The shortest.
    pub min_latency: i64,
    /// The longest.
    pub max_latency: i64,
    /// The sum, for the average.
    pub total_latency: i64,
    /// How many replies the sum is of.
    pub replies: i64,
}

/// The session that a connection owns.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The session.
    pub session: SessionId,
    /// The timeout agreed.
    pub timeout_ms: i32,
    /// Where the sequencer reads the time of the last message.
    pub last_heard: LastHeard,
}

/// One connection.
pub struct Conn {
    /// The address of the client.
    pub peer: SocketAddr,
    /// The port that the client has connected to.
    pub port: Port,
    /// How far the conversation has come.
    pub phase: Phase,
    /// Bytes that do not make a whole frame yet, or wait for their turn.
    pub input: Vec<u8>,
    /// Bytes to send.
    pub out: Vec<u8>,
    /// Requests whose replies are due.
    pub pipeline: VecDeque<Slot>,
    /// Paths of sync requests under way, in order.
    pub syncs: VecDeque<Option<Box<str>>>,
    /// Slots of the pipeline that are at the sequencer, an open or attach under way, and a
    /// four-letter word that waits for its text.
    pub in_flight: usize,
    /// The session, once it is set up.
    pub attached: Option<Attached>,
    /// The identities that the client has proven.
    pub ids: Arc<[Id]>,
    /// How far its SASL exchange has come.
    pub(super) sasl: Exchange,
    /// The last zxid that the client had seen when it connected. The state here is not older.
    pub seen: Zxid,
    /// The flag of the connect request, echoed in its answer.
    pub read_only: Option<bool>,
    /// Monotonic milliseconds of the accept.
    pub accepted: Millis,
    /// When a new session was requested, microseconds of the monotonic clock; `None` where the
    /// connection re-attaches an old one.
    pub opening_us: Option<u64>,
    /// Requests that are held back until fewer are in process.
    pub held: usize,
    /// A request was dropped, and so is everything behind it.
    pub dropped: bool,
    /// Counters.
    pub stats: ConnStats,
    /// In which list of the shard's [`ReadyList`](super::ReadyList) it is, the most urgent one.
    pub ready: Option<Urgency>,
    /// Its first bytes wait for their turn.
    pub is_new: bool,
    /// Input waits because a bound is reached.
    pub stalled: bool,
    /// What its next request waits for.
    pub(super) awaited: Awaited,
    /// Bytes that its socket is sending, which `out` holds no more.
    pub sending: usize,
    /// What is counted of its unsent bytes.
    pub(super) unsent_counted: usize,
    /// About the bytes of replies to reads that are at the sequencer, before they are made.
    pub(super) promised: usize,
    /// How many reads are there.
    pub(super) reads: usize,
    /// The bytes of those that are made and not here yet.
    pub(super) read_backlog: Option<Arc<ReadBacklog>>,
    /// Bytes of the largest request since none was in flight.
    pub(super) largest_reply: usize,
    /// A long list that is being made for it.
    pub(super) listing: Option<Box<PendingListing>>,
    /// Units of work that its requests have used and no turn has paid back, as of a turn.
    pub(super) work: usize,
    pub(super) work_turn: u64,
    /// The client has closed its side: its requests are answered, then the socket is closed.
    pub input_ended: bool,
    /// Whether it ends because the server stops.
    pub departure: Departure,
    /// The session that it has requested to go on with, or none.
    pub requested: SessionId,
    /// Why the server ends it, until that is reported.
    pub(super) end: Option<ClientEnd>,
}

impl Conn {
    /// A connection that was just accepted. Its address is its first identity.
    pub fn new(peer: SocketAddr, now: crate::Now) -> Conn {
        let ip = Id { scheme: "ip".into(), id: peer.ip().to_canonical().to_string() };
        Conn {
            peer,
            port: Port::Client,
            phase: Phase::First,
            input: Vec::new(),
            out: Vec::new(),
            pipeline: VecDeque::new(),
            syncs: VecDeque::new(),
            in_flight: 0,
            attached: None,
            ids: Arc::from([ip]),
            sasl: Exchange::NotBegun,
            seen: Zxid::ZERO,
            read_only: None,
            accepted: now.mono,
            opening_us: None,
            held: 0,
            dropped: false,
            stats: ConnStats::new(now.wall),
            ready: None,
            is_new: false,
            stalled: false,
            awaited: Awaited::Nothing,
            sending: 0,
            unsent_counted: 0,
            promised: 0,
            reads: 0,
            read_backlog: None,
            largest_reply: 0,
            listing: None,
            work: 0,
            work_turn: 0,
            input_ended: false,
            departure: Departure::No,
            requested: SessionId::NONE,
            end: None,
        }
    }

    /// The session, or none.
    pub fn session(&self) -> SessionId {
        self.attached.as_ref().map_or(SessionId::NONE, |attached| attached.session)
    }

    /// Whether another frame may be read now.
    pub fn accepts_frame(&self) -> bool {
        self.pipeline.len() + self.held < limits::CONN_PIPELINE_MAX
            && self.unsent() + self.promised < limits::CONN_OUT_BYTES_SOFT
            && self.listing.is_none()
    }

    /// Bytes that wait to be sent, in its output, in its socket's hands and on their way to it.
    pub fn unsent(&self) -> usize {
        let made = self.read_backlog.as_ref().map_or(0, |backlog| backlog.bytes());
        let listed = self.listing.as_ref().map_or(0, |listing| listing.bytes());
        self.out.len() + self.sending + made + listed
    }

    /// Nothing of it is sent any more, and what is not made yet need not be.
    pub(super) fn drop_unsent(&mut self) {
        (self.input, self.out) = (Vec::new(), Vec::new());
        (self.sending, self.listing) = (0, None);
        self.leave_reads();
    }

    fn leave_reads(&mut self) {
        if let Some(backlog) = &self.read_backlog {
            backlog.leave();
        }
    }

    /// A read goes to the sequencer, whose reply may have so many bytes.
    pub(super) fn promise(&mut self, bytes: usize) -> Arc<ReadBacklog> {
        self.reads += 1;
        self.promised += bytes;
        Arc::clone(self.read_backlog.get_or_insert_default())
    }

    /// A read is answered. What was promised goes with the last one of a run.
    pub(super) fn read_answered(&mut self, outcome: &Outcome) {
        self.reads -= 1;
        if self.reads == 0 {
            self.promised = 0;
        }
        if let (Outcome::Read(reply), Some(backlog)) = (outcome, &self.read_backlog) {
            backlog.taken(reply.body.len());
        }
    }

    /// Whether no request of it is under way.
    pub fn is_idle(&self) -> bool {
        self.pipeline.is_empty() && self.held == 0
    }

    /// Whether its id may go: nothing can come for it any more.
    pub(super) fn is_done(&self) -> bool {
        self.in_flight == 0 && self.held == 0
    }

    /// Whether every request is answered and every byte sent.
    pub fn is_settled(&self) -> bool {
        let busy = matches!(self.phase, Phase::Word | Phase::Opening);
        !busy && !self.is_new && self.is_idle() && self.out.is_empty()
    }

    /// Any bytes keep the session of a client whose input waits: its pings wait with it, and what
    /// the server is busy with, or a slow disk of the audit log, must not end its session.
    pub(super) fn extend_session_while_waiting(&self, now: Millis) {
        let waits = self.stalled || self.listing.is_some() || self.awaited == Awaited::AuditLog;
        if let Some(attached) = self.attached.as_ref().filter(|_| waits) {
            attached.last_heard.touch(now);
        }
    }

    /// No further reply is made: what is in the output is sent, then the socket is closed.
    pub fn close(&mut self) {
        if self.phase != Phase::Lost {
            self.phase = Phase::Closing;
        }
        self.input = Vec::new();
        self.listing = None;
        self.leave_reads();
    }

    /// Closes at once, without sending what is left.
    pub fn abort(&mut self) {
        self.close();
        self.out = Vec::new();
    }

    /// As [`Conn::close`], for a reason that the log has.
    pub(super) fn close_for(&mut self, end: ClientEnd) {
        self.note_end(end);
        self.close();
    }

    /// As [`Conn::abort`], for a reason that the log has.
    pub(super) fn abort_for(&mut self, end: ClientEnd) {
        self.note_end(end);
        self.abort();
    }

    /// The first reason counts, and none where the connection ends already.
    fn note_end(&mut self, end: ClientEnd) {
        if !matches!(self.phase, Phase::Closing | Phase::Lost) {
            self.end.get_or_insert(end);
        }
    }

    /// Its end, if it was ended since the last call.
    pub(super) fn take_end(&mut self) -> Option<EndedClient> {
        let end = self.end.take()?;
        let session = match self.session() {
            SessionId::NONE => self.requested,
            session => session,
        };
        Some(EndedClient { peer: self.peer, session, end })
    }
}

impl ConnStats {
    fn new(established: Millis) -> ConnStats {
        ConnStats {
            established,
            received: 0,
            sent: 0,
            last_op: NO_OP,
            last_cxid: -1,
            last_zxid: -1,
            last_response: 0,
            last_latency: 0,
            min_latency: i64::MAX,
            max_latency: 0,
            total_latency: 0,
            replies: 0,
        }
    }

    /// Sets everything but the time of the accept back.
    pub fn reset(&mut self) {
        *self = ConnStats::new(self.established);
    }

    /// Notes a reply. Authentication is not counted, and special xids (pings) are not shown as the
    /// last one: both as in ZooKeeper.
    pub fn replied(&mut self, reply: Replied) {
        let spec = OpSpec::of(reply.op);
        if spec.class == OpClass::Auth {
            return;
        }
        let latency = i64::try_from(reply.latency_us / 1_000).unwrap_or(i64::MAX);
        // A transaction that was refused is none of any kind, as in ZooKeeper.
        let refused = reply.code != Code::Ok && spec.is_write();
        self.last_op = if refused { NO_OP } else { reply.op };
        if reply.xid >= 0 {
            self.last_cxid = i64::from(reply.xid);
        }
        self.last_zxid = reply.zxid;
        self.last_response = reply.at.0;
        self.last_latency = latency;
        self.min_latency = self.min_latency.min(latency);
        self.max_latency = self.max_latency.max(latency);
        self.total_latency += latency;
        self.replies += 1;
    }
}

/// A reply that was made, for the counters.
#[derive(Clone, Copy, Debug)]
pub struct Replied {
    /// The operation.
    pub op: i32,
    /// The request's number.
    pub xid: i32,
    /// The zxid of the header.
    pub zxid: i64,
    /// The code of the header.
    pub code: Code,
    /// When the request arrived, microseconds of the monotonic clock.
    pub since_us: u64,
    /// From there to the moment of the reply. The reply leaves with the end of the turn.
    pub latency_us: u64,
    /// Monotonic clock.
    pub at: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::opcode::op;

    fn reply(op: i32, xid: i32, latency_us: u64) -> Replied {
        let code = Code::Ok;
        Replied { op, xid, zxid: 9, code, since_us: 0, latency_us, at: Millis(5) }
    }

    #[test]
    fn pings_and_authentication_hide_no_request() {
        let mut stats = ConnStats::new(Millis(1));
        stats.replied(reply(op::GET_DATA, 7, 3_000));
        stats.replied(reply(op::PING, -2, 1_000));
        stats.replied(reply(op::AUTH, -4, 90_000));
        assert_eq!((stats.last_op, stats.last_cxid, stats.replies), (op::PING, 7, 2));
        assert_eq!((stats.min_latency, stats.max_latency, stats.total_latency), (1, 3, 4));
        let refused = Replied { code: Code::NodeExists, ..reply(op::CREATE, 8, 0) };
        stats.replied(refused);
        assert_eq!((stats.last_op, stats.last_cxid), (NO_OP, 8));
    }
}
