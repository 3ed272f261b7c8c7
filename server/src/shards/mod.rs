//! The shard threads: an event loop around the pure [`ringkeeper_engine::shard::Shard`].

mod accept;
pub(crate) mod descriptors;
mod poll;
mod portions;
mod ring;
mod turn;

pub use accept::{Admission, Listener, Turnstile};
pub use poll::run as run_poll;
pub use ring::{probe as probe_ring, run as run_ring};
pub use turn::{ShardParts, ShardThread};
