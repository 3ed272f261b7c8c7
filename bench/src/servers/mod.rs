//! The servers under load: their processes, what they report, how they are killed.

mod child;
pub mod ephemeral;
pub(crate) mod events;
pub(crate) mod four_letter;
pub mod groups;
pub(crate) mod host;
pub(crate) mod kill;
pub(crate) mod metrics;
pub(crate) mod monitor;
pub mod mounts;
pub(crate) mod probe;
pub(crate) mod processes;
pub(crate) mod quorum;
pub mod root;
pub(crate) mod storage;
pub(crate) mod target;
