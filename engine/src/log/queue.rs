//! What lies between the thread that orders writes and the thread that writes the log.
//!
//! The log flushes one group at a time. Meanwhile one more may wait, and grows until it is taken:
//! between two flushes the disk does not wait for another thread to wake up. The queue is a plain
//! value: a server keeps it under a lock with a thread on either side, a simulation calls both
//! sides by hand.

use std::collections::VecDeque;

use super::command::{Completion, Flushed, Generation, LogCommand, LogEvent};
use super::group::Group;
use crate::{Zxid, limits};

/// Groups whose memory is kept for reuse: one that gathers, one that waits, one in the flush.
const SPARES_MAX: usize = 3;
/// Flushed groups that the orderer has not heard of. Beyond that, the log's side waits.
const DONE_MAX: usize = 4;
/// Commands that were given and not begun. A member gives one at a time and waits for its outcome.
const COMMANDS_MAX: usize = 4;

/// The waiting place for one group, the group that is being flushed, and what has been flushed.
/// Commands come between: before the group that waits, and after the one in the flush.
#[derive(Default, Debug)]
pub struct FlushQueue {
    generation: Generation,
    commands: VecDeque<LogCommand>,
    waiting: Option<Flush>,
    /// Whether a task was taken and is not finished.
    busy: bool,
    done: VecDeque<Completion>,
    spares: Vec<Group>,
    /// Whether the log was sealed behind its last group.
    sealed: bool,
    /// The orderer is gone: nothing more is submitted or polled.
    closed: bool,
}

/// What the log's side does next.
#[derive(Debug)]
pub enum Task {
    /// It makes a group durable: [`FlushQueue::finished`] must follow.
    Flush(Flush),
    /// It executes a command: [`FlushQueue::executed`] must follow.
    Command(Generation, LogCommand),
}

