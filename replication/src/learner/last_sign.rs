//! When a learner last said that it goes on.

use ringkeeper_engine::{Millis, Zxid};

/// Milliseconds between two signs, at the least.
const SIGN_MS: i64 = 250;

/// What the last sign was about.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct LastSign {
    /// How far the state was, and the log.
    done: (u64, Zxid),
    at: Millis,
}

impl LastSign {
    /// Whether there is something to say, which is then said: more is done than the last time, and
    /// that is a while ago.
    pub(super) fn is_due(&mut self, done: (u64, Zxid), now: Millis) -> bool {
        if done == self.done || now.0.saturating_sub(self.at.0) < SIGN_MS {
            return false;
        }
        *self = LastSign { done, at: now };
        true
    }
}
