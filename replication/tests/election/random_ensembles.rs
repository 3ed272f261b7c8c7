//! Random ensembles: connections break, servers restart and are cut off; then a majority is left
//! alone, and has one leader soon.

use crate::ensemble::Ensemble;
use crate::random::Random;

/// How long a majority that is left alone may take at most, milliseconds.
const AGREED_MS: i64 = 5_000;

/// Servers with random histories.
fn random_ensemble(seed: u64) -> Ensemble {
    let mut random = Random::new(seed);
    let count = 3 + random.below(5);
    let counters: Vec<u32> = (0..count).map(|_| 1 + random.below(4) as u32).collect();
    let mut ensemble = Ensemble::new(seed, &counters);
    ensemble.delay_max = *random.pick(&[1, 3, 10, 40, 150]);
    ensemble
}

/// One thing that goes wrong, or right again.
fn disturb(ensemble: &mut Ensemble) {
    let count = ensemble.members.len();
    let one = ensemble.random.below(count);
    let other = (one + 1 + ensemble.random.below(count - 1)) % count;
    match ensemble.random.below(10) {
        0..3 => ensemble.break_link(one, other),
        3..5 => ensemble.set_link(one, other, false),
        5..8 => ensemble.set_link(one, other, true),
        8 => ensemble.stop(one),
        _ if ensemble.members[one].election.is_none() => ensemble.start(one),
        _ => {
            ensemble.stop(one);
            ensemble.start(one);
        }
    }
}

/// Leaves a random majority with whole connections, and cuts the others off.
fn leave_majority(ensemble: &mut Ensemble) -> Vec<usize> {
    let count = ensemble.members.len();
    let size = ensemble.quorum() + ensemble.random.below(count - ensemble.quorum() + 1);
    let first = ensemble.random.below(count);
    let members: Vec<usize> = (0..size).map(|at| (first + at) % count).collect();
    for a in 0..count {
        for b in a + 1..count {
            ensemble.set_link(a, b, members.contains(&a) && members.contains(&b));
        }
    }
    for at in members.clone() {
        if ensemble.members[at].election.is_none() {
            ensemble.start(at);
        }
    }
    members
}

/// How long the majority took in the end.
fn run(seed: u64) -> i64 {
    let mut ensemble = random_ensemble(seed);
    for at in 0..ensemble.members.len() {
        if ensemble.random.percent(80) {
            ensemble.start(at);
        }
    }
    for _ in 0..ensemble.random.below(40) {
        for _ in 0..ensemble.random.below(120) {
            ensemble.step();
        }
        disturb(&mut ensemble);
    }
    let majority = leave_majority(&mut ensemble);
    let took = ensemble.until_agreed(&majority, AGREED_MS);
    let took = took.unwrap_or_else(|| panic!("seed {seed}: {majority:?} have no leader"));
    let leader = ensemble.leader();
    let ends = ensemble.ends;
    for _ in 0..500 {
        ensemble.step();
    }
    assert!(ensemble.agree(&majority) && ensemble.leader() == leader, "seed {seed}: it is lost");
    assert_eq!(ensemble.ends, ends, "seed {seed}: there was another election");
    took
}

#[test]
fn majority_that_is_left_alone_has_one_leader_soon_and_keeps_it() {
    let mut took: Vec<i64> = (0..1_500).map(run).collect();
    took.sort_unstable();
    let median = took[took.len() / 2];
    assert!(median < 500, "{median} ms, of which a connection takes up to 100 to open");
}

#[test]
fn stable_ensemble_chooses_its_best_server_in_one_election() {
    for seed in 0..300 {
        let mut ensemble = random_ensemble(seed);
        ensemble.delay_max = 9;
        let all: Vec<usize> = (0..ensemble.members.len()).collect();
        let best = all.iter().copied().max_by_key(|at| (ensemble.members[*at].zxid, *at));
        all.iter().for_each(|at| ensemble.start(*at));
        let took = ensemble.until_agreed(&all, 100);
        assert!(took.is_some(), "seed {seed}");
        assert_eq!(ensemble.leader(), best, "seed {seed}");
        assert_eq!(ensemble.ends, all.len(), "seed {seed}: each one decides once");
    }
}
