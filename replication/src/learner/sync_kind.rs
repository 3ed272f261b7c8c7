//! How a leader brings a learner's history in line with its own.

use std::fmt;

/// The packet with which a leader begins to synchronize a learner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncKind {
    /// What the learner lacks is sent.
    Diff,
    /// The learner cuts its log first.
    Trunc,
    /// The leader's state is sent as a whole.
    Snap,
}

/// ZooKeeper's name.
impl fmt::Display for SyncKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SyncKind::Diff => "DIFF",
            SyncKind::Trunc => "TRUNC",
            SyncKind::Snap => "SNAP",
        })
    }
}
