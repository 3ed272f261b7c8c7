//! Threads, sockets and files around the pure core.

pub mod admin;
pub mod audit;
mod banner;
pub mod boot;
pub mod cli;
pub mod clock;
pub mod committer;
pub mod config;
mod descriptors;
pub mod fatal;
pub mod groups;
pub mod inspect;
mod log_device;
pub mod logging;
pub mod mailbox;
mod quotas;
pub mod restore;
pub mod sequencer;
pub mod shards;
pub mod snapshots;
pub mod status;
mod stop;
mod store;
mod threads;
mod throttles;
pub mod view;
pub mod waker;
