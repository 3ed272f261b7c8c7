use ringkeeper_engine::Zxid;
use ringkeeper_engine::request::Outcome;
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::watch::ConnId;

use super::*;

const A: SessionId = SessionId(0xa);
const B: SessionId = SessionId(0xb);

fn origin(conn: u32) -> Origin {
    Origin { shard: 0, conn: ConnId(conn) }
}

fn txn(session: SessionId, cxid: i32, body: TxnBody) -> Txn {
    Txn { session, cxid, zxid: Zxid(1), time: Millis(0), body }
}

fn check(session: SessionId, cxid: i32) -> Txn {
    txn(session, cxid, TxnBody::Check { path: "/".into(), version: 0 })
}

fn forward(all: &mut Forwarding, session: SessionId, awaited: Awaited) {
    let packet = [all.next_number as u8];
    all.forward(session, (origin(session.0 as u32), awaited), &packet, Millis(5));
}

fn read(all: &mut Forwarding, session: SessionId) -> bool {
    all.behind(session, Committed::Answer(origin(9), Outcome::Synced)).is_none()
}

#[test]
fn answer_of_a_request_releases_what_waits_behind_it_alone() {
    let mut all = Forwarding::default();
    forward(&mut all, A, Awaited::Written(1, ReplyShape::Empty));
    assert!(read(&mut all, A) && read(&mut all, A) && !read(&mut all, B));
    forward(&mut all, A, Awaited::Written(2, ReplyShape::Empty));
    assert!(read(&mut all, A));
    assert!(all.answered_by(&check(B, 1)).is_ok_and(|found| found.is_none()));
    let (first, behind) = all.answered_by(&check(A, 1)).unwrap().unwrap();
    assert_eq!(
        (first.awaited, behind.len(), all.len()),
        (Awaited::Written(1, ReplyShape::Empty), 2, 2)
    );
    assert_eq!(all.since(), Some(Millis(5)));
    let (second, behind) = all.answered_by(&check(A, 2)).unwrap().unwrap();
    assert_eq!((second.origin, behind.len(), all.len()), (origin(0xa), 1, 0));
    assert_eq!(all.since(), None);
    assert!(!read(&mut all, A));
}

#[test]
fn answer_to_a_later_request_is_out_of_order() {
    let mut all = Forwarding::default();
    forward(&mut all, A, Awaited::Written(1, ReplyShape::Empty));
    forward(&mut all, A, Awaited::Written(2, ReplyShape::Empty));
    assert_eq!(all.answered_by(&check(A, 2)).map(|_| ()), Err(OutOfOrder));
    forward(&mut all, A, Awaited::Synced);
    assert_eq!(all.synced().map(|_| ()), Err(OutOfOrder));
    assert_eq!(all.revalidated(A).map(|_| ()), Err(OutOfOrder));
}

#[test]
fn transaction_of_another_kind_than_the_request_is_no_answer() {
    let mut all = Forwarding::default();
    let created = ReplyShape::PathAndStat;
    forward(&mut all, A, Awaited::Written(1, created));
    assert_eq!(all.answered_by(&check(A, 1)).map(|_| ()), Err(OutOfOrder));
    let refused = txn(A, 1, TxnBody::Error(ringkeeper_engine::Code::NoNode));
    assert!(all.answered_by(&refused).is_ok_and(|found| found.is_some()));
}

#[test]
fn session_with_a_write_is_given_up_when_the_same_leader_is_followed_again() {
    let mut all = Forwarding::default();
    forward(&mut all, A, Awaited::Synced);
    assert!(all.resend(NewLink::Unsettled, &mut Vec::new()).is_empty());
    forward(&mut all, B, Awaited::Written(1, ReplyShape::Empty));
    assert!(read(&mut all, B));
    let mut out = Vec::new();
    assert!(all.resend(NewLink::Settled, &mut out).is_empty());
    assert_eq!(out, [0, 1], "a leader that has not got it gets it");
    forward(&mut all, B, Awaited::Synced);
    out.clear();
    assert_eq!(all.resend(NewLink::Unsettled, &mut out).len(), 3);
    assert_eq!((out, all.len()), (vec![0], 1));
}

#[test]
fn lost_answer_of_a_sync_is_implied_by_a_later_write() {
    let mut all = Forwarding::default();
    forward(&mut all, B, Awaited::Synced);
    forward(&mut all, A, Awaited::Synced);
    assert!(read(&mut all, A));
    forward(&mut all, A, Awaited::Written(3, ReplyShape::Empty));
    assert!(all.answered_before(&check(A, 2), DueSyncs::AreLost).is_empty());
    let [(sync, behind)] = &all.answered_before(&check(A, 3), DueSyncs::AreLost)[..] else {
        panic!("it is one")
    };
    assert_eq!((sync.origin, behind.len()), (origin(0xa), 1));
    assert!(all.answered_by(&check(A, 3)).is_ok_and(|found| found.is_some()));
    assert_eq!(all.synced().unwrap().unwrap().0.origin, origin(0xb));
    forward(&mut all, A, Awaited::Written(4, ReplyShape::Empty));
    forward(&mut all, A, Awaited::Written(5, ReplyShape::Empty));
    assert!(
        all.answered_before(&check(A, 5), DueSyncs::AreLost).is_empty(),
        "a write is not implied"
    );
}

