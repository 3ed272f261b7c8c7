//! The thread that drives the node, and what stands between it and the shards.

pub mod clock;
pub mod driver;
mod group_times;
pub(crate) mod leader;
pub mod mailbox;
pub mod observer;
mod quotas;
pub mod reporting;
pub(crate) mod threads;
pub(crate) mod timed;
pub mod view;
pub mod waker;
