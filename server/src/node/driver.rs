//! The sequencer around the pure replica: requests in, groups to the log writer, what is committed
//! into the tree and the mailboxes.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

use ringkeeper_engine::audit::AuditLine;
use ringkeeper_engine::database::Interest;
use ringkeeper_engine::log::gathering::{Decision, DiskState, OpenGroup, Pace, PaceReport};
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::request::{Answer, Outcome, Request, ShardMessage};
use ringkeeper_engine::throttle::ConnectionTally;
use ringkeeper_engine::txn::TxnBody;
use ringkeeper_engine::{Millis, Zxid, limits};
use ringkeeper_replication::{
    Committed, Input, Outputs, Replica, ShardOutbox, WriteAdmission, apply_committed,
};

use crate::admin::Distribution;
use crate::admin::audit::AuditEnd;
use crate::log::groups::{Gathered, GroupSettings};
use crate::log::writer::{Joined, LogWriter};
use crate::node::clock::Clock;
use crate::node::mailbox::SequencerEnd;
use crate::node::quotas::QuotaLog;
use crate::node::view::View;

/// Microseconds after which a sweep carries out nothing more: groups may have thousands of records.
const CARRY_OUT_US: u64 = 1_000;

/// The sequencer of one server. It runs on its own thread, or on the shard's where cores are few.
pub struct NodeDriver {
    replica: Replica,
    view: Arc<View>,
    settings: OpSettings,
    log_writer: LogWriter,
    shards: Vec<SequencerEnd>,
    outputs: Outputs,
    committed: VecDeque<Committed>,
    clock: Clock,
    groups: GroupSettings,
    pace: Pace,
    group_since_us: u64,
    /// When a group that waits for company is due; `u64::MAX` where none does.
    due_us: u64,
    /// Whether this thread's timers are exact.
    sharp: bool,
    /// When the last record was ordered, and when the last commit ended.
    recorded_us: u64,
    flushed_us: u64,
    tick_ms: i64,
    next_tick: Millis,
    room: Box<dyn FnMut() -> WriteAdmission + Send>,
    gauges: Arc<Gauges>,
    audit: Option<AuditEnd>,
    quotas: QuotaLog,
}

/// What reports want to know of the sequencer, published once per sweep.
#[derive(Default)]
pub struct Gauges {
    /// Requests ordered or waiting.
    pub outstanding: std::sync::atomic::AtomicUsize,
    /// Sessions known.
    pub sessions: std::sync::atomic::AtomicUsize,
    /// Sessions that expired.
    pub expired: std::sync::atomic::AtomicU64,
    /// Transactions applied.
    pub applied: std::sync::atomic::AtomicU64,
    /// What the limit of new connections did.
    pub connections: parking_lot::Mutex<ConnectionTally>,
    /// Requests refused for a quota, by the first component of their paths.
    pub quotas_refused: parking_lot::Mutex<BTreeMap<Box<str>, u64>>,
    /// The bits of the chance with which it turns a connection away.
    pub drop_chance: std::sync::atomic::AtomicU64,
    /// Requests that were ordered together.
    pub batch: Distribution,
    /// Microseconds that ordering took, per request.
    pub prepare: Distribution,
    /// Microseconds from a group's first request to its handing over to the log.
    pub gather: Distribution,
    /// Microseconds from a group's first request until it was durable.
    pub settle: Distribution,
    /// Microseconds of one hold of the write guard.
    pub apply: Distribution,
    /// What waiting for company is decided from, after the last commit.
    pub pace: parking_lot::Mutex<PaceReport>,
}

/// The parts of a sequencer.
pub struct DriverParts {
    /// The pure core.
    pub replica: Replica,
    /// The database.
    pub view: Arc<View>,
    /// Rules of the operations.
    pub settings: OpSettings,
    /// The log's thread.
    pub log_writer: LogWriter,
    /// One end per shard.
    pub shards: Vec<SequencerEnd>,
    /// The clocks.
    pub clock: Clock,
    /// How groups are cut.
    pub groups: GroupSettings,
    /// How often time is told to the replica, milliseconds.
    pub tick_ms: i64,
    /// Whether the log can take more.
    pub room: Box<dyn FnMut() -> WriteAdmission + Send>,
    /// For reports.
    pub gauges: Arc<Gauges>,
    /// The audit log, where there is one.
    pub audit: Option<AuditEnd>,
}

