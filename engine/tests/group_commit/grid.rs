//! The situations: disks, loads and machines.

use ringkeeper_engine::log::gathering::Target;

use crate::world::{self, Change, Load, Outcome, Situation, Time};

/// Quantiles of flush times measured on a virtual disk: 0, 5, … 95, 100 %; the last is the 99.9th.
pub(crate) const VIRTUAL_DISK: &[f64] = &[
    62., 66., 68., 70., 71., 72., 74., 76., 78., 81., 84., 88., 93., 99., 107., 118., 130., 139.,
    168., 405., 1_500.,
];

const FAST: Time = Time::Measured(VIRTUAL_DISK);
/// A network disk.
const REMOTE: Time = Time::Exponential(800.0);
/// A disk that turns, or a cache that is flushed.
const SLOW: Time = Time::Fixed(8_000.0);
/// A disk that turns, as far as its arm and its plate have to go each time.
const TURNING: Time = Time::Measured(&[
    2_000., 3_600., 4_200., 4_600., 5_000., 5_300., 5_600., 5_900., 6_200., 6_500., 6_800., 7_100.,
    7_400., 7_700., 8_000., 8_400., 8_800., 9_300., 10_000., 11_500., 30_000.,
]);
/// A disk that is fast but for one sync in ten.
const TWO_FACED: Time = Time::Either(100.0, 4_000.0, 0.1);
/// A solid-state disk without a protected cache.
const FLASH: Time = Time::Fixed(1_000.0);

/// What a write and its answer cost the serving thread.
const WRITE_US: f64 = 4.0;

const fn on(name: &'static str, sync: Time, load: Load) -> Situation {
    Situation {
        name,
        load,
        sync,
        sync_each_us: 0.05,
        write_us: WRITE_US,
        flush_us: 8.0,
        turn_us: 3.0,
        wake_us: 15.0,
    }
}

const fn closed(clients: u32, away: Time) -> Load {
    Load::Closed { clients, away }
}

const fn fixed(us: f64) -> Time {
    Time::Fixed(us)
}

const fn spread(us: f64) -> Time {
    Time::Exponential(us)
}

const fn open(per_second: f64) -> Load {
    Load::Open { per_second }
}

/// Writes per second that the serving thread can do where groups are large.
const PEAK: f64 = 1e6 / WRITE_US;

/// Few processors: a flush costs the serving thread much.
const fn poor(mut situation: Situation) -> Situation {
    situation.flush_us = 40.0;
    situation.turn_us = 10.0;
    situation
}

/// Every situation.
pub(crate) fn all() -> Vec<Situation> {
    [CLOSED, OPEN].concat()
}

