//! What the log's thread has done and the node has not heard of, and whether the node is woken for
//! it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

/// What the log's thread has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Done {
    /// A group is durable.
    Flush,
    /// A command was executed.
    Command,
}

/// A count that both threads look at without a lock.
#[derive(Default)]
pub(super) struct DoneCount {
    count: AtomicU32,
    /// The node need not be woken for one flush: it has something else to wait for.
    is_patient: AtomicBool,
}

impl DoneCount {
    /// Counts, and says whether the node is to hear of it now: of a command at once, and of flushes
    /// before so many are done that the log's thread would have to wait.
    pub(super) fn add(&self, done: Done) -> bool {
        let before = self.count.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        before > 0 || done == Done::Command || !self.is_patient.load(Ordering::Relaxed)
    }

    /// The node has taken note of one.
    pub(super) fn take(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there is something that the node has not taken note of.
    pub(super) fn is_any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Whether the end of a flush is to wake the node. To be said before a last look at
    /// [`DoneCount::is_any`].
    ///
    /// Order: the store comes before the look, and in [`DoneCount::add`] the count comes before the
    /// load; so either the node sees what is done, or the log's thread sees that it is awaited.
    pub(super) fn await_flush(&self, is_awaited: bool) {
        self.is_patient.store(!is_awaited, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_that_does_not_await_a_flush_hears_of_the_second_and_of_commands() {
        let count = DoneCount::default();
        assert!(count.add(Done::Flush), "nothing was said");
        count.take();
        count.await_flush(false);
        assert!(!count.is_any() && !count.add(Done::Flush) && count.is_any());
        assert!(count.add(Done::Flush), "they do not pile up");
        count.take();
        count.take();
        assert!(!count.is_any() && count.add(Done::Command));
        count.take();
        count.await_flush(true);
        assert!(count.add(Done::Flush));
    }
}
