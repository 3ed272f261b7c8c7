//! What lies between the thread that orders writes and the thread that writes the log.
//!
//! The log flushes one group at a time. Meanwhile one more may wait, and grows until it is taken:
//! between two flushes the disk does not wait for another thread to wake up. The queue is a plain
//! value: a server keeps it under a lock with a thread on either side, a simulation calls both
//! sides by hand.

use std::collections::VecDeque;

use super::group::Group;
use crate::{Zxid, limits};

/// Groups whose memory is kept for reuse: one that gathers, one that waits, one in the flush.
const SPARES_MAX: usize = 3;
/// Flushed groups that the orderer has not heard of. Beyond that, the log's side waits.
const DONE_MAX: usize = 4;

/// The waiting place for one group, the group that is being flushed, and what has been flushed.
#[derive(Default, Debug)]
pub struct FlushQueue {
    waiting: Option<Flush>,
    flushing: bool,
    done: VecDeque<Flushed>,
    spares: Vec<Group>,
    /// Whether the log was sealed behind its last group.
    sealed: bool,
    /// The orderer is gone: nothing more is submitted or polled.
    closed: bool,
}

/// A group on its way to the disk.
#[derive(Debug)]
pub struct Flush {
    /// Its transactions.
    pub group: Group,
    /// How many there are.
    pub records: u32,
    /// When the first of them was ordered, as it was submitted.
    pub since_us: u64,
}

/// A group that is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flushed {
    /// The log is durable up to here.
    pub durable: Zxid,
    /// Records of the group.
    pub records: u32,
    /// When the first of them was ordered, as it was submitted.
    pub since_us: u64,
    /// Microseconds that the flush took.
    pub micros: u64,
}

/// What became of a group that was to join the one that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joined {
    /// It is part of that one now.
    Yes,
    /// That one is large enough.
    Full,
    /// No group waits: it can be submitted.
    Nothing,
}

/// What the log's side does while no group is ready for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Idle {
    /// Wait for a group; if none comes for a while, call [`FlushQueue::idle`].
    Wait,
    /// Wait for a group, however long that takes: the log is sealed.
    Sleep,
    /// Seal the log a last time: there will be no other group.
    End,
}

impl FlushQueue {
    /// Nothing waits.
    pub fn new() -> FlushQueue {
        FlushQueue::default()
    }

    /// Takes a group over and leaves an empty one. Its first record was ordered at `since_us`. Only
    /// while no other group waits: see [`FlushQueue::join`].
    pub fn submit(&mut self, group: &mut Group, since_us: u64) {
        assert!(self.waiting.is_none(), "one group waits at a time");
        let empty = self.spares.pop().unwrap_or_default();
        let group = std::mem::replace(group, empty);
        self.waiting = Some(Flush { records: group.records(), group, since_us });
    }

    /// Adds a group to the one that waits, and empties it.
    pub fn join(&mut self, group: &mut Group) -> Joined {
        match &mut self.waiting {
            None => Joined::Nothing,
            Some(Flush { group: waiting, .. })
                if waiting.bytes() + group.bytes() > limits::GROUP_BYTES_MAX =>
            {
                Joined::Full
            }
            Some(Flush { group: waiting, records, .. }) => {
                waiting.append(group);
                *records = waiting.records();
                Joined::Yes
            }
        }
    }

    /// Whether a group waits, is being flushed, or is durable without [`FlushQueue::poll`] having
    /// returned it.
    pub fn is_busy(&self) -> bool {
        self.waiting.is_some() || self.flushing || !self.done.is_empty()
    }

