//! Tasks for one thread, from any other.

use std::sync::Arc;

use crossbeam::queue::SegQueue;

use crate::node::waker::Waker;

/// Where tasks for a thread wait. The thread looks at it before it sleeps.
pub(super) struct Inbox<T> {
    tasks: SegQueue<T>,
    waker: Arc<Waker>,
}

impl<T> Inbox<T> {
    /// An empty one; `waker` wakes the thread.
    pub(super) fn new(waker: Arc<Waker>) -> Inbox<T> {
        Inbox { tasks: SegQueue::new(), waker }
    }

    /// Hands a task over.
    ///
    /// Order: the push comes before the wake, see [`Waker::about_to_sleep`].
    pub(super) fn push(&self, task: T) {
        self.tasks.push(task);
        self.waker.wake();
    }

    /// The oldest task.
    pub(super) fn pop(&self) -> Option<T> {
        self.tasks.pop()
    }

    /// Whether no task waits.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How many tasks wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }
}
