//! A server, its disk and its clients as a discrete-event simulation around the real [`Pace`].
//!
//! One thread serves: it takes what has arrived and what has become durable, works on it for some
//! time, and then decides about the group, as the server does. The disk makes one group durable
//! after the other; the next one is started by itself where it was handed over in time. All times
//! are microseconds; the same seed makes the same run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use ringkeeper_engine::log::gathering::{Decision, DiskState, OpenGroup, Pace, PaceReport, Target};

/// A source of numbers that is the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0, below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How long something takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    Fixed(f64),
    /// With this mean.
    Exponential(f64),
    /// One of these quantiles, evenly spaced, with what lies between them.
    Measured(&'static [f64]),
    /// The second with this probability.
    Either(f64, f64, f64),
}

impl Time {
    pub(crate) fn draw(self, random: &mut Random) -> f64 {
        let unit = random.unit();
        match self {
            Time::Fixed(us) => us,
            Time::Exponential(mean) => -mean * (1.0 - unit).ln(),
            Time::Measured(quantiles) => {
                let at = unit * (quantiles.len() - 1) as f64;
                let (low, part) = (at as usize, at.fract());
                quantiles[low] + (quantiles[low + 1] - quantiles[low]) * part
            }
            Time::Either(often, seldom, share) => {
                if unit < share {
                    seldom
                } else {
                    often
                }
            }
        }
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Clients that send the next write so long after an answer.
    Closed { clients: u32, away: Time },
    /// Clients that share one processor, which works on each answer for so long before the next
    /// write leaves: a load driver on the same machine.
    Driver { clients: u32, each_us: f64 },
    /// Writes at random times, so many in a second.
    Open { per_second: f64 },
    /// The same, in bursts: so many at once.
    Bursts { per_second: f64, size: u32 },
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
    pub(crate) sync: Time,
    /// What a sync takes longer for each write in it.
    pub(crate) sync_each_us: f64,
    /// Work of the serving thread: for each write and its answer, for each flush, for each turn.
    pub(crate) write_us: f64,
    pub(crate) flush_us: f64,
    pub(crate) turn_us: f64,
    /// From the end of a sync, or an arrival, until a thread that sleeps runs.
    pub(crate) wake_us: f64,
}

/// Another load from some part of the run on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) at: f64,
    pub(crate) load: Load,
}

/// What came out.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) writes: u64,
    pub(crate) flushes: u64,
    pub(crate) seconds: f64,
    /// Microseconds from the sending of a write to its answer, sorted.
    pub(crate) latencies: Vec<f32>,
    /// Microseconds from its being ordered until the thread hears that it is durable, sorted.
    pub(crate) settled: Vec<f32>,
    /// The mean of the latencies after a change of the load.
    pub(crate) late_mean_us: f64,
    pub(crate) pace: PaceReport,
}

impl Outcome {
    pub(crate) fn rate(&self) -> f64 {
        self.writes as f64 / self.seconds
    }

    pub(crate) fn mean_us(&self) -> f64 {
        let sum: f64 = self.latencies.iter().map(|&us| f64::from(us)).sum();
        sum / self.latencies.len().max(1) as f64
    }

    pub(crate) fn p99_us(&self) -> f64 {
        p99(&self.latencies)
    }

    pub(crate) fn settled_p99_us(&self) -> f64 {
        p99(&self.settled)
    }

    pub(crate) fn size(&self) -> f64 {
        self.writes as f64 / self.flushes.max(1) as f64
    }
}

fn p99(sorted: &[f32]) -> f64 {
    sorted.get(sorted.len() * 99 / 100).map_or(0.0, |&us| us.into())
}

#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
enum Event {
    /// A write reaches the server; it was sent at this time.
    Arrival(f64),
    /// The next write, or burst, of an open loop.
    Source,
    /// A sync is over.
    Synced,
    /// The serving thread has done a turn, or is awake, or its wait is over.
    Look,
}

/// An event at a time. Those of the same time come in the order in which they were made.
#[derive(PartialEq)]
struct Entry(f64, u64, Event);

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

/// Writes of a group: when each was sent, and when it was ordered.
type Group = Vec<(f64, f64)>;

