//! Threads that want every processor, at ordinary priority: a host that has something else to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Busy threads, one per processor, until the value is dropped.
pub(crate) struct LoadGenerator {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl LoadGenerator {
    /// Starts them. They stop by themselves after `limit` too: where threads are never preempted
    /// (a real-time policy), no other thread would run to stop them.
    pub(crate) fn start(limit: Duration) -> LoadGenerator {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..count)
            .filter_map(|_| {
                let stop = stop.clone();
                let spin = move || {
                    while !stop.load(Ordering::Relaxed) && begun.elapsed() < limit {
                        std::hint::spin_loop();
                    }
                };
                // With fewer threads the host is less busy; that is no reason to give up.
                std::thread::Builder::new().name("load".into()).spawn(spin).ok()
            })
            .collect();
        LoadGenerator { stop, threads }
    }
}

impl Drop for LoadGenerator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It does nothing that could panic.
            let _ = thread.join();
        }
    }
}
