//! What every server does for the clients that are connected to it: it lets them in, makes the
//! ids of their sessions, and proves that a session is theirs.

use ringkeeper_engine::device::{EnsembleIdentity, Standing};
use ringkeeper_engine::request::{Attachment, Grant, Origin, Outcome};
use ringkeeper_engine::session::{
    LastHeard, Owner, Passwords, ServerId, SessionIdSource, SessionTable,
};
use ringkeeper_engine::throttle::{ConnectionThrottle, NewConnection};
use ringkeeper_engine::wire::connect::Password;
use ringkeeper_engine::{Now, SessionId};

/// Where the passwords of sessions come from.
pub enum PasswordSource {
    /// They are these, for ever.
    Fixed(Passwords),
    /// They are these, of the ensemble that this server belongs to.
    Ensemble(Passwords),
    /// They are those of an ensemble, and no leader has said what these are. A password that is not
    /// one of these may be right all the same.
    Unknown(Passwords),
}

impl PasswordSource {
    fn passwords(&self) -> &Passwords {
        match self {
            PasswordSource::Fixed(passwords)
            | PasswordSource::Ensemble(passwords)
            | PasswordSource::Unknown(passwords) => passwords,
        }
    }

    /// The server belongs to this ensemble.
    pub(super) fn adopt(&mut self, ensemble: &EnsembleIdentity) {
        let passwords = Passwords::of_ensemble(ensemble);
        match (&self, ensemble.standing) {
            (PasswordSource::Fixed(_), _) => {}
            (_, Standing::Proposed) => *self = PasswordSource::Unknown(passwords),
            (_, Standing::Confirmed) => *self = PasswordSource::Ensemble(passwords),
        }
    }

    /// There is a leader: it has said what is to be said.
    pub(super) fn settle(&mut self) {
        if let PasswordSource::Unknown(passwords) = self {
            *self = PasswordSource::Ensemble(passwords.clone());
        }
    }
}

/// The part of a replica that serves connections of this server.
pub(crate) struct Serving {
    /// This server.
    pub(crate) server: ServerId,
    /// How session passwords are made.
    pub(crate) passwords: PasswordSource,
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

    /// Whether the client may have the session; what it is answered if it may not.
    pub(crate) fn verify(
        &self,
        session: SessionId,
        password: Option<&Password>,
    ) -> Result<(), Outcome> {
        let passwords = self.passwords.passwords();
        match (passwords.verify(session, password.map(|it| &it[..])), &self.passwords) {
            (true, _) => Ok(()),
            (false, PasswordSource::Unknown(_)) => Err(Outcome::Unavailable),
            (false, PasswordSource::Fixed(_) | PasswordSource::Ensemble(_)) => Err(Outcome::Gone),
        }
    }

    /// What a connection gets that owns a session from now on.
    pub(crate) fn attachment(
        &self,
        session: SessionId,
        timeout_ms: i32,
        last_heard: LastHeard,
    ) -> Box<Attachment> {
        let grant = Grant { session, timeout_ms, password: self.passwords.passwords().of(session) };
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
