//! Tests of a whole server in memory: shards, replica, database and a log that takes its time. The
//! modules of the simulator are in `replication/sim`.
#![expect(unreachable_pub, reason = "the fuzz targets take some of these modules as a library")]

#[allow(dead_code, reason = "no elections are played here")]
#[path = "../../../engine/tests/peer/conversation.rs"]
mod conversation;
mod edges;
mod elected;
mod elected_cases;
mod elected_clients;
mod elected_crashes;
mod elected_identity;
mod elected_own_history;
mod elected_scenarios;
mod ensemble;
mod feeds;
mod following;
mod following_cases;
mod following_edges;
#[path = "../../../engine/fuzz/src/frames.rs"]
mod frames;
mod golden;
mod lagging_cases;
mod leader;
mod leader_disk;
mod leading_cases;
mod leading_learners;
mod learning;
mod learning_edges;
mod mutate;
mod order;
mod recorded;
#[path = "../../../engine/fuzz/src/records.rs"]
mod records;
mod roles;
#[path = "../../sim/mod.rs"]
mod sim;
mod strangers;
mod throttle;
mod turns;

/// Histories are played as fast as the program plays them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use sim::{client, ports, random, server};
