//! Why a server has ended the connection of a client: what its operator reads in the log.

use std::fmt;
use std::net::SocketAddr;

use crate::{SessionId, Zxid};

/// A connection that the server has ended, or is about to end behind its last reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedClient {
    /// The client.
    pub peer: SocketAddr,
    /// Its session, or the one that it has requested; none where there is none yet.
    pub session: SessionId,
    /// Why.
    pub end: ClientEnd,
}

/// See [`EndedClient`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientEnd {
    /// The length of a frame, bytes, is none that can be, or more than `jute.maxbuffer`.
    FrameLength(usize),
    /// A request of so many bytes would exceed what large requests may take together.
    LargeRequest(usize),
    /// What it has sent is no record of the protocol.
    Malformed,
    /// What it has sent behind the handshake of TLS is no record of TLS.
    Record,
    /// The keys of its connection have encrypted as much as they may.
    KeysUsedUp,
    /// It has requested an operation that does not exist.
    UnknownOperation,
    /// It has requested no session in time.
    NoSession,
    /// It has seen this transaction, which this server does not have.
    Ahead(Zxid),
    /// The session that it wants has expired, or never was.
    SessionGone,
    /// The password is not that of the session that it wants.
    WrongPassword,
    /// Its session has ended while it was connected: it was not heard of in time.
    Expired,
    /// Its session belongs to another connection or server now.
    Moved,
    /// The leader is away, and nobody has confirmed its session for as long as that lasts.
    Unconfirmed,
    /// No session can be opened or taken up: there is no leader, no space in the log, or no token
    /// for a new connection.
    NotServing,
    /// Its credentials are wrong.
    AuthFailed,
    /// It means another ensemble.
    OtherEnsemble,
    /// It has to authenticate first.
    AuthRequired,
    /// It does not read what it is sent, of which so many bytes wait.
    SlowReader(usize),
    /// A request of it was throttled for longer than its session lasts.
    Stale,
}

/// How much an end says of the state of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndSeverity {
    /// It happens in every service now and then.
    Usual,
    /// A client, or the service, needs attention.
    Unusual,
}

impl ClientEnd {
    /// One word for it, which programs may rely on.
    pub fn word(self) -> &'static str {
        match self {
            ClientEnd::FrameLength(_) => "frame_length",
            ClientEnd::LargeRequest(_) => "large_request",
            ClientEnd::Malformed => "malformed",
            ClientEnd::Record => "tls_record",
            ClientEnd::KeysUsedUp => "tls_keys",
            ClientEnd::UnknownOperation => "unknown_operation",
            ClientEnd::NoSession => "no_session",
            ClientEnd::Ahead(_) => "ahead",
            ClientEnd::SessionGone => "session_gone",
            ClientEnd::WrongPassword => "wrong_password",
            ClientEnd::Expired => "expired",
            ClientEnd::Moved => "moved",
            ClientEnd::Unconfirmed => "unconfirmed",
            ClientEnd::NotServing => "not_serving",
            ClientEnd::AuthFailed => "auth_failed",
            ClientEnd::OtherEnsemble => "other_ensemble",
            ClientEnd::AuthRequired => "auth_required",
            ClientEnd::SlowReader(_) => "slow_reader",
            ClientEnd::Stale => "stale",
        }
    }

    /// How much it says.
    pub fn severity(self) -> EndSeverity {
        match self {
            ClientEnd::NoSession
            | ClientEnd::SessionGone
            | ClientEnd::Expired
            | ClientEnd::Moved
            | ClientEnd::Unconfirmed
            | ClientEnd::NotServing
            | ClientEnd::Ahead(_) => EndSeverity::Usual,
            ClientEnd::FrameLength(_)
            | ClientEnd::LargeRequest(_)
            | ClientEnd::Malformed
            | ClientEnd::Record
            | ClientEnd::KeysUsedUp
            | ClientEnd::UnknownOperation
            | ClientEnd::WrongPassword
            | ClientEnd::AuthFailed
            | ClientEnd::OtherEnsemble
            | ClientEnd::AuthRequired
            | ClientEnd::SlowReader(_)
            | ClientEnd::Stale => EndSeverity::Unusual,
        }
    }
}

impl fmt::Display for ClientEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientEnd::FrameLength(bytes) => {
                write!(f, "a frame of {bytes} bytes is none, or longer than jute.maxbuffer allows")
            }
            ClientEnd::LargeRequest(bytes) => {
                write!(f, "its request of {bytes} bytes exceeds what large requests may take")
            }
            ClientEnd::Malformed => f.write_str("what it has sent is no request"),
            ClientEnd::Record => f.write_str("what it has sent is no record of TLS"),
            ClientEnd::KeysUsedUp => f.write_str(
                "the keys of its TLS 1.2 have encrypted as much as they may; TLS 1.3 changes them",
            ),
            ClientEnd::UnknownOperation => {
                f.write_str("it has requested an operation that does not exist")
            }
            ClientEnd::NoSession => f.write_str("it has requested no session in time"),
            ClientEnd::Ahead(seen) => {
                write!(f, "it has seen zxid {seen}, which this server does not have")
            }
            ClientEnd::SessionGone => {
                f.write_str("the session that it wants has expired, or never was")
            }
            ClientEnd::WrongPassword => {
                f.write_str("its password is not that of the session that it wants")
            }
            ClientEnd::Expired => f.write_str("its session has ended: it was not heard of in time"),
            ClientEnd::Moved => {
                f.write_str("its session belongs to another connection or server now")
            }
            ClientEnd::Unconfirmed => f.write_str(
                "no leader has confirmed for as long as its session lasts that it lives",
            ),
            ClientEnd::NotServing => f.write_str(
                "no session can be had now: there is no leader, no space, or no connection token",
            ),
            ClientEnd::AuthFailed => f.write_str("its credentials are wrong"),
            ClientEnd::OtherEnsemble => f.write_str("it means another ensemble"),
            ClientEnd::AuthRequired => f.write_str("it has to authenticate first"),
            ClientEnd::SlowReader(bytes) => {
                write!(f, "it does not read: {bytes} bytes wait for it")
            }
            ClientEnd::Stale => {
                f.write_str("its request was throttled for longer than its session lasts")
            }
        }
    }
}
