//! How Ringkeeper nodes agree: a pure state machine that the server drives with real disks and
//! sockets, and that a simulator can drive with anything.
//!
//! A standalone server is an ensemble with a quorum of one and goes through the same
//! [`Replica::step`].

mod apply_committed;
mod replica;
mod step;

pub use apply_committed::{ShardOutbox, apply_committed};
pub use replica::{Replica, ReplicaSettings};
pub use step::{Committed, Input, Outputs, Proposal, WriteAdmission};
