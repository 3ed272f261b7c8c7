//! Histories that have cost other ensembles what was committed: `docs/understand/testing.md` has the
//! table of them.

use ringkeeper_engine::client::Request;
use ringkeeper_engine::snapshot::SnapshotKind;
use ringkeeper_replication::ZabState;

use crate::elected_cases::{
    LIMIT_US, SECOND_US, begin_write, connect, cut_off, led, led_by, others, purge_log, wait,
    wait_for_all, wait_for_other, write,
};
use crate::sim::ensemble::members::Crash;
use crate::sim::ensemble::swarm::Swarm;
use crate::sim::ensemble::world::World;

/// Members whose leader keeps one transaction in memory: everything else comes from its disk.
fn led_without_memory(voters: usize, clients: usize) -> (World, usize) {
    led_by(Swarm { window_records: 1, ..Swarm::calm(voters, 0, clients) })
}

fn stop(world: &mut World, member: usize, crash: Crash) {
    world.machines[member].stays_down = true;
    world.crash(member, crash);
}

fn start(world: &mut World, member: usize) {
    world.machines[member].stays_down = false;
    world.start_later(member);
}

/// How often members were synchronized in this way.
fn synchronized(world: &World, by: &str) -> usize {
    world.met.synchronized.get(by).copied().unwrap_or(0)
}

/// Waits until a member is in a state of its link to the leader.
fn wait_for_state(world: &mut World, member: usize, state: ZabState) {
    let is_there = |world: &World| {
        let process = world.machines[member].process.as_ref();
        process.is_some_and(|process| process.port_ref().followed().state() == state)
    };
    assert!(world.run_while(LIMIT_US, |world| !is_there(world)), "{}", world.what_moves());
}

/// The next leader has taken over more than its own memory holds, and serves a member that lacks
/// all of it.
#[test]
fn next_leader_serves_what_it_was_sent_from_a_disk_without_a_hole() {
    let (mut world, leader) = led_without_memory(5, 1);
    let rest = others(&world, leader);
    let (lags, next) = (rest[0], *rest.last().expect("there are four"));
    connect(&mut world, 0, rest[1]);
    write(&mut world, 0, 1);
    stop(&mut world, lags, Crash::Process);
    (2..5).for_each(|data| write(&mut world, 0, data));
    stop(&mut world, next, Crash::Process);
    (5..12).for_each(|data| write(&mut world, 0, data));
    start(&mut world, next);
    wait_for_all(&mut world);
    stop(&mut world, leader, Crash::Power);
    assert_eq!(wait_for_other(&mut world, leader), next, "equal histories: the largest number");
    start(&mut world, lags);
    wait_for_all(&mut world);
    world.finish();
    assert!(world.met.plans[0] >= 2, "both were fed from a disk: {:?}", world.met.plans);
}

/// A member is away and comes back; while it synchronizes, the others go on, and then nothing more
/// is written. The commit of what came last is on its way between NEWLEADER and UPTODATE, or close.
/// That takes longer where it comes back in a later epoch, which has to become current.
#[test]
fn commit_between_newleader_and_uptodate_is_applied_without_a_later_one() {
    for elections in [0, 1] {
        for delay_us in (0..24_000).step_by(2_000) {
            let (mut world, mut leader) = led(3, 0, 1);
            let back = others(&world, leader)[0];
            connect(&mut world, 0, leader);
            stop(&mut world, back, Crash::Process);
            (0..4).for_each(|data| write(&mut world, 0, data));
            for _ in 0..elections {
                world.crash(leader, Crash::Process);
                leader = wait_for_all(&mut world);
                connect(&mut world, 0, leader);
            }
            world.machines[back].slowness = 200;
            start(&mut world, back);
            wait_for_state(&mut world, back, ZabState::Synchronization);
            wait(&mut world, delay_us);
            write(&mut world, 0, 9);
            // Before a session expires: the commit of that would do as well.
            wait(&mut world, SECOND_US);
            let process = world.machines[back].process.as_ref().expect("it runs");
            assert_eq!(
                process.server.db().applied(),
                world.committed.last(),
                "{}",
                world.what_moves()
            );
            world.finish();
        }
    }
}

