//! The world of a node in memory: everything moves when the test says so.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::rc::Rc;

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::log::gathering::PaceReport;
use ringkeeper_engine::log::{
    Completion, FlushQueue, Flushed, Generation, Group, Joined, LogCapacity, LogCommand, LogEvent,
    Task,
};
use ringkeeper_engine::request::{Request, ShardMessage};
use ringkeeper_engine::sequencer::QuotaNotes;
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::{Millis, Now, Zxid};
use ringkeeper_replication::node::{
    ChangesLost, ClockPort, DatabasePort, LeaderPort, LogPort, Observer, Ports, ShardPort,
};
use ringkeeper_replication::{Committed, WriteAdmission};

use super::check::proposals::Proposals;

/// Connects a node to memory, to what it has for a leader, and to a log.
pub(crate) struct MemoryPorts<L, G>(PhantomData<(L, G)>);

impl<L: LeaderPort, G: LogPort> Ports for MemoryPorts<L, G> {
    type Clock = MemoryClock;
    type Log = G;
    type Database = MemoryDatabase;
    type Shards = Mailboxes;
    type Leader = L;
    type Observer = History;
}

/// A clock that stands still until it is set.
#[derive(Clone, Debug)]
pub(crate) struct MemoryClock {
    wall: Rc<Cell<Millis>>,
    mono_us: Rc<Cell<u64>>,
}

impl MemoryClock {
    /// A clock that shows this time.
    pub(crate) fn at(now: Now) -> MemoryClock {
        let mono_us = now.mono.0.unsigned_abs() * 1_000;
        MemoryClock { wall: Rc::new(Cell::new(now.wall)), mono_us: Rc::new(Cell::new(mono_us)) }
    }

    /// Sets both clocks.
    pub(crate) fn set(&self, wall: Millis, mono_us: u64) {
        assert!(mono_us >= self.mono_us.get(), "the monotonic clock goes back");
        self.wall.set(wall);
        self.mono_us.set(mono_us);
    }

    /// Moves both clocks on.
    pub(crate) fn pass(&self, ms: i64) {
        self.wall.set(Millis(self.wall.get().0 + ms));
        self.mono_us.set(self.mono_us.get() + ms.unsigned_abs() * 1_000);
    }
}

impl ClockPort for MemoryClock {
    fn now(&self) -> Now {
        let mono = i64::try_from(self.mono_us.get() / 1_000).expect("simulations are short");
        Now { wall: self.wall.get(), mono: Millis(mono) }
    }

    fn micros(&self) -> u64 {
        self.mono_us.get()
    }
}

/// What a node did to the world, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A group was handed to the log.
    Submitted(Zxid),
    /// Messages were put into the mailbox of a shard.
    Published(usize),
}

/// The log's queue, and a device whose flushes end when [`MemoryLog::sync`] is called.
pub(crate) struct MemoryLog {
    queue: FlushQueue,
    under_way: Option<Task>,
    /// Durable up to here.
    pub(crate) synced: Rc<Cell<Zxid>>,
    /// What it says that it can take.
    pub(crate) capacity: LogCapacity,
    events: Rc<RefCell<Vec<Event>>>,
}

impl MemoryLog {
    /// An empty log, and up to where it is durable.
    pub(crate) fn new(events: Rc<RefCell<Vec<Event>>>) -> (MemoryLog, Rc<Cell<Zxid>>) {
        let log = MemoryLog {
            queue: FlushQueue::new(),
            under_way: None,
            synced: Rc::default(),
            capacity: LogCapacity::UNBOUNDED,
            events,
        };
        let synced = log.synced.clone();
        (log, synced)
    }

    /// The device is done with the group under way, and begins the one that waits.
    pub(crate) fn sync(&mut self) {
        match self.under_way.take() {
            Some(Task::Flush(flush)) => {
                let last = flush.group.last().expect("a group that is submitted has records");
                self.synced.set(last);
                self.queue.finished(flush, last, 100);
            }
            Some(Task::Command(generation, command)) => {
                let event = self.execute(command);
                if let LogEvent::Cut(last) | LogEvent::Installed(last) = event {
                    self.synced.set(last);
                }
                self.queue.executed(generation, event);
            }
            None => {}
        }
        self.under_way = self.queue.take();
    }

    /// The records are left alone.
    fn execute(&self, command: LogCommand) -> LogEvent {
        match command {
            LogCommand::Cut { after, .. } => LogEvent::Cut(self.synced.get().min(after)),
            LogCommand::Install { zxid, .. } => LogEvent::Installed(zxid),
            LogCommand::Save(epochs) => LogEvent::Saved(epochs),
            LogCommand::MarkDiverged(zxid) => LogEvent::MarkedDiverged(zxid),
            LogCommand::Adopt(ensemble) => LogEvent::Adopted(ensemble),
        }
    }
}

impl LogPort for MemoryLog {
    fn submit(&mut self, group: &mut Group, since_us: u64) {
        let last = group.last().expect("a group that is submitted has records");
        self.events.borrow_mut().push(Event::Submitted(last));
        self.queue.submit(group, since_us);
        if self.under_way.is_none() {
            self.under_way = self.queue.take();
        }
    }

    fn join(&mut self, group: &mut Group) -> Joined {
        self.queue.join(group)
    }

    fn waiting_bytes(&self) -> usize {
        self.queue.waiting_bytes()
    }

    fn is_busy(&self) -> bool {
        self.queue.is_busy()
    }

    fn is_flushed(&self) -> bool {
        self.queue.is_done()
    }

