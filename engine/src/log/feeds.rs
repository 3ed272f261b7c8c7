//! Who reads the log while it is written, and what a purge may therefore not take away.
#![expect(clippy::disallowed_types, reason = "feeds, purges and cuts are on different threads")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Zxid;

/// Feeds at one time: more than an ensemble has members.
const FEEDS_MAX: usize = 256;

/// All feeds of a log. Nothing is read or written under the lock.
#[derive(Default, Debug)]
pub(super) struct Feeds {
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    /// The number of each, and the last transaction that it has.
    feeds: Vec<(u64, Zxid)>,
    /// Numbers given, each once.
    numbers: u64,
    /// Segments that begin before it are gone or about to go.
    purged_before: Zxid,
    /// Whether the log is being cut or replaced.
    changing: bool,
    /// How many there are of [`PurgeHold`].
    holds: usize,
}

/// Why a feed was not registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unregistered {
    /// There are [`FEEDS_MAX`] of them.
    TooMany,
    /// The log is being cut or replaced.
    Changing,
}

/// While there is one, no purge begins to take anything away, neither of the log nor a snapshot;
/// one that is under way ends early. The next one does what was left. For who reads a snapshot, and
/// then the log behind it.
///
/// To be taken before the names of the snapshots are read: of those that are there then, only one
/// that is not the newest may still go.
#[derive(Debug)]
pub struct PurgeHold {
    feeds: Arc<Feeds>,
}

impl PurgeHold {
    pub(super) fn new(feeds: Arc<Feeds>) -> PurgeHold {
        feeds.lock().holds += 1;
        PurgeHold { feeds }
    }
}

impl Drop for PurgeHold {
    fn drop(&mut self) {
        self.feeds.lock().holds -= 1;
    }
}

/// The entry of one feed, until it is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    feeds: Arc<Feeds>,
    number: u64,
    /// No segment that begins before it may be read.
    pub(super) readable_from: Zxid,
}

impl Feeds {
    /// Whether a purge has to end.
    pub(super) fn is_held(&self) -> bool {
        self.lock().holds > 0
    }

    /// Whether every segment that begins before this zxid may go, for all that feeds need. If so,
    /// no later feed reads one of them.
    pub(super) fn give_up_before(&self, first: Zxid) -> bool {
        let mut state = self.lock();
        let free = state.holds == 0 && state.feeds.iter().all(|(_, after)| *after >= first);
        if free {
            state.purged_before = state.purged_before.max(first);
        }
        free
    }

    /// The history that feeds read ends here. They find out with their next read, and keep nothing
    /// any more; new ones are refused. To be called before anything of it is changed.
    pub(super) fn end_history(&self) {
        let mut state = self.lock();
        state.feeds.clear();
        state.changing = true;
    }

    /// The change is done, and durable.
    pub(super) fn begin_history(&self) {
        self.lock().changing = false;
    }

    /// The same, for a log whose only segment is this one.
    pub(super) fn begin_history_at(&self, first: Zxid) {
        let mut state = self.lock();
        (state.changing, state.purged_before) = (false, first);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// Registers a feed that has everything up to `after`, and needs what is behind it.
    pub(super) fn new(feeds: Arc<Feeds>, after: Zxid) -> Result<Registration, Unregistered> {
        let mut state = feeds.lock();
        if state.changing {
            return Err(Unregistered::Changing);
        }
        if state.feeds.len() >= FEEDS_MAX {
            return Err(Unregistered::TooMany);
        }
        state.numbers += 1;
        let (number, readable_from) = (state.numbers, state.purged_before);
        state.feeds.push((number, after));
        drop(state);
        Ok(Registration { feeds, number, readable_from })
    }

    /// The feed has everything up to `after` now. Returns whether the history that it reads still
    /// is the one of the log: what was read before the call is part of that.
    pub(super) fn advance(&self, after: Zxid) -> bool {
        let mut state = self.feeds.lock();
        let entry = state.feeds.iter_mut().find(|(number, _)| *number == self.number);
        entry.map(|(_, has)| *has = after.max(*has)).is_some()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.feeds.lock().feeds.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(feeds: &Arc<Feeds>, after: u64) -> Registration {
        Registration::new(feeds.clone(), Zxid(after)).unwrap()
    }

    #[test]
    fn purge_stops_before_the_slowest_feed_until_it_advances_or_is_dropped() {
        let feeds = Arc::new(Feeds::default());
        let frees = |first| feeds.give_up_before(Zxid(first));
        let (slow, fast) = (register(&feeds, 10), register(&feeds, 30));
        assert!(frees(10) && !frees(11));
        assert!(slow.advance(Zxid(20)) && frees(20) && !frees(21));
        assert_eq!(register(&feeds, 3).readable_from, Zxid(20), "what was given up is gone");
        drop(slow);
        assert!(frees(30) && !frees(31));
        drop(fast);
        assert!(frees(31));
    }

    #[test]
    fn nothing_is_given_up_while_purges_are_held() {
        let feeds = Arc::new(Feeds::default());
        let holds = [PurgeHold::new(feeds.clone()), PurgeHold::new(feeds.clone())];
        for hold in holds {
            assert!(feeds.is_held() && !feeds.give_up_before(Zxid(1)));
            drop(hold);
        }
        assert!(!feeds.is_held() && feeds.give_up_before(Zxid(1)));
    }

    #[test]
    fn history_that_ends_keeps_nothing_and_takes_no_feed_until_the_next_begins() {
        let feeds = Arc::new(Feeds::default());
        let feed = register(&feeds, 1);
        feeds.end_history();
        assert!(!feed.advance(Zxid(2)) && feeds.give_up_before(Zxid(9)));
        let refused = Registration::new(feeds.clone(), Zxid(1)).unwrap_err();
        assert_eq!(refused, Unregistered::Changing);
        feeds.begin_history();
        let later = register(&feeds, 1);
        assert!(!feed.advance(Zxid(3)) && later.advance(Zxid(1)));
        drop(feed);
        assert!(later.advance(Zxid(1)), "an ended feed takes no other one with it");
    }

    #[test]
    fn feeds_at_their_bound_are_refused_until_one_is_dropped() {
        let feeds = Arc::new(Feeds::default());
        let mut all: Vec<Registration> = (0..FEEDS_MAX).map(|_| register(&feeds, 1)).collect();
        let refused = Registration::new(feeds.clone(), Zxid(1)).unwrap_err();
        assert_eq!(refused, Unregistered::TooMany);
        all.pop();
        register(&feeds, 1);
    }
}
