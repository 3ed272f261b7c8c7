//! The promises of the session table.

use std::collections::BTreeMap;

use super::*;
use crate::watch::ConnId;
use crate::{Code, SessionId};

const TICK: i64 = 2_000;

fn table() -> SessionTable {
    SessionTable::new(2_000, 4_000, 40_000)
}

fn owner(conn: u32) -> Owner {
    Owner::Connection(Origin { shard: 0, conn: ConnId(conn) })
}

fn due(table: &mut SessionTable, now: i64) -> Vec<SessionId> {
    let mut out = Vec::new();
    table.due(Millis(now), &mut out);
    out
}

#[test]
fn timeouts_are_clamped_on_both_sides() {
    let requested = [i32::MIN, -1, 0, 3_999, 4_000, 25_000, 40_000, 40_001, i32::MAX];
    let given = [4_000, 4_000, 4_000, 4_000, 4_000, 25_000, 40_000, 40_000, 40_000];
    assert_eq!(requested.map(|timeout| table().clamp(timeout)), given);
}

#[test]
fn expiry_is_never_early_and_at_most_a_tick_late() {
    for heard in (0..3 * TICK).step_by(37) {
        for timeout in [4_000, 4_001, 5_999, 40_000] {
            let mut table = table();
            table.open(SessionId(1), timeout, Millis(heard));
            let end = heard + i64::from(timeout);
            assert_eq!(due(&mut table, end), [], "not even at the last moment");
            assert_eq!(due(&mut table, end + TICK), [SessionId(1)]);
            assert_eq!(due(&mut table, end + 9 * TICK), [], "each is returned once");
        }
    }
}

#[test]
fn a_touch_moves_the_end_and_nothing_else() {
    let mut table = table();
    let last_heard = table.open(SessionId(1), 4_000, Millis(0));
    for now in (0..100_000).step_by(500) {
        last_heard.touch(Millis(now));
        assert_eq!(due(&mut table, now), []);
    }
    assert_eq!(due(&mut table, 99_500 + 4_000), []);
    assert_eq!(due(&mut table, 99_500 + 4_000 + TICK), [SessionId(1)]);
}

#[test]
fn closing_twice_and_closing_what_expires() {
    let mut table = table();
    table.open(SessionId(1), 4_000, Millis(0));
    assert!(table.begin_close(SessionId(1)));
    assert!(!table.begin_close(SessionId(1)));
    assert_eq!(due(&mut table, 100_000), [], "its end is on its way already");
    assert!(table.close(SessionId(1)));
    assert!(!table.close(SessionId(1)));
    assert!(!table.begin_close(SessionId(1)));
    assert!(table.is_empty() && table.iter_after(None).next().is_none());
}

#[test]
fn an_id_that_comes_back_is_a_new_session() {
    let mut table = table();
    table.open(SessionId(1), 4_000, Millis(0));
    table.close(SessionId(1));
    table.open(SessionId(1), 4_000, Millis(100));
    assert_eq!(due(&mut table, 6_000), [SessionId(1)], "once, though it was entered twice");
}

#[test]
fn attach_renegotiates_in_both_directions() {
    let mut table = table();
    table.open(SessionId(1), 40_000, Millis(0));
    let attached = table.attach(SessionId(1), 4_000, owner(1), Millis(1_000)).unwrap();
    assert_eq!(attached.previous, None);
    assert_eq!(due(&mut table, 5_000), []);
    let again = table.attach(SessionId(1), 20_000, owner(2), Millis(5_000)).unwrap();
    assert_eq!(again.previous, Some(owner(1)));
    assert_eq!(due(&mut table, 25_000), []);
    attached.last_heard.touch(Millis(30_000));
    assert_eq!(due(&mut table, 26_000), [SessionId(1)], "the old last_heard has no effect");
    assert_eq!(due(&mut table, 90_000), []);
}