struct World {
    situation: Situation,
    random: Random,
    now: f64,
    events: BinaryHeap<Reverse<Entry>>,
    number: u64,
    pace: Pace,
    /// What waits for the serving thread.
    arrived: Vec<f64>,
    synced: VecDeque<(Group, f64)>,
    /// Until when the thread works.
    busy_until: f64,
    asleep: bool,
    gathered: Group,
    since: f64,
    queued: Option<Group>,
    flight: Option<Group>,
    flight_since: f64,
    /// Groups handed over that the thread has not seen come back.
    handed: u32,
    driver_free: f64,
    outcome: Outcome,
}

/// Runs a situation for so long, of which the first tenth does not count.
pub(crate) fn run(situation: Situation, target: Target, micros: f64, seed: u64) -> Outcome {
    run_changing(situation, None, target, micros, seed)
}

/// The same with another load from some time on.
pub(crate) fn run_changing(
    situation: Situation,
    change: Option<Change>,
    target: Target,
    micros: f64,
    seed: u64,
) -> Outcome {
    let mut world = World::new(situation, target, seed);
    world.begin();
    let counted_from = micros / 10.0;
    let change_at = change.map_or(f64::INFINITY, |change| change.at * micros);
    let mut changed = 0;
    while let Some(Reverse(Entry(at, _, event))) = world.events.pop() {
        if at > micros {
            break;
        }
        if world.now < counted_from && at >= counted_from {
            (world.outcome.writes, world.outcome.flushes) = (0, 0);
            world.outcome.latencies.clear();
            world.outcome.settled.clear();
        }
        if let Some(change) = change.filter(|_| world.now < change_at && at >= change_at) {
            changed = world.outcome.latencies.len();
            world.situation.load = change.load;
            world.at(at, Event::Source);
        }
        world.now = at;
        world.step(event);
    }
    let mut outcome = world.outcome;
    let late = &outcome.latencies[changed..];
    outcome.late_mean_us = late.iter().map(|&us| f64::from(us)).sum::<f64>() / late.len() as f64;
    outcome.seconds = (micros - counted_from) / 1e6;
    outcome.pace = world.pace.report();
    outcome.latencies.sort_by(f32::total_cmp);
    outcome.settled.sort_by(f32::total_cmp);
    outcome
}

impl World {
    fn new(situation: Situation, target: Target, seed: u64) -> World {
        World {
            situation,
            random: Random::new(seed),
            now: 0.0,
            events: BinaryHeap::new(),
            number: 0,
            pace: Pace::new(target),
            arrived: Vec::new(),
            synced: VecDeque::new(),
            busy_until: 0.0,
            asleep: true,
            gathered: Vec::new(),
            since: 0.0,
            queued: None,
            flight: None,
            flight_since: 0.0,
            handed: 0,
            driver_free: 0.0,
            outcome: Outcome {
                writes: 0,
                flushes: 0,
                seconds: 0.0,
                latencies: Vec::new(),
                settled: Vec::new(),
                late_mean_us: 0.0,
                pace: PaceReport::default(),
            },
        }
    }

    fn at(&mut self, time: f64, event: Event) {
        self.number += 1;
        self.events.push(Reverse(Entry(time, self.number, event)));
    }

    fn begin(&mut self) {
        match self.situation.load {
            Load::Closed { clients, .. } | Load::Driver { clients, .. } => {
                for _ in 0..clients {
                    let at = self.random.unit() * self.situation.sync.draw(&mut self.random);
                    self.at(at, Event::Arrival(at));
                }
            }
            Load::Open { .. } | Load::Bursts { .. } => self.at(0.0, Event::Source),
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrival(sent) => {
                self.arrived.push(sent);
                self.wake();
            }
            Event::Source => self.source(),
            Event::Synced => self.synced(),
            Event::Look => self.look(),
        }
    }

    fn source(&mut self) {
        let (per_second, size) = match self.situation.load {
            Load::Open { per_second } => (per_second, 1),
            Load::Bursts { per_second, size } => (per_second, size),
            Load::Closed { .. } | Load::Driver { .. } => unreachable!("these answer to answers"),
        };
        for _ in 0..size {
            self.arrived.push(self.now);
        }
        self.wake();
        let gap = Time::Exponential(1e6 * f64::from(size) / per_second).draw(&mut self.random);
        self.at(self.now + gap, Event::Source);
    }

