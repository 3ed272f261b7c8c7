//! A node: everything between the requests that its shards send and the answers that they get.
//!
//! A node is a value. It is driven in turns and reaches the world through its [`Ports`]. A turn
//! walks one ladder of stages, each of which does its own part and calls no other stage:
//!
//! | half | stage | what it does |
//! |---|---|---|
//! | [`Node::release`] | flushed | hears which groups are durable, here and on the disks of voters |
//! | | flush | hands the next group to the log, before the answers are made |
//! | | commit | releases what a quorum holds |
//! | | learners | gives requests of learners their place, where this server leads |
//! | | tick | lets time pass: sessions expire, spent nodes go |
//! | | apply | changes the database, reports, answers |
//! | [`Node::order`] | learn | takes what the leader has sent, where there is one |
//! | | order | gives requests their place, those of learners too, or sends them to the leader |
//! | | flush | hands the group to the log |
//! | | apply | answers what waits behind no commit |
//!
//! Between the halves a server whose shard shares the node's thread serves its sockets.
//!
//! Time is never held up: neither by a shard that does not take its messages (see
//! [`MailboxLimits`]) nor by what is committed and not applied yet.

mod apply;
mod changes_lost;
mod commands;
mod confirmed;
mod gathering;
mod leading;
mod outbox;
mod ports;
mod space;
mod ticks;

use std::collections::VecDeque;

use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::gathering::{Decision, DiskState, PaceReport};
use ringkeeper_engine::log::{Generation, Joined, LogEvent};
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::{Millis, Zxid, limits};

use self::apply::{apply_committed, compared_at, leave_service, prefetch};
pub use self::changes_lost::ChangesLost;
use self::gathering::Gathering;
pub use self::gathering::GroupSettings;
use self::outbox::Backpressure;
pub use self::outbox::MailboxLimits;
use self::outbox::Outbox;
pub use self::ports::{
    ClockPort, DatabasePort, LeaderPort, LogPort, NoLeader, Observer, Ports, ShardPort,
};
use crate::leader::{Acknowledgement, LearnerEvent};
use crate::plant::{Bug, is_planted};
use crate::{Committed, Input, Outputs, Replica};

/// Microseconds after which a stage applies nothing more until the next turn: groups may have
/// thousands of records, and this may be the thread of a shard.
const APPLY_US: u64 = 1_000;
/// Milliseconds between two turns after which this process is taken to have been paused. Turns have
/// a budget of work: what the server does itself takes far less.
const PAUSE_MS: i64 = 1_500;
/// Microseconds after which it is looked again whether the snapshot under way has written enough.
const SNAPSHOT_LOOK_US: u64 = 1_000;
/// One transaction of so many in an epoch is one behind which the members of an ensemble compare
/// their states.
pub const COMPARED_EVERY: u32 = 128;
/// What is committed and not applied, above which no request is ordered.
const COMMITTED_MAX: usize = 16_384;

/// How a node works.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Rules of the operations.
    pub ops: OpSettings,
    /// How groups are cut.
    pub groups: GroupSettings,
    /// How often time passes for the replica, milliseconds.
    pub tick_ms: i64,
    /// Steps applied in one critical section.
    pub apply_batch: usize,
    /// How far a shard may be behind.
    pub mailboxes: MailboxLimits,
}

/// What a node is connected to.
pub struct World<P: Ports> {
    /// The clocks.
    pub clock: P::Clock,
    /// The log.
    pub log: P::Log,
    /// The replicated state.
    pub database: P::Database,
    /// The rings between the node and its shards.
    pub shards: P::Shards,
    /// The link to the leader.
    pub leader: P::Leader,
    /// Metrics and messages.
    pub observer: P::Observer,
}

/// One node and its ports.
pub struct Node<P: Ports> {
    replica: Replica,
    settings: NodeSettings,
    outputs: Outputs,
    committed: VecDeque<Committed>,
    gathering: Gathering,
    /// The history of the log that the node goes by.
    generation: Generation,
    /// What came of commands to the log.
    log_events: VecDeque<LogEvent>,
    backpressure: Backpressure,
    next_tick: Millis,
    /// When it last looked at the clock.
    looked: Millis,
    /// Nothing is applied: the snapshot under way has to write what it has kept first.
    awaits_snapshot: bool,
    /// The state is not the leader's: nothing is applied or answered until it is replaced.
    has_diverged: bool,
    /// Nothing is ordered: this server is about to lead no more.
    is_leaving: bool,
    /// What learners have sent and what voters have acknowledged, on their way to the replica.
    learner_events: Vec<LearnerEvent>,
    acks: Vec<Acknowledgement>,
    world: World<P>,
}

