//! What a server is told by signals: to end, or to read again what may change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::node::waker::Waker;

/// The end of the server: SIGTERM, SIGINT. Other signals that are sent to servers do not end it.
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
        let signals = signal_hook::iterator::Signals::new([
            SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
        ])?;
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

    /// Returns when a signal to end has come; the shards are told. SIGHUP is for `reload`.
    pub(crate) fn wait(&self, reload: &dyn Fn()) {
        let mut signals = self.signals.lock().expect("only one thread waits");
        let signal = signals.forever().find(|signal| match *signal {
            SIGTERM | SIGINT => true,
            SIGHUP => {
                reload();
                false
            }
            signal => {
                tracing::info!(
                    signal,
                    "a signal without a meaning here (Java prints its threads at SIGQUIT); the \
                     server goes on"
                );
                false
            }
        });
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