impl NodeDriver {
    /// Puts the parts together.
    pub fn new(parts: DriverParts) -> NodeDriver {
        let next_tick = parts.clock.now().mono;
        let pace = Pace::new(parts.groups.target);
        *parts.gauges.pace.lock() = pace.report();
        NodeDriver {
            replica: parts.replica,
            view: parts.view,
            settings: parts.settings,
            log_writer: parts.log_writer,
            shards: parts.shards,
            outputs: Outputs::new(),
            committed: VecDeque::new(),
            clock: parts.clock,
            groups: parts.groups,
            pace,
            group_since_us: 0,
            due_us: u64::MAX,
            sharp: false,
            recorded_us: 0,
            flushed_us: 0,
            tick_ms: parts.tick_ms,
            next_tick,
            room: parts.room,
            gauges: parts.gauges,
            audit: parts.audit,
            quotas: QuotaLog::default(),
        }
    }

    /// Releases what has become durable since the last sweep. First half of a sweep.
    pub fn release(&mut self) {
        self.apply_committed();
        // What is committed has to be carried out before the replica goes on; see `has_work`.
        if self.committed.is_empty()
            && let Some(durable) = self.durable()
        {
            // The device first: the answers are work for this thread alone.
            self.commit();
            self.step(Input::Durable(durable));
        }
        self.tick();
    }

    /// The zxid up to which the log has become durable since the last call.
    fn durable(&mut self) -> Option<Zxid> {
        let mut durable = None;
        while let Some(done) = self.log_writer.poll() {
            let now_us = self.clock.micros();
            let settle_us = now_us.saturating_sub(done.since_us);
            self.gauges.settle.record(settle_us);
            self.gauges.gather.record(settle_us.saturating_sub(done.micros));
            self.pace.durable(now_us, done.records, done.micros);
            self.flushed_us = now_us;
            durable = Some(done.durable);
        }
        if durable.is_some() {
            *self.gauges.pace.lock() = self.pace.report();
        }
        durable
    }

    /// Orders what has arrived. Second half of a sweep.
    pub fn order(&mut self) {
        while self.can_take() {
            let Some(mut requests) = self.next_requests() else { break };
            let (count, start_us) = (requests.len() as u64, self.clock.micros());
            let now = self.clock.now();
            self.step(Input::Requests(&mut requests, now));
            self.gauges.batch.record(count);
            self.gauges.prepare.record((self.clock.micros() - start_us) / count.max(1));
        }
        self.commit();
        self.publish_gauges();
    }

    /// Whether there is something to do without waiting for anybody. Every queue that the waker
    /// stands for is looked at: this is the look between [`crate::node::waker::Waker::about_to_sleep`]
    /// and the sleep.
    pub fn has_work(&self) -> bool {
        if !self.committed.is_empty() {
            return self.has_room();
        }
        let requests = self.shards.iter().any(SequencerEnd::has_requests);
        (requests && self.can_take()) || self.log_writer.is_done()
    }

    /// Milliseconds until time has to be told again, or a gathering group is due.
    pub fn wait_ms(&self) -> i64 {
        // Time is not told while what is committed waits for room: whoever makes room wakes us.
        let held = !self.committed.is_empty();
        let tick = if held { self.tick_ms } else { self.next_tick.0 - self.clock.now().mono.0 };
        let waits =
            self.groups.waits() && !self.log_writer.is_busy() && !self.outputs.group.is_empty();
        let group = if waits { self.group_wait_us().div_ceil(1_000) } else { u64::MAX };
        tick.min(i64::try_from(group).unwrap_or(i64::MAX)).clamp(0, self.tick_ms)
    }

