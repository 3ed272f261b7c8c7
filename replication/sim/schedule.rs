//! Virtual time: what happens next, and a trace of all that has happened.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::hash::{Hash, Hasher};

use super::member::{Incarnation, MemberId};

/// Something that happens at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Event {
    /// The node's thread runs.
    Turn(MemberId, Incarnation),
    /// The disk is done with a flush or a command.
    LogDone(MemberId, Incarnation),
    /// The thread for whole states is done.
    StateDone(MemberId, Incarnation),
    /// The thread of the background: snapshots, segments to come, seals.
    Background(MemberId, Incarnation),
    /// A process looks for the leader.
    Dial(MemberId, Incarnation),
    /// A process starts on what its disk has.
    Start(MemberId),
    /// Bytes of the leader arrive at a member.
    ToMember(MemberId),
    /// Bytes of a member arrive at the leader.
    ToLeader(MemberId),
    /// Bytes of a client arrive at its server.
    ToServer(usize),
    /// Bytes of a server arrive at its client.
    ToClient(usize),
    /// A client does something.
    Client(usize),
    /// The leader does something.
    Leader,
    /// Something fails.
    Fault,
    /// A disk has space again.
    Space(MemberId),
}

/// The events to come, each at its time; those of the same time in the order in which they were
/// given.
pub(crate) struct Schedule<E = Event> {
    now_us: u64,
    given: u64,
    events: BinaryHeap<Due<E>>,
    trace: Trace,
}

/// An event to come. The greatest is the one that comes first.
struct Due<E> {
    /// When, and which of those that were given.
    at: (u64, u64),
    event: E,
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Due<E>) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Due<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Due<E>) -> bool {
        self.at == other.at
    }
}

impl<E> Eq for Due<E> {}

impl<E> Default for Schedule<E> {
    fn default() -> Schedule<E> {
        Schedule { now_us: 0, given: 0, events: BinaryHeap::new(), trace: Trace::default() }
    }
}

impl<E: Copy + Hash> Schedule<E> {
    /// The time, in microseconds since the beginning.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Lets an event happen at a time, which is not before now.
    pub(crate) fn at(&mut self, time_us: u64, event: E) {
        self.given += 1;
        self.events.push(Due { at: (time_us.max(self.now_us), self.given), event });
    }

    /// Lets an event happen after a time.
    pub(crate) fn after(&mut self, delay_us: u64, event: E) {
        self.at(self.now_us + delay_us, event);
    }

    /// The next event, if it comes before `end_us`; time passes until then.
    pub(crate) fn next(&mut self, end_us: u64) -> Option<E> {
        if self.events.peek()?.at.0 > end_us {
            return None;
        }
        let Due { at: (time_us, _), event } = self.events.pop()?;
        self.now_us = time_us;
        self.trace.event(time_us, &event);
        Some(event)
    }

    /// Notes bytes that have arrived.
    pub(crate) fn trace_bytes(&mut self, bytes: &[u8]) {
        self.trace.bytes(bytes);
    }

    /// A number that is the same where all that has happened is the same.
    pub(crate) fn trace_hash(&self) -> u64 {
        self.trace.hash
    }

    /// How many events there were.
    pub(crate) fn count(&self) -> u64 {
        self.trace.events
    }
}

/// A hash over events and bytes, in order.
#[derive(Default)]
struct Trace {
    hash: u64,
    events: u64,
}

impl Trace {
    fn event(&mut self, time_us: u64, event: &impl Hash) {
        self.events += 1;
        self.number(time_us);
        event.hash(self);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            self.number(u64::from_le_bytes(word));
        }
    }

    fn number(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

/// What an event holds counts number by number.
impl Hasher for Trace {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.number(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.number(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.number(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_their_order() {
        let mut schedule = Schedule::default();
        schedule.at(5, Event::Fault);
        schedule.at(3, Event::Leader);
        schedule.at(5, Event::Client(1));
        let mut found = Vec::new();
        while let Some(event) = schedule.next(4) {
            found.push(event);
        }
        assert_eq!((found.len(), schedule.now_us()), (1, 3));
        while let Some(event) = schedule.next(u64::MAX) {
            found.push(event);
        }
        assert_eq!(found, [Event::Leader, Event::Fault, Event::Client(1)]);
        let hash = schedule.trace_hash();
        schedule.trace_bytes(&[0]);
        assert!(schedule.trace_hash() != hash && schedule.count() == 3);
    }
}
