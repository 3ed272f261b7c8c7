//! Threads, sockets and files around the pure core.

pub mod cli;
pub mod config;
pub mod logging;
