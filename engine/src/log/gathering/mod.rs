//! Group commit: when a group is flushed, as soon as the disk is free or after a batching delay.
//!
//! Performance machinery: a reader may skip this module on first reading, for what is durable does
//! not depend on it. The measurements are in `docs/understand/performance.md`.
//!
//! One flush is under way at a time, and the writes that arrive meanwhile are the next group. So
//! groups grow with the load by themselves, and a delay is of no use to writes that arrive at a
//! fixed rate (an open loop). It is of use to clients that wait for a reply before they send the
//! next write (a closed loop). Let there be `n` of them, let the next write of each arrive `z`
//! after its reply, and let a sync take `s`. Without a delay they fall into two halves: one is
//! being flushed while the other gathers. Each client gets one write done in `2s`, in groups of
//! `n/2`. A delay until the clients of the last group have sent again makes one group of all, once
//! in `s + z`: more writes, sooner, with half of the syncs, if `z < s`. So
//!
//! - a delay ends when as many writes have gathered as are in flight on average: all in-flight
//!   writes are collected;
//! - it ends in any case after a part of the time that a sync takes, since a longer one could gain
//!   nothing;
//! - and since neither `z` nor the other load of the machine is known, an experiment decides
//!   whether it helps (the module `trial`): windows of flushes with and without a delay, in turn.
//!
//! All of it is arithmetic: times come in as arguments, nothing is allocated.

mod estimate;
mod target;
mod trial;

pub use target::{NoTarget, Quantile, Target};

use self::estimate::{Ages, Mean, Running};
use self::trial::{ClosedLoopLoad, Flushed, Trial};

/// The group under construction.
#[derive(Clone, Copy, Debug)]
pub struct OpenGroup {
    /// Writes in it.
    pub writes: u32,
    /// When the first of them was ordered, microseconds.
    pub since_us: u64,
}

/// Whether the disk has a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskState {
    /// It waits for a group.
    Free,
    /// A group is under way.
    Busy,
}

/// What becomes of the group under construction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Flush it as soon as the disk is free.
    Flush,
    /// It stays open until the disk is free; then decide again.
    Gather,
    /// The disk is free, and the group stays open until this time, in microseconds; decide again
    /// then, and whenever the group has grown.
    Wait(u64),
}

/// What has been decided so far, and what it was decided from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PaceReport {
    /// What is aimed at.
    pub target: Target,
    /// The longest batching delay now, microseconds.
    pub wait_us: u64,
    /// The gain of the delay in force when it was last proved, in percent: more writes, or, with
    /// a latency target, fewer syncs; 0 without a delay.
    pub gain_percent: u64,
    /// Groups whose delay ended because all in-flight writes were collected.
    pub complete: u64,
    /// Groups whose delay ended because it was at its limit.
    pub bounded: u64,
    /// Microseconds that a sync takes: the mean.
    pub sync_us: u64,
    /// The same of the slowest in twenty.
    pub sync_high_us: u64,
    /// Writes per second, while there are any.
    pub writes_per_second: u64,
    /// Writes in flight, on average.
    pub under_way: u64,
    /// When writes arrive during a sync, on average, in percent of its duration.
    pub arrival_percent: u64,
}

/// Decides when groups are flushed. One per log.
#[derive(Clone, Debug)]
pub struct Pace {
    target: Target,
    trial: Trial,
    sync: Mean,
    sync_high: Running,
    under_way: Mean,
    /// Mean microseconds between the ends of two flushes, and mean writes of one.
    between: Mean,
    size: Mean,
    ages: Ages,
    /// When writes arrive during a sync, on average: 0 is its begin, 1 its end.
    arrival: Mean,
    /// Arrivals since the last flush ended, each counted once however many writes it brought, and
    /// the sum of their distances to that end, microseconds.
    turns: u32,
    lags_us: u64,
    /// When the last flush ended.
    free_since_us: u64,
    /// Whether the group under construction is delayed.
    waits: bool,
    complete: u64,
    bounded: u64,
}

impl Pace {
    /// Nothing is measured yet, and no group is delayed.
    pub fn new(target: Target) -> Pace {
        Pace {
            target,
            trial: Trial::new(target),
            sync: Mean::new(1.0 / 64.0),
            sync_high: Running::new(0.95),
            under_way: Mean::new(1.0 / 16.0),
            between: Mean::new(1.0 / 16.0),
            size: Mean::new(1.0 / 16.0),
            arrival: Mean::new(1.0 / 64.0),
            turns: 0,
            lags_us: 0,
            ages: Ages::new(),
            free_since_us: 0,
            waits: false,
            complete: 0,
            bounded: 0,
        }
    }

