//! The learner's side of Zab: how an observer or a follower finds its leader, takes over its
//! history, and follows it.
//!
//! - [`LeaderSearch`] decides from what voters say whom to connect to.
//! - [`LearnerLink`] is one link to a leader, from the first packet to the last. A learner that
//!   loses its leader drops the link and begins another one with [`LearnerLink::position`].
//! - [`TouchedSessions`] is what the answer to a ping says of the clients of this server.
//! - [`FollowedLeader`] is all of that in one, between the bytes of a connection and a
//!   [`crate::Node`]; [`follow`] moves it on.
//!
//! All are values: no socket, no clock, no thread. `docs/understand/learner.md` has the
//! states and the order rules.

mod broadcast;
mod config_event;
mod cut_retry;
mod effect;
mod ending;
mod ensemble;
mod follow;
mod follow_end;
mod followed_leader;
mod history;
mod incoming_state;
mod invariant;
mod last_sign;
mod leader_events;
mod leader_port;
mod leader_search;
mod link;
mod position;
mod progress;
mod received_state;
mod receiving;
mod state_reader;
mod state_transfer;
mod sync_kind;
mod synchronization;
mod touched;
mod transfer;
mod zab_state;
mod zxid_runs;

pub use config_event::ConfigEvent;
pub use effect::{LeaderTxn, LinkEffect, LinkInput};
pub use ending::LinkEnd;
pub use follow::follow;
pub use follow_end::{FollowEnd, RetryDelay};
pub use followed_leader::{FollowLimits, FollowedLeader};
pub use leader_search::{FoundLeader, LeaderSearch};
pub use link::LearnerLink;
pub use position::{Dialect, Learner, LearnerKind, LearnerOffer, LearnerPosition};
pub use state_reader::{StatePiece, StateReader};
pub use state_transfer::{DiscardedState, StateOutcome, StatePort, StateTask, whole_state};
pub use sync_kind::SyncKind;
pub use touched::{TOUCHED_SESSIONS_MAX, TouchedPortion, TouchedSessions};
pub use transfer::StateProgress;
pub use zab_state::ZabState;