    /// The same of so many milliseconds at the most, in microseconds: a group that waits for
    /// company is due within less than a millisecond.
    pub fn cut_wait(&self, ms: i64) -> u64 {
        let us = u64::try_from(ms).unwrap_or(0) * 1_000;
        match self.due_us {
            u64::MAX => us,
            due_us => us.min(due_us.saturating_sub(self.clock.micros())),
        }
    }

    /// Wakes the shards that have mail.
    pub fn wake_shards(&self) {
        self.shards.iter().for_each(SequencerEnd::wake);
    }

    /// Requests wait in the rings while the group under construction is large, or while what is
    /// committed cannot be carried out: a full queue stops the reading of sockets in the end.
    fn can_take(&self) -> bool {
        let bytes = self.outputs.group.bytes() + self.log_writer.waiting_bytes();
        bytes < limits::GROUP_BYTES_MAX && self.committed.is_empty()
    }

    fn next_requests(&mut self) -> Option<Vec<Request>> {
        self.shards.iter_mut().find_map(SequencerEnd::receive)
    }

    fn step(&mut self, input: Input<'_>) {
        if self.outputs.group.is_empty() {
            self.group_since_us = self.clock.micros();
        }
        self.replica.set_admission((self.room)());
        let before = self.outputs.group.records();
        {
            let db = self.view.read();
            self.replica.step(&db, input, &mut self.outputs);
        }
        self.note_quotas();
        if self.outputs.group.records() > before {
            self.recorded_us = self.clock.micros();
            self.pace.arrived(self.recorded_us, self.outputs.group.records() - before);
        }
        self.committed.extend(self.outputs.committed.drain(..));
        self.apply_committed();
    }

    fn note_quotas(&mut self) {
        let Some(notes) = self.replica.take_quota_notes() else { return };
        let now_ms = self.clock.now().mono.0;
        for (limit, excess) in &notes.excesses {
            self.quotas.note(*limit, excess, now_ms);
        }
        let mut refused = self.gauges.quotas_refused.lock();
        for (namespace, count) in notes.refused {
            *refused.entry(namespace).or_default() += count;
        }
    }

    /// Applies and answers, at most `APPLY_BATCH` steps under one hold of the guard. What takes
    /// longer than `CARRY_OUT_US` goes on with the next sweep: this may be the thread of a shard.
    fn apply_committed(&mut self) {
        let mut start_us = self.clock.micros();
        let until_us = start_us + CARRY_OUT_US;
        while !self.committed.is_empty() && self.has_room() && start_us < until_us {
            let mut db = self.view.write();
            let audit = self.audit.as_ref();
            let mut post = Post { shards: &mut self.shards, bytes: 0, audit };
            for _ in 0..limits::APPLY_BATCH {
                if post.bytes > limits::HOLD_BYTES {
                    break;
                }
                let Some(next) = self.committed.pop_front() else { break };
                self.gauges.note(&next);
                apply_committed(next, &mut db, &self.settings, &mut post);
            }
            self.shards.iter_mut().for_each(SequencerEnd::publish);
            drop(db);
            let now_us = self.clock.micros();
            self.gauges.apply.record(now_us - start_us);
            start_us = now_us;
        }
    }

    fn has_room(&self) -> bool {
        let told = self.audit.as_ref().is_none_or(AuditEnd::has_room);
        told && self.shards.iter().all(SequencerEnd::has_room)
    }

    /// Microseconds that the group should still wait for company.
    fn group_wait_us(&self) -> u64 {
        if !self.groups.waits() {
            return 0;
        }
        let now_us = self.clock.micros();
        self.groups.wait_us(Gathered {
            records: self.outputs.group.records(),
            since_record_us: now_us - self.recorded_us,
            since_commit_us: now_us - self.flushed_us,
        })
    }

