//! Ensembles of a certain shape: who can speak to whom.

use crate::ensemble::Ensemble;

/// All servers are up; the connections open at once.
fn started(counters: &[u32]) -> Ensemble {
    let mut ensemble = Ensemble::new(1, counters);
    (0..counters.len()).for_each(|at| ensemble.start(at));
    ensemble
}

#[test]
fn first_election_of_three_is_over_with_the_second_message() {
    let mut ensemble = started(&[1, 1, 1]);
    let took = ensemble.until_agreed(&[0, 1, 2], 100).unwrap();
    assert!(took <= 4, "{took} ms where a message takes 1");
    assert_eq!(ensemble.leader(), Some(2));
}

#[test]
fn leader_that_dies_is_replaced_without_a_wait() {
    let mut ensemble = started(&[1, 1, 1]);
    ensemble.until_agreed(&[0, 1, 2], 100).unwrap();
    let ends = ensemble.ends;
    ensemble.stop(2);
    let took = ensemble.until_agreed(&[0, 1], 1_000).unwrap();
    assert!(took <= 155, "{took} ms, of which 150 pass until the followers look");
    assert_eq!((ensemble.leader(), ensemble.ends), (Some(1), ends + 2));
}

#[test]
fn member_that_returns_follows_the_leader_that_is_there() {
    let mut ensemble = started(&[1, 1, 1]);
    ensemble.stop(2);
    ensemble.until_agreed(&[0, 1], 1_000).unwrap();
    ensemble.start(2);
    let took = ensemble.until_agreed(&[0, 1, 2], 1_000).unwrap();
    assert!(took <= 105, "{took} ms, of which a connection takes up to 100 to open");
    assert_eq!(ensemble.leader(), Some(1));
}

#[test]
fn follower_that_one_other_cannot_speak_to_follows_the_leader_all_the_same() {
    let mut ensemble = started(&[1, 1, 1]);
    ensemble.until_agreed(&[0, 1, 2], 100).unwrap();
    ensemble.set_link(0, 1, false);
    ensemble.stop(0);
    ensemble.start(0);
    ensemble.until_agreed(&[0, 1, 2], 300).unwrap();
}

#[test]
fn best_server_that_a_minority_can_speak_to_does_not_stop_the_others() {
    let mut ensemble = Ensemble::new(1, &[1, 1, 1, 1, 9]);
    for at in 0..3 {
        ensemble.set_link(at, 4, false);
    }
    // The others hear of it from 3, which votes for it by then.
    [3, 4].into_iter().for_each(|at| ensemble.start(at));
    (0..10).for_each(|_| ensemble.step());
    (0..3).for_each(|at| ensemble.start(at));
    let took = ensemble.until_agreed(&[0, 1, 2, 3], 1_000).unwrap();
    assert!(took <= 60, "{took} ms: they have not tried to follow it");
    let (leader, ends) = (ensemble.leader(), ensemble.ends);
    for _ in 0..3_000 {
        ensemble.step();
    }
    assert_eq!((ensemble.leader(), ensemble.ends), (leader, ends), "it does not change");
}

#[test]
fn minority_has_no_leader_until_it_is_a_majority_again() {
    let mut ensemble = started(&[1, 1, 1, 1, 1]);
    ensemble.until_agreed(&[0, 1, 2, 3, 4], 100).unwrap();
    for (a, b) in [(3, 0), (3, 1), (3, 2), (4, 0), (4, 1), (4, 2)] {
        ensemble.set_link(a, b, false);
    }
    ensemble.until_agreed(&[0, 1, 2], 2_000).unwrap();
    let leader = ensemble.leader();
    for _ in 0..2_000 {
        ensemble.step();
    }
    assert_eq!((ensemble.leader(), ensemble.members[4].role), (leader, None));
    for (a, b) in [(3, 0), (3, 1), (3, 2), (4, 0), (4, 1), (4, 2)] {
        ensemble.set_link(a, b, true);
    }
    ensemble.until_agreed(&[0, 1, 2, 3, 4], 1_000).unwrap();
    assert_eq!(ensemble.leader(), leader, "it stays the leader");
}
