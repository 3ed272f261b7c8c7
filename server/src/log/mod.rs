//! The thread that makes groups of the log durable, and how it is scheduled.

pub(crate) mod device;
mod sched;
pub mod writer;
