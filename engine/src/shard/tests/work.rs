//! What a turn does for one connection, and what it leaves for the next.

use super::*;
use crate::limits::{CONN_OUT_BYTES_SOFT, CONN_WORK, LISTING_PORTION, OUT_BYTES_MAX, TURN_NAMES};
use crate::op::{Reading, read_owned};
use crate::request::{Request, RequestKind};
use crate::shard::work;

const EXISTS: Sent<'_> = Sent::Exists { path: "/", watch: false };

/// A tree with a large directory, and a node with data.
fn database(children: usize, data: usize) -> Database {
    let mut tree = Tree::new(0);
    let acl = crate::txn::AclList::from([crate::wire::Acl::open()]);
    let data = vec![1; data];
    let paths = ["/d".to_owned(), "/data".to_owned()];
    let paths = paths.into_iter().chain((0..children).map(|n| format!("/d/{n}")));
    for (path, n) in paths.zip(1..) {
        let (kind, zxid, time) = (NodeKind::Persistent, Zxid(n), Millis(1));
        let data = (path == "/data").then_some(&data[..]);
        let parent_cversion = n as i32;
        let path = &path[..];
        tree.create(NewNode { path, data, acl: &acl, kind, zxid, time, parent_cversion });
        tree.set_applied(zxid);
    }
    Database::new(tree, [])
}

fn frames(request: Sent<'_>, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..count).for_each(|xid| request.write_frame(xid as i32 + 1, &mut bytes));
    bytes
}

fn replies(shard: &Shard, id: ConnId) -> i64 {
    shard.conn(id).expect("open").stats.replies
}

#[test]
fn connection_that_asks_for_much_gets_its_share_and_others_theirs_at_once() {
    let db = database(0, 0);
    let moment = at(&db, 0);
    let mut shard = shard();
    let (heavy, light) = (established(&mut shard, moment), established(&mut shard, moment));
    let one = frames(EXISTS, 1).len();
    let share = CONN_WORK.div_ceil(work::of_request(one - 4));
    shard.received(heavy, &frames(EXISTS, 10 * share), moment);
    assert_eq!(replies(&shard, heavy), share as i64, "not more than its share");
    shard.received(light, &frames(EXISTS, 1), moment);
    assert_eq!(replies(&shard, light), 1);
    for turn in 1..10 {
        assert!(shard.can_resume());
        shard.resume_stalled(moment);
        assert!(replies(&shard, heavy) <= (turn + 1) * share as i64);
        shard.conn_mut(heavy).expect("open").out.clear();
        shard.received(light, &frames(EXISTS, 1), moment);
        assert_eq!(replies(&shard, light), turn + 1, "whoever is not in debt is served at once");
    }
    while shard.can_resume() {
        shard.resume_stalled(moment);
    }
    assert_eq!(replies(&shard, heavy), 10 * share as i64, "all of it in the end");
}

#[test]
fn request_beyond_the_share_is_paid_back_before_the_next_one() {
    let db = database(0, 900_000);
    let moment = at(&db, 0);
    let mut shard = shard();
    let id = established(&mut shard, moment);
    shard.received(id, &frames(Sent::GetData { path: "/data", watch: false }, 2), moment);
    assert_eq!(replies(&shard, id), 2, "two are within the share and one request more");
    shard.conn_mut(id).expect("open").out.clear();
    shard.received(id, &frames(EXISTS, 1), moment);
    assert_eq!(replies(&shard, id), 2);
    let units = 2 * work::of_reply(crate::wire::opcode::op::GET_DATA, 900_000);
    let mut turns = 0;
    while replies(&shard, id) == 2 {
        shard.resume_stalled(moment);
        turns += 1;
    }
    assert!(turns >= units / CONN_WORK && turns <= units / CONN_WORK + 2, "{turns}");
}

#[test]
fn turn_with_many_connections_ends_and_leaves_the_rest_in_order() {
    let db = database(0, 0);
    let moment = at(&db, 0);
    let mut shard = shard();
    let one = frames(EXISTS, 1).len();
    let share = CONN_WORK.div_ceil(work::of_request(one - 4));
    let ids: Vec<ConnId> = (0..20).map(|_| established(&mut shard, moment)).collect();
    let heavy = frames(EXISTS, share);
    ids.iter().for_each(|id| shard.received(*id, &heavy, moment));
    let served = |shard: &Shard| ids.iter().filter(|id| replies(shard, **id) > 0).count();
    let a_turn = limits::TURN_WORK.div_ceil(CONN_WORK);
    assert_eq!(served(&shard), a_turn);
    shard.resume_stalled(moment);
    assert_eq!(served(&shard), 2 * a_turn, "those that waited have a budget of their own");
    while shard.can_resume() {
        shard.resume_stalled(moment);
    }
    assert!(ids.iter().all(|id| replies(&shard, *id) == share as i64));
}

