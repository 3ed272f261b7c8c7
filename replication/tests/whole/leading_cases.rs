//! Single histories of a server that begins to lead, leads others, and stops.

use std::rc::Rc;

use ringkeeper_engine::client::Request;
use ringkeeper_engine::log::{LogCommand, LogEvent};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::txn::TxnBody;
use ringkeeper_engine::{Code, SessionId, Zxid};
use ringkeeper_replication::LeaderEvent;
use ringkeeper_replication::leader::{LearnerEventKind, ToLearners};

use crate::client::Client;
use crate::ensemble::{Ensemble, OTHERS};
use crate::leader::Leader;

const GET: Request<'_> = Request::GetData { path: "/", watch: false };
const THEIRS: SessionId = SessionId(0x0200_0000_0000_0001);

/// The log ends behind `after`: the next leader does not have the rest.
fn cut(ensemble: &mut Ensemble, after: Zxid) {
    let committed = ensemble.server.node_ref().replica().committed();
    ensemble.server.command(LogCommand::Cut { after, committed });
    (0..3).for_each(|_| ensemble.server.sync());
    ensemble.server.release();
    assert_eq!(ensemble.server.log_event(), Some(LogEvent::Cut(after)));
    ensemble.wire.borrow_mut().events.push_back(LeaderEvent::Cut(after));
}

#[test]
fn first_transaction_of_a_leader_is_the_first_of_its_epoch() {
    let mut ensemble = Ensemble::looking();
    assert_eq!(ensemble.server.outstanding(), 1, "a session waits for a leader");
    ensemble.lead(7);
    assert!(ensemble.server.has_work(), "what has waited is ordered with the next turn");
    assert_eq!(ensemble.server.last(), Zxid::ZERO, "the beginning of an epoch is no transaction");
    ensemble.settle();
    assert_eq!(ensemble.server.db().applied(), Zxid::new(7, 1));
    assert!(ensemble.client.session().0 >> 56 == 1 && ensemble.client.is_settled());
    assert_eq!(ensemble.wire.borrow().proposed, Some(Zxid::new(7, 1)));
}

#[test]
fn write_is_answered_when_a_quorum_and_the_own_disk_have_it() {
    let mut ensemble = Ensemble::leading();
    ensemble.set(b"1");
    ensemble.turns();
    let zxid = Zxid::new(1, 2);
    assert_eq!((ensemble.server.last(), ensemble.client.in_flight()), (zxid, 1));
    assert_eq!(ensemble.wire.borrow().flushed, zxid, "it is on the own disk alone");
    ensemble.ack(1, zxid);
    assert!(ensemble.server.has_work());
    ensemble.turns();
    assert!(ensemble.client.is_settled());
    assert_eq!(ensemble.said(), [ToLearners::Committed(zxid)]);
    // The others are faster than the own disk.
    ensemble.set(b"2");
    let (shard, conn) = ensemble.client.at.expect("it is connected");
    let bytes = std::mem::take(&mut ensemble.client.to_server);
    ensemble.server.serve(shard, std::iter::once((conn, &bytes[..])));
    ensemble.server.order(usize::MAX);
    let zxid = Zxid::new(1, 3);
    assert_eq!(ensemble.wire.borrow().proposed, Some(zxid), "before the own disk has it");
    (0..2).for_each(|voter| ensemble.ack(voter, zxid));
    ensemble.server.release();
    assert_eq!((ensemble.said(), ensemble.server.db().applied()), (vec![], Zxid::new(1, 2)));
    ensemble.turns();
    assert_eq!(ensemble.said(), [ToLearners::Committed(zxid)]);
}

#[test]
fn acknowledgements_of_a_turn_are_one_commit() {
    let mut ensemble = Ensemble::leading();
    (0..4).for_each(|data| ensemble.set(&[data]));
    let (shard, conn) = ensemble.client.at.expect("it is connected");
    let bytes = std::mem::take(&mut ensemble.client.to_server);
    ensemble.server.serve(shard, std::iter::once((conn, &bytes[..])));
    ensemble.server.order(usize::MAX);
    ensemble.server.sync();
    (2..=5).for_each(|counter| ensemble.ack(0, Zxid::new(1, counter)));
    ensemble.server.release();
    assert_eq!(ensemble.said(), [ToLearners::Committed(Zxid::new(1, 5))]);
}

#[test]
fn requests_that_waited_are_ordered_in_their_order_with_reads_behind_them() {
    let mut ensemble = Ensemble::leading();
    ensemble.server.node().stop_leading();
    for data in 0..3 {
        ensemble.set(&[data]);
        ensemble.client.send(&GET);
    }
    ensemble.client.send(&Request::Sync { path: "/" });
    ensemble.turns();
    assert_eq!(ensemble.client.in_flight(), 7);
    ensemble.lead(2);
    assert_eq!(ensemble.server.outstanding(), 7);
    ensemble.settle();
    assert_eq!(ensemble.client.in_flight(), 1, "the sync needs a confirmation");
    ensemble.confirm(1);
    ensemble.turns();
    assert!(ensemble.client.is_settled() && !ensemble.is_cut_off());
    assert_eq!(ensemble.writes_of(ensemble.client.session()), [1, 3, 5]);
    assert_eq!(ensemble.last_applied().zxid, Zxid::new(2, 3));
}

