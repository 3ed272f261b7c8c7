//! What the targets do: plain functions of any bytes, which must neither panic nor grow without
//! bound. The tests of the workspace run the same functions on mutated seeds.

pub mod config;
pub mod frames;
pub mod log;
#[path = "../../../replication/tests/whole/node.rs"]
pub mod node;
pub mod properties;
pub mod records;