    /// Writes were ordered and are part of the group under construction.
    pub fn arrived(&mut self, now_us: u64, writes: u32) {
        self.turns += 1;
        self.lags_us += now_us.saturating_sub(self.free_since_us);
        self.ages.arrived(now_us, writes);
    }

    /// What to do with a group that is not empty. To be called whenever it has grown, when the
    /// disk has become free, and when a delay is over.
    pub fn decide(&mut self, now_us: u64, group: OpenGroup, disk: DiskState) -> Decision {
        let limit = self.trial.limit();
        let collected = f64::from(group.writes) >= self.under_way.get() * COLLECTED;
        if limit == 0 || collected {
            self.complete += u64::from(self.waits);
            self.waits = false;
            return Decision::Flush;
        }
        if disk == DiskState::Busy {
            return Decision::Gather;
        }
        let until_us = self.until(limit, group);
        if now_us < until_us {
            self.waits = true;
            return Decision::Wait(until_us);
        }
        self.bounded += u64::from(self.waits);
        self.waits = false;
        Decision::Flush
    }

    /// When a delay of at most `limit` eighths of a sync is over. A latency target is kept even if
    /// the sync is one of the slow ones.
    fn until(&self, limit: u32, group: OpenGroup) -> u64 {
        let since_us = self.free_since_us.max(group.since_us);
        let until_us = since_us + self.bound(limit);
        match self.target {
            Target::Within(Quantile { micros, .. }) => {
                let latest = (group.since_us + micros).saturating_sub(self.sync_high.micros());
                until_us.min(latest)
            }
            Target::Latency | Target::Throughput => until_us,
        }
    }

    fn bound(&self, limit: u32) -> u64 {
        self.sync.get() as u64 * u64::from(limit) / 8
    }

    /// A group of so many writes, the oldest in flight, became durable; its sync took `sync_us`.
    pub fn durable(&mut self, now_us: u64, writes: u32, sync_us: u64) {
        self.under_way.note(self.ages.total() as f64);
        // One outlier says little about the next.
        let most_us = self.sync.get() * 8.0;
        self.sync.note(if most_us > 0.0 { most_us.min(sync_us as f64) } else { sync_us as f64 });
        self.sync_high.note(sync_us as f64);
        // Pauses do not count for the rate at which writes arrive.
        let pause_us = now_us.saturating_sub(self.free_since_us).min(PAUSE_US);
        self.between.note(pause_us as f64);
        self.size.note(f64::from(writes));
        self.note_arrival(sync_us);
        self.free_since_us = now_us;
        let bound_us = match self.target {
            Target::Within(Quantile { micros, .. }) => micros,
            Target::Latency | Target::Throughput => u64::MAX,
        };
        let left = self.ages.left(now_us, writes, bound_us);
        let flush = Flushed { writes, delay_us: left.delay_us, late: left.late };
        let load =
            ClosedLoopLoad { under_way: self.under_way.get(), returns: self.arrival.get() < SOON };
        self.trial.note(now_us, flush, load);
    }

    /// When writes arrived during the sync that is over. Those that arrived while the disk was
    /// free are no sign of a closed loop.
    fn note_arrival(&mut self, sync_us: u64) {
        let latest_us = u64::from(self.turns) * sync_us;
        if latest_us > 0 {
            self.arrival.note((self.lags_us as f64 / latest_us as f64).min(1.0));
        }
        (self.turns, self.lags_us) = (0, 0);
    }

    /// For reports.
    pub fn report(&self) -> PaceReport {
        let rate = self.size.get() / self.between.get().max(1.0) * 1e6;
        PaceReport {
            target: self.target,
            wait_us: self.bound(self.trial.proved()),
            gain_percent: self.trial.gain_percent(),
            complete: self.complete,
            bounded: self.bounded,
            sync_us: self.sync.get() as u64,
            sync_high_us: self.sync_high.micros(),
            writes_per_second: rate as u64,
            under_way: self.under_way.get().round() as u64,
            arrival_percent: (self.arrival.get() * 100.0) as u64,
        }
    }
}

/// The part of the writes usually in flight that counts as all of them: a few are always missing.
const COLLECTED: f64 = 15.0 / 16.0;
/// The part of a sync within which writes arrive, on average, in a closed loop: they follow the
/// replies. Those of an open loop are spread over all of it.
const SOON: f64 = 0.5;
/// A time without flushes that counts as a pause.
const PAUSE_US: u64 = 1_000_000;
