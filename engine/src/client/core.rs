//! One session of a client, without its socket.
//!
//! Bytes to send are appended to a buffer of the caller, bytes received are read where they lie;
//! time is an argument. What a server must never do (answer out of order, go back in time) is
//! reported as a [`Violation`] and does not stop the session: the caller decides.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::reply::Body;
use super::request::Request;
use crate::wire::connect::{ConnectRequest, ConnectResponse, Password};
use crate::wire::event::EventType;
use crate::wire::header::ReplyHeader;
use crate::wire::opcode::{op, xid};
use crate::wire::{Malformed, Reader};
use crate::{Millis, SessionId};

/// What a client requests of its session, and the bounds of the bytes that it accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Session timeout to request; the server may give another.
    pub timeout_ms: i32,
    /// The flag of the handshake; `None` leaves it out, as clients of 3.3 do.
    pub read_only: Option<bool>,
    /// Largest frame accepted from the server.
    pub frame_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout_ms: 10_000, read_only: Some(false), frame_bytes_max: 64 << 20 }
    }
}

/// What takes a session up again, from any process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Session {
    /// Zero requests a new session.
    pub id: SessionId,
    /// The secret of the session.
    pub password: Password,
    /// The newest zxid that this client has seen: a server behind it refuses the client.
    pub last_zxid: i64,
}

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// No connection, or one that has sent nothing yet.
    Disconnected,
    /// The handshake is under way.
    Connecting,
    /// Requests are answered.
    Open,
    /// The server knows no such session.
    Expired,
    /// The session was ended by its client.
    Closed,
}

/// A request that is not answered yet. `tag` is whatever the caller keeps with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Awaited<T> {
    /// Its number.
    pub xid: i32,
    /// Its operation code.
    pub op: i32,
    /// The caller's own.
    pub tag: T,
}

/// One message of the server.
#[derive(Clone, PartialEq, Debug)]
pub enum Message<'b, T> {
    /// The handshake succeeded.
    Connected(ConnectResponse),
    /// The handshake failed: the session is gone.
    Expired,
    /// The answer to a request.
    Reply(Reply<'b, T>),
    /// A watch fired.
    Event(Event<'b>),
    /// The answer to a ping.
    Pong,
    /// A reply to nothing, reported as [`Violation::Stray`] too.
    Stray(ReplyHeader),
}

/// The answer to a request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reply<'b, T> {
    /// As it came; it differs from the request's only with a [`Violation::XidOrder`].
    pub xid: i32,
    /// Operation code of the request.
    pub op: i32,
    /// The newest zxid that the server had applied.
    pub zxid: i64,
    /// A [`crate::Code`] as a number.
    pub err: i32,
    /// The record behind the header.
    pub body: Body<'b>,
    /// What the caller gave with the request.
    pub tag: T,
}

/// A watch that fired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event<'b> {
    /// Zxid of the transaction, -1 for an event made up while watches are set again.
    pub zxid: i64,
    /// What happened.
    pub kind: EventType,
    /// The state field, 3 (SyncConnected) from every known server.
    pub state: i32,
    /// To which node.
    pub path: Cow<'b, str>,
}

/// What a server must never do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// Replies come in the order of the requests.
    #[error("reply out of order: xid {got} where {expected} was due")]
    XidOrder {
        /// Xid of the oldest request that waits.
        expected: i32,
        /// Xid of the reply.
        got: i32,
    },
    /// A reply to nothing.
    #[error("a reply with xid {got} to no request")]
    Stray {
        /// Xid of the reply.
        got: i32,
    },
    /// The state a client sees never gets older.
    #[error("zxid went back from {seen:#x} to {got:#x}")]
    ZxidBack {
        /// Newest zxid before.
        seen: i64,
        /// Zxid of the message at fault.
        got: i64,
    },
    /// An event comes before any reply that could show its change.
    #[error("event of zxid {got:#x} after a reply at {seen:#x}")]
    LateEvent {
        /// Zxid of the reply before it.
        seen: i64,
        /// Zxid of the event.
        got: i64,
    },
}

/// The connection cannot go on: the bytes make no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// A frame length below zero or above [`Options::frame_bytes_max`].
    #[error("a frame of {0} bytes")]
    FrameLength(i32),
    /// A header or an event that cannot be read.
    #[error("a message that cannot be read: {0}")]
    Message(#[from] Malformed),
}

