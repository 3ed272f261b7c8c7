//! Threads, sockets and files around the pure core.

pub mod admin;
mod banner;
pub mod boot;
pub mod cli;
pub mod clock;
pub mod committer;
pub mod config;
mod descriptors;
pub mod fatal;
pub mod inspect;
mod log_device;
pub mod logging;
pub mod mailbox;
pub mod restore;
pub mod sequencer;
pub mod shards;
pub mod snapshots;
pub mod status;
mod stop;
mod store;
mod threads;
pub mod view;
pub mod waker;