impl<P: Ports> Node<P> {
    /// A node that begins with this replica.
    pub fn new(replica: Replica, settings: NodeSettings, world: World<P>) -> Node<P> {
        let (shards, now_us) = (world.shards.count(), world.clock.micros());
        let backpressure = Backpressure::new(shards, settings.mailboxes, now_us);
        Node {
            replica,
            outputs: Outputs::default(),
            committed: VecDeque::new(),
            gathering: Gathering::new(settings.groups),
            generation: Generation::default(),
            log_events: VecDeque::new(),
            backpressure,
            next_tick: world.clock.now().mono,
            looked: world.clock.now().mono,
            awaits_snapshot: false,
            has_diverged: false,
            is_leaving: false,
            learner_events: Vec::new(),
            acks: Vec::new(),
            settings,
            world,
        }
    }

    /// First half of a turn: what has become durable is committed, time passes, and what is
    /// committed is applied.
    pub fn release(&mut self) {
        let durable = self.flushed();
        if durable.is_some() {
            // The device first: it works while this thread makes the answers.
            self.flush();
        }
        self.commit(durable);
        // A client that a learner has heard of does not expire while its request waits.
        self.order_learners();
        self.tick();
        self.apply();
    }

    /// Second half of a turn: what has arrived is ordered.
    pub fn order(&mut self) {
        self.learn();
        self.order_learners();
        self.order_requests();
        self.flush();
        self.apply();
    }

    /// Replaces the state by one that the leader has sent and that the log begins behind; its
    /// command has ended. Every connection is closed: watches would miss changes. The state before
    /// comes back: to give up its memory takes as long as it has nodes, and belongs elsewhere.
    pub fn install(&mut self, mut state: Box<Database>) -> Box<Database> {
        let World { database, shards, clock, .. } = &mut self.world;
        {
            let mut db = database.write();
            std::mem::swap(&mut *db, &mut *state);
            // Order: before a reader can see the new state.
            let count = if is_planted(Bug::SnapLeavesOpen) { 0 } else { shards.count() };
            let why = ChangesLost::StateReplaced;
            (0..count).for_each(|shard| shards.lose_changes(shard, why));
        }
        self.committed = std::mem::take(&mut self.committed)
            .into_iter()
            .filter_map(|committed| committed.without_change())
            .collect();
        self.has_diverged = false;
        let now = clock.now();
        {
            let db = self.world.database.read();
            self.replica.step(Input::Replaced { db: &db, now }, &mut self.outputs);
        }
        self.end_step(self.outputs.group.records());
        state
    }

    /// Whether a turn would find something to do. Every queue that wakes the node's thread is
    /// looked at, so that it can look after it has said that it sleeps.
    pub fn has_work(&self) -> bool {
        let waits = self.has_diverged || self.awaits_snapshot;
        let apply = !self.committed.is_empty() && !waits && self.world.observer.has_capacity();
        let World { shards, leader, log, .. } = &self.world;
        let requests =
            shards.has_requests() || leader.has_learner_events() || self.replica.has_kept();
        let order = requests && self.can_order();
        let learn = leader.has_events() && self.can_learn();
        let ends = self.ends_sessions();
        apply || order || learn || ends || log.is_flushed() || leader.has_acks()
    }

    /// Microseconds until time has to pass, or a group that waits is due.
    pub fn wait_us(&self) -> u64 {
        let tick_ms = self.next_tick.0 - self.world.clock.now().mono.0;
        let tick_us = tick_ms.clamp(0, self.settings.tick_ms).unsigned_abs() * 1_000;
        let tick_us = if self.awaits_snapshot { tick_us.min(SNAPSHOT_LOOK_US) } else { tick_us };
        match self.gathering.due_us() {
            u64::MAX => tick_us,
            due_us => tick_us.min(due_us.saturating_sub(self.world.clock.micros())),
        }
    }

    /// Whether a group waits for less than a tick: the thread's timers should be exact.
    pub fn waits_briefly(&self) -> bool {
        self.gathering.due_us() != u64::MAX
    }

