//! Threads, sockets and files around the pure core.

pub mod admin;
pub mod boot;
pub mod cli;
pub mod clock;
pub mod committer;
pub mod config;
pub mod fatal;
pub mod logging;
pub mod mailbox;
pub mod restore;
pub mod sequencer;
pub mod shards;
pub mod snapshots;
pub mod view;
pub mod waker;