    /// The thread is told; one that works looks again by itself.
    fn wake(&mut self) {
        if self.asleep {
            self.asleep = false;
            self.busy_until = self.now + self.situation.wake_us;
            self.at(self.busy_until, Event::Look);
        }
    }

    fn synced(&mut self) {
        let group = self.flight.take().expect("it was under way");
        self.synced.push_back((group, self.now - self.flight_since));
        if let Some(next) = self.queued.take() {
            self.start(next);
        }
        self.wake();
    }

    fn start(&mut self, group: Group) {
        let base = self.situation.sync.draw(&mut self.random);
        let took = base + self.situation.sync_each_us * group.len() as f64;
        self.flight = Some(group);
        self.flight_since = self.now;
        self.at(self.now + took, Event::Synced);
    }

    /// One turn begins if there is something to do, and its end is another look.
    fn look(&mut self) {
        if self.now < self.busy_until {
            return;
        }
        let work = self.turn();
        if work > 0.0 {
            self.busy_until = self.now + work;
            self.at(self.busy_until, Event::Look);
        } else {
            self.asleep = true;
        }
    }

    /// Everything happens at the beginning of a turn, and the work that it is takes its time
    /// before the next one; answers leave and groups start when their share of it is done.
    fn turn(&mut self) -> f64 {
        let Situation { write_us, flush_us, turn_us, .. } = self.situation;
        let mut work = 0.0;
        while let Some((group, took)) = self.synced.pop_front() {
            self.handed -= 1;
            work += flush_us;
            let writes = u32::try_from(group.len()).expect("few");
            self.pace.durable(self.now as u64, writes, took as u64);
            self.outcome.flushes += 1;
            for (sent, ordered) in group {
                work += write_us / 2.0;
                self.outcome.settled.push((self.now - ordered) as f32);
                self.answer(sent, self.now + work);
            }
        }
        let arrived = std::mem::take(&mut self.arrived);
        if !arrived.is_empty() {
            work += write_us / 2.0 * arrived.len() as f64;
            let writes = u32::try_from(arrived.len()).expect("few");
            self.pace.arrived(self.now as u64, writes);
            // A group that has not begun grows on.
            if let Some(queued) = self.queued.take() {
                self.handed -= 1;
                self.gathered = queued;
            }
            if self.gathered.is_empty() {
                self.since = self.now;
            }
            self.gathered.extend(arrived.into_iter().map(|sent| (sent, self.now)));
        }
        self.decide();
        if work > 0.0 { work + turn_us } else { 0.0 }
    }

    fn decide(&mut self) {
        if self.gathered.is_empty() || self.handed > 1 {
            return;
        }
        let writes = u32::try_from(self.gathered.len()).expect("few");
        let group = OpenGroup { writes, since_us: self.since as u64 };
        let disk = if self.handed == 0 { DiskState::Free } else { DiskState::Busy };
        match self.pace.decide(self.now as u64, group, disk) {
            Decision::Gather => {}
            Decision::Wait(until) => {
                let until = (until as f64).max(self.now + 1.0);
                self.at(until, Event::Look);
            }
            Decision::Flush => {
                self.handed += 1;
                let group = std::mem::take(&mut self.gathered);
                match self.flight {
                    None => self.start(group),
                    Some(_) => self.queued = Some(group),
                }
            }
        }
    }

    fn answer(&mut self, sent: f64, at: f64) {
        self.outcome.writes += 1;
        self.outcome.latencies.push((at - sent) as f32);
        let before = std::mem::replace(&mut self.now, at);
        self.send_again();
        self.now = before;
    }

    /// A client of a closed loop has its answer, or begins.
    fn send_again(&mut self) {
        match self.situation.load {
            Load::Closed { away, .. } => {
                let at = self.now + away.draw(&mut self.random);
                self.at(at, Event::Arrival(at));
            }
            Load::Driver { each_us, .. } => {
                let at = self.now.max(self.driver_free) + each_us;
                self.driver_free = at;
                self.at(at + self.situation.wake_us, Event::Arrival(at));
            }
            Load::Open { .. } | Load::Bursts { .. } => {}
        }
    }
}
