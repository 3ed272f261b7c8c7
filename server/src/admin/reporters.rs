//! The threads on which long texts are made.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::hub::Hub;

/// Threads at a time. Whoever floods a server with words gets them one after the other.
const THREADS_MAX: usize = 2;

/// Making one text and handing it over.
type Report = Box<dyn FnOnce(&Hub) + Send>;

/// Threads that live as long as there is something to do. A connection asks for one text, so that
/// what waits is bounded by the connections.
#[derive(Default)]
pub(super) struct Reporters {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Report>,
    threads: usize,
}

impl Reporters {
    /// Has a text made. After an error nobody makes it.
    pub(super) fn give(
        &self,
        hub: &Arc<Hub>,
        report: impl FnOnce(&Hub) + Send + 'static,
    ) -> io::Result<()> {
        let mut state = self.state.lock();
        state.waiting.push_back(Box::new(report));
        if state.threads == THREADS_MAX {
            return Ok(());
        }
        let hub = hub.clone();
        let work = move || hub.reporters().work(&hub);
        match std::thread::Builder::new().name("report".into()).spawn(work) {
            Ok(_) => state.threads += 1,
            // Those who work already come to it.
            Err(_) if state.threads > 0 => {}
            Err(error) => {
                state.waiting.pop_back();
                return Err(error);
            }
        }
        Ok(())
    }

    fn work(&self, hub: &Hub) {
        while let Some(report) = self.next() {
            report(hub);
        }
    }

    /// What is to be done next; a thread that gets nothing has to end.
    fn next(&self) -> Option<Report> {
        let mut state = self.state.lock();
        let next = state.waiting.pop_front();
        state.threads -= usize::from(next.is_none());
        next
    }

    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.state.lock().threads
    }
}
