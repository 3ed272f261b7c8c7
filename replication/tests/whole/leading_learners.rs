//! What learners send to a leader: requests of every kind, good and malformed, syncs, and sessions
//! that move.

use ringkeeper_engine::client::{Create, CreateMode, Request};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::Acl;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::{Code, SessionId, Zxid};
use ringkeeper_replication::leader::{ForwardedRequest, LearnerEventKind, LinkId, ToLearners};
use ringkeeper_replication::{ElectionReason, SessionLife, WriteAdmission};

use crate::ensemble::{Ensemble, OTHERS, identities};

const THEIRS: SessionId = SessionId(0x0200_0000_0000_0001);

/// A leader, and a learner whose client has a session.
fn with_session() -> Ensemble {
    let mut ensemble = Ensemble::leading();
    ensemble.forward_open(OTHERS[0], THEIRS);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::CreateSession { timeout_ms: 6_000 }));
    ensemble.said();
    ensemble
}

fn request(op: i32, record: Vec<u8>) -> ForwardedRequest {
    let (record, identities) = (record.into(), identities());
    ForwardedRequest { session: THEIRS, cxid: 5, op, record, identities }
}

fn record(request: &Request<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    request.write(&mut out);
    out
}

/// What a request comes to: one transaction.
fn outcome(ensemble: &mut Ensemble, request: ForwardedRequest) -> Txn {
    let before = ensemble.server.history.len();
    let (session, cxid) = (request.session, request.cxid);
    ensemble.forward(OTHERS[0], request);
    ensemble.settle();
    let [txn] = &ensemble.server.history[before..] else { panic!("it is not one transaction") };
    assert_eq!((txn.session, txn.cxid), (session, cxid));
    Txn::clone(txn)
}

/// A request that comes to a refusal: its code.
fn refused(ensemble: &mut Ensemble, request: ForwardedRequest) -> Code {
    let txn = outcome(ensemble, request);
    let TxnBody::Error(code) = txn.body else { panic!("{txn:?}") };
    code
}

