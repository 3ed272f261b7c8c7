//! The other servers of an ensemble: who leads, the link to it, and what this server is doing.

pub(crate) mod configuration;
mod connector;
pub(crate) mod dialer;
pub(crate) mod dialer_thread;
mod election;
mod election_socket;
pub mod feeds;
mod first;
pub(crate) mod following;
mod leader_dial;
mod logged_once;
pub(crate) mod member_driver;
pub(crate) mod member_log;
mod mesh;
mod mesh_peer;
mod mesh_table;
pub(crate) mod peer_notices;
mod peer_socket;
mod ports;
mod quorum_port;
mod resolver;
pub(crate) mod socket;
pub(crate) mod socket_set;
pub(crate) mod states;
pub mod status;
pub(crate) mod voting_ports;
