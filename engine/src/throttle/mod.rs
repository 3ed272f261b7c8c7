//! Throttling of requests and of new connections.
//!
//! Pure, like everything here: times are arguments, and so is the seed of the chance that decides
//! which new connections go.

mod connections;
mod requests;

pub use connections::{Blue, ConnectionLimits, ConnectionTally, ConnectionThrottle, NewConnection};
pub use requests::{InProcess, RequestLimits};