#[test]
fn requests_of_several_sessions_that_waited_are_ordered_as_they_came() {
    let mut ensemble = Ensemble::leading();
    let mut other = Client::new();
    other.connect(&mut ensemble.server, 0);
    std::mem::swap(&mut ensemble.client, &mut other);
    ensemble.settle();
    assert!(ensemble.client.session().0 > 0);
    ensemble.server.node().stop_leading();
    let mut expected = Vec::new();
    for data in 0..6 {
        std::mem::swap(&mut ensemble.client, &mut other);
        expected.push(ensemble.client.session());
        ensemble.set(&[data]);
        ensemble.turns();
    }
    let before = ensemble.server.history.len();
    ensemble.lead(2);
    ensemble.settle();
    let writers: Vec<_> = ensemble.server.history[before..].iter().map(|txn| txn.session).collect();
    assert_eq!(writers, expected);
}

/// At each point between a request's arrival and its answer the leader stops, and leads again: its
/// writes take effect once.
#[test]
fn leader_that_stops_at_any_point_and_leads_again_does_each_write_once() {
    for point in 0..6 {
        let mut ensemble = Ensemble::leading();
        let session = ensemble.client.session();
        (0..3).for_each(|data| ensemble.set(&[data]));
        let (shard, conn) = ensemble.client.at.expect("it is connected");
        let bytes = std::mem::take(&mut ensemble.client.to_server);
        ensemble.server.serve(shard, std::iter::once((conn, &bytes[..])));
        for step in 0..point {
            match step {
                0 => ensemble.server.order(usize::MAX),
                1 => ensemble.server.sync(),
                2 => ensemble.ack(0, Zxid::new(1, 3)),
                3 => ensemble.server.release(),
                _ => ensemble.settle(),
            }
        }
        ensemble.server.node().stop_leading();
        ensemble.wire.borrow_mut().acks.clear();
        ensemble.set(b"behind");
        ensemble.turns();
        ensemble.lead(2);
        ensemble.settle();
        assert!(ensemble.client.is_settled() && !ensemble.is_cut_off(), "at {point}");
        assert_eq!(ensemble.writes_of(session), [1, 2, 3, 4], "at {point}");
    }
}

#[test]
fn writes_that_the_next_leader_does_not_have_end_their_connection() {
    let mut ensemble = Ensemble::leading();
    (0..2).for_each(|data| ensemble.set(&[data]));
    ensemble.turns();
    ensemble.server.node().stop_leading();
    ensemble.set(b"waits");
    ensemble.client.send(&Request::Sync { path: "/" });
    ensemble.turns();
    let session = ensemble.client.session();
    cut(&mut ensemble, Zxid::new(1, 2));
    ensemble.turns();
    assert!(!ensemble.is_cut_off(), "the first write may be committed");
    ensemble.lead(2);
    ensemble.settle();
    assert!(ensemble.is_cut_off());
    assert_eq!(ensemble.writes_of(session), [1], "nor does what stood behind them take effect");
    assert_eq!(ensemble.server.outstanding(), 0);
    assert!(ensemble.server.knows(session));
    ensemble.client = Client::new();
    ensemble.client.connect(&mut ensemble.server, 0);
    ensemble.settle();
    assert!(ensemble.client.is_settled() && !ensemble.is_cut_off());
}

#[test]
fn session_that_the_next_leader_does_not_have_is_unknown() {
    let mut ensemble = Ensemble::looking();
    ensemble.lead(1);
    ensemble.turns();
    assert_eq!(ensemble.server.last(), Zxid::new(1, 1));
    ensemble.server.node().stop_leading();
    cut(&mut ensemble, Zxid::ZERO);
    ensemble.turns();
    assert!(ensemble.is_cut_off());
    assert_eq!(ensemble.server.node_ref().replica().sessions().len(), 0);
    ensemble.lead(2);
    ensemble.settle();
    assert_eq!(ensemble.server.last(), Zxid::ZERO);
}

#[test]
fn requests_that_waited_for_the_leader_that_stopped_go_to_the_next() {
    let mut ensemble = Ensemble::leading();
    ensemble.set(b"ordered");
    ensemble.turns();
    ensemble.server.node().stop_leading();
    ensemble.set(b"waits");
    ensemble.turns();
    let zxid = ensemble.server.last();
    ensemble.wire.borrow_mut().events.push_back(LeaderEvent::Committed(zxid));
    ensemble.turns();
    assert_eq!(ensemble.client.in_flight(), 1);
    let history = ensemble.server.history.clone();
    let mut leader = Leader::after(ensemble.wire.clone(), &history, 2);
    leader.connect(zxid);
    for _ in 0..4 {
        leader.deliver(usize::MAX);
        ensemble.turns();
        leader.take(usize::MAX, ensemble.server.now.wall);
    }
    assert!(ensemble.client.is_settled() && !ensemble.is_cut_off());
    assert_eq!(ensemble.last_applied().zxid, Zxid::new(2, 1));
    assert_eq!(ensemble.writes_of(ensemble.client.session()), [1, 2]);
}

