//! Does a client of a member see what the ensemble has committed, whatever happens between the
//! member and its leaders? As in `learning.rs`, with the member's side of the protocol: leaders are
//! heard in bytes, change, and lose what they have not committed; links break within a packet; the
//! member is synchronized by DIFF, TRUNC and SNAP, its log takes its time, and its process crashes.

use crate::member::{Met, World};

const SEEDS: u64 = 1_000;
const STEPS: usize = 8_000;

fn seed(seed: u64) -> Met {
    let mut world = World::new(seed);
    (0..STEPS).for_each(|_| world.step());
    world.finish();
    let seen = &world.ensemble.seen;
    Met {
        replies: world.clients.iter().map(|client| client.replies).sum(),
        events: world.clients.iter().map(|client| client.events).sum(),
        diffs: seen.diffs,
        cuts: seen.cuts,
        snaps: seen.snaps,
        pings: seen.pings,
        revalidations: seen.revalidations,
        syncs: seen.syncs,
        touched: seen.touched.len(),
        ..world.met
    }
}

/// Every seed, and whether all that should be met was.
fn run_seeds() {
    let mut all: Vec<Met> = Vec::new();
    for number in 0..SEEDS {
        let met = std::panic::catch_unwind(|| seed(number));
        all.push(met.unwrap_or_else(|_| panic!("seed {number} fails")));
    }
    let sum = |of: fn(&Met) -> usize| all.iter().map(of).sum::<usize>();
    let often = [
        sum(|met| met.replies),
        sum(|met| met.events),
        sum(|met| met.losses),
        sum(|met| met.crashes),
        sum(|met| met.installs),
        sum(|met| met.diffs),
        sum(|met| met.cuts),
        sum(|met| met.snaps),
        sum(|met| met.pings),
        sum(|met| met.touched),
        sum(|met| met.revalidations),
        sum(|met| met.syncs),
    ];
    assert!(often.iter().all(|count| *count > 100), "too little was met: {often:?}");
    let seldom = [
        sum(|met| met.reloads),
        sum(|met| met.diverged),
        sum(|met| met.faults),
        sum(|met| met.too_far),
        sum(|met| met.withheld),
        sum(|met| met.full),
        sum(|met| met.behind),
        sum(|met| met.not_installed),
        sum(|met| met.ahead),
    ];
    assert!(seldom.iter().all(|count| *count > 5), "too little was met: {seldom:?}");
}

#[test]
fn clients_of_a_member_see_what_the_ensemble_has_committed() {
    run_seeds();
}

/// Seeds, and what they seldom come to.
#[cfg(feature = "plant")]
fn run_all() {
    crate::following_cases::run_all();
    run_seeds();
}

/// Each planted bug is caught, with the link's own assertions off.
#[cfg(feature = "plant")]
#[test]
fn every_planted_bug_is_caught() {
    use ringkeeper_replication::{Bug, plant};
    let bugs = [
        Bug::PromiseAfterAck,
        Bug::EpochBeforeHistory,
        Bug::AckBeforeHistory,
        Bug::AckBeforeEpoch,
        Bug::TailKept,
        Bug::CutUnheard,
        Bug::CommitForgotten,
        Bug::StaleRequests,
        Bug::ApplyBeforeCommit,
        Bug::ApplyBeforeFlush,
        Bug::ResentToSameLeader,
        Bug::ReadOvertakes,
        Bug::DivergenceIgnored,
        Bug::DiffCloses,
        Bug::SnapLeavesOpen,
        Bug::LoadForgotten,
        Bug::DivergenceServed,
        Bug::DivergenceForgotten,
        Bug::FullIgnored,
        Bug::LagIsLoss,
    ];
    let mut missed = Vec::new();
    for bug in bugs {
        plant(Some(bug));
        eprintln!("{bug:?}:");
        if std::panic::catch_unwind(run_all).is_ok() {
            missed.push(bug);
        }
        plant(None);
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// The same seed makes the same history.
#[test]
fn seed_makes_the_same_history_each_time() {
    for number in [3, 77] {
        assert_eq!(format!("{:?}", seed(number)), format!("{:?}", seed(number)));
    }
}
