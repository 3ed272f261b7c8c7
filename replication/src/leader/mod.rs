//! The leader's side of Zab.
//!
//! [`Leadership`] is one leadership, between the bytes of its learners' connections and its node.
//! What learners lack is read from the disk by a [`FeedPort`], whose threads run a [`LearnerFeed`]
//! each.

mod broadcast;
mod comparison;
mod digests;
mod discovery;
mod ensemble;
mod events;
mod feed_port;
mod lag;
mod lagging;
mod leadership;
mod learner_end;
mod learner_feed;
mod learner_state;
mod learner_summary;
mod out_queue;
mod plan;
mod settings;
mod step_down;
mod synchronization;
mod transcode;

pub use comparison::Comparison;
pub use events::{
    Acknowledgement, ForwardedRequest, LearnerEvent, LearnerEventKind, LinkId, ToLearners,
};
pub use feed_port::{FeedEvent, FeedPackets, FeedPort, FeedTask, SyncPlan};
pub(crate) use leadership::LeaderTask;
pub use leadership::Leadership;
pub use learner_end::LearnerEnd;
pub use learner_feed::{FeedLimits, FeedSource, LearnerFeed, LearnerFeedError};
pub use learner_summary::LearnerSummary;
pub use plan::{LogReach, sync_plan};
pub use settings::{LeaderLimits, LeaderSettings};
pub use step_down::StepDown;
use transcode::{commits, informs, proposals};

#[cfg(test)]
mod lagging_tests;
#[cfg(test)]
pub(crate) mod tests;
