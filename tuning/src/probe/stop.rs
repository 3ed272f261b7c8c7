//! Ctrl-C: everything ends soon and in order, so that nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringkeeper_bench::interrupt::{self, Second};

/// Whether to end: by a signal, or since it was requested.
#[derive(Clone, Default, Debug)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on the usual signals no longer end the process.
    pub(crate) fn on_signals() -> std::io::Result<Stop> {
        interrupt::listen(Second::Waits).map(|()| Stop::default())
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) || interrupt::is_wanted()
    }

    /// Requests the end.
    #[cfg(test)]
    pub(crate) fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
