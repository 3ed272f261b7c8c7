//! Does everything come to rest once nothing fails any more? What was requested is answered, every
//! member serves, and its state is the leader's.

use std::rc::Rc;

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
    (history, truth): (&[Rc<Txn>], &[Rc<Txn>]),
    (db, leader): (&Database, &Database),
) {
    assert_eq!(outstanding, 0, "requests wait");
    let is_other =
        |(found, expected): (&Rc<Txn>, &Rc<Txn>)| !Rc::ptr_eq(found, expected) && found != expected;
    let differs = history.iter().zip(truth).position(is_other);
    let end = |all: &[Rc<Txn>]| all.last().map(|txn| txn.zxid);
    let ends = (end(history), end(truth), differs);
    assert_eq!(history.len(), truth.len(), "what the member has applied: {ends:?}");
    assert!(differs.is_none(), "the member has applied what is committed");
    assert_eq!(db.tree.digest(), leader.tree.digest(), "the states differ");
}