/// What a session has to do at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pulse {
    /// Nothing.
    Quiet,
    /// Send a ping: a third of the timeout has passed in silence.
    Ping,
    /// The server has said nothing for two thirds of the timeout: leave it for another.
    Dead,
}

/// One session of a client.
#[derive(Debug)]
pub struct Core<T = ()> {
    options: Options,
    phase: Phase,
    session: Session,
    timeout_ms: i32,
    next_xid: i32,
    last_event_zxid: i64,
    awaited: VecDeque<Awaited<T>>,
    /// Auth and SASL are answered when the server reads them, past whatever waits in order.
    aside: VecDeque<Awaited<T>>,
    pings: u32,
    sent: Millis,
    heard: Millis,
    violations: Vec<Violation>,
}

impl<T> Core<T> {
    /// A new session.
    pub fn new(options: Options) -> Core<T> {
        Core::resume(options, Session::default())
    }

    /// A session that exists already.
    pub fn resume(options: Options, session: Session) -> Core<T> {
        Core {
            options,
            phase: Phase::Disconnected,
            session,
            timeout_ms: options.timeout_ms,
            next_xid: 1,
            last_event_zxid: 0,
            awaited: VecDeque::new(),
            aside: VecDeque::new(),
            pings: 0,
            sent: Millis(0),
            heard: Millis(0),
            violations: Vec::new(),
        }
    }

    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What takes this session up again.
    pub fn session(&self) -> Session {
        self.session
    }

    /// The timeout agreed (before the handshake: requested).
    pub fn timeout_ms(&self) -> i32 {
        self.timeout_ms
    }

    /// Requests that wait for their replies.
    pub fn in_flight(&self) -> usize {
        self.awaited.len() + self.aside.len()
    }

