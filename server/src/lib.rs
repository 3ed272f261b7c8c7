//! Threads, sockets and files around the pure core.

pub mod admin;
mod banner;
pub mod boot;
pub mod cli;
pub mod client_log;
pub mod config;
pub mod demo;
pub mod fatal;
pub mod log;
pub mod logging;
pub mod node;
mod notify_socket;
pub mod peers;
pub mod shards;
mod stop;
pub mod storage;
pub mod tls;
