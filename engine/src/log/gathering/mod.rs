//! When a group is committed: as soon as the disk is free, or after waiting a little for more.
//!
//! One commit is under way at a time and whatever arrives meanwhile is the next group, so groups
//! grow with the load by themselves, and waiting is of no use to writes that arrive at a rate of
//! their own. It is of use to clients that wait for an answer before they send again. Let `n` of
//! them come back `z` after an answer, and let a sync take `s`. Without waiting they fall into two
//! halves: one is under way while the other gathers. Each client is served once in `2s`, by
//! groups of `n/2`. Waiting until those who were just answered are back makes one group of all,
//! once in `s + z`: more writes, sooner, with half of the syncs, if `z < s`. So
//!
//! - a wait ends when as many writes wait as are usually under way: everybody is back;
//! - it ends in any case after a part of the time that a sync takes, since a longer one could gain
//!   nothing;
//! - and since nobody knows `z`, nor what else the machine has to do meanwhile, it is tried out
//!   whether it helps (the module `trial`): windows of commits with and without, in turn.
//!
//! All of it is arithmetic: times come in as arguments, nothing is allocated.

mod estimate;
mod target;
mod trial;

pub use target::{NoTarget, Quantile, Target};

use self::estimate::{Ages, Mean, Running};
use self::trial::{Committed, Crowd, Trial};

/// The group under construction.
#[derive(Clone, Copy, Debug)]
pub struct OpenGroup {
    /// Writes in it.
    pub writes: u32,
    /// When the first of them was ordered, microseconds.
    pub since_us: u64,
}

/// What the disk does.
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
    /// It is next: commit it as soon as the disk is free.
    Flush,
    /// It stays open until the disk is free; then ask again.
    Gather,
    /// The disk is free, and the group stays open until then, microseconds, or for more writes.
    Wait(u64),
}

/// What has been decided so far, and what it was decided from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PaceReport {
    /// What is aimed at.
    pub target: Target,
    /// Microseconds that a group waits at most now.
    pub wait_us: u64,
    /// What the wait in force brought when it was proved, in hundredths: more writes, or, where
    /// there is a bound, fewer syncs; 0 without one.
    pub gain_percent: u64,
    /// Groups that waited until everybody was back.
    pub complete: u64,
    /// Groups that waited as long as they might.
    pub bounded: u64,
    /// Microseconds that a sync takes: the mean.
    pub sync_us: u64,
    /// The same of the slowest in twenty.
    pub sync_high_us: u64,
    /// Writes per second, while there are any.
    pub writes_per_second: u64,
    /// Writes under way, on average.
    pub under_way: u64,
    /// Where in a sync writes come, in hundredths of it, on average.
    pub place: u64,
}

/// Decides when groups are committed. One per log.
#[derive(Clone, Debug)]
pub struct Pace {
    target: Target,
    trial: Trial,
    sync: Mean,
    sync_high: Running,
    under_way: Mean,
    /// Mean microseconds between two commits that are durable, and mean writes of one.
    between: Mean,
    size: Mean,
    ages: Ages,
    /// Where in a sync writes come, on average: 0 is its begin, 1 its end.
    place: Mean,
    /// Of the writes since the last commit, each turn's counted once: how many, and the
    /// microseconds that they came after it.
    turns: u32,
    lags_us: u64,
    /// When the disk was last done.
    free_since_us: u64,
    /// Whether the group under construction has been told to wait.
    waits: bool,
    complete: u64,
    bounded: u64,
}

impl Pace {
    /// Knows nothing yet, and waits for nothing.
    pub fn new(target: Target) -> Pace {
        Pace {
            target,
            trial: Trial::new(target),
            sync: Mean::new(1.0 / 64.0),
            sync_high: Running::new(0.95),
            under_way: Mean::new(1.0 / 16.0),
            between: Mean::new(1.0 / 16.0),
            size: Mean::new(1.0 / 16.0),
            place: Mean::new(1.0 / 64.0),
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

    /// What to do with a group that is not empty. To be asked whenever it has grown, when the
    /// disk has become free, and when a wait is over.
    pub fn decide(&mut self, now_us: u64, group: OpenGroup, disk: DiskState) -> Decision {
        let limit = self.trial.limit();
        let everybody = f64::from(group.writes) >= self.under_way.get() * EVERYBODY;
        if limit == 0 || everybody {
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

    /// When a wait that may take `limit` eighths of a sync is over. A bound of the target is kept
    /// even if the sync is one of the slow ones.
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

    /// A group of so many writes, the oldest that were under way, became durable; its sync took
    /// `sync_us`.
    pub fn durable(&mut self, now_us: u64, writes: u32, sync_us: u64) {
        self.under_way.note(self.ages.total() as f64);
        // One that hangs says little about the next.
        let most_us = self.sync.get() * 8.0;
        self.sync.note(if most_us > 0.0 { most_us.min(sync_us as f64) } else { sync_us as f64 });
        self.sync_high.note(sync_us as f64);
        // Pauses are no part of the rate at which writes come while there are any.
        let pause_us = now_us.saturating_sub(self.free_since_us).min(PAUSE_US);
        self.between.note(pause_us as f64);
        self.size.note(f64::from(writes));
        self.note_place(sync_us);
        self.free_since_us = now_us;
        let bound_us = match self.target {
            Target::Within(Quantile { micros, .. }) => micros,
            Target::Latency | Target::Throughput => u64::MAX,
        };
        let left = self.ages.left(now_us, writes, bound_us);
        let commit = Committed { writes, delay_us: left.delay_us, late: left.late };
        let crowd = Crowd { under_way: self.under_way.get(), returns: self.place.get() < SOON };
        self.trial.note(now_us, commit, crowd);
    }

    /// Where in the sync that is over writes came. Those that came while the disk was free, or
    /// after none, are no sign of anybody's coming back.
    fn note_place(&mut self, sync_us: u64) {
        let latest_us = u64::from(self.turns) * sync_us;
        if latest_us > 0 {
            self.place.note((self.lags_us as f64 / latest_us as f64).min(1.0));
        }
        (self.turns, self.lags_us) = (0, 0);
    }

    /// What there is to know from outside.
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
            place: (self.place.get() * 100.0) as u64,
        }
    }
}

/// The part of the writes usually under way that counts as everybody: somebody is always missing.
const EVERYBODY: f64 = 15.0 / 16.0;
/// The part of a sync within which writes come, on average, where they come because others were
/// answered. Those that come at a rate of their own are spread over all of it.
const SOON: f64 = 0.5;
/// A time without commits that counts as a pause.
const PAUSE_US: u64 = 1_000_000;
