//! The log of a member: the product's, on a disk in memory. What it is given it does at once, and
//! reports when the disk would be done.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::MemoryDisk;
use ringkeeper_engine::log::{
    Completion, Fatal, Flush, FlushQueue, Gauge, Generation, Group, Joined, Log, LogCapacity,
    LogCommand, LogEvent, Preparer, Task,
};
use ringkeeper_replication::node::LogPort;

use super::check::recovery::MemberRecord;

/// What the disk was given, and what has come of it.
enum Done {
    Flushed(Flush, Zxid),
    Executed(Generation, LogEvent),
}

/// A log on a [`MemoryDisk`].
pub(crate) struct DeviceLog {
    queue: FlushQueue,
    log: Log<MemoryDisk>,
    preparer: Preparer<MemoryDisk>,
    done: Option<Done>,
    /// Something was begun whose end is not on the schedule.
    is_begun: bool,
    synced: Rc<Cell<Zxid>>,
    record: Rc<RefCell<MemberRecord>>,
    failed: Option<Fatal>,
}

impl DeviceLog {
    /// A log that was recovered.
    pub(crate) fn new(
        log: Log<MemoryDisk>,
        preparer: Preparer<MemoryDisk>,
        record: Rc<RefCell<MemberRecord>>,
    ) -> (DeviceLog, Rc<Cell<Zxid>>) {
        let synced = Rc::new(Cell::new(log.last()));
        let queue = FlushQueue::new();
        let log = DeviceLog {
            queue,
            log,
            preparer,
            done: None,
            is_begun: false,
            synced: synced.clone(),
            record,
            failed: None,
        };
        (log, synced)
    }

    /// Whether something was begun since the last call.
    pub(crate) fn take_begun(&mut self) -> bool {
        std::mem::take(&mut self.is_begun)
    }

    /// Why the process must stop, if it must.
    pub(crate) fn failed(&self) -> Option<&Fatal> {
        self.failed.as_ref()
    }

    /// Its gauge.
    pub(crate) fn gauge(&self) -> Gauge {
        self.log.gauge()
    }

    /// Whether damage to its last group would be found.
    pub(crate) fn is_sealed(&self) -> bool {
        self.log.is_sealed()
    }

    /// Whether nothing is under way.
    pub(crate) fn is_still(&self) -> bool {
        self.done.is_none()
    }

    /// The disk is done with what it was given.
    pub(crate) fn complete(&mut self) {
        match self.done.take() {
            Some(Done::Flushed(flush, durable)) => {
                self.synced.set(durable);
                self.record.borrow_mut().flushed(durable);
                self.queue.finished(flush, durable, 100);
            }
            Some(Done::Executed(generation, event)) => {
                if let LogEvent::Cut(last) | LogEvent::Installed(last) = event {
                    self.synced.set(last);
                }
                self.record.borrow_mut().executed(event);
                self.queue.executed(generation, event);
            }
            None => {}
        }
        self.begin();
    }

    /// There was nothing to flush for a while: the next segment is prepared, and the end sealed.
    pub(crate) fn idle(&mut self) {
        if self.failed.is_some() || self.done.is_some() {
            return;
        }
        let prepared = self.preparer.step().map(|_| ());
        if let Err(fatal) = prepared.and_then(|()| self.log.seal()) {
            self.failed = Some(fatal);
        }
    }

    fn begin(&mut self) {
        if self.done.is_some() || self.failed.is_some() {
            return;
        }
        let done = match self.queue.take() {
            None => return,
            Some(Task::Flush(mut flush)) => {
                self.log.flush(&mut flush.group).map(|durable| Done::Flushed(flush, durable))
            }
            Some(Task::Command(generation, command)) => {
                self.log.execute(command).map(|event| Done::Executed(generation, event))
            }
        };
        match done {
            Ok(done) => (self.done, self.is_begun) = (Some(done), true),
            Err(fatal) => self.failed = Some(fatal),
        }
    }
}

impl LogPort for DeviceLog {
    fn submit(&mut self, group: &mut Group, since_us: u64) {
        self.queue.submit(group, since_us);
        self.begin();
    }

    fn join(&mut self, group: &mut Group) -> Joined {
        self.queue.join(group)
    }

    fn waiting_bytes(&self) -> usize {
        self.queue.waiting_bytes()
    }

    fn command(&mut self, command: LogCommand) -> Generation {
        self.record.borrow_mut().commanded(command);
        let generation = self.queue.command(command);
        self.begin();
        generation
    }

    fn is_busy(&self) -> bool {
        self.queue.is_busy()
    }

    fn is_flushed(&self) -> bool {
        self.queue.is_done()
    }

    fn poll(&mut self) -> Option<Completion> {
        let done = self.queue.poll();
        self.begin();
        done
    }

    fn capacity(&self) -> LogCapacity {
        self.log.capacity()
    }
}