#[test]
fn long_list_is_made_a_portion_a_turn_and_nothing_of_its_session_overtakes() {
    let count = 3 * TURN_NAMES;
    let db = database(count, 0);
    let moment = at(&db, 0);
    let mut shard = shard();
    let (id, other) = (established(&mut shard, moment), established(&mut shard, moment));
    let mut bytes = frames(Sent::GetChildren { path: "/d", watch: true }, 1);
    EXISTS.write_frame(2, &mut bytes);
    shard.received(id, &bytes, moment);
    assert!(shard.conn(id).expect("open").out.is_empty() && !shard.wants_input(id));
    let mut turns = 0;
    while replies(&shard, id) == 0 {
        assert!(shard.can_resume());
        let listed = shard.conn(id).expect("open").unsent();
        shard.resume_stalled(moment);
        let more = shard.conn(id).expect("open").unsent() - listed;
        assert!(more <= (LISTING_PORTION + 1) * (4 + 5) + 20 || replies(&shard, id) > 0, "{more}");
        shard.received(other, &frames(EXISTS, 1), moment);
        turns += 1;
        assert_eq!(replies(&shard, other), turns);
    }
    assert_eq!(turns as usize, count / LISTING_PORTION, "one portion a turn");
    let out = &shard.conn(id).expect("open").out;
    assert_eq!(out[4..8], 1_i32.to_be_bytes());
    assert_eq!(out[20..24], i32::try_from(count).unwrap().to_be_bytes());
    assert!(!shard.watches.is_empty());
    shard.resume_stalled(moment);
    while shard.can_resume() {
        shard.conn_mut(id).expect("open").out.clear();
        shard.resume_stalled(moment);
    }
    assert_eq!(replies(&shard, id), 2);
}

#[test]
fn lists_of_connections_that_are_gone_are_dropped() {
    let db = database(LISTING_PORTION + 1, 0);
    let moment = at(&db, 0);
    let mut shard = shard();
    let id = established(&mut shard, moment);
    shard.received(id, &frames(Sent::GetChildren { path: "/d", watch: false }, 1), moment);
    shard.lost(id);
    assert!(shard.conn(id).is_none(), "its id is free");
    shard.resume_stalled(moment);
    assert!(!shard.can_resume() && shard.unsent() == 0);
}

#[test]
fn read_that_may_take_long_waits_in_the_shard_for_the_write_before_it() {
    let db = database(LISTING_PORTION + 1, 0);
    let moment = at(&db, 0);
    let mut shard = shard();
    let set = Sent::SetData { path: "/d", data: None, version: -1 };
    let long = Sent::GetChildren { path: "/d", watch: false };
    let id = established(&mut shard, moment);
    let bytes = [frames(set, 1), frames(EXISTS, 1), frames(long, 1), frames(set, 1)].concat();
    shard.received(id, &bytes, moment);
    assert_eq!(shard.outputs.requests.len(), 2, "the write and the short read");
    let done = || Outcome::Result(crate::op::OpResult::Set(Box::default()));
    answer(&mut shard, id, done(), moment);
    let Some(Request { kind: RequestKind::Read(read), .. }) = shard.outputs.requests.pop() else {
        panic!("the short read")
    };
    shard.resume_stalled(moment);
    assert!(shard.outputs.requests.len() == 1 && replies(&shard, id) == 1);
    answer(&mut shard, id, read_of(&read, &db), moment);
    while shard.can_resume() {
        shard.resume_stalled(moment);
    }
    assert_eq!(replies(&shard, id), 3, "the list as well");
    assert_eq!(shard.outputs.requests.len(), 2, "the write behind it");
}

fn read_of(read: &crate::op::Read, db: &Database) -> Outcome {
    let settings = OpSettings::default();
    let reading = Reading { tree: &db.tree, settings: &settings, ids: &[], session: SessionId(7) };
    match read_owned(read, reading) {
        Ok(reply) => Outcome::Read(Box::new(reply)),
        Err(code) => Outcome::Refused(code),
    }
}

fn reads(shard: &mut Shard) -> Vec<crate::op::Read> {
    let requests = shard.outputs.requests.drain(..);
    let read = |request: Request| match request.kind {
        RequestKind::Read(read) => Some(*read),
        _ => None,
    };
    requests.filter_map(read).collect()
}

