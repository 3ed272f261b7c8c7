//! What happens to a member, for the log and for reports.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::EnsembleId;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::SettingDifference;

use crate::leader::{Comparison, LearnerEnd, LinkId, StepDown};
use crate::learner::{FollowEnd, SyncKind};

/// What a driver has to do for a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberAction {
    /// Send these bytes over the election connection to this server, if there is one.
    Notify(ServerId, Vec<u8>),
    /// Open a connection to the quorum port of this server, then [`super::Member::dialed`].
    Dial(ServerId),
    /// Give the attempt to connect up, and close the connection to the leader if there is one.
    HangUp,
    /// Close the connection of this learner.
    Close(LinkId),
}

/// What has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberEvent {
    /// It begins to look for a leader.
    Looking,
    /// It was chosen to lead, in this round.
    Elected {
        /// The round.
        round: i64,
        /// Milliseconds that the election took.
        election_ms: i64,
    },
    /// Another server was chosen, or leads already.
    Found {
        /// The leader.
        leader: ServerId,
        /// Milliseconds that the election took.
        election_ms: i64,
    },
    /// The leader cannot be connected to.
    NotReached(ServerId),
    /// The server that was chosen looks for a leader itself.
    NotLeading(ServerId),
    /// It is synchronized with its leader, and serves clients.
    Synchronized {
        /// The leader.
        leader: ServerId,
        /// The leader's epoch.
        epoch: u32,
        /// How its history was brought in line.
        by: SyncKind,
        /// Where its log ends.
        last: Zxid,
    },
    /// It leads: a quorum has its history.
    Established {
        /// The epoch.
        epoch: u32,
        /// The end of the history.
        last: Zxid,
        /// Milliseconds since the election.
        sync_ms: i64,
    },
    /// The leader was silent for so long, milliseconds: the link is given up.
    LeaderSilent(ServerId, i64),
    /// The link to the leader has ended.
    FollowEnded(ServerId, FollowEnd),
    /// It does not lead any more.
    SteppedDown(StepDown),
    /// The connection of a learner has ended, of this server if it has said so.
    LearnerLost(LinkId, Option<ServerId>, LearnerEnd),
    /// A server takes part in the election that is of another ensemble. It is not counted.
    OtherEnsemble {
        /// Under this number.
        server: ServerId,
        /// This server's ensemble.
        own: EnsembleId,
        /// The other one.
        other: EnsembleId,
    },
    /// The other servers are of this ensemble, and this server has a history of its own, up to this
    /// transaction: it has no vote, and follows a leader only if that has all of it.
    OwnHistory {
        /// Their ensemble.
        ensemble: EnsembleId,
        /// The end of this server's history.
        last: Zxid,
    },
    /// This server leads, and members have different states.
    StatesDiffer(Comparison),
    /// The leader has other settings than this server.
    LeaderDiffers(ServerId, Vec<SettingDifference>),
    /// A learner has.
    LearnerDiffers(LinkId, ServerId, Vec<SettingDifference>),
}
