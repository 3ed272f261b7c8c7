//! Does an ensemble lose nothing, whatever fails? Seeds of the simulator of whole ensembles, whose
//! leaders are members: leaders and followers end anywhere, also all at once; disks lose what was
//! not flushed, fail, fill and rot; members are cut off, also one way and not from all others;
//! clients move. Then a majority has to make progress, and in the end all members have to be the
//! same. `ringkeeper-sim ensemble` plays more of them.

use crate::sim::ensemble::runner::{EnsembleOutcome, run_ensemble};

/// How many seeds each of two threads plays.
const SEEDS: u64 = 50;

/// Seeds that have failed once, and why.
const KEPT: [(u64, &str); 15] = [
    (81, "a clock went on four times as fast as the leader's when all was repaired"),
    (0, "a leader's memory for learners did not hold all that was uncommitted, and it panicked"),
    (175, "a server that was passed over once was needed, and nobody was ever chosen"),
    (248, "a session expired in the same moment in which its client's request came"),
    (278, "a member that offers nothing was sent the log as a whole, again and again"),
    (350, "voters with new directories counted before all others had said what they have"),
    (2921, "a leader that was stopped counted as one without what a later epoch had committed"),
    (3326, "a server that itself voted for another one was waited for"),
    (1539, "all chose a server again and again that they could not connect to"),
    (
        509,
        "a voter that hears a server which does not hear it voted for that one for ever, and the \
         others could not",
    ),
    (601_033, "voters that say nothing were expected to vote for the same server, for ever"),
    (600_910, "requests that waited unread behind others were taken for a word of their client"),
    (601_898, "the clock of a leader stayed four times as slow as that of its follower"),
    (601_211, "what a learner lacked could not come through small sockets within initLimit"),
    (
        801_067,
        "a voter that is mute had named the old leader: who was chosen left for it, for ever",
    ),
];

fn play(seeds: std::ops::Range<u64>) -> Vec<EnsembleOutcome> {
    let one = |seed| {
        let played = std::panic::catch_unwind(|| run_ensemble(seed));
        played.unwrap_or_else(|_| {
            panic!(
                "seed {seed} fails; again: cargo run -p ringkeeper-replication --features sim \
                 --bin ringkeeper-sim -- ensemble --replay {seed}"
            )
        })
    };
    seeds.map(one).collect()
}

/// Whether all that should be met was.
fn check_met(all: &[EnsembleOutcome]) {
    let sum = |of: fn(&EnsembleOutcome) -> usize| all.iter().map(of).sum::<usize>();
    let often = [
        sum(|all| all.met.replies),
        sum(|all| all.writes),
        sum(|all| all.met.events),
        sum(|all| all.met.moves),
        sum(|all| all.met.resets),
        sum(|all| all.met.crashes),
        sum(|all| all.met.power_losses),
        sum(|all| all.met.snapshots),
        sum(|all| all.met.established),
        sum(|all| all.epochs),
        sum(|all| all.committed),
    ];
    assert!(often.iter().all(|count| *count > 100), "too little was met: {often:?}");
    let (events, virtual_us) =
        all.iter().fold((0, 0), |sum, all| (sum.0 + all.events, sum.1 + all.virtual_us));
    assert!(events > 1_000_000 && virtual_us > 300_000_000, "{events} {virtual_us}");
    let by = |all: &EnsembleOutcome, kind: &str| all.met.synchronized.get(kind).copied();
    let seldom = [
        all.iter().filter_map(|it| by(it, "Diff")).sum::<usize>(),
        all.iter().filter_map(|it| by(it, "Trunc")).sum(),
        all.iter().filter_map(|it| by(it, "Snap")).sum(),
        sum(|all| all.met.plans[0]),
        sum(|all| all.met.plans[2]),
        sum(|all| all.met.installs),
        sum(|all| all.met.wipes),
        sum(|all| all.met.expired),
        sum(|all| all.met.refused_starts),
    ];
    assert!(seldom.iter().all(|count| *count > 3), "too little was met: {seldom:?}");
}

#[expect(clippy::disallowed_methods, reason = "seeds are independent of each other")]
#[test]
fn ensemble_loses_nothing_whatever_fails_and_comes_to_rest() {
    let other = std::thread::spawn(|| play(SEEDS..2 * SEEDS));
    let mut all = play(0..SEEDS);
    all.extend(other.join().expect("its seeds pass"));
    check_met(&all);
}

#[test]
fn seeds_of_ensembles_that_failed_once_pass() {
    for (seed, story) in KEPT {
        let played = std::panic::catch_unwind(|| run_ensemble(seed));
        assert!(played.is_ok(), "seed {seed} fails again: {story}");
    }
}

#[test]
fn seed_of_an_ensemble_makes_the_same_trace_each_time_and_another_one_another() {
    let mut hashes = Vec::new();
    for seed in [3, 14, 15] {
        let (once, again) = (run_ensemble(seed), run_ensemble(seed));
        assert_eq!(format!("{once:?}"), format!("{again:?}"));
        hashes.push(once.trace_hash);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 3);
}

/// Each planted bug of leaders and elections is caught.
#[cfg(feature = "plant")]
#[test]
fn every_planted_bug_of_leaders_is_caught() {
    use ringkeeper_replication::{Bug, plant};
    let mut missed = Vec::new();
    for bug in Bug::OF_LEADERS {
        plant(Some(bug));
        eprintln!("{bug:?}:");
        let caught = std::panic::catch_unwind(|| {
            crate::elected_cases::run_all();
            crate::elected_scenarios::run_all();
            crate::elected_own_history::run_all();
            play(0..100);
        });
        plant(None);
        if caught.is_ok() {
            missed.push(bug);
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
