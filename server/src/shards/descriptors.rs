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

/// Descriptors for which the kernel's table of this process has slots from the start: a mebibyte.
const TABLE: usize = 1 << 17;

/// Lets the kernel's table of open files grow now rather than while clients come: in a process of
/// several threads, each growth makes the thread that needs it wait for all processors, for ten
/// milliseconds and more. Call it before the first thread is started.
pub(crate) fn grow_table() {
    let last = raise_limit().min(TABLE).saturating_sub(1);
    let Ok(null) = std::fs::File::open("/dev/null") else { return };
    // Nothing depends on it: if it does not grow now, it grows later.
    let _ = rustix::io::fcntl_dupfd_cloexec(&null, i32::try_from(last).unwrap_or(i32::MAX));
}

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
