//! Whole ensembles: every member is the product, those that lead as well. Members choose their
//! leaders, synchronize with them, and serve clients; everything between them is bytes.

pub(crate) mod clients;
pub(crate) mod crash_points;
pub(crate) mod faults;
pub(crate) mod feeds;
pub(crate) mod incoming;
pub(crate) mod links;
pub(crate) mod machine;
pub(crate) mod members;
pub(crate) mod network;
pub(crate) mod observer;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod rest;
pub(crate) mod runner;
pub(crate) mod sockets;
pub(crate) mod swarm;
pub(crate) mod wakes;
pub(crate) mod world;