/// A wiped member gets a state, which takes a while; what is committed meanwhile is not lost when
/// it is one of those who have to have it.
#[test]
fn commits_between_a_state_and_newleader_are_there_when_the_others_lose_power() {
    let swarm = Swarm { socket_bytes: 4_000, piece_bytes: 4_000, ..Swarm::calm(3, 0, 1) };
    let (mut world, leader) = led_by(swarm);
    let (wiped, other) = (others(&world, leader)[0], others(&world, leader)[1]);
    connect(&mut world, 0, leader);
    for data in 0..30 {
        let before = world.writes;
        let request = Request::SetData { path: "/", data: Some(&[data; 4 << 10]), version: -1 };
        world.request_of(0, &request);
        assert!(world.run_while(LIMIT_US, |world| world.writes == before));
    }
    for _ in 0..2 {
        let process = world.machines[leader].process.as_mut().expect("it runs");
        assert!(process.snapshot(SnapshotKind::Regular, 1), "the log is purged");
        write(&mut world, 0, 40);
    }
    world.crash(wiped, Crash::Power);
    world.machines[wiped].wipe();
    world.machines[wiped].slowness = 100;
    wait_for_state(&mut world, wiped, ZabState::Synchronization);
    let before = world.committed.last();
    (50..60).for_each(|data| begin_write(&mut world, 0, data));
    wait_for_all(&mut world);
    assert!(synchronized(&world, "Snap") > 0, "{:?}", world.met.synchronized);
    assert!(world.committed.last() > before, "something was committed meanwhile");
    stop(&mut world, leader, Crash::Power);
    world.crash(other, Crash::Power);
    wait_for_other(&mut world, leader);
    world.finish();
}

/// A leader that was deposed has cut its tail off. It leads again and feeds a member from the disk
/// on which the tail was.
#[test]
fn disk_that_had_a_tail_feeds_what_is_committed() {
    let (mut world, leader) = led_without_memory(5, 2);
    let rest = others(&world, leader);
    let lags = rest[0];
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    stop(&mut world, lags, Crash::Process);
    write(&mut world, 0, 2);
    cut_off(&mut world, leader, 2 * SECOND_US);
    (3..9).for_each(|data| begin_write(&mut world, 0, data));
    let next = wait_for_other(&mut world, leader);
    connect(&mut world, 1, next);
    (10..14).for_each(|data| write(&mut world, 1, data));
    wait_for_all(&mut world);
    stop(&mut world, next, Crash::Power);
    assert_eq!(wait_for_other(&mut world, next), leader, "equal histories: the largest number");
    let fed = world.met.plans[0];
    start(&mut world, lags);
    wait_for_all(&mut world);
    world.finish();
    assert!(world.met.plans[0] > fed, "it was fed from the disk: {:?}", world.met.plans);
}

/// One that was never there gets everything, although the leader's memory has the end only.
#[test]
fn member_without_a_history_gets_all_of_it_from_a_leader_that_remembers_the_end() {
    let mut world = World::with(
        Swarm { window_records: 1, ..Swarm::calm(3, 0, 1) },
        crate::sim::streams::Streams::new(1),
    );
    world.machines[0].stays_down = true;
    let leader = wait_for_all(&mut world);
    connect(&mut world, 0, leader);
    (0..6).for_each(|data| write(&mut world, 0, data));
    start(&mut world, 0);
    wait_for_all(&mut world);
    assert_eq!(world.machines[0].record.borrow().txns(), world.committed.txns());
    world.finish();
}

