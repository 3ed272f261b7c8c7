//! What every server does for the clients that are connected to it: it lets them in, makes the
//! ids of their sessions, and proves that a session is theirs.

use ringkeeper_engine::request::{Attachment, Grant, Origin};
use ringkeeper_engine::session::{
    LastHeard, Owner, Passwords, ServerId, SessionIdSource, SessionTable,
};
use ringkeeper_engine::throttle::{ConnectionThrottle, NewConnection};
use ringkeeper_engine::wire::connect::Password;
use ringkeeper_engine::{Now, SessionId};

/// The part of a replica that serves connections of this server.
pub(crate) struct Serving {
    /// This server.
    pub(crate) server: ServerId,
    /// How session passwords are made.
    pub(crate) passwords: Passwords,
    /// Where session ids come from.
    pub(crate) session_ids: SessionIdSource,
    /// Which new connections are let in; `None`: all.
    pub(crate) connections: Option<ConnectionThrottle>,
}

impl Serving {
    /// Whether the limit of new connections lets this one in.
    pub(crate) fn admits(&mut self, who: NewConnection, now: Now) -> bool {
        let throttle = self.connections.as_mut();
        throttle.is_none_or(|throttle| throttle.admit(who, now.mono))
    }

    /// The id of a new session.
    pub(crate) fn new_session(&mut self, known: &SessionTable) -> SessionId {
        self.session_ids.next_free(known)
    }

    /// Whether the client may have the session.
    pub(crate) fn verify(&self, session: SessionId, password: Option<&Password>) -> bool {
        self.passwords.verify(session, password.map(|password| &password[..]))
    }

    /// What a connection gets that owns a session from now on.
    pub(crate) fn attachment(
        &self,
        session: SessionId,
        timeout_ms: i32,
        last_heard: LastHeard,
    ) -> Box<Attachment> {
        let grant = Grant { session, timeout_ms, password: self.passwords.of(session) };
        Box::new(Attachment { grant, last_heard })
    }
}

/// The connection to close when a session leaves its owner. Another server closes its own.
pub(crate) fn connection_of(owner: Owner) -> Option<Origin> {
    match owner {
        Owner::Connection(origin) => Some(origin),
        Owner::Server(_) => None,
    }
}
