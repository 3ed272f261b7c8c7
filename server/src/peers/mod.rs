//! The other servers of an ensemble: who leads, the link to it, and what this server is doing.

pub(crate) mod configuration;
mod connector;
pub(crate) mod dialer;
mod election;
pub mod feeds;
pub(crate) mod following;
mod logged_once;
mod resolver;
pub(crate) mod socket;
pub(crate) mod states;
pub mod status;
