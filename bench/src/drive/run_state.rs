//! The course of a run: what its threads agree on.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use crate::model::clock::{Clock, Nanos};
use crate::model::window::Window;
use crate::verify::acks::Acks;

/// What the threads of a run agree on.
#[derive(Debug)]
pub(crate) struct RunState {
    pub clock: Clock,
    pub acks: Acks,
    from: AtomicU64,
    until: AtomicU64,
    grace: Nanos,
    tickets: Option<AtomicI64>,
    settled_threads: AtomicU32,
    released: AtomicBool,
}

impl RunState {
    /// Nothing may start yet. With `count`, that many operations are measured.
    pub(crate) fn new(clock: Clock, grace: Nanos, count: Option<u64>) -> RunState {
        let tickets = count.map(|n| AtomicI64::new(i64::try_from(n).unwrap_or(i64::MAX)));
        RunState {
            clock,
            acks: Acks::default(),
            from: AtomicU64::new(0),
            until: AtomicU64::new(0),
            grace,
            tickets,
            settled_threads: AtomicU32::new(0),
            released: AtomicBool::new(false),
        }
    }

    /// Fixes what is measured; the load may start.
    pub(crate) fn go(&self, window: Window) {
        self.from.store(window.from, Ordering::Relaxed);
        self.until.store(window.until, Ordering::Relaxed);
    }

    pub(crate) fn window(&self) -> Window {
        Window {
            from: self.from.load(Ordering::Relaxed),
            until: self.until.load(Ordering::Relaxed),
        }
    }

    /// Whether operations may start, and takes their tickets: those of the warm-up are free.
    pub(crate) fn may_start(&self, now: Nanos, operations: u32) -> bool {
        let Window { from, until } = self.window();
        match &self.tickets {
            _ if now >= until => false,
            Some(tickets) if now >= from => {
                tickets.fetch_sub(i64::from(operations), Ordering::Relaxed) > 0
            }
            Some(_) | None => true,
        }
    }

    /// Whether nothing may start any more.
    pub(crate) fn is_over(&self, now: Nanos) -> bool {
        let out = self.tickets.as_ref().is_some_and(|n| n.load(Ordering::Relaxed) <= 0);
        out || now >= self.window().until
    }

    /// Ends the load, if nothing has ended it before.
    pub(crate) fn end(&self, now: Nanos) {
        self.until.fetch_min(now, Ordering::Relaxed);
    }

    /// How long replies are waited for.
    pub(crate) fn timeout(&self) -> Nanos {
        self.grace.saturating_mul(2)
    }

    /// Whether what was due in time and could not be sent yet is given up.
    pub(crate) fn is_past_grace(&self, now: Nanos) -> bool {
        now >= self.window().until.saturating_add(self.grace)
    }

    /// Whether replies are not waited for any more.
    pub(crate) fn is_past_timeout(&self, now: Nanos) -> bool {
        now >= self.window().until.saturating_add(self.timeout())
    }

    /// One more thread has nothing in flight and will send nothing more.
    pub(crate) fn thread_settled(&self) {
        self.settled_threads.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn settled_threads(&self) -> u32 {
        self.settled_threads.load(Ordering::Acquire)
    }

    /// Lets the threads close their sessions: everything has been measured.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::Release);
    }

    /// Whether sessions are to be closed.
    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_operations_take_no_ticket() {
        let run_state = RunState::new(Clock::start(), 10, Some(2));
        assert!(!run_state.may_start(0, 1));
        run_state.go(Window { from: 5, until: 100 });
        assert!(
            run_state.may_start(4, 1) && run_state.may_start(5, 1) && run_state.may_start(6, 1)
        );
        assert!(run_state.is_over(7) && !run_state.may_start(7, 1));
        assert!(!run_state.is_past_grace(109) && run_state.is_past_grace(110));
    }
}
