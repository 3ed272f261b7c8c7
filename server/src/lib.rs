//! Threads, sockets and files around the pure core.

pub mod admin;
pub mod clock;
pub mod committer;
pub mod fatal;
pub mod mailbox;
pub mod sequencer;
pub mod shards;
pub mod view;
pub mod waker;
