//! The leader's side of Zab.

mod broadcast;
mod discovery;
mod events;
mod feed_port;
mod leadership;
mod learner_end;
mod learner_state;
mod learner_summary;
mod out_queue;
mod step_down;
mod synchronization;

pub use events::{
    Acknowledgement, ForwardedRequest, LearnerEvent, LearnerEventKind, LinkId, ToLearners,
};
pub use feed_port::{FeedEvent, FeedPort, FeedTask, SyncPlan};
pub(crate) use leadership::LeaderTask;
pub use leadership::{LeaderLimits, LeaderSettings, Leadership};
pub use learner_end::LearnerEnd;
pub use learner_summary::LearnerSummary;
pub use step_down::StepDown;
