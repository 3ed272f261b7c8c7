//! What is timed: the rows of a report.

/// A kind of operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    /// Create a persistent node.
    Create,
    /// Create an ephemeral node.
    Ephemeral,
    /// Delete a node.
    Delete,
    /// Set the data of a node.
    Set,
    /// Read a node.
    Get,
    /// The stat of a node.
    Exists,
    /// List children.
    Children,
    /// A multi of four writes.
    Multi,
    /// Waiting for the writes that were committed before.
    Sync,
    /// A sync and the read behind it, as one.
    SyncGet,
    /// An event: from the sending of the write to its arrival at one watcher.
    Event,
    /// Setting a watch (again).
    Arm,
    /// A lock: from asking for it to holding it.
    Acquire,
    /// A new leader: from the resignation of the one before to its knowing that it leads.
    TakeOver,
    /// TCP connection and handshake.
    Connect,
    /// Closing of a session.
    Close,
    /// A session's whole life.
    Session,
    /// The ephemeral node by which a session shows that it lives; not timed.
    Presence,
}

impl Kind {
    /// All kinds, in the order of reports, with their names there.
    const NAMED: [(Kind, &str); 18] = [
        (Kind::Create, "create"),
        (Kind::Ephemeral, "ephemeral"),
        (Kind::Delete, "delete"),
        (Kind::Set, "set"),
        (Kind::Get, "get"),
        (Kind::Exists, "exists"),
        (Kind::Children, "children"),
        (Kind::Multi, "multi"),
        (Kind::Sync, "sync"),
        (Kind::SyncGet, "sync-get"),
        (Kind::Event, "event"),
        (Kind::Arm, "arm"),
        (Kind::Acquire, "acquire"),
        (Kind::TakeOver, "take-over"),
        (Kind::Connect, "connect"),
        (Kind::Close, "close"),
        (Kind::Session, "session"),
        (Kind::Presence, "presence"),
    ];

    /// How many there are.
    pub(crate) const COUNT: usize = Kind::NAMED.len();

    /// All kinds, in the order of reports.
    pub(crate) fn all() -> impl Iterator<Item = Kind> {
        Kind::NAMED.into_iter().map(|(kind, _)| kind)
    }

    /// Name in reports.
    pub(crate) const fn name(self) -> &'static str {
        Kind::NAMED[self as usize].1
    }

    /// Whether it changes something that has to last.
    pub(crate) const fn is_write(self) -> bool {
        matches!(self, Kind::Create | Kind::Ephemeral | Kind::Delete | Kind::Set | Kind::Multi)
    }

    /// Position in reports.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn indices_are_positions() {
        for (position, kind) in Kind::all().enumerate() {
            assert_eq!(kind.index(), position);
        }
    }
}
