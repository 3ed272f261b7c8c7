//! Reports about the running server: the four-letter words, HTTP, and the numbers behind them.
//!
//! A word is a file and a row in [`words`]. One that concerns the shard of its connection only is
//! answered there. For one about the whole server the [`ReportCoordinator`], a task on a thread of
//! its own, sends every shard a job; each makes its part in slices between its turns and sends it
//! back. Long texts, and those that ask the operating system, are made by workers, so no report
//! holds a shard up. Only a few reports are under way at a time, so that their memory does not grow
//! with the square of the connections; the other words wait in the order of arrival. [`http`]
//! collects the same reports and shows them as JSON.

pub mod audit;
mod collection;
mod coordinator;
mod date;
mod facts;
mod host;
pub mod http;
mod inbox;
mod latency;
mod member;
mod metrics;
mod node_reporter;
mod numbers;
mod partial;
mod pending_texts;
mod runtime;
mod shard_reporter;
mod slices;
mod state;
pub mod status;
mod watched;
pub mod words;
mod workers;
pub mod would_stop;

#[cfg(test)]
mod tests;

pub use coordinator::ReportCoordinator;
pub use facts::{Changing, ServerFacts, Startup, version};
pub(crate) use host::user;
pub use latency::{Distribution, Latencies, Summary};
pub use node_reporter::NodeReporter;
pub use runtime::{Admin, AdminThread};
pub use shard_reporter::ShardReporter;
pub use state::{ReportSources, ServerState};
