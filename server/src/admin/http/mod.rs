//! The administration over HTTP: ZooKeeper's commands, the metrics, and the health of the server.
//!
//! One thread with an event loop of its own answers. What a report needs of the shards it gets as
//! the four-letter words do, through the hub; what takes time is done on a few threads beside it.
//! So nothing here holds a shard up, whoever asks and however often.

mod answers;
mod auth;
mod command;
mod configuration;
mod connections;
mod fields;
mod idle;
mod ports;
mod server;
mod site;
mod snapshot;

pub use ports::Ports;
pub use server::HttpServer;