    /// Bytes of the group that waits.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |flush| flush.group.bytes())
    }

    /// Whether [`FlushQueue::poll`] would return a group.
    pub fn is_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// The next group that has become durable.
    pub fn poll(&mut self) -> Option<Flushed> {
        self.done.pop_front()
    }

    /// The orderer is gone. What it has submitted is still flushed.
    pub fn close(&mut self) {
        self.closed = true;
        self.done.clear();
    }

    /// Whether [`FlushQueue::take`] would return a group.
    pub fn is_ready(&self) -> bool {
        self.waiting.is_some() && !self.flushing && self.done.len() < DONE_MAX
    }

    /// The group to flush next. [`FlushQueue::finished`] must follow.
    pub fn take(&mut self) -> Option<Flush> {
        if !self.is_ready() {
            return None;
        }
        self.flushing = true;
        self.waiting.take()
    }

    /// The group that was taken is durable, with everything up to `durable`; its flush took
    /// `micros`. Returns whether the orderer is there to poll it.
    pub fn finished(&mut self, flush: Flush, durable: Zxid, micros: u64) -> bool {
        assert!(self.flushing, "a group is finished after it was taken");
        (self.flushing, self.sealed) = (false, false);
        let Flush { mut group, records, since_us } = flush;
        if self.spares.len() < SPARES_MAX {
            group.clear();
            self.spares.push(group);
        }
        if !self.closed {
            self.done.push_back(Flushed { durable, records, since_us, micros });
        }
        !self.closed
    }

    /// What the log's side does now that [`FlushQueue::take`] returned nothing.
    pub fn when_idle(&self) -> Idle {
        if self.closed && self.waiting.is_none() {
            Idle::End
        } else if self.sealed {
            Idle::Sleep
        } else {
            Idle::Wait
        }
    }

    /// Nothing came for a while. Returns whether to seal the log: once behind each group.
    pub fn idle(&mut self) -> bool {
        let seal = !self.sealed && self.waiting.is_none() && !self.flushing;
        self.sealed |= seal;
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::{Txn, TxnBody};
    use crate::{Code, Millis, SessionId};

    fn group(zxids: impl IntoIterator<Item = u64>) -> Group {
        let mut group = Group::new();
        for zxid in zxids {
            let body = TxnBody::Error(Code::NoNode);
            let (session, zxid, time) = (SessionId(1), Zxid(zxid), Millis(1));
            group.push(&Txn { session, cxid: 1, zxid, time, body });
        }
        group
    }

    /// Takes the next group and finishes it at once; returns its last zxid.
    fn flush(queue: &mut FlushQueue) -> Option<Zxid> {
        let flush = queue.take()?;
        let last = flush.group.last().expect("groups are not empty");
        queue.finished(flush, last, 7);
        Some(last)
    }

    #[test]
    fn waiting_group_joined_while_another_is_flushed_becomes_one_flush() {
        let mut queue = FlushQueue::new();
        queue.submit(&mut group([1]), 10);
        let first = queue.take().expect("it waits");
        assert_eq!(queue.join(&mut group([2])), Joined::Nothing);
        queue.submit(&mut group([2]), 20);
        let mut more = group([3, 4]);
        assert_eq!((queue.join(&mut more), more.records()), (Joined::Yes, 0));
        assert!(queue.take().is_none(), "one flush at a time");
        assert!(queue.is_busy() && !queue.is_done());
        assert!(queue.finished(first, Zxid(1), 5));
        assert_eq!(flush(&mut queue), Some(Zxid(4)));
        assert_eq!((queue.join(&mut group([5])), queue.waiting_bytes()), (Joined::Nothing, 0));
        let one = Flushed { durable: Zxid(1), records: 1, since_us: 10, micros: 5 };
        let two = Flushed { durable: Zxid(4), records: 3, since_us: 20, micros: 7 };
        assert!(queue.is_busy() && queue.is_done());
        assert_eq!((queue.poll(), queue.poll(), queue.poll()), (Some(one), Some(two), None));
        assert!(!queue.is_busy());
    }

    #[test]
    fn waiting_group_at_its_bound_takes_no_more() {
        let mut queue = FlushQueue::new();
        queue.submit(&mut group([1]), 0);
        let bytes = queue.waiting_bytes();
        let fits = limits::GROUP_BYTES_MAX / bytes - 1;
        assert_eq!(queue.join(&mut group(2..2 + fits as u64)), Joined::Yes);
        let mut next = group([2 + fits as u64]);
        assert_eq!((queue.join(&mut next), next.records()), (Joined::Full, 1));
    }

    #[test]
    fn closed_queue_flushes_what_was_submitted_and_reports_nothing() {
        let mut queue = FlushQueue::new();
        queue.submit(&mut group([1]), 0);
        let first = queue.take().expect("it waits");
        queue.submit(&mut group([2]), 0);
        queue.close();
        assert!(!queue.finished(first, Zxid(1), 5), "the orderer is gone");
        assert_ne!(queue.when_idle(), Idle::End);
        assert_eq!(flush(&mut queue), Some(Zxid(2)));
        assert_eq!((queue.when_idle(), queue.poll()), (Idle::End, None));
    }

    #[test]
    fn idle_log_is_sealed_once_behind_each_group() {
        let mut queue = FlushQueue::new();
        for zxid in 1..3 {
            assert_eq!(queue.when_idle(), Idle::Wait);
            assert!(queue.idle(), "nothing came for a while");
            assert_eq!((queue.when_idle(), queue.idle()), (Idle::Sleep, false));
            queue.submit(&mut group([zxid]), 0);
            assert!(!queue.idle(), "a group waits");
            assert_eq!(flush(&mut queue), Some(Zxid(zxid)));
        }
    }

    #[test]
    fn unpolled_groups_at_their_bound_hold_the_next_flush_up() {
        let mut queue = FlushQueue::new();
        for zxid in 1..=DONE_MAX as u64 {
            queue.submit(&mut group([zxid]), 0);
            assert_eq!(flush(&mut queue), Some(Zxid(zxid)));
        }
        queue.submit(&mut group([9]), 0);
        assert!(!queue.is_ready() && queue.take().is_none());
        assert!(queue.poll().is_some() && queue.is_ready());
        assert_eq!(flush(&mut queue), Some(Zxid(9)));
    }

    #[test]
    fn submitted_group_is_replaced_with_one_that_was_flushed() {
        let (mut queue, mut gathering) = (FlushQueue::new(), group([1, 2, 3]));
        queue.submit(&mut gathering, 0);
        assert_eq!(gathering.buffer.capacity(), 0);
        flush(&mut queue);
        gathering = group([4]);
        queue.submit(&mut gathering, 0);
        assert!(gathering.is_empty() && gathering.buffer.capacity() > 0);
    }
}
