//! The other servers of an ensemble: who leads, the link to it, and what this server is doing.

pub(crate) mod configuration;
mod connector;
pub(crate) mod dialer;
mod election;
pub(crate) mod feeds;
pub(crate) mod following;
mod logged_once;
pub(crate) mod member_driver;
pub(crate) mod member_log;
mod peer_socket;
mod resolver;
pub(crate) mod socket;
pub(crate) mod socket_set;
pub(crate) mod states;
pub mod status;
pub(crate) mod voting_ports;
