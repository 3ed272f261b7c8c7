//! What is counted and timed, and the form in which it is kept.

pub(crate) mod hdr;
pub(crate) mod results;
pub(crate) mod tally;
pub(crate) mod telemetry;
pub(crate) mod timeline;
