//! A process that ends anywhere in a short history loses nothing, and comes back. Each test plays
//! some of all the steps; `ringkeeper-sim crash-points` plays all of them.

use crate::sim::ensemble::crash_points::{History, end_at_steps};

/// Every this many steps a process ends; of a write, every few.
const STRIDE: usize = 31;
const STRIDE_OF_WRITES: usize = 5;

fn check(history: History, (stride, least): (usize, usize)) {
    let count = end_at_steps(history, (0, stride));
    assert!(count >= least, "{history:?} has {count} ends");
}

#[test]
fn process_may_end_at_any_step_of_an_election() {
    check(History::Election, (STRIDE, 10));
}

#[test]
fn process_may_end_at_any_step_of_a_write() {
    check(History::Write, (STRIDE_OF_WRITES, 20));
}

#[test]
fn process_may_end_at_any_step_of_a_change_of_leaders() {
    check(History::Change, (STRIDE, 10));
}

#[test]
fn process_may_end_at_any_step_of_a_return_with_a_tail() {
    check(History::Rejoin, (STRIDE, 10));
}
