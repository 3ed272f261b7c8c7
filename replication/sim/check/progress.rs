//! Does everything come to rest once nothing fails any more? What was requested is answered, every
//! member serves, and its state is the leader's.

use ringkeeper_engine::database::Database;
use ringkeeper_engine::txn::Txn;

/// Virtual microseconds after which it must be at rest.
pub(crate) const REST_US: u64 = 120_000_000;

/// It is not at rest in time.
pub(crate) fn never_rests(what: &str) -> ! {
    panic!("something waits for ever: {what}")
}

/// What a member has at rest.
pub(crate) fn check_member(
    outstanding: usize,
    (history, truth): (&[Txn], &[Txn]),
    (db, leader): (&Database, &Database),
) {
    assert_eq!(outstanding, 0, "requests wait");
    let differs = history.iter().zip(truth).position(|(found, expected)| found != expected);
    let end = |all: &[Txn]| all.last().map(|txn| txn.zxid);
    let ends = (end(history), end(truth), differs);
    assert_eq!(history.len(), truth.len(), "what the member has applied: {ends:?}");
    assert!(history == truth, "the member has applied what is committed");
    assert_eq!(db.tree.digest(), leader.tree.digest(), "the states differ");
}