    fn commit(&mut self) {
        self.due_us = u64::MAX;
        if self.outputs.group.is_empty() {
            return;
        }
        if self.groups.waits() {
            return self.commit_in_time();
        }
        // What was decided about a group that has not begun holds for what it grows by.
        match self.log_writer.join(&mut self.outputs.group) {
            Joined::Yes | Joined::Full => return,
            Joined::Nothing => {}
        }
        let group =
            OpenGroup { writes: self.outputs.group.records(), since_us: self.group_since_us };
        let disk = if self.log_writer.is_busy() { DiskState::Busy } else { DiskState::Free };
        match self.pace.decide(self.clock.micros(), group, disk) {
            Decision::Flush => self.submit(),
            Decision::Gather => {}
            Decision::Wait(until_us) => self.wait_until(until_us),
        }
    }

    /// A wait takes some tens of microseconds, and the system lets a thread sleep as much longer as
    /// that to save itself a wake-up, unless it is told not to.
    fn wait_until(&mut self, until_us: u64) {
        if !self.sharp {
            self.sharp = true;
            // Without it waits are longer, and the proof that they help takes that into account.
            let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
        }
        self.due_us = until_us;
    }

    /// ZooKeeper's timers, where they are set, rule alone.
    fn commit_in_time(&mut self) {
        if !self.log_writer.is_busy() && self.group_wait_us() == 0 {
            self.submit();
        }
    }

    fn submit(&mut self) {
        self.log_writer.submit(&mut self.outputs.group, self.group_since_us);
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        if now.mono >= self.next_tick && self.committed.is_empty() {
            self.next_tick = Millis(now.mono.0 + self.tick_ms);
            self.step(Input::Tick(now));
            if self.replica.wants_tick() {
                self.next_tick = now.mono;
            }
        }
        if self.groups.waits() {
            self.commit();
        }
    }

    fn publish_gauges(&mut self) {
        use std::sync::atomic::Ordering::Relaxed;
        if let Some(throttle) = self.replica.connections() {
            self.gauges.drop_chance.store(throttle.chance().to_bits(), Relaxed);
            self.gauges.connections.lock().add(throttle.take_tally());
        }
        self.gauges.outstanding.store(self.replica.outstanding(), Relaxed);
        self.gauges.sessions.store(self.replica.sessions().len(), Relaxed);
    }

    /// The replica, for reports that are made on this thread.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }
}

impl Gauges {
    /// Counts what is carried out. Nobody but time asks for a session's end without an origin.
    fn note(&self, next: &Committed) {
        use std::sync::atomic::Ordering::Relaxed;
        let Committed::Apply(proposal) = next else { return };
        self.applied.fetch_add(1, Relaxed);
        let closes = matches!(proposal.txn.body, TxnBody::CloseSession { .. });
        if closes && proposal.origin.is_none() {
            self.expired.fetch_add(1, Relaxed);
        }
    }
}

struct Post<'a> {
    shards: &'a mut [SequencerEnd],
    /// Bytes of replies to reads in this hold.
    bytes: usize,
    audit: Option<&'a AuditEnd>,
}

impl ShardOutbox for Post<'_> {
    fn interest(&self) -> Interest {
        if self.shards.iter().any(SequencerEnd::has_interest) {
            Interest::Somebody
        } else {
            Interest::Nobody
        }
    }

    fn audits(&self) -> bool {
        self.audit.is_some()
    }

    fn audit(&mut self, line: AuditLine) {
        if let Some(audit) = self.audit {
            audit.push(line);
        }
    }

    fn to_shard(&mut self, shard: u16, delivery: ShardMessage) {
        if let ShardMessage::Answer(Answer { outcome: Outcome::Read(reply), .. }) = &delivery {
            self.bytes += reply.body.len();
        }
        self.shards[usize::from(shard)].post(delivery);
    }

    fn to_watching_shards(&mut self, delivery: impl Fn() -> ShardMessage) {
        for shard in self.shards.iter_mut().filter(|shard| shard.has_interest()) {
            shard.post(delivery());
        }
    }
}

#[cfg(test)]
mod tests;
