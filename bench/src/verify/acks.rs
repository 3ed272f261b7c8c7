//! Acknowledged writes of all threads, and the longest time without one: what an outage costs.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::clock::Nanos;

/// When writes were acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    /// The newest one; 0 says that there was none.
    last: AtomicU64,
    /// The longest time between two of them since it was asked for.
    longest: AtomicU64,
}

impl Acks {
    pub(crate) fn take(&self, now: Nanos) {
        let before = self.last.swap(now, Ordering::Relaxed);
        if before > 0 {
            self.longest.fetch_max(now.saturating_sub(before), Ordering::Relaxed);
        }
    }

    /// The newest one, if there was any.
    pub(crate) fn last(&self) -> Option<Nanos> {
        Some(self.last.load(Ordering::Relaxed)).filter(|last| *last > 0)
    }

    /// Forgets how long it took before. A pause that is under way counts whole.
    pub(crate) fn watch(&self) {
        self.longest.store(0, Ordering::Relaxed);
    }

    /// The longest pause since then that has ended.
    pub(crate) fn longest(&self) -> Nanos {
        self.longest.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_counts_from_previous_write() {
        let acks = Acks::default();
        assert_eq!(acks.last(), None);
        [10, 50].into_iter().for_each(|now| acks.take(now));
        acks.watch();
        assert_eq!(acks.longest(), 0);
        // Threads read their clocks before they come here.
        [80, 79, 85].into_iter().for_each(|now| acks.take(now));
        assert_eq!((acks.last(), acks.longest()), (Some(85), 30));
    }
}
