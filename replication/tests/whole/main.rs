//! Tests of a whole server in memory: shards, replica, database and a log that takes its time.
#![expect(unreachable_pub, reason = "the fuzz targets take some of these modules as a library")]

mod at_rest;
mod client;
mod disk;
mod edges;
mod ensemble;
mod following;
mod following_cases;
#[path = "../../../engine/fuzz/src/frames.rs"]
mod frames;
mod golden;
mod leader;
mod learning;
mod learning_edges;
mod member;
mod model;
mod mutate;
mod order;
mod ports;
mod random;
#[path = "../../../engine/fuzz/src/records.rs"]
mod records;
mod server;
mod state_bytes;
mod strangers;
mod throttle;
mod turns;
