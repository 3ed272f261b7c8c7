//! Time, as nanoseconds since the load was prepared.

use std::time::{Duration, Instant};

/// Nanoseconds on a [`Clock`].
pub(crate) type Nanos = u64;

/// One second.
pub(crate) const SECOND: Nanos = 1_000_000_000;

/// A monotonic clock with its zero at the start of a run; copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    zero: Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { zero: Instant::now() }
    }

    pub(crate) fn now(&self) -> Nanos {
        nanos(self.zero.elapsed())
    }

    /// Blocks this thread until the clock shows `at`.
    pub(crate) fn sleep_until(&self, at: Nanos) {
        std::thread::sleep(Duration::from_nanos(at.saturating_sub(self.now())));
    }
}

/// A duration as nanoseconds; centuries are cut off.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn seconds(time: Nanos) -> f64 {
    Duration::from_nanos(time).as_secs_f64()
}
