//! Which connections their sockets have to serve, and how soon each of them.

use crate::watch::ConnId;

/// Why a connection is ready for its socket, the most urgent reason first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Urgency {
    /// Its bytes were served: as many as a turn has taken in.
    Served,
    /// Something it waited for has come.
    Answered,
    /// It got a notification, or it ends. One event may do that to all connections at once, so
    /// other connections go first.
    Later,
}

/// Connections that have something to send, to close, or to read again. Each is once in the list
/// of its most urgent reason, and may be once in each of the less urgent ones.
#[derive(Default, Debug)]
pub struct ReadyList {
    /// Those of [`Urgency::Served`].
    pub served: Vec<ConnId>,
    /// Those of [`Urgency::Answered`].
    pub answered: Vec<ConnId>,
    /// Those of [`Urgency::Later`].
    pub later: Vec<ConnId>,
}

impl ReadyList {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = ConnId> {
        [&self.served, &self.answered, &self.later].into_iter().flatten().copied()
    }

    pub(super) fn list(&mut self, urgency: Urgency) -> &mut Vec<ConnId> {
        match urgency {
            Urgency::Served => &mut self.served,
            Urgency::Answered => &mut self.answered,
            Urgency::Later => &mut self.later,
        }
    }

    pub(super) fn clear(&mut self) {
        self.served.clear();
        self.answered.clear();
        self.later.clear();
    }
}