/// Two hold a transaction of the first epoch. The leader of the second one has gone before anybody
/// followed it, and that of the third one sends the transaction to all. It is committed when they
/// follow the third epoch, and not because they hold it: the second leader wins against those that
/// do not.
#[test]
fn transaction_of_an_older_epoch_is_not_committed_by_those_that_hold_it() {
    let (mut world, first) = led(5, 0, 1);
    let rest = others(&world, first);
    let (holds, second) = (rest[0], rest[3]);
    connect(&mut world, 0, first);
    write(&mut world, 0, 1);
    for other in &rest[1..] {
        let until_us = world.now_us() + SECOND_US;
        world.network.cut(first, *other, until_us);
        world.network.cut(*other, first, until_us);
    }
    begin_write(&mut world, 0, 2);
    let zxid = move |world: &World| world.machines[first].record.borrow().last();
    let before = zxid(&world);
    assert!(world.run_while(LIMIT_US, |world| zxid(world) == before), "it is ordered");
    let tail = zxid(&world);
    assert!(world.run_while(LIMIT_US, |world| !world.machines[holds].holds(tail)));
    stop(&mut world, first, Crash::Power);
    stop(&mut world, holds, Crash::Power);
    let state = |world: &World, member: usize| {
        let process = world.machines[member].process.as_ref();
        process.and_then(|it| it.port_ref().voter().map(|voter| voter.state()))
    };
    let synchronizes =
        |world: &World, member: usize| state(world, member) == Some(ZabState::Synchronization);
    let is_there = world.run_while(LIMIT_US, |world| !synchronizes(world, second));
    assert!(is_there, "{}", world.what_moves());
    cut_off(&mut world, second, SECOND_US / 10);
    wait(&mut world, SECOND_US / 20);
    stop(&mut world, second, Crash::Power);
    start(&mut world, first);
    start(&mut world, holds);
    let is_there = world.run_while(LIMIT_US, |world| !synchronizes(world, first));
    assert!(is_there, "{}", world.what_moves());
    cut_off(&mut world, first, SECOND_US);
    wait(&mut world, SECOND_US / 20);
    stop(&mut world, first, Crash::Power);
    start(&mut world, second);
    wait_for_other(&mut world, first);
    world.finish();
}

/// The next leader is asked at once: it answers with what was acknowledged before it led.
#[test]
fn new_leader_answers_no_sync_before_all_that_was_acknowledged_is_committed() {
    for delay_us in (0..4_000).step_by(500) {
        let (mut world, leader) = led(3, 0, 2);
        let rest = others(&world, leader);
        connect(&mut world, 0, rest[0]);
        connect(&mut world, 1, rest[1]);
        (0..3).for_each(|data| write(&mut world, 0, data));
        begin_write(&mut world, 0, 4);
        wait(&mut world, delay_us);
        stop(&mut world, leader, Crash::Power);
        for client in [0, 1] {
            world.request_of(client, &Request::Sync { path: "/" });
            world.request_of(client, &Request::GetData { path: "/", watch: false });
        }
        wait_for_other(&mut world, leader);
        for client in [1, 0] {
            world.request_of(client, &Request::Sync { path: "/" });
            world.request_of(client, &Request::GetData { path: "/", watch: false });
        }
        wait(&mut world, SECOND_US / 10);
        world.finish();
    }
}

/// A leader does not run for longer than a session lasts. Its clients are with the others by then,
/// and it ends nobody's session when it goes on: neither itself nor through the next leader.
#[test]
fn leader_that_was_stopped_expires_no_session_when_it_goes_on() {
    let swarm = Swarm { session_ms: 900, ..Swarm::calm(3, 0, 2) };
    let (mut world, leader) = led_by(swarm);
    let rest = others(&world, leader);
    connect(&mut world, 0, leader);
    connect(&mut world, 1, rest[0]);
    write(&mut world, 0, 1);
    let session = world.clients[0].session();
    world.machines[leader].paused_us = world.now_us() + 4 * SECOND_US;
    wait_for_other(&mut world, leader);
    world.leave(0);
    connect(&mut world, 0, rest[1]);
    assert_eq!(world.clients[0].session(), session, "it has moved");
    for round in 0..30 {
        for client in [0, 1] {
            begin_write(&mut world, client, round);
        }
        wait(&mut world, SECOND_US / 5);
    }
    assert_eq!((world.clients[0].session(), world.met.expired), (session, 0));
    assert!(world.clients[0].connection.is_some(), "it was not cut off");
    world.finish();
}

