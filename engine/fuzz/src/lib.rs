//! What the targets do: plain functions of any bytes, which must neither panic nor grow without
//! bound. The tests of the workspace run the same functions on mutated seeds.

pub mod config;
pub mod frames;
pub mod log;
// The tests of replication use more of these than the targets here.
#[allow(dead_code)]
#[path = "../../../replication/sim/mod.rs"]
mod sim;
pub mod properties;
pub mod records;
pub mod zookeeper;

use sim::server;
