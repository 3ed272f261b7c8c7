//! Does a crash lose or invent anything?
//!
//! The histories run on a file system in memory that can fail or die at every operation and keep
//! any part of what was not synced; what comes back is compared with what was ordered. Nothing
//! acknowledged may be missing, and nothing may be there that was not ordered.
#![expect(unreachable_pub, reason = "the fuzz targets take one of these modules as a library")]

#[path = "recover/crashes.rs"]
mod crashes;
#[path = "recover/cut_log.rs"]
mod cut_log;
#[path = "recover/cuts.rs"]
mod cuts;
#[path = "recover/disk.rs"]
mod disk;
#[path = "recover/early.rs"]
mod early;
#[path = "recover/faults.rs"]
mod faults;
#[path = "recover/feed.rs"]
mod feed;
#[path = "recover/feed_changes.rs"]
mod feed_changes;
#[path = "recover/feed_damage.rs"]
mod feed_damage;
#[path = "recover/feed_disk.rs"]
mod feed_disk;
#[path = "recover/flips.rs"]
mod flips;
#[path = "recover/full_segment.rs"]
mod full_segment;
#[path = "recover/fuzz.rs"]
mod fuzz;
#[path = "recover/high_water.rs"]
mod high_water;
#[path = "recover/install.rs"]
mod install;
#[path = "recover/read_ahead.rs"]
mod read_ahead;
#[path = "recover/received.rs"]
mod received;
#[path = "recover/refusals.rs"]
mod refusals;
#[path = "recover/reload.rs"]
mod reload;
#[path = "recover/shapes.rs"]
mod shapes;
#[path = "../fuzz/src/log.rs"]
mod target;
#[path = "recover/targets.rs"]
mod targets;
#[path = "recover/tree_world.rs"]
mod tree_world;
#[path = "recover/two_disks.rs"]
mod two_disks;
#[path = "recover/unmissed.rs"]
mod unmissed;
#[path = "recover/world.rs"]
mod world;