/// Two voters and two observers are no quorum of four.
#[test]
fn observers_make_no_quorum() {
    let (mut world, leader) = led(3, 2, 0);
    for voter in others(&world, leader).into_iter().filter(|id| *id < 3) {
        stop(&mut world, voter, Crash::Process);
    }
    wait(&mut world, 5 * SECOND_US);
    assert_eq!(world.leading(), Vec::<usize>::new(), "one voter of three leads");
    world.finish();
}

/// Loading and writing the state takes longer than a leader waits for a follower that is silent,
/// and less than it waits for one that synchronizes.
#[test]
fn member_that_writes_a_state_for_longer_than_the_sync_limit_is_waited_for() {
    let (mut world, leader) = led_by(Swarm { init_ms: 8_000, ..Swarm::calm(3, 0, 1) });
    let wiped = others(&world, leader)[0];
    connect(&mut world, 0, leader);
    purge_log(&mut world, leader);
    world.crash(wiped, Crash::Power);
    world.machines[wiped].wipe();
    // Up to 2.4 s each, where `syncLimit` is 0.25 s.
    world.machines[wiped].slowness = 6_000;
    wait_for_state(&mut world, wiped, ZabState::Synchronization);
    wait_for_state(&mut world, wiped, ZabState::Broadcast);
    assert_eq!(world.met.installs + world.machines[wiped].record.borrow().installs(), 1);
    world.finish();
}

/// A session with watches moves to a server that is behind: no event comes for what it has seen,
/// and one for everything after.
#[test]
fn watches_that_move_to_a_server_that_is_behind_fire_once_and_not_for_the_past() {
    let (mut world, leader) = led(3, 0, 2);
    let rest = others(&world, leader);
    let behind = rest[1];
    connect(&mut world, 0, rest[0]);
    connect(&mut world, 1, rest[0]);
    write(&mut world, 1, 1);
    world.machines[behind].stalled_us = world.now_us() + SECOND_US / 5;
    write(&mut world, 1, 2);
    world.request_of(0, &Request::GetData { path: "/", watch: true });
    let is_settled = |world: &World| world.clients[0].client.is_settled();
    assert!(world.run_while(LIMIT_US, |world| !is_settled(world)));
    world.leave(0);
    while world.clients[0].connection.is_none() {
        // It is refused as one from the future.
        wait(&mut world, SECOND_US / 50);
        connect(&mut world, 0, behind);
    }
    write(&mut world, 1, 3);
    wait(&mut world, SECOND_US);
    world.finish();
    assert_eq!(world.met.events, 1, "the write behind the one that it has seen");
}

/// A follower's log has appends of its former role under way when it is cut.
#[test]
fn appends_under_way_of_a_leader_that_was_deposed_do_not_come_back_behind_the_cut() {
    for stall_us in [50_000, 400_000, 900_000] {
        let (mut world, leader) = led(3, 0, 2);
        connect(&mut world, 0, leader);
        write(&mut world, 0, 1);
        world.machines[leader].stalled_us = world.now_us() + stall_us;
        cut_off(&mut world, leader, SECOND_US / 3);
        (2..8).for_each(|data| begin_write(&mut world, 0, data));
        let next = wait_for_other(&mut world, leader);
        connect(&mut world, 1, next);
        write(&mut world, 1, 9);
        wait_for_all(&mut world);
        world.crash(leader, Crash::Power);
        world.finish();
    }
}

/// All of them, for a bug that is planted.
#[cfg(feature = "plant")]
pub(crate) fn run_all() {
    transaction_of_an_older_epoch_is_not_committed_by_those_that_hold_it();
    next_leader_serves_what_it_was_sent_from_a_disk_without_a_hole();
    commit_between_newleader_and_uptodate_is_applied_without_a_later_one();
}
