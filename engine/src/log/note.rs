//! What recovery reports although it starts the server.

use crate::Zxid;
use crate::device::{Intent, Renumbered};
use crate::tree::Misfit;

/// Something that recovery did and that an operator should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// The last flush was cut short; what was left of it is gone. Nothing on the disk proves that
    /// it was acknowledged.
    TornTail {
        /// The segment.
        file: String,
        /// Where the log ends now.
        offset: u64,
        /// The last zxid.
        last: Zxid,
    },
    /// A snapshot is damaged; an older one, or the whole log, was used instead.
    BadSnapshot {
        /// The snapshot.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The directory has another number than at the last start.
    Renumbered(Renumbered),
    /// A change of the log that the last process did not live to finish is finished now.
    Resumed(Intent),
    /// A transaction of the log does not fit the state before it, which ends there.
    Diverged {
        /// The transaction.
        zxid: Zxid,
        /// Why.
        why: Misfit,
    },
    /// Flushes do not wait for the disk (`forceSync=no`).
    Unsynced,
    /// The log was written without waiting for the disk, and its end is damaged. Acknowledged
    /// transactions may be gone: that is what `forceSync=no` means.
    UnsyncedDamage {
        /// The segment.
        file: String,
        /// Where the log ends now.
        offset: u64,
        /// The last zxid.
        last: Zxid,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Note::TornTail { file, offset, last } => write!(
                f,
                "the last commit to {file} was cut short at byte {offset}, as a crash leaves it, and \
                 the log now ends with {last}; a disk that has damaged it since leaves the same"
            ),
            Note::BadSnapshot { file, why } => {
                write!(f, "{file}: {why}; an older state and the log were used instead")
            }
            Note::Renumbered(Renumbered { from, to }) => write!(
                f,
                "the data directory was {} and is {} from now on: its myid changed",
                numbered(*from),
                numbered(*to)
            ),
            Note::Resumed(Intent::Cut(zxid)) => {
                write!(f, "the last process ended while it cut the log behind {zxid}; that is done")
            }
            Note::Resumed(Intent::Install(zxid)) => write!(
                f,
                "the last process ended while it took over a state received at {zxid}; that is done"
            ),
            Note::Diverged { zxid, why } => write!(
                f,
                "transaction {zxid} of the log does not fit the state of this server ({why}): the \
                 state of the leader is taken over as a whole before clients are served"
            ),
            Note::Unsynced => f.write_str(
                "forceSync=no: writes are acknowledged before they are on the disk, and a power \
                 failure loses them",
            ),
            Note::UnsyncedDamage { file, offset, last } => write!(
                f,
                "{file} was written with forceSync=no and is damaged at byte {offset}; the log \
                 now ends with {last}, and acknowledged transactions behind it are lost"
            ),
        }
    }
}

fn numbered(server: u64) -> String {
    if server == 0 { "a server without a number".to_owned() } else { format!("server {server}") }
}
