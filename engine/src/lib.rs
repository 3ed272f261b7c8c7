//! What a Ringkeeper node is: the client protocol, the tree, sessions, watches, the log and the
//! snapshots.
//!
//! Everything here is pure but its edges: [`device`] (files) and [`client::tcp`] (one socket). The
//! rest reads no clock, starts no thread, opens nothing and knows no randomness; time, seeds and
//! bytes are arguments. That is enforced by `clippy.toml` beside this crate's manifest.

pub mod acl;
pub mod audit;
pub mod client;
pub mod code;
pub mod database;
pub mod device;
pub mod forward;
pub mod limits;
pub mod log;
pub mod op;
mod origin;
pub mod path;
pub mod request;
pub mod sasl;
pub mod sequencer;
pub mod session;
pub mod shard;
pub mod snapshot;
pub mod throttle;
pub mod tree;
pub mod txn;
pub mod watch;
pub mod wire;
pub mod zookeeper;
mod zxid;

pub use code::Code;
pub use zxid::{Millis, Now, SessionId, Zxid};
