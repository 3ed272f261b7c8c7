//! Who is looked after in which turn.
//!
//! One change may be for ten thousand connections, and ten thousand may end at once. A send or a
//! close takes some microseconds, so that all of them together would hold up everybody else's
//! requests for tens of milliseconds. They wait here, and each turn takes a portion of them.
//!
//! Order: what a connection is sent is the order of the bytes in its own output, whatever turn
//! sends them. A reply that leaves early takes along the notifications before it.

use std::collections::VecDeque;

use ringkeeper_engine::shard::ReadyList;
use ringkeeper_engine::watch::ConnId;

/// Connections of each queue that one turn looks after: a send takes 3 to 4 microseconds and a
/// close 6 to 8, so that a portion takes a millisecond at most.
pub(super) const PORTION: usize = 128;
/// Connections that get their turn however much arrives.
const SHARE_MIN: usize = 16;
/// Arrivals that one turn serves. Each may be a request and a send of its reply: a millisecond, and
/// enough of them that the cost of a turn itself is nothing beside theirs.
pub(super) const ARRIVALS: usize = 256;
/// Connections that one turn lets in, at 3 to 5 microseconds each.
pub(super) const ACCEPTS: usize = 64;

/// Whether the system has more for this thread than it took in with this turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Backlog {
    /// Nothing is known of.
    No,
    /// Something is: what arrived goes first.
    Yes,
}

/// Connections in the order in which they are looked after, each once.
#[derive(Default, Debug)]
struct Queue {
    waiting: VecDeque<ConnId>,
    listed: Vec<bool>,
}

impl Queue {
    fn add(&mut self, id: ConnId) {
        let index = id.0 as usize;
        if self.listed.len() <= index {
            self.listed.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.listed[index], true) {
            self.waiting.push_back(id);
        }
    }

    fn take(&mut self, most: usize, into: &mut Vec<ConnId>) {
        for id in self.waiting.drain(..most.min(self.waiting.len())) {
            self.listed[id.0 as usize] = false;
            into.push(id);
        }
    }
}

/// Connections that wait for a turn that looks after them.
#[derive(Default, Debug)]
pub(super) struct WorkQueue {
    answered: Queue,
    later: Queue,
}

impl WorkQueue {
    /// Adds what was ready, for later turns.
    pub(super) fn add(&mut self, ready: &ReadyList) {
        ready.served.iter().for_each(|id| self.answered.add(*id));
        self.add_unserved(ready);
    }

    fn add_unserved(&mut self, ready: &ReadyList) {
        ready.answered.iter().for_each(|id| self.answered.add(*id));
        ready.later.iter().for_each(|id| self.later.add(*id));
    }

    /// Adds a connection that goes on with something that it waited for.
    pub(super) fn add_soon(&mut self, id: ConnId) {
        self.answered.add(id);
    }

    /// Adds a connection for which nobody has to wait.
    pub(super) fn add_later(&mut self, id: ConnId) {
        self.later.add(id);
    }

    /// Adds what was ready, and says whom this turn looks after: all that were served, and
    /// portions of the others.
    pub(super) fn take(&mut self, ready: &ReadyList, backlog: Backlog, into: &mut Vec<ConnId>) {
        self.add_unserved(ready);
        into.clear();
        into.extend(&ready.served);
        self.answered.take(PORTION, into);
        // In a backlog the rest gets as much as those who came: neither waits for the other's end.
        let share = match backlog {
            Backlog::No => PORTION,
            Backlog::Yes => ready.served.len().clamp(SHARE_MIN, PORTION),
        };
        self.later.take(share, into);
    }

    /// Whether anybody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.answered.waiting.is_empty() && self.later.waiting.is_empty()
    }
}

/// Connections that close when their last bytes are taken, and until when they have time for it.
#[derive(Default, Debug)]
pub(super) struct Lingering {
    /// All have the same time, so the first is the first to be late.
    waiting: VecDeque<(ConnId, i64)>,
}

impl Lingering {
    /// Adds a connection that has until then.
    pub(super) fn add(&mut self, id: ConnId, until_ms: i64) {
        self.waiting.push_back((id, until_ms));
    }

    /// Takes one out whose time is over. The connection may be gone, and its id in use again.
    pub(super) fn late(&mut self, now_ms: impl FnOnce() -> i64) -> Option<(ConnId, i64)> {
        let (_, until_ms) = *self.waiting.front()?;
        if until_ms > now_ms() { None } else { self.waiting.pop_front() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: std::ops::Range<u32>) -> Vec<ConnId> {
        ids.map(ConnId).collect()
    }

    #[test]
    fn served_connections_come_first_and_the_rest_in_portions() {
        let mut work = WorkQueue::default();
        let ready =
            ReadyList { served: ids(0..300), answered: ids(300..500), later: ids(500..1_500) };
        let mut now = Vec::new();
        work.take(&ready, Backlog::No, &mut now);
        let portion = PORTION as u32;
        assert_eq!(now[..300], ids(0..300));
        assert_eq!(now[300..300 + PORTION], ids(300..300 + portion));
        assert_eq!(now[300 + PORTION..], ids(500..500 + portion));
        let (mut seen, mut turns) = (now.clone(), 1);
        while !work.is_empty() {
            work.take(&ReadyList::default(), Backlog::No, &mut now);
            assert!(!now.is_empty() && now.len() <= 2 * PORTION);
            seen.extend(&now);
            turns += 1;
        }
        assert_eq!(turns, 1_000usize.div_ceil(PORTION));
        seen.sort();
        assert_eq!(seen, ids(0..1_500), "each once");
    }

    #[test]
    fn with_a_backlog_the_rest_gets_as_much_as_new_arrivals() {
        for (came, share) in [(0, SHARE_MIN as u32), (50, 50), (300, PORTION as u32)] {
            let mut work = WorkQueue::default();
            let ready = ReadyList { served: ids(0..came), later: ids(1_000..2_000), ..ready() };
            let mut now = Vec::new();
            work.take(&ready, Backlog::Yes, &mut now);
            assert_eq!(now[came as usize..], ids(1_000..1_000 + share));
        }
    }

    #[test]
    fn connection_waits_once_and_may_wait_again() {
        let mut work = WorkQueue::default();
        let mut now = Vec::new();
        work.add_later(ConnId(7));
        let again = ReadyList { later: ids(7..8), ..ready() };
        work.take(&again, Backlog::No, &mut now);
        assert_eq!(now, ids(7..8));
        assert!(work.is_empty());
        work.take(&again, Backlog::No, &mut now);
        assert_eq!(now, ids(7..8));
    }

    #[test]
    fn lingering_connections_are_late_in_order_of_their_deadline() {
        let mut lingering = Lingering::default();
        assert_eq!(lingering.late(|| panic!("nobody has to look at the clock")), None);
        lingering.add(ConnId(1), 100);
        lingering.add(ConnId(2), 101);
        assert_eq!(lingering.late(|| 99), None);
        assert_eq!(lingering.late(|| 100), Some((ConnId(1), 100)));
        assert_eq!(lingering.late(|| 100), None);
        assert_eq!(lingering.late(|| 500), Some((ConnId(2), 101)));
    }

    #[test]
    fn stopping_server_keeps_every_connection() {
        let mut work = WorkQueue::default();
        work.add(&ReadyList { served: ids(0..1), answered: ids(1..2), later: ids(2..3) });
        let mut now = Vec::new();
        work.take(&ready(), Backlog::Yes, &mut now);
        assert_eq!(now, ids(0..3));
    }

    fn ready() -> ReadyList {
        ReadyList::default()
    }
}