#[test]
fn reads_behind_a_write_count_before_they_are_made() {
    let db = database(0, 300_000);
    let moment = at(&db, 0);
    let settings = ShardSettings { outstanding_max: 10_000, ..settings() };
    let mut shard = Shard::new(0, Arc::new(settings));
    let id = established(&mut shard, moment);
    let set = Sent::SetData { path: "/d", data: None, version: -1 };
    let get = Sent::GetData { path: "/data", watch: false };
    shard.received(id, &[frames(set, 1), frames(get, 100)].concat(), moment);
    let sent = reads(&mut shard);
    assert_eq!(sent.len(), CONN_OUT_BYTES_SOFT.div_ceil(300_128));
    assert!(!shard.wants_input(id));
    answer(&mut shard, id, Outcome::Result(crate::op::OpResult::Set(Box::default())), moment);
    for read in &sent {
        answer(&mut shard, id, read_of(read, &db), moment);
    }
    shard.resume_stalled(moment);
    assert_eq!(replies(&shard, id), 1 + sent.len() as i64, "its output is full");
    while replies(&shard, id) < 101 {
        shard.conn_mut(id).expect("open").out.clear();
        shard.resume_stalled(moment);
    }
}

#[test]
fn reads_behind_a_write_are_not_made_for_a_connection_that_is_gone_or_full() {
    let db = database(0, 300_000);
    let moment = at(&db, 0);
    let mut shard = shard();
    let id = established(&mut shard, moment);
    let set = Sent::SetData { path: "/d", data: None, version: -1 };
    let get = Sent::GetData { path: "/data", watch: false };
    shard.received(id, &[frames(set, 1), frames(get, 2)].concat(), moment);
    let sent = reads(&mut shard);
    let made = read_of(&sent[0], &db);
    assert_eq!(sent[0].backlog.bytes(), 300_000 + 4 + 68);
    shard.lost(id);
    assert!(matches!(read_of(&sent[1], &db), Outcome::Refused(_)), "nobody would take it");
    answer(&mut shard, id, Outcome::Result(crate::op::OpResult::Set(Box::default())), moment);
    answer(&mut shard, id, made, moment);
    assert_eq!(sent[0].backlog.bytes(), 0);
    answer(&mut shard, id, Outcome::Refused(Code::SystemError), moment);
    assert!(shard.conn(id).is_none() && shard.unsent() == 0);

    let full = established(&mut shard, moment);
    shard.received(full, &[frames(set, 1), frames(get, 1)].concat(), moment);
    let sent = reads(&mut shard);
    let mut made = 0;
    while let Outcome::Read(_) = read_of(&sent[0], &db) {
        made += 1;
    }
    assert_eq!(made, limits::CONN_OUT_BYTES_HARD.div_ceil(300_072), "the hard bound holds");
}

#[test]
fn full_output_of_all_shards_stops_who_has_some_and_replies_that_are_large() {
    let db = database(0, limits::LARGE_REPLY_BYTES);
    let moment = at(&db, 0);
    let mut shard = shard();
    let get = Sent::GetData { path: "/data", watch: false };
    let (small, large) = (established(&mut shard, moment), established(&mut shard, moment));
    let (requests, full) = (shard.settings.requests.clone(), OUT_BYTES_MAX);
    requests.note_unsent(0, full);
    shard.received(large, &frames(get, 1), moment);
    assert_eq!(replies(&shard, large), 0);
    shard.received(small, &frames(EXISTS, 2), moment);
    assert_eq!(replies(&shard, small), 1, "the second one waits until the first is sent");
    assert!(!shard.wants_input(small) && !shard.wants_input(large));
    shard.conn_mut(small).expect("open").out.clear();
    shard.resume_stalled(moment);
    assert_eq!((replies(&shard, small), replies(&shard, large)), (2, 0));
    assert!(!shard.can_resume());
    requests.note_unsent(full, 0);
    assert!(shard.can_resume());
    shard.resume_stalled(moment);
    assert_eq!(replies(&shard, large), 1);
    let unsent = shard.conn(large).expect("open").out.len();
    assert!(requests.unsent_bytes() >= unsent, "it is told at the end of the turn");
    shard.conn_mut(large).expect("open").out.clear();
    shard.conn_mut(small).expect("open").out.clear();
    shard.recount(large);
    shard.recount(small);
    shard.resume_stalled(moment);
    assert_eq!(requests.unsent_bytes(), 0);
}

#[test]
fn what_a_socket_is_sending_counts_as_output() {
    let db = database(0, 0);
    let moment = at(&db, 0);
    let mut shard = shard();
    let id = established(&mut shard, moment);
    shard.conn_mut(id).expect("open").sending = CONN_OUT_BYTES_SOFT;
    assert!(!shard.wants_input(id));
    shard.received(id, &frames(EXISTS, 1), moment);
    assert_eq!(replies(&shard, id), 0);
    shard.conn_mut(id).expect("open").sending = limits::CONN_OUT_BYTES_HARD + 1;
    shard.with_conn(id, Urgency::Later, |_, conn| conn.out.push(1));
    assert_eq!(shard.conn(id).expect("open").phase, Phase::Closing, "it does not read");
}
