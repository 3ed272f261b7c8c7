//! The simulator: members of an ensemble, their disks, their clients and a leader that is played,
//! in virtual time and from one seed. What a member runs is the product: node, shards, log,
//! recovery and the client's core. The binary `ringkeeper-sim` runs any number of seeds, and the
//! tests of this crate run some, with the same modules.

pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod device_log;
pub(crate) mod ensemble;
pub(crate) mod leader;
pub(crate) mod member;
pub(crate) mod net;
pub(crate) mod ports;
pub(crate) mod random;
pub(crate) mod recorded_leader;
pub(crate) mod requests;
pub(crate) mod rot;
pub(crate) mod runner;
pub(crate) mod schedule;
pub(crate) mod server;
pub(crate) mod states;
pub(crate) mod streams;
pub(crate) mod swarm;
pub(crate) mod world;
