//! How a server is told to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::waker::Waker;

/// The end of the server: SIGTERM, SIGINT.
pub(crate) struct Stop {
    /// Set when the end has come.
    pub(crate) flag: Arc<AtomicBool>,
    wakers: Mutex<Vec<Arc<Waker>>>,
    signals: Mutex<signal_hook::iterator::Signals>,
}

impl Stop {
    /// Listens for the signals from now on.
    pub(crate) fn on_signals() -> anyhow::Result<Stop> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        let signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])?;
        Ok(Stop {
            flag: Arc::new(AtomicBool::new(false)),
            wakers: Mutex::default(),
            signals: Mutex::new(signals),
        })
    }

    /// Wakes this one too when the end has come.
    pub(crate) fn wake(&self, waker: Arc<Waker>) {
        self.wakers.lock().expect("nobody panics while holding it").push(waker);
    }

    /// Returns when a signal has come; everything is told to stop.
    pub(crate) fn wait(&self) {
        let signal = self.signals.lock().expect("only one thread waits").forever().next();
        tracing::info!(signal, "stopping");
        self.flag.store(true, Ordering::Release);
        for waker in self.wakers.lock().expect("nobody panics while holding it").iter() {
            waker.wake();
        }
    }
}