    fn command(&mut self, command: LogCommand) -> Generation {
        let generation = self.queue.command(command);
        if self.under_way.is_none() {
            self.under_way = self.queue.take();
        }
        generation
    }

    fn poll(&mut self) -> Option<Completion> {
        let flushed = self.queue.poll();
        if self.under_way.is_none() {
            self.under_way = self.queue.take();
        }
        flushed
    }

    fn capacity(&self) -> LogCapacity {
        self.capacity
    }
}

/// A database on one thread.
pub(crate) struct MemoryDatabase(pub(crate) RefCell<Database>);

impl DatabasePort for MemoryDatabase {
    type Read<'a> = Ref<'a, Database>;
    type Write<'a> = RefMut<'a, Database>;

    fn read(&self) -> Ref<'_, Database> {
        self.0.borrow()
    }

    fn write(&self) -> RefMut<'_, Database> {
        self.0.borrow_mut()
    }
}

/// The rings between the node and one shard.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// What the shard is sent.
    pub(crate) messages: VecDeque<Vec<ShardMessage>>,
    /// What it has sent.
    pub(crate) requests: VecDeque<Vec<Request>>,
    /// Whether it has or will have watches.
    pub(crate) interest: bool,
    /// Whether it was not told of changes.
    pub(crate) changes_lost: bool,
    batch: Vec<ShardMessage>,
    published: u64,
}

/// The rings to all shards.
pub(crate) struct Mailboxes {
    /// One each.
    pub(crate) each: Vec<Mailbox>,
    /// Batches of requests that the node may still take.
    pub(crate) takes: usize,
    events: Rc<RefCell<Vec<Event>>>,
}

impl Mailboxes {
    /// Empty ones.
    pub(crate) fn new(shards: usize, events: Rc<RefCell<Vec<Event>>>) -> Mailboxes {
        let each = (0..shards).map(|_| Mailbox::default()).collect();
        Mailboxes { each, takes: usize::MAX, events }
    }
}

impl ShardPort for Mailboxes {
    fn count(&self) -> usize {
        self.each.len()
    }

    fn receive(&mut self) -> Option<Vec<Request>> {
        if self.takes == 0 {
            return None;
        }
        self.takes -= 1;
        self.each.iter_mut().find_map(|mailbox| mailbox.requests.pop_front())
    }

    fn has_requests(&self) -> bool {
        self.each.iter().any(|mailbox| !mailbox.requests.is_empty())
    }

    fn interest(&self, shard: usize) -> Interest {
        if self.each[shard].interest { Interest::Watched } else { Interest::None }
    }

    fn send(&mut self, shard: usize, message: ShardMessage) {
        self.each[shard].batch.push(message);
    }

    fn lose_changes(&mut self, shard: usize, _: ChangesLost) {
        self.each[shard].changes_lost = true;
    }

    fn publish(&mut self) {
        for (shard, mailbox) in self.each.iter_mut().enumerate() {
            if !mailbox.batch.is_empty() {
                mailbox.messages.push_back(std::mem::take(&mut mailbox.batch));
                mailbox.published += 1;
                self.events.borrow_mut().push(Event::Published(shard));
            }
        }
    }

    fn waiting(&self, shard: usize) -> usize {
        self.each[shard].messages.len()
    }

    fn published(&self, shard: usize) -> u64 {
        self.each[shard].published
    }
}

/// Everything that was applied, as the log would give it back.
pub(crate) struct History {
    /// In order.
    pub(crate) applied: Vec<Rc<Txn>>,
    /// What was ordered, where the members of a whole ensemble are played.
    pub(crate) proposals: Option<Rc<RefCell<Proposals>>>,
    synced: Rc<Cell<Zxid>>,
}

impl History {
    /// Nothing yet.
    pub(crate) fn new(synced: Rc<Cell<Zxid>>) -> History {
        History { applied: Vec::new(), proposals: None, synced }
    }
}

impl Observer for History {
    fn ordered(&mut self, _requests: u64, _micros: u64) {}

    fn flushed(&mut self, _group: Flushed, _settle_us: u64, _gathering: PaceReport) {}

    fn has_capacity(&self) -> bool {
        true
    }

    fn applying(&mut self, next: &Committed) {
        let mut written = Vec::new();
        let (zxid, bytes) = match next {
            Committed::Apply(proposal) => {
                proposal.txn.write(&mut written);
                (proposal.txn.zxid, &written[..])
            }
            Committed::Replay(framed) => (framed.zxid(), framed.payload()),
            _ => return,
        };
        assert!(zxid <= self.synced.get(), "{zxid} is applied before it is durable");
        let proposals = self.proposals.as_ref();
        let ordered = proposals.and_then(|proposals| proposals.borrow().find(zxid, bytes));
        let txn = ordered.unwrap_or_else(|| Rc::new(through_the_log(bytes)));
        if let Committed::Apply(proposal) = next {
            assert_eq!(*txn, proposal.txn, "the log gives back another transaction");
        }
        self.applied.push(txn);
    }

    fn applied(&mut self, _micros: u64) {}

    fn quotas(&mut self, _notes: QuotaNotes, _now: Now) {}

    fn admission(&mut self, _admission: WriteAdmission) {}
}

/// What the log gives back is written as it was.
pub(crate) fn through_the_log(bytes: &[u8]) -> Txn {
    let read = Txn::read(bytes).expect("what was written can be read");
    let mut again = Vec::with_capacity(bytes.len());
    read.write(&mut again);
    assert_eq!(again, bytes, "{read:?} is written in another way than it was");
    read
}
