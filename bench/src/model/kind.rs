//! What is timed: the rows of a report.

use super::named::named;

named! {
    /// A kind of operation.
    pub(crate) enum Kind {
        /// Create a persistent node.
        Create = "create",
        /// Create an ephemeral node.
        Ephemeral = "ephemeral",
        /// Delete a node.
        Delete = "delete",
        /// Set the data of a node.
        Set = "set",
        /// Read a node.
        Get = "get",
        /// The stat of a node.
        Exists = "exists",
        /// List children.
        Children = "children",
        /// A multi of four writes.
        Multi = "multi",
        /// Waiting for the writes that were committed before.
        Sync = "sync",
        /// A sync and the read behind it, as one.
        SyncGet = "sync-get",
        /// An event: from the sending of the write to its arrival at one watcher.
        Event = "event",
        /// Setting a watch (again).
        Arm = "arm",
        /// A lock: from asking for it to holding it.
        Acquire = "acquire",
        /// A new leader: from the resignation of the one before to its knowing that it leads.
        TakeOver = "take-over",
        /// TCP connection and handshake.
        Connect = "connect",
        /// Closing of a session.
        Close = "close",
        /// A session's whole life.
        Session = "session",
        /// The ephemeral node by which a session shows that it lives; not timed.
        Presence = "presence",
    }
}

impl Kind {
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