#[test]
fn every_kind_of_write_that_a_learner_sends_is_ordered() {
    let mut ensemble = with_session();
    let acl = [Acl::open()];
    let create = |path, mode| Create { path, data: Some(b"1"), acl: &acl, mode };
    let persistent = create("/p", CreateMode::Persistent);
    let parts = [
        Request::Create(create("/m", CreateMode::Ephemeral)),
        Request::SetData { path: "/m", data: None, version: 0 },
        Request::Delete { path: "/m", version: 1 },
    ];
    let all: [(i32, Request<'_>); 10] = [
        (op::CREATE, Request::Create(persistent)),
        (op::CREATE2, Request::Create2(create("/q", CreateMode::EphemeralSequential))),
        (op::CREATE_CONTAINER, Request::Create(create("/c", CreateMode::Container))),
        (op::CREATE_TTL, Request::Create(create("/t", CreateMode::Ttl(9_000)))),
        (op::SET_DATA, Request::SetData { path: "/p", data: None, version: 0 }),
        (op::SET_ACL, Request::SetAcl { path: "/p", acl: &acl, version: 0 }),
        (op::DELETE, Request::Delete { path: "/p", version: 1 }),
        (op::MULTI, Request::Multi(&parts)),
        (op::MULTI, Request::Multi(&parts[1..])),
        (op::CLOSE_SESSION, Request::CloseSession),
    ];
    for (code, sent) in all {
        let txn = outcome(&mut ensemble, request(code, record(&sent)));
        assert!(!matches!(txn.body, TxnBody::Error(_)), "{sent:?}: {txn:?}");
    }
    let db = ensemble.server.db();
    assert!(db.sessions().all(|(session, _)| session != THEIRS));
    assert!(db.tree.find("/c").is_some() && db.tree.find("/p").is_none());
}

#[test]
fn request_that_a_leader_refuses_is_a_transaction_too() {
    let mut ensemble = with_session();
    let set = record(&Request::SetData { path: "/", data: None, version: -1 });
    let other = |session, cxid| ForwardedRequest {
        session: SessionId(session),
        cxid,
        ..request(op::SET_DATA, set.clone())
    };
    let mine = ensemble.client.session().0;
    let cases = [
        (request(op::SET_DATA, set[..3].to_vec()), Code::MarshallingError),
        (request(op::SET_DATA, vec![0xff; 40]), Code::BadArguments),
        (request(op::CREATE, Vec::new()), Code::MarshallingError),
        (request(op::MULTI, vec![0; 9]), Code::MarshallingError),
        (request(op::RECONFIG, vec![0; 3]), Code::MarshallingError),
        (request(op::CREATE_SESSION, vec![1, 2]), Code::MarshallingError),
        (ForwardedRequest { identities: None, ..other(THEIRS.0, 9) }, Code::MarshallingError),
        (request(999, Vec::new()), Code::Unimplemented),
        (request(op::GET_DATA, set.clone()), Code::Unimplemented),
        (request(op::DELETE_CONTAINER, set.clone()), Code::Unimplemented),
        (request(op::CHECK, set.clone()), Code::Unimplemented),
        (request(op::AUTH, set.clone()), Code::Unimplemented),
        (request(i32::MIN, Vec::new()), Code::Unimplemented),
        (
            request(op::DELETE, record(&Request::Delete { path: "bad", version: 0 })),
            Code::BadArguments,
        ),
        (request(op::DELETE, record(&Request::Delete { path: "/no", version: 0 })), Code::NoNode),
        (other(mine, 3), Code::SessionMoved),
        (other(0x77, 3), Code::SessionExpired),
        (other(0, 3), Code::SessionExpired),
        (ForwardedRequest { op: op::CLOSE_SESSION, ..other(mine, 4) }, Code::SessionMoved),
        (ForwardedRequest { op: op::CLOSE_SESSION, ..other(0x77, 4) }, Code::SessionExpired),
    ];
    for (request, code) in cases {
        let (session, op) = (request.session, request.op);
        assert_eq!(refused(&mut ensemble, request), code, "{op} of {session}");
    }
}

/// Ids that mark containers and TTL nodes, and none.
#[test]
fn session_whose_id_is_none_is_refused_with_a_transaction() {
    let mut ensemble = with_session();
    for session in [0, i64::MIN, 0xff00_0000_0000_0005_u64 as i64] {
        let open = ForwardedRequest {
            session: SessionId(session),
            cxid: 0,
            ..request(op::CREATE_SESSION, 6_000_i32.to_be_bytes().to_vec())
        };
        assert_eq!(refused(&mut ensemble, open), Code::BadArguments, "{session:#x}");
    }
}

#[test]
fn leader_whose_log_is_full_refuses_then_drops_and_hands_over_with_space_again() {
    let mut ensemble = with_session();
    let set = |cxid| {
        let set = Request::SetData { path: "/", data: None, version: -1 };
        ForwardedRequest { cxid, ..request(op::SET_DATA, record(&set)) }
    };
    ensemble.server.set_admission(WriteAdmission::CloseOnly);
    assert_eq!(refused(&mut ensemble, set(8)), Code::SystemError);
    let id = SessionId(THEIRS.0 + 1);
    ensemble.forward_open(OTHERS[0], id);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::Error(Code::SystemError)));
    // Without any space nothing can be said. An election helps when there is space again: the same
    // server would be chosen before.
    assert_eq!(ensemble.server.node_ref().wants_election(), None);
    ensemble.server.set_admission(WriteAdmission::None);
    let last = ensemble.server.last();
    ensemble.forward(OTHERS[0], set(9));
    ensemble.settle();
    assert_eq!(ensemble.server.last(), last);
    assert_eq!(ensemble.server.node_ref().wants_election(), None);
    // The space is looked at with what is ordered, and where nothing is, with every tick.
    ensemble.server.set_admission(WriteAdmission::All);
    ensemble.server.pass(1);
    ensemble.settle();
    let wanted = ensemble.server.node_ref().wants_election();
    assert_eq!(wanted, Some(ElectionReason::SpaceAgain));
    assert_eq!(ensemble.server.last(), last);
}

/// Any bytes as a record of any operation are one transaction.
#[test]
fn bytes_that_make_no_sense_stop_nothing() {
    let mut ensemble = with_session();
    let mut random = crate::random::Random::new(11);
    let good = record(&Request::SetData { path: "/", data: Some(b"abc"), version: -1 });
    for _ in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        bytes.truncate(random.below(bytes.len() + 1));
        let code = random.below(26) as i32 - 2;
        if code != op::SYNC {
            outcome(&mut ensemble, request(code, bytes));
        }
    }
    ensemble.set(b"goes on");
    ensemble.settle();
    assert!(ensemble.client.is_settled());
}

