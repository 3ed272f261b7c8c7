//! The learner's side of Zab: how an observer or a follower finds its leader, takes over its
//! history, and follows it.
//!
//! - [`LeaderSearch`] decides from what voters say whom to connect to.
//! - [`LearnerLink`] is one link to a leader, from the first packet to the last. A learner that
//!   loses its leader drops the link and begins another one with [`LearnerLink::position`].
//! - [`TouchedSessions`] is what the answer to a ping says of the clients of this server.
//!
//! All three are values: no socket, no clock, no thread. `docs/understand/learner.md` has the
//! states and the order rules.

mod broadcast;
mod effect;
mod ending;
mod history;
mod invariant;
mod leader_search;
mod link;
mod position;
mod received_state;
mod synchronization;
mod touched;
mod zab_state;
mod zxid_runs;

pub use effect::{LeaderTxn, LinkEffect, LinkInput};
pub use ending::LinkEnd;
pub use leader_search::{FoundLeader, LeaderSearch};
pub use link::LearnerLink;
pub use position::{Learner, LearnerKind, LearnerOffer, LearnerPosition};
pub use touched::{TOUCHED_SESSIONS_MAX, TouchedPortion, TouchedSessions};
pub use zab_state::ZabState;
