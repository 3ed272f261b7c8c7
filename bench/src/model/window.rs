//! Which operations of a run are measured.

use super::clock::Nanos;

/// Which operations are measured: those with this instant inside the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Basis {
    /// The reply: a closed loop of some seconds.
    Ended,
    /// The sending: a closed loop of so many operations.
    Started,
    /// The time at which it was due, however late it was sent: an open loop. Latency is counted
    /// from there.
    Intended,
}

/// What is measured: the time between two instants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    /// End of the warm-up.
    pub from: Nanos,
    /// End of the measured time.
    pub until: Nanos,
}

impl Window {
    pub(crate) fn holds(&self, at: Nanos) -> bool {
        self.from <= at && at < self.until
    }
}

/// When a request was due, was sent and was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Times {
    /// When it should have been sent.
    pub intended: Nanos,
    pub started: Nanos,
    pub ended: Nanos,
}