#[test]
fn session_that_is_opened_twice_is_one() {
    let mut ensemble = with_session();
    ensemble.forward_open(OTHERS[0], THEIRS);
    ensemble.settle();
    assert_eq!(ensemble.server.db().sessions().count(), 2);
    // Its end is on its way: it is not revived.
    let close = request(op::CLOSE_SESSION, Vec::new());
    ensemble.forward(OTHERS[0], close);
    ensemble.forward_open(OTHERS[0], THEIRS);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::Error(Code::SessionExpired)));
    assert_eq!(ensemble.server.db().sessions().count(), 1);
}

#[test]
fn session_moves_between_servers_and_one_of_them_owns_it() {
    let mut ensemble = with_session();
    let session = ensemble.client.session();
    let revalidate = LearnerEventKind::Revalidate { session, timeout_ms: 5_000 };
    ensemble.set(b"before");
    ensemble.event(OTHERS[0], revalidate.clone());
    ensemble.forward_set(OTHERS[0], session, 50);
    ensemble.settle();
    let lives = |server: usize| {
        ToLearners::Revalidated(LinkId(u64::from(OTHERS[server].0)), session, SessionLife::Lives)
    };
    assert!(ensemble.said().contains(&lives(0)));
    assert!(ensemble.is_cut_off(), "its connection here is closed");
    assert_eq!(ensemble.writes_of(session).last(), Some(&50));
    ensemble.event(OTHERS[1], revalidate);
    ensemble.forward_set(OTHERS[0], session, 51);
    ensemble.settle();
    let moved = |from, to| ToLearners::SessionMoved { session, from: Some(from), to };
    assert!(ensemble.said().contains(&moved(OTHERS[0], OTHERS[1])));
    assert!(matches!(ensemble.last_applied().body, TxnBody::Error(Code::SessionMoved)));
    ensemble.forward_set(OTHERS[1], session, 52);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::SetData { .. }));
    // And back here.
    ensemble.client.disconnect();
    ensemble.client.connect(&mut ensemble.server, 0);
    ensemble.settle();
    assert_eq!(ensemble.client.session(), session);
    assert!(ensemble.said().contains(&moved(OTHERS[1], ServerId(1))));
    ensemble.set(b"again");
    ensemble.settle();
    assert!(ensemble.client.is_settled() && !ensemble.is_cut_off());
    ensemble.forward_set(OTHERS[1], session, 53);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::Error(Code::SessionMoved)));
}

#[test]
fn first_server_that_uses_a_session_after_an_election_owns_it() {
    let mut ensemble = with_session();
    ensemble.server.node().stop_leading();
    ensemble.lead(2);
    // Who has heard of a client need not have it any more.
    ensemble.event(OTHERS[0], LearnerEventKind::Touched(vec![(THEIRS, 6_000)]));
    ensemble.forward_set(OTHERS[1], THEIRS, 5);
    ensemble.forward_set(OTHERS[0], THEIRS, 6);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::Error(Code::SessionMoved)));
    ensemble.forward_set(OTHERS[1], THEIRS, 7);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::SetData { .. }));
    // A session that a connection here has stays its own.
    let session = ensemble.client.session();
    ensemble.event(OTHERS[1], LearnerEventKind::Touched(vec![(session, 6_000)]));
    ensemble.forward_set(OTHERS[1], session, 70);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::Error(Code::SessionMoved)));
    ensemble.set(b"mine");
    ensemble.settle();
    assert!(ensemble.client.is_settled() && !ensemble.is_cut_off());
}

/// A client that went from here to another server under an earlier leader: this server has not
/// heard of where it went.
#[test]
fn session_of_a_connection_that_is_gone_is_its_new_servers_after_an_election() {
    let mut ensemble = Ensemble::leading();
    let session = ensemble.client.session();
    ensemble.server.node().stop_leading();
    let (shard, conn) = ensemble.client.at.expect("it is connected");
    ensemble.server.shards[shard].shard.lost(conn);
    ensemble.client = crate::client::Client::new();
    ensemble.client.connect(&mut ensemble.server, 0);
    ensemble.lead(2);
    ensemble.settle();
    ensemble.forward_set(OTHERS[1], session, 70);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::SetData { .. }));
    ensemble.forward_set(OTHERS[0], session, 71);
    ensemble.settle();
    assert!(matches!(ensemble.last_applied().body, TxnBody::Error(Code::SessionMoved)));
}

