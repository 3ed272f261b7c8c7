//! Why a server does not start from a directory.

use super::header::BadHeader;
use crate::Zxid;
use crate::device::DiskError;

/// What recovery found that it must not decide by itself. It has changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The disk failed.
    #[error("{0}; {advice}", advice = start_advice(.0))]
    Disk(#[from] DiskError),
    /// The header of a segment is unusable.
    #[error("{file} cannot be used: {why}. {REPAIR}")]
    Header {
        /// The segment.
        file: String,
        /// Why.
        why: BadHeader,
    },
    /// A segment strayed in from elsewhere, or was renamed.
    #[error("{file} does not belong here: {why}; move it away, or bring back the right directory")]
    Stranger {
        /// The segment.
        file: String,
        /// What gives it away.
        why: &'static str,
    },
    /// A file does not have the length that it was made with.
    #[error("{file} has {found} bytes instead of {expected}: a part of it is missing. {REPAIR}")]
    Length {
        /// The segment.
        file: String,
        /// The length of the file.
        found: u64,
        /// The length in its header.
        expected: u64,
    },
    /// Acknowledged transactions are unreadable.
    #[error(
        "{file} is damaged at byte {offset}: {last} is the last good transaction before it, and \
         {why}, so acknowledged transactions are lost there. {REPAIR}"
    )]
    Damaged {
        /// The segment.
        file: String,
        /// Where the good records end.
        offset: u64,
        /// The last good zxid.
        last: Zxid,
        /// What proves that there was more.
        why: Proof,
    },
    /// The log does not go on where it should.
    #[error(
        "transactions are missing: the log has {last}, and goes on in {file} behind {prev}. Bring \
         the missing segment back. {REPAIR}"
    )]
    Gap {
        /// The segment behind the gap.
        file: String,
        /// The last zxid before the gap.
        last: Zxid,
        /// The zxid behind which the segment goes on.
        prev: Zxid,
    },
    /// The newest segment is not the last one that there was.
    #[error(
        "transactions are missing: {file} ends with {last}, and says that the log goes on in \
         another segment, which is not there. Bring it back. {REPAIR}"
    )]
    NextMissing {
        /// The segment before the one that is missing.
        file: String,
        /// The last zxid in it.
        last: Zxid,
    },
    /// There are snapshots or segments missing from the beginning.
    #[error(
        "the log begins behind {prev} ({file}) and there is no usable snapshot that reaches so \
         far{bad}. Bring the missing files back, or the whole directory from a backup"
    )]
    NoBeginning {
        /// The oldest segment.
        file: String,
        /// What came before it.
        prev: Zxid,
        /// The snapshots that are there, and what is wrong with each.
        bad: BadSnapshots,
    },
    /// A snapshot is newer than the log.
    #[error(
        "{file} is newer than the end of the log ({last}): the end of the log is missing. Bring \
         it back from where it was moved. {REPAIR}"
    )]
    LogTooShort {
        /// The snapshot.
        file: String,
        /// The last zxid of the log.
        last: Zxid,
    },
    /// The directory was in use, and its log is not there.
    #[error(
        "{directory} was used before, but there is no log in it. Bring it back, or start on an \
         empty directory"
    )]
    LogGone {
        /// The directory of the log.
        directory: String,
    },
    /// The same, where there is a snapshot.
    #[error(
        "{directory} was used before, but there is no log in it: what came behind {last} \
         ({file}) is missing. Bring it back. {REPAIR}"
    )]
    LogGoneBehind {
        /// The directory of the log.
        directory: String,
        /// The newest snapshot.
        file: String,
        /// The last zxid in it.
        last: Zxid,
    },
    /// A directory whose log was never started holds only snapshots that are not usable.
    #[error("there is no log yet and no usable snapshot to start from{bad}")]
    Snapshot {
        /// The snapshots that are there, and what is wrong with each.
        bad: BadSnapshots,
    },
    /// Behind a cut there would be nothing to start from.
    #[error(
        "the log in {directory} cannot be cut behind {after}: it does not begin at the beginning, \
         and no usable snapshot is so old{bad}. The state has to come from the leader as a whole: \
         start on an empty directory"
    )]
    CutTooFar {
        /// The directory of the snapshots.
        directory: String,
        /// The transaction that would be the last.
        after: Zxid,
        /// The snapshots that are so old, and what is wrong with each.
        bad: BadSnapshots,
    },
    /// A state that was received and taken over cannot be used.
    #[error(
        "the state that was received at {zxid} cannot be used ({why}); start on an empty \
         directory, to receive it again"
    )]
    Received {
        /// The last transaction in it.
        zxid: Zxid,
        /// Why not.
        why: String,
    },
    /// A record is right, but what it holds is not.
    #[error("transaction {zxid} in {file} cannot be replayed: {why}")]
    Replay {
        /// The segment.
        file: String,
        /// The transaction.
        zxid: Zxid,
        /// Why.
        why: String,
    },
}

fn start_advice(error: &DiskError) -> &'static str {
    error.advice().unwrap_or("the server does not start on a disk that fails")
}

impl Refusal {
    /// Whether cutting the log off at its last good transaction would help.
    pub(super) fn is_repairable(&self) -> bool {
        match self {
            Refusal::Header { why, .. } => *why == BadHeader::Damaged,
            Refusal::Stranger { .. }
            | Refusal::Length { .. }
            | Refusal::Damaged { .. }
            | Refusal::Gap { .. }
            | Refusal::NextMissing { .. }
            | Refusal::LogGoneBehind { .. }
            | Refusal::LogTooShort { .. } => true,
            Refusal::Disk(_)
            | Refusal::NoBeginning { .. }
            | Refusal::LogGone { .. }
            | Refusal::Snapshot { .. }
            | Refusal::CutTooFar { .. }
            | Refusal::Received { .. }
            | Refusal::Replay { .. } => false,
        }
    }
}

const REPAIR: &str = "If there is no backup to bring it back from, `ringkeeper log repair` keeps \
                      what is good and says what is lost";

/// What proves that there was more behind the last good record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// A later flush follows in the same segment.
    LaterGroup(u64),
    /// A later segment goes on behind this zxid.
    LaterSegment(Zxid),
    /// The record there does not go with the one before.
    Chain,
    /// The record there has this zxid, which may not follow.
    Order(Zxid),
    /// The segment notes that this transaction was durable.
    Waypoint(Zxid),
    /// The notes of the segment read as zeros.
    Erased,
    /// This transaction was reported as durable.
    Durable(Zxid),
    /// The log was being cut behind this transaction, which was there when that was decided.
    Intent(Zxid),
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Proof::LaterGroup(offset) => write!(f, "a later commit begins at byte {offset}"),
            Proof::LaterSegment(prev) => write!(f, "the next segment goes on behind {prev}"),
            Proof::Chain => f.write_str("the record there does not continue the chain"),
            Proof::Order(zxid) => write!(f, "the record there is {zxid}, which is out of order"),
            Proof::Waypoint(zxid) => write!(f, "the segment notes that {zxid} was durable"),
            Proof::Erased => f.write_str("what the segment notes of its records reads as zeros"),
            Proof::Durable(zxid) => write!(f, "{zxid} was durable"),
            Proof::Intent(zxid) => write!(f, "the log was being cut behind {zxid}"),
        }
    }
}

/// Snapshots that could not be used.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct BadSnapshots(pub Vec<(String, String)>);

impl std::fmt::Display for BadSnapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(file, why)| write!(f, "; {file}: {why}"))
    }
}
