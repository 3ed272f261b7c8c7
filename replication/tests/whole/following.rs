//! Does a client of a member see what the ensemble has committed, whatever happens? Seeds of the
//! simulator: leaders change, and lose what they have not committed; links break within a packet;
//! members are synchronized by DIFF, TRUNC and SNAP; disks are slow, fail, fill and rot; processes
//! end anywhere; clients move from member to member. `ringkeeper-sim` plays more of them.

use crate::sim::runner::{FailureClass, Outcome, run};

/// How many seeds each of two threads plays.
const SEEDS: u64 = 200;

/// Seeds that have failed once, and why.
const KEPT: [(u64, &str); 9] = [
    (21, "a connection got what was sent to the one before it, which its server had closed"),
    (
        28,
        "packets waited in the link of a node that was behind until its next tick, each batch one",
    ),
    (8, "what a restart adds to the epochs from its log was taken for what is on the disk"),
    (23, "a fault that was set before the end came at the end: the disk failed while at rest"),
    (10976, "a segment without space for a seal: damage to its last group was not found"),
    (11704, "the same, with one group of several epochs"),
    (22245, "a cut removed every snapshot that could be read: the one before it had rotted"),
    (23818, "a leader that was followed again answered what it had got over the link before first"),
    (93, "a state that was replaced while connections were being closed was not noticed"),
];

/// Plays seeds and adds what they came to.
fn play(seeds: std::ops::Range<u64>) -> Vec<Outcome> {
    let one = |seed| {
        let played = std::panic::catch_unwind(|| run(seed));
        played.unwrap_or_else(|_| {
            panic!(
                "seed {seed} fails; again: cargo run -p ringkeeper-replication --features sim \
                 --bin ringkeeper-sim -- --replay {seed}"
            )
        })
    };
    seeds.map(one).collect()
}

/// Whether all that should be met was.
fn check_met(all: &[Outcome]) {
    let sum = |of: fn(&Outcome) -> usize| all.iter().map(of).sum::<usize>();
    let often = [
        sum(|all| all.met.replies),
        sum(|all| all.met.events),
        sum(|all| all.met.moves),
        sum(|all| all.met.losses),
        sum(|all| all.met.crashes),
        sum(|all| all.met.power_losses),
        sum(|all| all.met.snapshots),
        sum(|all| all.met.links.installs),
        sum(|all| all.seen.diffs),
        sum(|all| all.seen.cuts),
        sum(|all| all.seen.snaps),
        sum(|all| all.seen.served),
        sum(|all| all.seen.pings),
        sum(|all| all.seen.touched.len()),
        sum(|all| all.seen.revalidations),
        sum(|all| all.seen.syncs),
        sum(|all| all.seen.wrongs),
    ];
    assert!(often.iter().all(|count| *count > 100), "too little was met: {often:?}");
    let seldom = [
        sum(|all| all.met.reloads),
        sum(|all| all.met.refused_starts),
        sum(|all| all.met.wipes),
        sum(|all| all.met.links.diverged),
        sum(|all| all.met.links.faults),
        sum(|all| all.met.links.refused_links),
        sum(|all| all.met.links.withheld),
        sum(|all| all.met.links.full),
        sum(|all| all.met.links.behind),
        sum(|all| all.met.links.too_far),
        sum(|all| all.met.links.not_installed),
        sum(|all| all.seen.moved),
        sum(|all| all.seen.expired),
        sum(|all| all.seen.refused_multis),
        sum(|all| all.met.links.activated),
    ];
    let (events, virtual_us) =
        all.iter().fold((0, 0), |sum, all| (sum.0 + all.events, sum.1 + all.virtual_us));
    assert!(events > 1_000_000 && virtual_us > 1_000_000_000, "{events} {virtual_us}");
    assert!(seldom.iter().all(|count| *count > 5), "too little was met: {seldom:?}");
}

#[expect(clippy::disallowed_methods, reason = "seeds are independent of each other")]
#[test]
fn clients_of_members_see_what_the_ensemble_has_committed() {
    let other = std::thread::spawn(|| play(SEEDS..2 * SEEDS));
    let mut all = play(0..SEEDS);
    all.extend(other.join().expect("its seeds pass"));
    check_met(&all);
}

#[test]
fn seeds_that_failed_once_pass() {
    for (seed, story) in KEPT {
        let played = std::panic::catch_unwind(|| run(seed));
        assert!(played.is_ok(), "seed {seed} fails again: {story}");
    }
}

/// The same seed makes the same history.
#[test]
fn seed_makes_the_same_trace_each_time_and_another_one_another() {
    let mut hashes = Vec::new();
    for seed in [3, 77, 78] {
        let (once, again) = (run(seed), run(seed));
        assert_eq!(format!("{once:?}"), format!("{again:?}"));
        hashes.push(once.trace_hash);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 3);
}

#[test]
fn class_of_a_failure_is_that_of_the_file_that_noticed_it() {
    let of = |file| FailureClass::of(file);
    assert_eq!(of("replication/sim/check/progress.rs"), FailureClass::Liveness);
    assert_eq!(of("replication/tests/whole/../../sim/check/replies.rs"), FailureClass::Safety);
    assert_eq!(of("replication/src/learner/link.rs"), FailureClass::Panic);
    assert_eq!(of("engine/src/tree/change.rs"), FailureClass::Panic);
    let names = [FailureClass::Safety, FailureClass::Liveness, FailureClass::Panic];
    assert_eq!(names.map(FailureClass::name), ["safety", "liveness", "panic"]);
}

/// Each planted bug is caught, with the link's own assertions off.
#[cfg(feature = "plant")]
#[test]
fn every_planted_bug_is_caught() {
    use ringkeeper_replication::{Bug, plant};
    let mut missed = Vec::new();
    for bug in Bug::OF_LEARNERS {
        plant(Some(bug));
        eprintln!("{bug:?}:");
        let caught = std::panic::catch_unwind(|| {
            crate::following_cases::run_all();
            play(0..100);
        });
        plant(None);
        if caught.is_ok() {
            missed.push(bug);
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