    /// What batching delays are decided from.
    pub fn gathering(&self) -> PaceReport {
        self.gathering.report()
    }

    /// The replica, for reports.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// As [`Node::replica`], for counters that are taken.
    pub fn replica_mut(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// What the node is connected to.
    pub fn world(&self) -> &World<P> {
        &self.world
    }

    /// As [`Node::world`], to drive it.
    pub fn world_mut(&mut self) -> &mut World<P> {
        &mut self.world
    }

    /// Whether nothing is ordered, gathered or committed that is not applied.
    pub fn is_idle(&self) -> bool {
        let flushing = self.world.log.is_busy() || !self.outputs.group.is_empty();
        !flushing && self.committed.is_empty() && self.replica.outstanding() == 0
    }
}

/// The stages. None calls another.
impl<P: Ports> Node<P> {
    /// Hears up to where the log has become durable since the last turn. What a generation that has
    /// ended made durable is not there any more, or will not be.
    fn flushed(&mut self) -> Option<Zxid> {
        let World { log, clock, observer, .. } = &mut self.world;
        let mut durable = None;
        while let Some(done) = log.poll() {
            let LogEvent::Flushed(group) = done.event else {
                self.log_events.push_back(done.event);
                continue;
            };
            if done.generation != self.generation {
                continue;
            }
            let now_us = clock.micros();
            self.gathering.flushed(group, now_us);
            let settle_us = now_us.saturating_sub(group.since_us);
            observer.flushed(group, settle_us, self.gathering.report());
            durable = Some(group.durable);
        }
        durable
    }

    /// Hands the group under construction to the log, unless it should wait.
    fn flush(&mut self) {
        if self.outputs.group.is_empty() {
            return self.gathering.rest();
        }
        let joins = !self.gathering.is_timed();
        let joined = match self.replica.leads_ensemble() {
            _ if !joins => Joined::Nothing,
            true => self.join_proposed(),
            false => self.world.log.join(&mut self.outputs.group),
        };
        // What was decided about a group that is not begun holds for what it grows by.
        if joined != Joined::Nothing {
            return self.gathering.rest();
        }
        let World { log, clock, leader, .. } = &mut self.world;
        let group = &mut self.outputs.group;
        let disk = if log.is_busy() { DiskState::Busy } else { DiskState::Free };
        match self.gathering.decide(group, disk, clock.micros()) {
            Decision::Flush => {
                if self.replica.leads_ensemble() {
                    leader.proposed(group);
                }
                log.submit(group, self.gathering.since_us());
            }
            Decision::Gather | Decision::Wait(_) => {}
        }
    }

    /// Releases what a quorum holds, now that our own log is durable up to `durable`, and what
    /// voters have acknowledged.
    fn commit(&mut self, durable: Option<Zxid>) {
        let World { leader, .. } = &mut self.world;
        self.acks.extend(std::iter::from_fn(|| leader.next_ack()));
        if !self.acks.is_empty() {
            self.replica.step(Input::Acked(&mut self.acks), &mut self.outputs);
        }
        if let Some(durable) = durable {
            self.replica.step(Input::Flushed(durable), &mut self.outputs);
            leader.flushed(durable);
        }
        if !self.outputs.sessions.is_empty() {
            leader.sessions(&mut self.outputs.sessions);
        }
        if !self.outputs.to_learners.is_empty() {
            leader.to_learners(&mut self.outputs.to_learners);
        }
        self.committed.extend(self.outputs.committed.drain(..));
    }

    /// Takes what the leader has sent, as much as there is room for.
    fn learn(&mut self) {
        loop {
            let space = self.log_space();
            self.world.leader.space(space);
            if !self.can_learn() {
                break;
            }
            let Some(event) = self.world.leader.receive() else { break };
            let (now, records) = (self.world.clock.now(), self.begin_step());
            self.replica.step(Input::Leader { event, now }, &mut self.outputs);
            self.end_step(records);
        }
    }

