//! Which connections get ready when, and in which portions new ones are served.

mod audit;
mod ends;
mod sasl;
mod work;

use std::net::Ipv4Addr;

use super::*;
use crate::client::Request as Sent;
use crate::database::Interest;
use crate::op::OpSpec;
use crate::request::{Answer, Attachment, Grant, Outcome, ShardMessage};
use crate::session::SessionTable;
use crate::throttle::RequestLimits;
use crate::tree::{NewNode, Tree};
use crate::txn::{NodeKind, Txn, TxnBody};
use crate::wire::connect::ConnectRequest;
use crate::{Code, Millis, Zxid};

const NOW: Now = Now { wall: Millis(0), mono: Millis(0) };

fn shard() -> Shard {
    Shard::new(0, Arc::new(settings()))
}

fn settings() -> ShardSettings {
    ShardSettings {
        ops: OpSettings::default(),
        sasl: SaslSettings::none(),
        frame_bytes_max: 1_024,
        handshake_ms: 1_000,
        catch_up_ms: 0,
        hash_seed: 0,
        outstanding_max: 10,
        requests: RequestLimits::default(),
        audits: false,
        words: vec![KnownWord { name: *b"ruok", has_argument: false }],
    }
}

fn open(shard: &mut Shard) -> ConnId {
    shard.open(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), NOW)
}

fn at(db: &Database, ms: i64) -> Moment<'_> {
    let now = Now { wall: Millis(1_000 + ms), mono: Millis(ms) };
    Moment { db, now, now_us: ms.unsigned_abs() * 1_000 }
}

/// A connection whose session is open.
fn established(shard: &mut Shard, moment: Moment<'_>) -> ConnId {
    let id = open(shard);
    shard.with_conn(id, Urgency::Served, |shard, conn| {
        conn.phase = Phase::Opening;
        conn.in_flight = 1;
        shard.begin();
    });
    let (session, timeout_ms) = (SessionId(7), 4_000);
    let last_heard = SessionTable::new(2_000, 4_000, 40_000).open(session, timeout_ms, Millis(0));
    let grant = Grant { session, timeout_ms, password: [0; 16] };
    let attachment = Attachment { grant, last_heard };
    answer(shard, id, Outcome::Granted(Box::new(attachment)), moment);
    shard.conn_mut(id).expect("open").out.clear();
    id
}

fn send(shard: &mut Shard, id: ConnId, request: Sent<'_>, moment: Moment<'_>) {
    let mut bytes = Vec::new();
    request.write_frame(1, &mut bytes);
    shard.received(id, &bytes, moment);
}

fn answer(shard: &mut Shard, conn: ConnId, outcome: Outcome, moment: Moment<'_>) {
    let origin = Origin { shard: 0, conn };
    shard.deliver(ShardMessage::Answer(Answer { origin, zxid: Zxid(1), outcome }), moment);
}

/// Connects with a client that has seen this zxid.
fn connect(shard: &mut Shard, id: ConnId, seen: Zxid, moment: Moment<'_>) {
    let mut bytes = Vec::new();
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: seen.0 as i64,
        timeout_ms: 4_000,
        session: 0,
        password: None,
        read_only: None,
    }
    .write_frame(&mut bytes);
    shard.received(id, &bytes, moment);
    shard.resume_stalled(moment);
}

#[test]
fn client_that_has_seen_a_later_state_waits_for_it_where_it_can_come() {
    let (old, mut later) = (Database::new(Tree::new(0), []), Database::new(Tree::new(0), []));
    let body = TxnBody::Error(Code::NoNode);
    let txn = Txn { session: SessionId(1), cxid: 1, zxid: Zxid(1), time: Millis(1), body };
    later.apply(&txn, Interest::None);
    let mut alone = shard();
    let id = open(&mut alone);
    connect(&mut alone, id, Zxid(1), at(&old, 0));
    assert_eq!(alone.conn(id).expect("open").phase, Phase::Closing, "no state comes there");

    let mut shard = Shard::new(0, Arc::new(ShardSettings { catch_up_ms: 100, ..settings() }));
    let ids: [ConnId; 3] = std::array::from_fn(|_| open(&mut shard));
    ids.iter().for_each(|id| connect(&mut shard, *id, Zxid(1), at(&old, 0)));
    assert!(shard.outputs.requests.is_empty() && shard.held_ms() == Some(5));
    shard.lost(ids[2]);
    assert_eq!(open(&mut shard), ids[2], "the id is free");
    shard.resume_stalled(at(&later, 99));
    assert_eq!(shard.outputs.requests.len(), 2);
    assert_eq!(shard.held_ms(), None);

    let id = open(&mut shard);
    connect(&mut shard, id, Zxid(2), at(&later, 100));
    shard.resume_stalled(at(&later, 199));
    assert_eq!(shard.conn(id).expect("open").phase, Phase::Opening);
    shard.resume_stalled(at(&later, 200));
    assert_eq!(shard.conn(id).expect("open").phase, Phase::Closing);
}

fn lists(shard: &mut Shard) -> [usize; 3] {
    let mut ready = ReadyList::default();
    shard.take_ready(&mut ready);
    [ready.served.len(), ready.answered.len(), ready.later.len()]
}

#[test]
fn a_ready_connection_is_once_in_each_list_and_moves_only_to_a_more_urgent_one() {
    let mut shard = shard();
    let id = open(&mut shard);
    assert_eq!(lists(&mut shard), [0, 0, 0]);
    shard.with_conn(id, Urgency::Later, |_, _| {});
    shard.with_conn(id, Urgency::Later, |_, _| {});
    assert_eq!(lists(&mut shard), [0, 0, 1]);
    shard.with_conn(id, Urgency::Later, |_, _| {});
    shard.with_conn(id, Urgency::Served, |_, _| {});
    shard.with_conn(id, Urgency::Answered, |_, _| {});
    shard.with_conn(id, Urgency::Served, |_, _| {});
    assert_eq!(lists(&mut shard), [1, 0, 1], "served is the most urgent");
    shard.with_conn(id, Urgency::Answered, |_, _| {});
    assert_eq!(lists(&mut shard), [0, 1, 0], "what was taken can get ready again");
}

