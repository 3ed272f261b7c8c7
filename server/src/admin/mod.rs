//! Reports about the running server: the four-letter words and the numbers behind them.
//!
//! Each shard has a [`Desk`]. A word that concerns one shard's connection only is answered there;
//! for one about the whole server the [`Hub`] hands an errand to every shard, each adds its part
//! in slices between its turns, and whoever comes last has the text made. Long texts, and those
//! that ask the operating system, are made on a thread of their own, so no report holds a shard
//! up. Only a few reports are under way at a time, so that their memory does not grow with the
//! square of the connections; the other words wait in the order of arrival. [`http`] asks for the
//! same reports, and puts them into words itself.

pub mod audit;
mod date;
mod desk;
mod facts;
mod gather;
mod host;
pub mod http;
mod hub;
mod job;
mod latency;
mod metrics;
mod numbers;
mod outbox;
mod part;
mod places;
mod reporters;
mod sequencer_desk;
pub mod status;
mod watched;
mod words;

#[cfg(test)]
mod tests;

pub use desk::{Desk, Reports};
pub use facts::{ServerFacts, Startup, version};
pub(crate) use host::user;
pub use hub::{Hub, HubParts};
pub use latency::{Distribution, Latencies, Summary};
pub use sequencer_desk::SequencerDesk;