/// A group on its way to the disk.
#[derive(Debug)]
pub struct Flush {
    /// The history that it belongs to.
    pub generation: Generation,
    /// Its transactions.
    pub group: Group,
    /// How many there are.
    pub records: u32,
    /// When the first of them was ordered, as it was submitted.
    pub since_us: u64,
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
        let (generation, records) = (self.generation, group.records());
        self.waiting = Some(Flush { generation, records, group, since_us });
    }

    /// Gives a command, and returns the generation in which its outcome is reported. One that
    /// begins a generation drops the group that waits: it must not reach the disk after what is
    /// going to be removed. The group that is being flushed is finished first, and reported with
    /// the generation that has ended.
    pub fn command(&mut self, command: LogCommand) -> Generation {
        assert!(self.commands.len() < COMMANDS_MAX, "a command follows the outcome of the last");
        if command.begins_generation() {
            self.generation.0 += 1;
            if let Some(flush) = self.waiting.take() {
                self.recycle(flush.group);
            }
        }
        self.commands.push_back(command);
        self.generation
    }

    /// The history that what is submitted now belongs to.
    pub fn generation(&self) -> Generation {
        self.generation
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

    /// Whether a group or a command waits, is under way, or is done without [`FlushQueue::poll`]
    /// having returned it.
    pub fn is_busy(&self) -> bool {
        self.waits() || self.busy || !self.done.is_empty()
    }

    /// Whether a group waits.
    pub fn has_group(&self) -> bool {
        self.waiting.is_some()
    }

    fn waits(&self) -> bool {
        self.waiting.is_some() || !self.commands.is_empty()
    }

    /// Bytes of the group that waits.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |flush| flush.group.bytes())
    }

    /// Whether [`FlushQueue::poll`] would return something.
    pub fn is_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// What has become durable next, also where its generation has ended.
    pub fn poll(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }

    /// The orderer is gone. What it has submitted is still flushed.
    pub fn close(&mut self) {
        self.closed = true;
        self.done.clear();
    }

    /// Whether [`FlushQueue::take`] would return a task.
    pub fn is_ready(&self) -> bool {
        self.waits() && !self.busy && self.done.len() < DONE_MAX
    }

    /// What to do next.
    pub fn take(&mut self) -> Option<Task> {
        if !self.is_ready() {
            return None;
        }
        self.busy = true;
        match self.commands.pop_front() {
            Some(command) => Some(Task::Command(self.generation_of_next(), command)),
            None => self.waiting.take().map(Task::Flush),
        }
    }

    /// The group that was taken is durable, with everything up to `durable`; its flush took
    /// `micros`. Returns whether the orderer is there to poll it.
    pub fn finished(&mut self, flush: Flush, durable: Zxid, micros: u64) -> bool {
        let Flush { generation, group, records, since_us } = flush;
        self.recycle(group);
        let flushed = Flushed { durable, records, since_us, micros };
        self.complete(Completion { generation, event: LogEvent::Flushed(flushed) })
    }

    /// The command that was taken was executed. Returns whether the orderer is there to poll that.
    pub fn executed(&mut self, generation: Generation, event: LogEvent) -> bool {
        self.complete(Completion { generation, event })
    }

    fn complete(&mut self, completion: Completion) -> bool {
        assert!(self.busy, "a task is finished after it was taken");
        (self.busy, self.sealed) = (false, false);
        if !self.closed {
            self.done.push_back(completion);
        }
        !self.closed
    }

    /// The generation of the command that was taken: those that wait have begun theirs since.
    fn generation_of_next(&self) -> Generation {
        let later = self.commands.iter().filter(|command| command.begins_generation()).count();
        Generation(self.generation.0 - later as u64)
    }

    fn recycle(&mut self, mut group: Group) {
        if self.spares.len() < SPARES_MAX {
            group.clear();
            self.spares.push(group);
        }
    }

    /// What the log's side does now that [`FlushQueue::take`] returned nothing.
    pub fn when_idle(&self) -> Idle {
        if self.closed && !self.waits() {
            Idle::End
        } else if self.sealed {
            Idle::Sleep
        } else {
            Idle::Wait
        }
    }

    /// Nothing came for a while. Returns whether to seal the log: once behind each group.
    pub fn idle(&mut self) -> bool {
        let seal = !self.sealed && !self.waits() && !self.busy;
        self.sealed |= seal;
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Epochs;
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

    fn take(queue: &mut FlushQueue) -> Flush {
        match queue.take() {
            Some(Task::Flush(flush)) => flush,
            other => panic!("a group waits, not {other:?}"),
        }
    }

    fn polled(queue: &mut FlushQueue) -> Option<(u64, LogEvent)> {
        queue.poll().map(|completion| (completion.generation.0, completion.event))
    }

    /// Takes the next group and finishes it at once; returns its last zxid.
    fn flush(queue: &mut FlushQueue) -> Option<Zxid> {
        let Some(Task::Flush(flush)) = queue.take() else { return None };
        let last = flush.group.last().expect("groups are not empty");
        queue.finished(flush, last, 7);
        Some(last)
    }

    #[test]
    fn waiting_group_joined_while_another_is_flushed_becomes_one_flush() {
        let mut queue = FlushQueue::new();
        queue.submit(&mut group([1]), 10);
        let first = take(&mut queue);
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
        let (one, two) = (LogEvent::Flushed(one), LogEvent::Flushed(two));
        let polled = [polled(&mut queue), polled(&mut queue), polled(&mut queue)];
        assert_eq!(polled, [Some((0, one)), Some((0, two)), None]);
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
        let first = take(&mut queue);
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

    const CUT: LogCommand = LogCommand::Cut { after: Zxid(3), committed: Zxid(2) };

    /// The group in the flush may be durable before the cut, never after it; the one that waits
    /// goes.
    #[test]
    fn cut_drops_the_waiting_group_and_ends_the_generation_of_the_one_in_the_flush() {
        let mut queue = FlushQueue::new();
        queue.submit(&mut group([4]), 0);
        let first = take(&mut queue);
        queue.submit(&mut group([5]), 0);
        assert_eq!(queue.command(CUT), Generation(1));
        assert!(queue.is_busy() && !queue.has_group() && queue.waiting_bytes() == 0);
        assert!(queue.take().is_none(), "the flush is under way");
        queue.submit(&mut group([4]), 0);
        queue.finished(first, Zxid(4), 7);
        let Some(Task::Command(generation, CUT)) = queue.take() else { panic!("the cut is next") };
        assert!(queue.take().is_none() && !queue.idle(), "the cut is under way");
        queue.executed(generation, LogEvent::Cut(Zxid(3)));
        assert_eq!(flush(&mut queue), Some(Zxid(4)));
        let events: Vec<_> = std::iter::from_fn(|| polled(&mut queue)).collect();
        assert!(matches!(events[0], (0, LogEvent::Flushed(Flushed { durable: Zxid(4), .. }))));
        assert_eq!(events[1], (1, LogEvent::Cut(Zxid(3))));
        assert!(matches!(events[2], (1, LogEvent::Flushed(_))));
        assert!(events.len() == 3 && !queue.is_busy());
    }

    #[test]
    fn promise_is_saved_before_the_waiting_group_and_drops_nothing() {
        let mut queue = FlushQueue::new();
        queue.submit(&mut group([1]), 0);
        let save = LogCommand::Save(Epochs { promised: 2, current: 1 });
        assert_eq!(queue.command(save), Generation(0));
        assert_eq!(queue.join(&mut group([2])), Joined::Yes);
        assert!(
            matches!(queue.take(), Some(Task::Command(Generation(0), command)) if command == save)
        );
        queue.executed(Generation(0), LogEvent::Saved(Epochs { promised: 2, current: 1 }));
        assert_eq!(flush(&mut queue), Some(Zxid(2)));
    }

    #[test]
    fn commands_given_together_are_executed_in_order_each_in_its_generation() {
        let mut queue = FlushQueue::new();
        let install = LogCommand::Install { zxid: Zxid(9), committed: Zxid(2) };
        assert_eq!((queue.command(CUT), queue.command(install)), (Generation(1), Generation(2)));
        for (expected, command) in [(1, CUT), (2, install)] {
            let Some(Task::Command(generation, taken)) = queue.take() else { panic!("it waits") };
            assert_eq!((generation, taken), (Generation(expected), command));
            queue.executed(generation, LogEvent::Cut(Zxid(3)));
        }
        queue.close();
        assert_eq!(queue.when_idle(), Idle::End);
    }
}
