//! How a server is told to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::node::waker::Waker;

/// The end of the server: SIGTERM, SIGINT.
pub(crate) struct Stop {
    /// Set when the end has come: nobody is let in any more, nothing more is read, and what was
    /// read is answered.
    pub(crate) flag: Arc<AtomicBool>,
    /// Set when everything is answered: what answered it is not needed any more.
    pub(crate) over: Arc<AtomicBool>,
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
            over: Arc::new(AtomicBool::new(false)),
            wakers: Mutex::default(),
            signals: Mutex::new(signals),
        })
    }

    /// Wakes this one too when the end has come.
    pub(crate) fn wake(&self, waker: Arc<Waker>) {
        self.wakers.lock().expect("nobody panics while holding it").push(waker);
    }

    /// Returns when a signal has come; the shards are told.
    pub(crate) fn wait(&self) {
        let signal = self.signals.lock().expect("only one thread waits").forever().next();
        tracing::info!(signal, "stopping");
        self.flag.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Tells what has gone on for the shards' sake that they have ended.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.wake_all();
    }

    fn wake_all(&self) {
        for waker in self.wakers.lock().expect("nobody panics while holding it").iter() {
            waker.wake();
        }
    }
}
