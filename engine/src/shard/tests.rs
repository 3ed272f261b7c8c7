//! Who is looked after when, and who is let in.

use std::net::Ipv4Addr;

use super::*;
use crate::Millis;
use crate::throttle::RequestLimits;
use crate::tree::Tree;

const NOW: Now = Now { wall: Millis(0), mono: Millis(0) };

fn shard() -> Shard {
    let settings = ShardSettings {
        ops: OpSettings::default(),
        frame_bytes_max: 1_024,
        handshake_ms: 1_000,
        hash_seed: 0,
        outstanding_max: 10,
        requests: RequestLimits::default(),
        audits: false,
        stmk_allowed: false,
    };
    Shard::new(0, Arc::new(settings))
}

fn open(shard: &mut Shard) -> ConnId {
    shard.open(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), NOW)
}

fn lists(shard: &mut Shard) -> [usize; 3] {
    let mut ready = ReadyList::default();
    shard.take_ready(&mut ready);
    [ready.served.len(), ready.answered.len(), ready.later.len()]
}

#[test]
fn each_list_has_a_connection_once_and_only_an_urgent_reason_is_news() {
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
    assert_eq!(lists(&mut shard), [1, 0, 1], "what is served is looked after at once");
    shard.with_conn(id, Urgency::Answered, |_, _| {});
    assert_eq!(lists(&mut shard), [0, 1, 0], "what was taken counts anew");
}

#[test]
fn who_is_gone_is_not_looked_after() {
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
fn newcomers_are_served_in_portions_even_if_they_say_no_more() {
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
fn a_newcomer_that_went_leaves_its_place_to_nobody() {
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
