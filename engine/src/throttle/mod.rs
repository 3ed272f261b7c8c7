//! What is slowed down or turned away when there is too much of it.
//!
//! Pure, like everything here: times are arguments, and so is the seed of the chance that decides
//! which new connections go.

mod connections;
mod requests;

pub use connections::{Blue, ConnectionLimits, ConnectionTally, ConnectionThrottle, Newcomer};
pub use requests::{InProcess, RequestLimits};
