//! The two clocks, read at the edge and handed inwards.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ringkeeper_engine::{Millis, Now};

/// A monotonic clock with its zero at the server's start, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Both clocks, in milliseconds.
    pub fn now(&self) -> Now {
        Now {
            wall: wall(),
            mono: Millis(
                i64::try_from(self.start.elapsed().as_millis()).expect("292 million years"),
            ),
        }
    }

    /// The monotonic clock, in microseconds.
    pub fn micros(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).expect("584 thousand years")
    }
}

/// So many microseconds, as system calls want them.
pub fn timespec(us: u64) -> rustix::event::Timespec {
    let (seconds, rest) = (us / 1_000_000, us % 1_000_000);
    let tv_sec = i64::try_from(seconds).unwrap_or(i64::MAX);
    rustix::event::Timespec { tv_sec, tv_nsec: i64::try_from(rest).unwrap_or(0) * 1_000 }
}

/// The wall clock in milliseconds since 1970; 0 where it is set before that.
pub fn wall() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
