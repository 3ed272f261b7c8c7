//! Group commit, simulated: a batching delay must never make things worse than flushing what
//! is there, and has to pay where it can.

mod grid;
mod world;

use ringkeeper_engine::log::gathering::Target;

use self::world::{Load, Outcome, Situation};

fn target(text: &str) -> Target {
    text.parse().expect("it is a target")
}

/// Runs a situation without waiting and with a target.
fn both(situation: &Situation, target: Target) -> (Outcome, Outcome) {
    let seed = 7;
    (grid::run(situation, Target::Latency, seed), grid::run(situation, target, seed))
}

/// As many writes as without waiting, and as soon, but for what the trials cost.
#[test]
fn throughput_target_is_never_worse_than_no_delay() {
    for situation in grid::all() {
        let (base, with) = both(&situation, Target::Throughput);
        let (rate, mean) = (with.rate() / base.rate(), with.mean_us() / base.mean_us());
        assert!(rate > 0.98, "{}: {rate:.3} of the writes", situation.name);
        assert!(mean < 1.03, "{}: {mean:.3} of the mean time", situation.name);
        assert!(with.size() > 0.97 * base.size(), "{}: more syncs", situation.name);
        // Trials are about one flush in a hundred of these short runs.
        let p99 = with.p99_us() / base.p99_us();
        assert!(p99 < 1.4, "{}: {p99:.3} of the 99th percentile", situation.name);
    }
}

/// Fewer syncs may cost time, but no writes, and never more time than the bound.
#[test]
fn latency_target_is_kept_without_loss_of_throughput() {
    for (text, micros) in [("p99<2ms", 2_000.0), ("p99<5ms", 5_000.0)] {
        for situation in grid::all() {
            let (base, with) = both(&situation, target(text));
            let (rate, name) = (with.rate() / base.rate(), situation.name);
            assert!(rate > 0.96, "{name}, {text}: {rate:.3} of the writes");
            assert!(with.size() > 0.97 * base.size(), "{name}, {text}: more syncs");
            // What was over the bound without waiting gets no worse by much.
            let (before, after) = (base.settled_p99_us(), with.settled_p99_us());
            let bound = (before * 1.1).max(micros);
            assert!(after < bound, "{name}, {text}: p99 {before:.0} became {after:.0} us");
        }
    }
}

#[test]
fn closed_loop_within_a_sync_gains_from_a_delay() {
    let pays = [
        ("flash, 2 clients, 50 us away", 1.6),
        ("flash, 8 clients, 100 us away", 1.5),
        ("flash, 64 clients, 100 us away", 1.4),
        ("flash, 64 clients, ~100 us away", 1.2),
        ("slow, 2 clients, 200 us away", 1.7),
        ("slow, 16 clients, ~300 us away", 1.5),
        ("remote, 8 clients, ~200 us away", 1.1),
    ];
    for (name, gain) in pays {
        let found = grid::all().into_iter().find(|situation| situation.name == name);
        let situation = found.expect("a situation of the grid");
        let (base, with) = both(&situation, Target::Throughput);
        let rate = with.rate() / base.rate();
        assert!(rate > gain, "{name}: {rate:.2} times the writes");
        assert!(with.mean_us() < base.mean_us() && with.size() > 1.2 * base.size(), "{name}");
    }
}

#[test]
fn open_loop_with_a_latency_target_makes_fewer_syncs() {
    let found = grid::OPEN.iter().find(|situation| situation.name == "flash, 100,000/s");
    let (base, with) = both(found.expect("a situation of the grid"), target("p99<5ms"));
    assert!(with.size() > 1.5 * base.size(), "{} and {}", with.size(), base.size());
}

#[test]
fn latency_mode_never_delays() {
    for situation in [&grid::CLOSED[3], &grid::OPEN[2]] {
        let base = grid::run(situation, Target::Latency, 1);
        let pace = base.pace;
        assert_eq!((pace.wait_us, pace.complete, pace.bounded), (0, 0, 0));
    }
}

#[test]
fn single_client_is_never_delayed() {
    for situation in grid::CLOSED {
        if !matches!(situation.load, Load::Closed { clients: 1, .. }) {
            continue;
        }
        for target in ["throughput", "p99<5ms"].map(target) {
            let (base, with) = both(situation, target);
            assert_eq!((with.pace.complete, with.pace.bounded), (0, 0));
            assert_eq!(with.writes, base.writes);
        }
    }
}

/// What helped a moment ago is given up when it does not any more.
#[test]
fn changed_load_ends_the_delay() {
    let found = grid::all().into_iter().find(|s| s.name == "flash, 64 clients, 100 us away");
    let situation = found.expect("a situation of the grid");
    let change = world::Change { at: 0.5, load: Load::Open { per_second: 3_000.0 } };
    let base = grid::run_changing(&situation, change, Target::Latency, 3);
    let with = grid::run_changing(&situation, change, Target::Throughput, 3);
    assert!(with.pace.wait_us == 0, "{:?}", with.pace);
    // The second half alone: what was answered after the change.
    let (before, after) = (base.late_mean_us, with.late_mean_us);
    assert!(after < 1.1 * before, "{after:.0} us instead of {before:.0}");
}

#[test]
fn same_seed_repeats_the_run() {
    let one = grid::run(&grid::CLOSED[4], Target::Throughput, 11);
    let two = grid::run(&grid::CLOSED[4], Target::Throughput, 11);
    assert_eq!((one.writes, one.flushes, one.pace), (two.writes, two.flushes, two.pace));
    let three = grid::run(&grid::CLOSED[4], Target::Throughput, 12);
    assert!(one.latencies != three.latencies);
}
