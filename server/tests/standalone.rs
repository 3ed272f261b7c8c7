//! The binary as people run it: started, killed, stopped, refused, and short of everything.

#[path = "standalone/disk_full.rs"]
mod disk_full;
#[path = "standalone/host.rs"]
mod host;
#[path = "standalone/lives.rs"]
mod lives;
#[path = "standalone/log.rs"]
mod log;
#[path = "standalone/refusals.rs"]
mod refusals;
#[path = "standalone/sockets.rs"]
mod sockets;