#[test]
fn attach_and_expiry_the_first_one_wins() {
    let mut table = table();
    table.open(SessionId(1), 4_000, Millis(0));
    table.open(SessionId(2), 4_000, Millis(0));
    assert!(table.attach(SessionId(1), 4_000, owner(1), Millis(6_000)).is_some());
    assert_eq!(due(&mut table, 6_000), [SessionId(2)]);
    assert!(table.attach(SessionId(2), 4_000, owner(2), Millis(6_000)).is_none());
    assert!(!table.touch(SessionId(2), Millis(6_000)));
    assert!(table.attach(SessionId(3), 4_000, owner(2), Millis(6_000)).is_none());
}

#[test]
fn writes_are_taken_from_the_owner_of_a_living_session() {
    let mut table = table();
    table.open(SessionId(1), 4_000, Millis(0));
    assert_eq!(table.check(SessionId(1), owner(1)), Ok(()), "no connection owns it yet");
    table.attach(SessionId(1), 4_000, owner(2), Millis(0)).unwrap();
    assert_eq!(table.check(SessionId(1), owner(1)), Err(Code::SessionMoved));
    assert_eq!(table.check(SessionId(1), owner(2)), Ok(()));
    table.begin_close(SessionId(1));
    assert_eq!(table.check(SessionId(1), owner(2)), Err(Code::SessionExpired));
    assert_eq!(table.check(SessionId(9), owner(2)), Err(Code::SessionExpired));
}

#[test]
fn after_a_restart_every_session_has_a_full_timeout() {
    let mut table = table();
    for id in 1..=3 {
        table.open(SessionId(id), 4_000, Millis(0));
    }
    assert_eq!(due(&mut table, 6_000).len(), 3);
    table.arm(Millis(100_000));
    assert_eq!(due(&mut table, 104_000), []);
    assert_eq!(due(&mut table, 106_000), [1, 2, 3].map(SessionId));
}

#[test]
fn sessions_expire_only_on_an_armed_table() {
    let mut table = table();
    table.open(SessionId(1), 4_000, Millis(0));
    table.disarm();
    table.open(SessionId(2), 4_000, Millis(0));
    assert_eq!((due(&mut table, 1 << 40), table.next_due()), (vec![], None));
    table.arm(Millis(0));
    assert_eq!(table.next_due(), Some(Millis(6_000)));
    assert_eq!(due(&mut table, 6_000).len(), 2);
}

#[test]
fn slices_give_what_one_scan_gives() {
    let mut table = table();
    for id in 0..1_000 {
        let last_heard = table.open(SessionId(id + 1), 4_000, Millis(0));
        last_heard.touch(Millis(id));
    }
    let mut out = Vec::new();
    while !table.due_some(Millis(6_000), 7, &mut out) {}
    assert_eq!(out, (1..=1_000).map(SessionId).collect::<Vec<_>>());
}

#[test]
fn dump_and_snapshot_are_sorted() {
    let mut table = table();
    for (id, timeout) in [(5, 4_000), (1, 8_000), (3, 4_000)] {
        table.open(SessionId(id), timeout, Millis(0));
    }
    let all: Vec<_> = table.iter_after(None).collect();
    assert_eq!(all, [(1, 8_000), (3, 4_000), (5, 4_000)].map(|(id, t)| (SessionId(id), t)));
    assert_eq!(table.iter_after(Some(SessionId(1))).count(), 2);
    let expected = [(6_000, vec![SessionId(3), SessionId(5)]), (10_000, vec![SessionId(1)])];
    assert!(table.dump().into_iter().eq(expected.map(|(at, ids)| (Millis(at), ids))));
}

