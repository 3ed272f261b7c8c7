//! How Ringkeeper nodes agree: a pure state machine that the server drives with real disks and
//! sockets, and that a simulator can drive with anything.
//!
//! [`Node`] is the whole of it: requests come in through its ports, groups of transactions go out
//! to the log, and what is committed is applied and answered. Inside, [`Replica`] decides what is
//! ordered and what is committed. A standalone server is an ensemble with a quorum of one and goes
//! through the same steps.

mod admission;
pub mod election;
pub mod leader;
pub mod learner;
pub mod member;
pub mod node;
mod plant;
mod proposal_sizes;
mod replica;
mod session_life;
mod step;

pub use admission::{ElectionReason, LogSpace, WriteAdmission};
pub use learner::ZabState;
pub use node::{Node, NodeSettings};
#[cfg(feature = "plant")]
pub use plant::{Bug, plant};
pub use proposal_sizes::ProposalSizes;
pub use replica::{
    EpochLimits, LearningSettings, PasswordSource, Replica, ReplicaSettings, SpentRemoval,
};
pub use session_life::SessionLife;
pub use step::{
    Committed, Divergence, Input, LeaderEvent, LeaderFault, LostRequests, Outputs, Proposal,
    SessionAttachment,
};
