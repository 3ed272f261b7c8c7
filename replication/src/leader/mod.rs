//! The leader's side of Zab.

mod events;
mod feed_port;
mod learner_feed;
mod plan;
mod transcode;

pub use events::{
    Acknowledgement, ForwardedRequest, LearnerEvent, LearnerEventKind, LinkId, ToLearners,
};
pub use feed_port::{FeedEvent, FeedPort, FeedTask, SyncPlan};
pub use learner_feed::{FeedLimits, FeedSource, LearnerFeed, LearnerFeedError};
pub use plan::{LogReach, sync_plan};
pub use transcode::{CommitForm, commits, informs, proposals};