#[test]
fn a_random_history_keeps_every_promise() {
    let (mut table, mut seed) = (table(), 1_u64);
    let mut model: BTreeMap<SessionId, (i64, i32)> = BTreeMap::new();
    for now in (0..400_000).step_by(100) {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let id = SessionId((seed >> 60) as i64 + 1);
        let timeout = 4_000 + (seed >> 48) as i32 % 20_000;
        let (at, owner) = (Millis(now), owner(0));
        match (seed >> 40) % 8 {
            0..4 if table.touch(id, at) => model.get_mut(&id).unwrap().0 = now,
            4 if table.attach(id, timeout, owner, at).is_some() => {
                model.insert(id, (now, timeout));
            }
            5 | 6 if table.get(id).is_none() => {
                table.open(id, timeout, at);
                model.insert(id, (now, timeout));
            }
            7 if table.close(id) => model.remove(&id).map_or((), drop),
            _ => {}
        }
        for id in due(&mut table, now) {
            let (heard, timeout) = model.remove(&id).expect("it was alive");
            assert!(now > heard + i64::from(timeout), "early");
            table.close(id);
        }
        for (heard, timeout) in model.values() {
            assert!(now <= heard + i64::from(*timeout) + TICK, "late");
        }
    }
}

#[test]
fn a_session_is_examined_once_however_often_its_timeout_changes() {
    let mut table = table();
    table.open(SessionId(1), 40_000, Millis(0));
    for now in 0..1_000 {
        let timeout = if now % 2 == 0 { 4_000 } else { 40_000 };
        table.attach(SessionId(1), timeout, owner(1), Millis(now)).unwrap();
    }
    let mut looks = Vec::new();
    for now in (0..500_000).step_by(TICK as usize) {
        table.touch(SessionId(1), Millis(now));
        let before = table.next_due();
        assert_eq!(due(&mut table, now), []);
        if table.next_due() != before {
            looks.push(now);
        }
    }
    let regular = [6_000, 42_000, 48_000, 90_000, 132_000];
    assert_eq!(looks[..5], regular, "the leftover at 42,000 costs one more");
    assert_eq!(looks.len(), 13);
}

#[test]
fn session_that_nobody_owns_is_claimed_once() {
    let mut table = table();
    let others = [ServerId(2), ServerId(3)].map(Owner::Server);
    table.claim(SessionId(1), others[0]);
    assert!(table.get(SessionId(1)).is_none(), "there is none");
    table.open(SessionId(1), 4_000, Millis(0));
    table.claim(SessionId(1), others[0]);
    table.claim(SessionId(1), others[1]);
    assert_eq!(table.check(SessionId(1), others[0]), Ok(()));
    assert_eq!(table.check(SessionId(1), others[1]), Err(Code::SessionMoved));
    table.disown_gone(SessionId(1));
    assert_eq!(
        table.check(SessionId(1), others[1]),
        Err(Code::SessionMoved),
        "it is no connection"
    );
}

#[test]
fn owner_that_is_a_connection_is_given_up_when_that_is_gone() {
    let mut table = table();
    table.open(SessionId(1), 4_000, Millis(0));
    let attached = table.attach(SessionId(1), 4_000, owner(7), Millis(0)).expect("it lives");
    table.disown_gone(SessionId(1));
    assert_eq!(table.check(SessionId(1), owner(8)), Err(Code::SessionMoved));
    drop(attached);
    table.disown_gone(SessionId(1));
    assert_eq!(table.check(SessionId(1), owner(8)), Ok(()));
}

#[test]
fn server_that_leads_no_more_knows_its_own_connections_and_no_end() {
    let mut table = table();
    for (id, owner) in [(1, owner(7)), (2, Owner::Server(ServerId(2)))] {
        table.open(SessionId(id), 4_000, Millis(0));
        table.attach(SessionId(id), 4_000, owner, Millis(0));
        table.begin_close(SessionId(id));
    }
    table.disarm();
    let mut taken = table.take();
    assert!(table.is_empty() && table.clamp(1) == 4_000);
    assert_eq!(taken.check(SessionId(1), owner(8)), Err(Code::SessionMoved));
    assert_eq!(taken.check(SessionId(2), owner(8)), Ok(()));
    assert_eq!(due(&mut taken, 1 << 40), []);
    taken.arm(Millis(50_000));
    assert_eq!(due(&mut taken, 54_000), []);
    assert_eq!(due(&mut taken, 58_000), [SessionId(1), SessionId(2)]);
}