    /// Gives requests that have arrived their place in the order, as many as there is room for.
    /// Those that have waited for a leader come first.
    fn order_requests(&mut self) {
        let now_us = self.world.clock.micros();
        self.backpressure.note(&self.world.shards, now_us);
        while self.can_order() {
            let kept = self.replica.has_kept().then(Vec::new);
            let Some(mut requests) = kept.or_else(|| self.world.shards.receive()) else { break };
            self.look_at_capacity();
            let (count, start_us) = (requests.len() as u64, self.world.clock.micros());
            let now = self.world.clock.now();
            let records = self.begin_step();
            {
                let db = self.world.database.read();
                let input = Input::Requests { requests: &mut requests, db: &db, now };
                self.replica.step(input, &mut self.outputs);
            }
            self.end_step(records);
            let micros = (self.world.clock.micros() - start_us) / count.max(1);
            self.world.observer.ordered(count, micros);
        }
    }

    /// Applies and answers what is committed: in critical sections of a bounded number of steps,
    /// and not longer than [`APPLY_US`].
    fn apply(&mut self) {
        let World { clock, database, shards, leader, observer, .. } = &mut self.world;
        if self.committed.is_empty() || self.has_diverged {
            return;
        }
        let mut start_us = clock.micros();
        let until_us = start_us + APPLY_US;
        while !self.committed.is_empty()
            && !self.has_diverged
            && observer.has_capacity()
            && start_us < until_us
        {
            let mut db = database.write();
            self.awaits_snapshot = db.tree.snapshot_backlog() > limits::SNAPSHOT_BACKLOG_BYTES;
            if self.awaits_snapshot {
                return;
            }
            let mut outbox = Outbox::new(shards, self.settings.mailboxes);
            prefetch(&self.committed, self.settings.apply_batch, &db);
            for _ in 0..self.settings.apply_batch {
                if outbox.read_bytes > limits::APPLY_READ_BYTES {
                    break;
                }
                let Some(next) = self.committed.pop_front() else { break };
                observer.applying(&next);
                let compared = compared_at(&next);
                let applied = apply_committed(next, &mut db, &self.settings.ops, &mut outbox);
                if let Err(divergence) = applied {
                    leader.diverged(divergence);
                    self.has_diverged = true;
                    leave_service(&mut db, shards);
                    break;
                }
                if let Some(zxid) = compared
                    && db.tree.digest_mode() == Digest::Kept
                {
                    leader.applied(zxid, db.tree.digest());
                }
            }
            shards.publish();
            drop(db);
            let now_us = clock.micros();
            observer.applied(now_us - start_us);
            start_us = now_us;
        }
    }
}

/// What stages have in common.
impl<P: Ports> Node<P> {
    /// Requests wait in their rings while the group under construction is large, while too much
    /// waits to be applied, and while a shard has to catch up. A full ring stops the reading of
    /// sockets in the end.
    fn can_order(&self) -> bool {
        let World { log, shards, leader, .. } = &self.world;
        self.outputs.group.bytes() + log.waiting_bytes() < limits::GROUP_BYTES_MAX
            && self.committed.len() < COMMITTED_MAX
            && !self.backpressure.holds(shards)
            && leader.has_capacity()
            && self.replica.can_order()
            && !self.is_leaving
    }

    /// Before a step that may add records to the group. Returns how many it has.
    fn begin_step(&mut self) -> u32 {
        let group = &self.outputs.group;
        if group.is_empty() {
            self.gathering.begin(self.world.clock.micros());
        }
        group.records()
    }

    /// After it: takes over what it released.
    fn end_step(&mut self, records_before: u32) {
        let World { clock, observer, leader, shards, .. } = &mut self.world;
        let added = self.outputs.group.records() - records_before;
        if added > 0 {
            self.gathering.added(added, clock.micros());
        }
        self.committed.extend(self.outputs.committed.drain(..));
        if !self.outputs.to_leader.is_empty() {
            leader.send(&mut self.outputs.to_leader);
        }
        if let Some(fault) = self.outputs.fault.take() {
            leader.fault(fault, self.replica.last());
        }
        if !self.outputs.sessions.is_empty() {
            leader.sessions(&mut self.outputs.sessions);
        }
        if !self.outputs.to_learners.is_empty() {
            leader.to_learners(&mut self.outputs.to_learners);
        }
        if std::mem::take(&mut self.outputs.close_connections) {
            let why = ChangesLost::Leaderless;
            (0..shards.count()).for_each(|shard| shards.lose_changes(shard, why));
        }
        if let Some(notes) = self.replica.take_quota_notes() {
            observer.quotas(notes, clock.now());
        }
    }
}