#[test]
fn clients_of_a_leader_that_stops_read_on_for_a_while() {
    let mut ensemble = Ensemble::leading();
    ensemble.server.node().stop_leading();
    ensemble.client.send(&GET);
    ensemble.turns();
    assert!(ensemble.client.is_settled());
    ensemble.server.pass(crate::ensemble::HOLD_MS - 1);
    ensemble.turns();
    assert!(!ensemble.is_cut_off());
    ensemble.server.pass(1);
    ensemble.turns();
    assert!(ensemble.is_cut_off());
}

#[test]
fn leader_hears_of_the_sessions_here_while_this_server_does_not_lead() {
    let mut ensemble = Ensemble::leading();
    let session = ensemble.client.session();
    assert!(ensemble.wire.borrow().attached.is_empty());
    ensemble.server.node().stop_leading();
    assert!(ensemble.wire.borrow().attached.iter().eq([&session]));
    ensemble.lead(2);
    assert!(ensemble.wire.borrow().attached.is_empty());
    ensemble.event(OTHERS[0], LearnerEventKind::Revalidate { session, timeout_ms: 6_000 });
    ensemble.turns();
    assert!(ensemble.is_cut_off(), "the client has gone to another server");
    ensemble.server.node().stop_leading();
    assert!(ensemble.wire.borrow().attached.is_empty());
}

#[test]
fn sessions_expire_a_full_timeout_after_the_server_began_to_lead() {
    let mut ensemble = Ensemble::leading();
    ensemble.forward_open(OTHERS[0], THEIRS);
    ensemble.settle();
    let mine = ensemble.client.session();
    ensemble.server.node().stop_leading();
    // As a learner it expires nobody, however long it takes.
    (0..100).for_each(|_| ensemble.server.pass(1_000));
    assert!(ensemble.server.knows(mine) && ensemble.server.knows(THEIRS));
    ensemble.wire.borrow_mut().events.push_back(LeaderEvent::Committed(ensemble.server.last()));
    (0..4).for_each(|_| {
        ensemble.server.order(usize::MAX);
        ensemble.server.release();
    });
    ensemble.server.node().lead(2, crate::ensemble::voters());
    let begin = ensemble.server.now.mono;
    let mut touched = false;
    while ensemble.server.knows(THEIRS) {
        ensemble.server.pass(250);
        ensemble.server.order(usize::MAX);
        let passed_ms = ensemble.server.now.mono.0 - begin.0;
        if passed_ms == 3_000 {
            let sessions = vec![(THEIRS, 6_000)];
            ensemble.event(OTHERS[1], LearnerEventKind::Touched(sessions));
            touched = true;
        }
        if passed_ms <= 6_000 {
            assert!(ensemble.server.knows(mine), "after {passed_ms} ms");
        }
        assert!(passed_ms < 13_000, "it never expires");
    }
    let passed_ms = ensemble.server.now.mono.0 - begin.0;
    assert!(touched && passed_ms > 9_000, "{passed_ms} ms");
    assert!(!ensemble.server.knows(mine));
}

#[test]
fn voter_that_comes_back_with_less_takes_no_commit_back() {
    let mut ensemble = Ensemble::leading();
    ensemble.set(b"1");
    ensemble.settle();
    ensemble.said();
    ensemble.ack(0, Zxid::new(1, 0));
    ensemble.ack(0, Zxid::ZERO);
    ensemble.set(b"2");
    ensemble.turns();
    assert_eq!((ensemble.said(), ensemble.client.in_flight()), (vec![], 1));
    // Who has no vote counts for nothing.
    let last = ensemble.server.last();
    let ack = ringkeeper_replication::leader::Acknowledgement::Durable(ServerId(9), last);
    ensemble.wire.borrow_mut().acks.push_back(ack);
    ensemble.turns();
    assert_eq!(ensemble.client.in_flight(), 1);
    ensemble.ack_all(1);
    ensemble.turns();
    assert!(ensemble.client.is_settled());
}

#[test]
fn end_that_is_not_committed_leaves_the_session_to_the_next_leader() {
    let mut ensemble = Ensemble::leading();
    let session = ensemble.client.session();
    let before = ensemble.server.last();
    ensemble.client.send(&Request::CloseSession);
    ensemble.turns();
    assert!(!ensemble.server.knows(session), "its end is on its way");
    ensemble.server.node().stop_leading();
    cut(&mut ensemble, before);
    ensemble.turns();
    assert!(ensemble.server.knows(session));
    ensemble.lead(2);
    ensemble.settle();
    let sessions = ensemble.server.node_ref().replica().sessions();
    assert_eq!(sessions.len(), 1);
    let closes = |txn: &Rc<ringkeeper_engine::txn::Txn>| {
        matches!(txn.body, TxnBody::CloseSession { .. } | TxnBody::Error(Code::SessionExpired))
    };
    assert!(!ensemble.server.history.iter().any(closes));
}
