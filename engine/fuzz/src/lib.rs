//! What the targets do: plain functions of any bytes, which must neither panic nor grow without
//! bound. The tests of the workspace run the same functions on mutated seeds.

pub mod config;
pub mod frames;
pub mod log;
// The tests of replication use more of these than the targets here.
#[allow(dead_code)]
#[path = "../../../replication/tests/whole/disk.rs"]
pub mod disk;
#[allow(dead_code)]
#[path = "../../../replication/tests/whole/leader.rs"]
pub mod leader;
#[allow(dead_code)]
#[path = "../../../replication/tests/whole/ports.rs"]
pub mod ports;
#[allow(dead_code)]
#[path = "../../../replication/tests/whole/random.rs"]
pub mod random;
#[allow(dead_code)]
#[path = "../../../replication/tests/whole/server.rs"]
pub mod server;
pub mod properties;
pub mod records;
pub mod zookeeper;
