//! The other servers of an ensemble: who leads, the link to it, and what this server is doing.

pub(crate) mod configuration;
mod connector;
pub(crate) mod dialer;
pub(crate) mod dialer_thread;
mod election;
mod election_socket;
mod first;
pub(crate) mod following;
#[cfg_attr(not(test), expect(dead_code, reason = "a voter is not started yet"))]
mod leader_dial;
mod logged_once;
#[cfg_attr(not(test), expect(dead_code, reason = "a voter is not started yet"))]
mod mesh;
mod mesh_peer;
mod mesh_table;
mod ports;
#[cfg_attr(not(test), expect(dead_code, reason = "a voter is not started yet"))]
mod quorum_port;
mod resolver;
pub(crate) mod socket;
pub(crate) mod states;
pub mod status;
#[cfg_attr(not(test), expect(dead_code, reason = "a voter is not started yet"))]
mod voting_ports;
