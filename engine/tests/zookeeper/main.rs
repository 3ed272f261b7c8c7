//! Snapshots and logs of Apache ZooKeeper's, written here as it writes them: fuzzy, and damaged.
#![expect(unreachable_pub, reason = "the fuzz targets take one of these modules as a library")]

mod damage;
mod files;
mod fuzzy;
mod history;
#[path = "../../fuzz/src/zookeeper.rs"]
mod target;
mod targets;