#[test]
fn session_whose_end_is_on_its_way_has_ended_when_that_is_committed() {
    let mut ensemble = with_session();
    let link = LinkId(3);
    ensemble.forward(OTHERS[0], request(op::CLOSE_SESSION, Vec::new()));
    let revalidate = LearnerEventKind::Revalidate { session: THEIRS, timeout_ms: 6_000 };
    ensemble.event(OTHERS[1], revalidate.clone());
    ensemble.turns();
    assert_eq!(ensemble.said(), [], "it is not committed");
    ensemble.ack_all(0);
    ensemble.turns();
    let zxid = ensemble.server.last();
    let ended = ToLearners::Revalidated(link, THEIRS, SessionLife::Ended);
    assert_eq!(ensemble.said(), [ToLearners::Committed(zxid), ended.clone()]);
    ensemble.event(OTHERS[1], revalidate);
    ensemble.turns();
    assert_eq!(ensemble.said(), [ended]);
}

fn sync(ensemble: &mut Ensemble) {
    ensemble.client.send(&Request::Sync { path: "/" });
}

#[test]
fn sync_is_answered_when_a_quorum_has_confirmed_the_leader_since_it_came() {
    let mut ensemble = Ensemble::leading();
    (0..3).for_each(|_| sync(&mut ensemble));
    ensemble.turns();
    assert_eq!(ensemble.said(), [ToLearners::Confirm(1)], "syncs of one step share a number");
    assert_eq!(ensemble.client.in_flight(), 3);
    ensemble.confirm(0);
    ensemble.turns();
    assert_eq!(ensemble.client.in_flight(), 3);
    ensemble.confirm(1);
    ensemble.turns();
    assert!(ensemble.client.is_settled());
    // That was before this one came.
    sync(&mut ensemble);
    ensemble.confirm(1);
    ensemble.turns();
    assert_eq!((ensemble.said(), ensemble.client.in_flight()), (vec![ToLearners::Confirm(2)], 1));
    // What a quorum commits behind it says as much.
    ensemble.set(b"behind");
    ensemble.turns();
    assert_eq!(ensemble.client.in_flight(), 2);
    ensemble.ack_all(0);
    ensemble.turns();
    assert!(ensemble.client.is_settled());
}

#[test]
fn sync_waits_for_what_was_ordered_before_it_as_well() {
    let mut ensemble = with_session();
    ensemble.set(b"before");
    ensemble.turns();
    sync(&mut ensemble);
    ensemble.forward(OTHERS[0], request(op::SYNC, vec![0, 0, 0, 1, b'/']));
    ensemble.turns();
    ensemble.confirm(9);
    ensemble.turns();
    let confirms = ensemble.said();
    assert!(confirms.iter().all(|said| matches!(said, ToLearners::Confirm(_))), "{confirms:?}");
    assert_eq!(ensemble.client.in_flight(), 2);
    ensemble.ack_all(1);
    ensemble.turns();
    assert!(ensemble.client.is_settled());
    let zxid = ensemble.server.last();
    assert_eq!(ensemble.said(), [ToLearners::Committed(zxid), ToLearners::Synced(LinkId(2))]);
}

#[test]
fn syncs_of_a_leader_that_stops_are_left_to_the_next() {
    let mut ensemble = with_session();
    ensemble.set(b"before");
    sync(&mut ensemble);
    ensemble.client.send(&Request::GetData { path: "/", watch: false });
    sync(&mut ensemble);
    ensemble.forward(OTHERS[0], request(op::SYNC, vec![0, 0, 0, 1, b'/']));
    ensemble.turns();
    ensemble.server.node().stop_leading();
    ensemble.turns();
    ensemble.said();
    ensemble.lead(2);
    ensemble.turns();
    assert_eq!(ensemble.said(), [ToLearners::Confirm(3)], "the link of the learner is gone");
    assert_eq!(ensemble.client.in_flight(), 3);
    ensemble.confirm(3);
    ensemble.turns();
    assert!(ensemble.client.is_settled() && !ensemble.is_cut_off());
    assert_eq!(ensemble.said(), []);
    assert_eq!(ensemble.last_applied().zxid, Zxid::new(1, 3));
}

/// A write behind the sync was ordered: the sync keeps its place, and shares the write's fate.
#[test]
fn sync_before_a_write_that_is_ordered_is_answered_with_its_commit() {
    let mut ensemble = Ensemble::leading();
    sync(&mut ensemble);
    ensemble.set(b"behind");
    ensemble.turns();
    assert_eq!(ensemble.client.in_flight(), 2);
    ensemble.server.node().stop_leading();
    ensemble.turns();
    assert_eq!(ensemble.client.in_flight(), 2);
    ensemble.lead(2);
    ensemble.settle();
    assert!(ensemble.client.is_settled() && !ensemble.is_cut_off());
}