#[test]
fn a_lost_connection_never_gets_ready() {
    let mut shard = shard();
    let id = open(&mut shard);
    shard.with_conn(id, Urgency::Later, |_, conn| conn.in_flight = 1);
    shard.lost(id);
    shard.with_conn(id, Urgency::Answered, |_, _| {});
    assert_eq!(lists(&mut shard), [0, 0, 1], "the first was before its end");
}

fn first(shard: &Shard, ids: &[ConnId]) -> usize {
    ids.iter().filter(|id| shard.conn(**id).expect("open").phase == Phase::First).count()
}

#[test]
fn first_bytes_of_new_connections_are_served_in_portions() {
    const COUNT: usize = 3 * limits::NEW_CONNECTIONS_MAX + 1;
    let db = Database::new(Tree::new(0), []);
    let moment = Moment { db: &db, now: NOW, now_us: 0 };
    let mut shard = shard();
    let ids: Vec<ConnId> = (0..COUNT).map(|_| open(&mut shard)).collect();
    for id in &ids {
        shard.received(*id, b"ru", moment);
        shard.received(*id, b"ok", moment);
        assert!(!shard.wants_input(*id), "it is not read while it waits");
        shard.end_input(*id);
        assert!(!shard.conn(*id).expect("open").is_settled(), "it is owed an answer");
    }
    for portion in 1..=4 {
        assert_eq!(first(&shard, &ids), COUNT - (portion - 1) * limits::NEW_CONNECTIONS_MAX);
        assert!(shard.can_resume());
        shard.resume_stalled(moment);
    }
    assert_eq!(first(&shard, &ids), 0);
    assert!(!shard.can_resume());
    assert_eq!(shard.outputs.words.len(), COUNT);
}

#[test]
fn a_new_connection_that_reuses_an_id_is_served_by_its_own_bytes() {
    let db = Database::new(Tree::new(0), []);
    let moment = Moment { db: &db, now: NOW, now_us: 0 };
    let mut shard = shard();
    let id = open(&mut shard);
    shard.received(id, b"ruok", moment);
    shard.lost(id);
    assert_eq!(open(&mut shard), id, "the id is free");
    shard.resume_stalled(moment);
    assert!(shard.outputs.words.is_empty());
    shard.received(id, b"ruok", moment);
    shard.resume_stalled(moment);
    assert_eq!(shard.outputs.words.len(), 1);
}

#[test]
fn an_operation_without_a_record_is_answered_ordered_or_ends_the_connection() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = shard();
    for spec in OpSpec::ALL {
        let id = established(&mut shard, at(&db, 0));
        send(&mut shard, id, Sent::Raw { op: spec.code, body: &[] }, at(&db, 1));
        let conn = shard.conn(id).expect("open");
        let served = !conn.out.is_empty() || conn.in_flight > 0;
        assert!(served || conn.phase == Phase::Closing, "{}", spec.name);
    }
}

/// A state at the beginning of an epoch says the newest zxid in it, or what its client has seen.
/// It would be older than what the connection has shown since: clients that take the zxid of every
/// reply would go back.
#[test]
fn answer_to_an_authentication_says_nothing_of_the_state() {
    let db = Database::new(Tree::new(0), []);
    let mut shard = shard();
    let id = established(&mut shard, at(&db, 0));
    shard.conn_mut(id).expect("open").seen = Zxid::new(1, 9);
    send(&mut shard, id, Sent::Auth { scheme: "digest", auth: b"user:password" }, at(&db, 1));
    let out = std::mem::take(&mut shard.conn_mut(id).expect("open").out);
    assert_eq!(i64::from_be_bytes(out[8..16].try_into().expect("a reply")), 0);
}

#[test]
fn replies_at_the_beginning_of_an_epoch_carry_a_zxid_that_a_next_state_has_as_well() {
    let mut tree = Tree::new(0);
    let (acl, kind) = (crate::txn::AclList::from([crate::wire::Acl::open()]), NodeKind::Container);
    let (zxid, time) = (Zxid::new(1, 7), Millis(1));
    let new = NewNode { path: "/a", data: None, acl: &acl, kind, zxid, time, parent_cversion: 1 };
    tree.create(new);
    tree.set_applied(Zxid::new(1, 9));
    assert_eq!(tree.reply_zxid(), Zxid::new(1, 9));
    let mut received = Tree::new(0);
    received.create(new);
    received.set_applied(Zxid::new(2, 0));
    assert_eq!(received.reply_zxid(), zxid);
    tree.set_applied(Zxid::new(2, 0));
    assert_eq!(tree.reply_zxid(), Zxid::new(1, 9), "it was the last transaction");
    let db = Database::new(received, []);
    for (seen, said) in [(Zxid::ZERO, zxid), (Zxid::new(1, 9), Zxid::new(1, 9))] {
        let mut shard = shard();
        let id = established(&mut shard, at(&db, 0));
        shard.conn_mut(id).expect("open").seen = seen;
        for request in [Sent::Exists { path: "/a", watch: false }, Sent::WhoAmI] {
            send(&mut shard, id, request, at(&db, 1));
            let out = std::mem::take(&mut shard.conn_mut(id).expect("open").out);
            let carried = i64::from_be_bytes(out[8..16].try_into().expect("a reply"));
            assert_eq!(Zxid::from_wire(carried), said);
        }
    }
}
