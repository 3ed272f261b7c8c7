//! What must hold, one thing per file. Each looks at what a client, a disk or a leader can see, not
//! at what a member believes. A failure is a panic in the file of the check: by that the runner
//! knows its class.

pub(crate) mod acknowledged;
pub(crate) mod applied;
pub(crate) mod committed;
pub(crate) mod ensembles;
pub(crate) mod expiry;
pub(crate) mod leaders;
pub(crate) mod progress;
pub(crate) mod promises;
pub(crate) mod proposals;
pub(crate) mod recovery;
pub(crate) mod replies;
pub(crate) mod sessions;
pub(crate) mod snapshots;
pub(crate) mod syncs;
pub(crate) mod watches;
pub(crate) mod zxids;