/// Clients that wait for answers.
pub(crate) const CLOSED: &[Situation] = &[
    on("flash, 1 client, 50 us away", FLASH, closed(1, fixed(50.0))),
    on("flash, 2 clients, 50 us away", FLASH, closed(2, fixed(50.0))),
    on("flash, 8 clients, 100 us away", FLASH, closed(8, fixed(100.0))),
    on("flash, 64 clients, 100 us away", FLASH, closed(64, fixed(100.0))),
    on("flash, 64 clients, ~100 us away", FLASH, closed(64, spread(100.0))),
    on("flash, 64 clients, ~500 us away", FLASH, closed(64, spread(500.0))),
    on("flash, 64 clients, 900 us away", FLASH, closed(64, fixed(900.0))),
    on("flash, 64 clients, ~3 ms away", FLASH, closed(64, spread(3_000.0))),
    on("flash, 64 clients, ~30 ms away", FLASH, closed(64, spread(30_000.0))),
    on("flash, 1000 clients, ~200 us away", FLASH, closed(1_000, spread(200.0))),
    on("slow, 2 clients, 200 us away", SLOW, closed(2, fixed(200.0))),
    on("slow, 16 clients, ~300 us away", SLOW, closed(16, spread(300.0))),
    on("slow, 256 clients, ~1 ms away", SLOW, closed(256, spread(1_000.0))),
    on("turning, 4 clients, ~100 us away", TURNING, closed(4, spread(100.0))),
    on("turning, 64 clients, ~1 ms away", TURNING, closed(64, spread(1_000.0))),
    on("turning, 64 clients, ~20 ms away", TURNING, closed(64, spread(20_000.0))),
    on("remote, 8 clients, ~200 us away", REMOTE, closed(8, spread(200.0))),
    on("remote, 64 clients, ~200 us away", REMOTE, closed(64, spread(200.0))),
    on("two-faced, 32 clients, ~80 us away", TWO_FACED, closed(32, spread(80.0))),
    on("fast, 1 client, 50 us away", FAST, closed(1, fixed(50.0))),
    on("fast, 2 clients, 30 us away", FAST, closed(2, fixed(30.0))),
    on("fast, 8 clients, ~50 us away", FAST, closed(8, spread(50.0))),
    on("fast, 64 clients, ~50 us away", FAST, closed(64, spread(50.0))),
    on("fast, 64 clients, ~1 ms away", FAST, closed(64, spread(1_000.0))),
    on("fast, driver of 8", FAST, Load::Driver { clients: 8, each_us: 5.0 }),
    on("fast, driver of 64", FAST, Load::Driver { clients: 64, each_us: 5.0 }),
    on("fast, driver of 256", FAST, Load::Driver { clients: 256, each_us: 5.0 }),
    poor(on("fast, dear commits, driver of 8", FAST, Load::Driver { clients: 8, each_us: 5.0 })),
    poor(on("fast, dear commits, driver of 64", FAST, Load::Driver { clients: 64, each_us: 5.0 })),
];

/// Writes that come whatever happens.
pub(crate) const OPEN: &[Situation] = &[
    on("flash, 200/s", FLASH, open(200.0)),
    on("flash, 3,000/s", FLASH, open(3_000.0)),
    on("flash, 100,000/s", FLASH, open(100_000.0)),
    on("fast, 1,000/s", FAST, open(1_000.0)),
    on("fast, 10,000/s", FAST, open(10_000.0)),
    on("fast, 60,000/s", FAST, open(60_000.0)),
    on("fast, 150,000/s", FAST, open(150_000.0)),
    poor(on("fast, dear commits, 60,000/s", FAST, open(60_000.0))),
    on("two-faced, 20,000/s", TWO_FACED, open(20_000.0)),
    on("remote, 5,000/s", REMOTE, open(5_000.0)),
    on("slow, 2,000/s", SLOW, open(2_000.0)),
    on("turning, 2,000/s", TURNING, open(2_000.0)),
    on("fast, 60 % of its peak", FAST, open(0.6 * PEAK)),
    on("fast, 90 % of its peak", FAST, open(0.9 * PEAK)),
    on("flash, 60 % of its peak", FLASH, open(0.6 * PEAK)),
    on("flash, 90 % of its peak", FLASH, open(0.9 * PEAK)),
    on("turning, 60 % of its peak", TURNING, open(0.6 * PEAK)),
    on("turning, 90 % of its peak", TURNING, open(0.9 * PEAK)),
    on("slow, bursts of 50, 5,000/s", SLOW, Load::Bursts { per_second: 5_000.0, size: 50 }),
    on("flash, bursts of 20, 5,000/s", FLASH, Load::Bursts { per_second: 5_000.0, size: 20 }),
];

/// Simulates about so many syncs.
const SYNCS: f64 = 8_000.0;

pub(crate) fn run(situation: &Situation, target: Target, seed: u64) -> Outcome {
    world::run(*situation, target, micros(situation), seed)
}

/// The same with another load from some time on.
pub(crate) fn run_changing(
    situation: &Situation,
    change: Change,
    target: Target,
    seed: u64,
) -> Outcome {
    world::run_changing(*situation, Some(change), target, micros(situation), seed)
}

fn micros(situation: &Situation) -> f64 {
    let mut random = world::Random::new(1);
    let mean = (0..1_000).map(|_| situation.sync.draw(&mut random)).sum::<f64>() / 1_000.0;
    mean * SYNCS
}
