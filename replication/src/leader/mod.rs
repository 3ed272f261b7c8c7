//! The leader's side of Zab.

mod events;
mod feed_port;

pub use events::{
    Acknowledgement, ForwardedRequest, LearnerEvent, LearnerEventKind, LinkId, ToLearners,
};
pub use feed_port::{FeedEvent, FeedPort, FeedTask, SyncPlan};