    /// Takes what a server did wrong since the last call.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Begins a handshake on a new connection. What waited on the old one is handed back: it
    /// is unknown whether it was done.
    pub fn connect(&mut self, now: Millis, out: &mut Vec<u8>) -> Vec<Awaited<T>> {
        let lost = self.disconnect();
        self.phase = Phase::Connecting;
        (self.sent, self.heard) = (now, now);
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.session.last_zxid,
            timeout_ms: self.options.timeout_ms,
            session: self.session.id.0,
            password: Some(self.session.password.to_vec()),
            read_only: self.options.read_only,
        }
        .write_frame(out);
        lost
    }

    /// The connection is gone. Hands back what waited on it.
    pub fn disconnect(&mut self) -> Vec<Awaited<T>> {
        if matches!(self.phase, Phase::Connecting | Phase::Open) {
            self.phase = Phase::Disconnected;
        }
        self.pings = 0;
        self.awaited.drain(..).chain(self.aside.drain(..)).collect()
    }

    /// Appends a request under the next xid and waits for its reply.
    pub fn request(&mut self, request: &Request<'_>, tag: T, out: &mut Vec<u8>) -> i32 {
        let xid = match request.op() {
            op::AUTH => xid::AUTH,
            op::PING => xid::PING,
            op::SET_WATCHES | op::SET_WATCHES2 => xid::SET_WATCHES,
            _ => self.take_xid(),
        };
        self.request_as(xid, request, tag, out);
        xid
    }

    fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid = xid.checked_add(1).unwrap_or(1);
        xid
    }

    /// Appends a request under a given xid and waits for its reply. The tag of a ping is dropped.
    pub fn request_as(&mut self, xid: i32, request: &Request<'_>, tag: T, out: &mut Vec<u8>) {
        let op = request.op();
        request.write_frame(xid, out);
        match op {
            op::PING => self.pings += 1,
            op::AUTH | op::SASL => self.aside.push_back(Awaited { xid, op, tag }),
            _ => self.awaited.push_back(Awaited { xid, op, tag }),
        }
    }

    /// Notes that bytes have been sent.
    pub fn sent(&mut self, now: Millis) {
        self.sent = now;
    }

    /// Notes that bytes have been received.
    pub fn heard(&mut self, now: Millis) {
        self.heard = now;
    }

    /// What is due at this time.
    pub fn pulse(&self, now: Millis) -> Pulse {
        let timeout = i64::from(self.timeout_ms);
        if !matches!(self.phase, Phase::Open | Phase::Connecting) {
            Pulse::Quiet
        } else if (now.0 - self.heard.0) * 3 >= timeout * 2 {
            Pulse::Dead
        } else if self.phase == Phase::Open && (now.0 - self.sent.0) * 3 >= timeout {
            Pulse::Ping
        } else {
            Pulse::Quiet
        }
    }

    /// Takes one message off the front of `bytes`; `None` if it is not all there yet, in which
    /// case the caller keeps `bytes` and comes again with more.
    pub fn receive<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<Option<Message<'b, T>>, Broken> {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let raw = i32::from_be_bytes(*head);
        let len = usize::try_from(raw).map_err(|_| Broken::FrameLength(raw))?;
        if len > self.options.frame_bytes_max {
            return Err(Broken::FrameLength(raw));
        }
        let Some((payload, rest)) = rest.split_at_checked(len) else { return Ok(None) };
        *bytes = rest;
        if self.phase == Phase::Connecting {
            self.connected(payload)
        } else {
            self.message(payload)
        }
        .map(Some)
        .map_err(Broken::Message)
    }

    fn connected<'b>(&mut self, payload: &'b [u8]) -> Result<Message<'b, T>, Malformed> {
        let response = ConnectResponse::read(payload)?;
        if response.session == 0 || response.timeout_ms <= 0 {
            self.phase = Phase::Expired;
            return Ok(Message::Expired);
        }
        self.phase = Phase::Open;
        self.timeout_ms = response.timeout_ms;
        self.session.id = SessionId(response.session);
        self.session.password = response.password;
        Ok(Message::Connected(response))
    }

    fn message<'b>(&mut self, payload: &'b [u8]) -> Result<Message<'b, T>, Malformed> {
        let mut reader = Reader::new(payload);
        let header = ReplyHeader::read(&mut reader)?;
        if header.xid == xid::NOTIFICATION {
            return self.event(header.zxid, reader).map(Message::Event);
        }
        self.see(header.zxid);
        if header.xid == xid::PING && self.pings > 0 {
            self.pings -= 1;
            return Ok(Message::Pong);
        }
        let Some(awaited) = self.pair(header.xid) else {
            self.violations.push(Violation::Stray { got: header.xid });
            return Ok(Message::Stray(header));
        };
        if awaited.op == op::CLOSE_SESSION && header.err == 0 {
            self.phase = Phase::Closed;
        }
        let body = Body(reader.rest());
        let ReplyHeader { xid, zxid, err } = header;
        Ok(Message::Reply(Reply { xid, op: awaited.op, zxid, err, body, tag: awaited.tag }))
    }

    /// Finds the request that a reply belongs to. A wrong xid is taken for the answer to the
    /// oldest request, so that one damaged reply counts once and the rest is still checked.
    fn pair(&mut self, got: i32) -> Option<Awaited<T>> {
        let in_order = self.awaited.front().is_some_and(|awaited| awaited.xid == got);
        if !in_order && self.aside.front().is_some_and(|awaited| awaited.xid == got) {
            return self.aside.pop_front();
        }
        let awaited = self.awaited.pop_front()?;
        if !in_order {
            self.violations.push(Violation::XidOrder { expected: awaited.xid, got });
        }
        Some(awaited)
    }

    /// Auth and SASL replies carry 0 and refusals of unknown operations -1: no statement at all.
    fn see(&mut self, zxid: i64) {
        let seen = self.session.last_zxid;
        if zxid > 0 && zxid < seen {
            self.violations.push(Violation::ZxidBack { seen, got: zxid });
        }
        self.session.last_zxid = seen.max(zxid);
    }

    /// An event may be ahead of the replies after it: it is sent while its change is applied.
    fn event<'b>(&mut self, zxid: i64, mut reader: Reader<'b>) -> Result<Event<'b>, Malformed> {
        let kind = match reader.int()? {
            1 => EventType::NodeCreated,
            2 => EventType::NodeDeleted,
            3 => EventType::NodeDataChanged,
            4 => EventType::NodeChildrenChanged,
            _ => return Err(Malformed::Value),
        };
        let (state, path) = (reader.int()?, reader.string()?);
        if zxid > 0 {
            let (replied, fired) = (self.session.last_zxid, self.last_event_zxid);
            if zxid <= replied {
                self.violations.push(Violation::LateEvent { seen: replied, got: zxid });
            } else if zxid < fired {
                self.violations.push(Violation::ZxidBack { seen: fired, got: zxid });
            }
            self.last_event_zxid = fired.max(zxid);
        }
        Ok(Event { zxid, kind, state, path })
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
