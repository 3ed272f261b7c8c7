//! How many connections there are descriptors for.
//!
//! A connection that takes the last descriptor costs more than itself: the log needs some for its
//! next segment, and a log that cannot go on stops the server. So there is a bound below the limit
//! of the system.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are kept for files: segments of the log, snapshots, and what reads them.
const FILES: usize = 32;
/// Descriptors of the HTTP side: its connections, its event loop, and what it reads.
const HTTP: usize = 72;
/// Descriptors of each shard besides its connections.
const PER_SHARD: usize = 4;

/// The most connections that leave enough descriptors for everything else. Raises the limit of this
/// process as far as it may.
pub(crate) fn connections_max(shards: usize) -> io::Result<usize> {
    let limit = raise_limit();
    let used = std::fs::read_dir("/proc/self/fd")?.count();
    let free = limit.saturating_sub(used);
    // Where there are few, half of them is more than nothing for either side.
    let kept = (FILES + HTTP + PER_SHARD * shards).min(free / 2);
    Ok((free - kept).max(1))
}

fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
