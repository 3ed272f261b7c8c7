//! The administration over HTTP: ZooKeeper's commands, the metrics, and the health of the server.
//!
//! The thread of the reports answers. What a report needs of the shards it collects as the
//! four-letter words do; what takes time is left to the workers. So nothing here holds a shard up,
//! whatever is requested and however often.

mod answers;
mod auth;
mod command;
mod configuration;
mod ensemble;
mod fields;
mod input;
mod own_names;
mod ports;
mod reply;
mod server;
mod site;
mod snapshot;

pub use ports::Ports;
pub(super) use server::serve;
pub(super) use site::Site;
