//! Why a leader does not lead any more.

use std::fmt;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::EnsembleId;
use ringkeeper_engine::session::ServerId;

/// Why a leadership has ended. Another one may begin with the next election.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepDown {
    /// No quorum of the voters followed within this time, milliseconds (`initLimit`).
    NotEstablished(i64),
    /// As that; so many of the voters that are connected have new directories, which do not count
    /// until all voters are connected.
    BlankVoters(usize, i64),
    /// No quorum was heard of within this time, milliseconds (`syncLimit`).
    QuorumLost(i64),
    /// A voter has a history that this server does not have. It leads, or somebody else with it.
    Behind {
        /// The voter.
        voter: ServerId,
        /// The epoch of its history.
        epoch: u32,
        /// Its last transaction.
        zxid: Zxid,
    },
    /// A voter has promised this epoch to another leader: this one needs a later epoch.
    Promised {
        /// The voter.
        voter: ServerId,
        /// What it has promised.
        epoch: u32,
    },
    /// Other servers are of this ensemble, for certain, and this server is not.
    OtherEnsemble(EnsembleId),
    /// There is no later epoch, or no zxid left in this one.
    EpochUsedUp,
    /// This server's own state is not the one that its log makes.
    Diverged,
    /// Its disk is full, and the others are a quorum without it.
    Full,
    /// Its disk has space again, and learners have to send again what could not be ordered.
    SpaceAgain,
    /// It was requested: the server stops.
    HandedOver,
}

/// One sentence for the log.
impl fmt::Display for StepDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepDown::NotEstablished(ms) => {
                write!(f, "no quorum of the servers has followed within {ms} ms")
            }
            StepDown::BlankVoters(count, ms) => write!(
                f,
                "no quorum of the servers has followed within {ms} ms: {count} of those that are \
                 connected have new directories, and may have lost what they once acknowledged. \
                 They count when more of the others, or all of them, are connected"
            ),
            StepDown::QuorumLost(ms) => {
                write!(f, "no quorum of the servers was heard of within {ms} ms")
            }
            StepDown::Behind { voter, epoch, zxid } => write!(
                f,
                "server {} has a later history, which ends with {zxid} in epoch {epoch}",
                voter.0
            ),
            StepDown::Promised { voter, epoch } => write!(
                f,
                "server {} has promised epoch {epoch} to another leader, so a later one is needed",
                voter.0
            ),
            StepDown::OtherEnsemble(id) => write!(
                f,
                "the other servers are ensemble {id}, and this server has a history of its own"
            ),
            StepDown::EpochUsedUp => f.write_str("the zxids of the epoch are used up"),
            StepDown::Diverged => f.write_str("the state of this server does not fit its log"),
            StepDown::Full => {
                f.write_str("its disk is full, and a quorum of the others can do without it")
            }
            StepDown::SpaceAgain => f.write_str(
                "its disk has space again, and the others send to the next leader, which it may be, \
                 what could not be ordered while it was full",
            ),
            StepDown::HandedOver => f.write_str("leadership is handed over"),
        }
    }
}
