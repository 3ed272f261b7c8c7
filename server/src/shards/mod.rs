//! The shard threads: an event loop around the pure [`ringkeeper_engine::shard::Shard`].

mod accept;
pub(crate) mod descriptors;
mod drain;
mod poll;
mod ring;
mod turn;
mod work_queue;

pub use accept::{Admission, ConnectionLimiter, Listener};
pub use poll::run as run_poll;
pub use ring::{probe as probe_ring, run as run_ring};
pub use turn::{ShardParts, ShardThread, WriteLeader};