#[test]
fn end_of_a_session_by_the_leader_answers_no_request() {
    let mut all = Forwarding::default();
    forward(&mut all, A, Awaited::Written(0, ReplyShape::Empty));
    let ended = txn(A, 0, TxnBody::CloseSession { paths: Vec::new() });
    assert!(all.answered_by(&ended).is_ok_and(|found| found.is_none()));
    forward(&mut all, B, Awaited::Closed(3));
    let closed = txn(B, 3, TxnBody::CloseSession { paths: Vec::new() });
    assert!(all.answered_by(&closed).is_ok_and(|found| found.is_some()));
}

#[test]
fn resent_requests_keep_their_order_and_syncs_with_them() {
    let mut all = Forwarding::default();
    forward(&mut all, B, Awaited::Synced);
    forward(&mut all, A, Awaited::Written(1, ReplyShape::Empty));
    all.revalidate(B, (origin(3), 4_000), &[2], Millis(7));
    forward(&mut all, A, Awaited::Synced);
    forward(&mut all, B, Awaited::Written(4, ReplyShape::Empty));
    let mut out = Vec::new();
    assert!(all.resend(NewLink::Settled, &mut out).is_empty());
    assert_eq!(out, [0, 1, 2, 3, 4]);
    assert_eq!(all.synced().unwrap().unwrap().0.origin, origin(0xb));
    assert!(all.answered_by(&check(A, 1)).unwrap().is_some());
    out.clear();
    assert!(all.resend(NewLink::Settled, &mut out).is_empty());
    assert_eq!(out, [2, 3, 4]);
    assert_eq!(all.synced().unwrap().unwrap().0.origin, origin(0xa));
    assert_eq!(all.revalidated(B).unwrap().timeout_ms, 4_000);
    assert_eq!(all.give_up().len(), 1);
    assert_eq!((all.len(), all.since()), (0, None));
}

#[test]
fn answer_of_a_sync_that_a_later_write_stands_in_for_is_passed_over() {
    let mut all = Forwarding::default();
    forward(&mut all, A, Awaited::Synced);
    forward(&mut all, A, Awaited::Written(2, ReplyShape::Empty));
    forward(&mut all, B, Awaited::Synced);
    let [(sync, _)] = &all.answered_before(&check(A, 2), DueSyncs::Come)[..] else {
        panic!("it is one")
    };
    assert_eq!(sync.origin, origin(0xa));
    assert!(all.answered_by(&check(A, 2)).is_ok_and(|found| found.is_some()));
    assert!(all.synced().unwrap().is_none());
    assert_eq!(all.synced().unwrap().unwrap().0.origin, origin(0xb));
    assert_eq!(all.synced().map(|_| ()), Err(OutOfOrder));
}

#[test]
fn requests_that_were_kept_come_in_their_order_and_what_is_left_goes_on() {
    let mut all = Forwarding::default();
    let (open, close) = (Awaited::Opened(4_000), Awaited::Closed(9));
    let mut packet = Vec::new();
    let caller = Caller { session: A, cxid: 9, ids: std::sync::Arc::from([]) };
    ringkeeper_engine::forward::forward_close(&caller, &mut packet);
    all.forward(B, (origin(1), open), &[], Millis(5));
    all.forward(A, (origin(2), close), &packet, Millis(5));
    all.revalidate(A, (origin(3), 4_000), &[], Millis(5));
    assert!(read(&mut all, A));
    let mut kept = Kept::new(all);
    assert!(matches!(kept.pop(), Some((KeptRequest::Open(B, _, 4_000), 0, _))));
    let mut rest = Kept::new(kept.into_forwarding());
    let Some((KeptRequest::Close(found, _), _, behind)) = rest.pop() else { panic!("it is next") };
    assert_eq!((found.session, found.cxid, behind.len()), (A, 9, 1));
    assert!(matches!(rest.pop(), Some((KeptRequest::Attach(A, _, 4_000), 0, _))));
    assert!(rest.pop().is_none() && rest.is_empty());
    assert_eq!(rest.into_forwarding().len(), 0);
}

#[test]
fn syncs_that_are_put_back_come_first_with_what_is_behind_them() {
    let mut all = Forwarding::default();
    forward(&mut all, A, Awaited::Written(2, ReplyShape::Empty));
    forward(&mut all, B, Awaited::Synced);
    let behind = Committed::Answer(origin(9), Outcome::Synced);
    let sync = |packet| Taken::Sync(origin(7), Box::from([packet]));
    let front = vec![(A, sync(7)), (A, Taken::Behind(behind)), (B, sync(8))];
    all.put_in_front(front, Millis(9));
    let mut out = Vec::new();
    assert!(all.resend(NewLink::Settled, &mut out).is_empty());
    assert_eq!((out, all.len()), (vec![7, 8, 0, 1], 5));
    let (first, behind) = all.synced().unwrap().unwrap();
    assert_eq!((first.origin, behind.len()), (origin(7), 1));
    assert_eq!(all.synced().unwrap().unwrap().0.origin, origin(7));
    assert!(all.answered_by(&check(A, 2)).is_ok_and(|found| found.is_some()));
    assert_eq!(all.synced().unwrap().unwrap().0.origin, origin(0xb));
    assert_eq!((all.len(), all.since()), (0, None));
}
