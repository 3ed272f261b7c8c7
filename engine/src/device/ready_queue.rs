//! Segments prepared ahead of use, handed from the thread that prepares to the one that flushes.
#![expect(clippy::disallowed_types, reason = "the queue is the border between two threads")]

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// A short queue whose consumer waits only while the producer makes the next item.
#[derive(Debug)]
pub struct ReadyQueue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    ready: VecDeque<T>,
    making: bool,
    /// Who is woken when something is taken.
    maker: Option<Thread>,
}

impl<T> Default for ReadyQueue<T> {
    fn default() -> ReadyQueue<T> {
        let state = State { ready: VecDeque::new(), making: false, maker: None };
        ReadyQueue { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T> ReadyQueue<T> {
    /// Adds an item that is ready.
    pub fn put(&self, item: T) {
        self.lock().ready.push_back(item);
        self.changed.notify_all();
    }

    /// Announces that an item is being made; [`ReadyQueue::made`] must follow.
    pub fn making(&self) {
        self.lock().making = true;
    }

    /// The item announced is ready, or could not be made.
    pub fn made(&self, item: Option<T>) {
        let mut state = self.lock();
        state.making = false;
        state.ready.extend(item);
        self.changed.notify_all();
    }

    /// Takes the oldest item. Waits while there is none but one is being made; `None` means that
    /// the caller has to make its own.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        while state.ready.is_empty() && state.making {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let taken = state.ready.pop_front();
        state.maker.iter().for_each(Thread::unpark);
        taken
    }

    /// Whether so many items are ready. The calling thread may park then: it is woken as soon as
    /// one is taken, so that it finds out at once whether there can be another one.
    pub fn has(&self, items: usize) -> bool {
        let mut state = self.lock();
        state.maker.get_or_insert_with(thread::current);
        state.ready.len() >= items
    }

    /// Items ready.
    pub fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// Whether nothing is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A thread that panicked while it held the lock left the queue whole: every change is one
    /// call.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
