//! Single histories of whole ensembles.

use ringkeeper_engine::client::{Create, CreateMode, Request};
use ringkeeper_engine::device::Fault as DiskFault;
use ringkeeper_engine::snapshot::SnapshotKind;
use ringkeeper_engine::wire::Acl;
use ringkeeper_replication::ZabState;

use crate::sim::ensemble::members::Crash;
use crate::sim::ensemble::network::QuorumLink;
use crate::sim::ensemble::swarm::Swarm;
use crate::sim::ensemble::world::World;
use crate::sim::streams::Streams;

/// Virtual microseconds that anything here takes at most.
pub(crate) const LIMIT_US: u64 = 30_000_000;
pub(crate) const SECOND_US: u64 = 1_000_000;

/// Members that have a leader, all of them; and who that is.
pub(crate) fn led(voters: usize, observers: usize, clients: usize) -> (World, usize) {
    let mut world = World::calm(voters, observers, clients);
    let leader = wait_for_all(&mut world);
    (world, leader)
}

/// As [`led`], with whatever the swarm says.
pub(crate) fn led_by(swarm: Swarm) -> (World, usize) {
    let mut world = World::with(swarm, Streams::new(1));
    let leader = wait_for_all(&mut world);
    (world, leader)
}

/// Waits until all members that run are led by one.
pub(crate) fn wait_for_all(world: &mut World) -> usize {
    let is_led = |world: &World| {
        world.leading().len() == 1
            && world.machines.iter().all(|machine| {
                let Some(process) = &machine.process else { return machine.stays_down };
                let state = process.port_ref().followed().state();
                process.is_leading() || state == ZabState::Broadcast
            })
    };
    assert!(world.run_while(LIMIT_US, |world| !is_led(world)), "{}", world.what_moves());
    world.leading()[0]
}

/// Waits until another member leads.
pub(crate) fn wait_for_other(world: &mut World, leader: usize) -> usize {
    let other = |world: &World| world.leading().into_iter().find(|id| *id != leader);
    let is_there = world.run_while(LIMIT_US, |world| other(world).is_none());
    assert!(is_there, "{}", world.what_moves());
    other(world).expect("it was found")
}

pub(crate) fn wait(world: &mut World, us: u64) {
    let end_us = world.now_us() + us;
    world.run_until(end_us);
}

/// A client connects to a member, and has its session.
pub(crate) fn connect(world: &mut World, client: usize, member: usize) {
    world.connect_client_to(client, member);
    let is_there = world.run_while(LIMIT_US, |world| world.clients[client].client.is_connecting());
    assert!(is_there, "{}", world.what_moves());
}

/// A client requests a write.
pub(crate) fn begin_write(world: &mut World, client: usize, data: u8) {
    world.request_of(client, &Request::SetData { path: "/", data: Some(&[data]), version: -1 });
}

/// A client writes, and is answered.
pub(crate) fn write(world: &mut World, client: usize, data: u8) {
    let before = world.writes;
    begin_write(world, client, data);
    let is_there = world.run_while(LIMIT_US, |world| world.writes == before);
    assert!(is_there, "{}", world.what_moves());
}

pub(crate) fn others(world: &World, leader: usize) -> Vec<usize> {
    (0..world.machines.len()).filter(|id| *id != leader).collect()
}

/// Nothing passes between a member and all others, in both directions.
pub(crate) fn cut_off(world: &mut World, member: usize, us: u64) {
    let until_us = world.now_us() + us;
    for other in others(world, member) {
        world.network.cut(member, other, until_us);
        world.network.cut(other, member, until_us);
    }
}

#[test]
fn write_that_was_acknowledged_is_there_when_all_lose_power_and_the_leader_stays_away() {
    for voters in [3, 5] {
        let (mut world, leader) = led(voters, 1, 1);
        let follower = others(&world, leader)[0];
        connect(&mut world, 0, follower);
        (0..5).for_each(|data| write(&mut world, 0, data));
        let committed = world.committed.txns().len();
        world.machines[leader].stays_down = true;
        (0..world.machines.len()).for_each(|id| world.crash(id, Crash::Power));
        wait_for_other(&mut world, leader);
        world.finish();
        assert!(world.committed.txns().len() >= committed);
    }
}

/// The follower was away, and is brought up to date by DIFF.
#[test]
fn follower_may_end_at_every_disk_operation_while_it_is_synchronized() {
    let mut number = 0;
    loop {
        let (mut world, leader) = led(3, 0, 1);
        let follower = others(&world, leader)[0];
        connect(&mut world, 0, leader);
        world.machines[follower].stays_down = true;
        world.crash(follower, Crash::Process);
        (0..4).for_each(|data| write(&mut world, 0, data));
        let disk = world.machines[follower].disk.clone();
        let end = disk.operations() + number;
        disk.fail_at(end, DiskFault::Crash);
        world.machines[follower].stays_down = false;
        world.start_later(follower);
        wait_for_all(&mut world);
        let is_over = disk.operations() < end;
        // The leader goes as well: what the follower has acknowledged has to be there.
        world.machines[leader].stays_down = true;
        world.crash(leader, Crash::Power);
        wait_for_other(&mut world, leader);
        world.finish();
        number += 3;
        if is_over {
            break;
        }
    }
    assert!(number > 15, "a start and a synchronization have {number} operations");
}

/// The log of the leader does not reach back to the beginning any more.
pub(crate) fn purge_log(world: &mut World, leader: usize) {
    for _ in 0..2 {
        for data in 0..12 {
            let request = Request::SetData { path: "/", data: Some(&[data; 4 << 10]), version: -1 };
            world.request_of(0, &request);
            wait(world, SECOND_US / 50);
        }
        let process = world.machines[leader].process.as_mut().expect("it runs");
        assert!(process.snapshot(SnapshotKind::Regular, 1), "the log is purged");
    }
}

/// The leader is cut off with writes that nobody else has, and another one has committed since.
pub(crate) fn leave_tail(world: &mut World, leader: usize) {
    cut_off(world, leader, 2 * SECOND_US);
    (2..6).for_each(|data| begin_write(world, 0, data));
    let next = wait_for_other(world, leader);
    connect(world, 1, next);
    write(world, 1, 7);
}

/// The leader is cut off with a write that nobody else has.
fn leader_with_tail() -> (World, usize) {
    let (mut world, leader) = led(3, 0, 2);
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    leave_tail(&mut world, leader);
    (world, leader)
}

#[test]
fn tail_of_a_leader_that_was_cut_off_goes_whenever_its_disk_fails() {
    for number in (0..45).step_by(3) {
        let (mut world, leader) = leader_with_tail();
        let tail = world.machines[leader].record.borrow().last();
        assert!(world.committed.txns().iter().all(|txn| txn.zxid != tail), "there is a tail");
        let disk = &world.machines[leader].disk;
        disk.fail_at(disk.operations() + number, DiskFault::Crash);
        world.finish();
        assert!(world.machines[leader].record.borrow().txns().iter().all(|it| it.zxid != tail));
    }
}

#[test]
fn wiped_follower_gets_the_state_whenever_its_disk_fails() {
    for number in (0..60).step_by(5) {
        let (mut world, leader) = led(3, 0, 1);
        let follower = others(&world, leader)[0];
        connect(&mut world, 0, leader);
        (0..5).for_each(|data| write(&mut world, 0, data));
        world.crash(follower, Crash::Power);
        world.machines[follower].wipe();
        let disk = &world.machines[follower].disk;
        disk.fail_at(disk.operations() + number, DiskFault::Crash);
        wait(&mut world, SECOND_US);
        write(&mut world, 0, 9);
        world.finish();
    }
}

/// Two have a write, and one of them loses its disk while the other one is away. The third lacks
/// the write: it must not lead with the vote of a disk that has forgotten it.
#[test]
fn follower_whose_disk_was_replaced_is_no_quorum_with_one_that_lacks_a_write() {
    let (mut world, leader) = led(3, 0, 1);
    let (has, lacks) = (others(&world, leader)[0], others(&world, leader)[1]);
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    world.machines[lacks].stays_down = true;
    world.crash(lacks, Crash::Process);
    (2..5).for_each(|data| write(&mut world, 0, data));
    let committed = world.committed.txns().len();
    world.machines[leader].stays_down = true;
    world.crash(leader, Crash::Power);
    world.crash(has, Crash::Power);
    world.machines[has].wipe();
    world.machines[lacks].stays_down = false;
    world.start_later(lacks);
    wait(&mut world, 10 * SECOND_US);
    assert_eq!(world.leading(), Vec::<usize>::new(), "{}", world.what_moves());
    world.machines[leader].stays_down = false;
    world.start_later(leader);
    wait_for_all(&mut world);
    world.finish();
    assert!(world.committed.txns().len() >= committed);
}

/// Its clock is slow, so it believes to lead for longer than its followers do.
#[test]
fn leader_that_was_deposed_answers_no_sync_with_what_it_has() {
    for rate in [100, 10] {
        let (mut world, leader) = led(3, 0, 2);
        connect(&mut world, 0, leader);
        write(&mut world, 0, 1);
        let now_us = world.now_us();
        world.machines[leader].clock.set_rate(rate, now_us);
        // All rounds that were begun before the cut are answered: only a later one confirms.
        world.request_of(0, &Request::Sync { path: "/" });
        wait(&mut world, SECOND_US / 20);
        cut_off(&mut world, leader, 2 * SECOND_US);
        let next = wait_for_other(&mut world, leader);
        connect(&mut world, 1, next);
        write(&mut world, 1, 2);
        assert_eq!(world.leading().len(), 2, "the old one has not noticed");
        world.request_of(0, &Request::Sync { path: "/" });
        wait(&mut world, SECOND_US / 2);
        let now_us = world.now_us();
        world.machines[leader].clock.set_rate(1_000, now_us);
        world.finish();
    }
}

/// A voter has acknowledged a write, comes back, and has to cut it off. Meanwhile two others that
/// hold it are no majority.
#[test]
fn acknowledgement_of_a_connection_that_is_lost_does_not_count() {
    let (mut world, leader) = led(5, 0, 1);
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    let all = others(&world, leader);
    let until_us = world.now_us() + SECOND_US;
    all[1..].iter().for_each(|id| world.network.cut(leader, *id, until_us));
    begin_write(&mut world, 0, 2);
    let zxid = |world: &World| world.machines[leader].record.borrow().last();
    let first = zxid(&world);
    assert!(world.run_while(LIMIT_US, |world| zxid(world) == first), "it is ordered");
    let (last, back) = (zxid(&world), all[0]);
    let holds = move |world: &World| world.machines[back].holds(last);
    assert!(world.run_while(LIMIT_US, |world| !holds(world)), "one follower has it");
    wait(&mut world, 2_000);
    let is_its = |link: &QuorumLink| (link.learner.0, link.leader.0) == (back, leader);
    let link = world.network.links.iter().rfind(|(_, link)| is_its(link));
    let link = *link.expect("it follows").0;
    world.end_link(link, 0);
    assert!(world.run_while(LIMIT_US, holds), "it is cut off: {}", world.what_moves());
    world.machines[back].slowness = 10_000;
    let other = all[1];
    world.network.release(leader, other);
    let is_there = move |world: &World| world.machines[other].holds(last);
    world.run_while(SECOND_US / 10, |world| !is_there(world));
    wait(&mut world, SECOND_US / 50);
    world.finish();
}

#[test]
fn leader_that_is_stopped_and_goes_on_steps_down() {
    let (mut world, leader) = led(3, 1, 2);
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    begin_write(&mut world, 0, 2);
    world.machines[leader].paused_us = world.now_us() + 3 * SECOND_US;
    let next = wait_for_other(&mut world, leader);
    connect(&mut world, 1, next);
    write(&mut world, 1, 3);
    begin_write(&mut world, 0, 4);
    wait(&mut world, 4 * SECOND_US);
    assert_eq!(world.leading(), [next]);
    world.finish();
}

/// Two of three cannot speak to each other, and the third can to both.
#[test]
fn cut_between_the_leader_and_one_follower_changes_the_leader_once_at_most() {
    let (mut world, leader) = led(3, 0, 1);
    let all = others(&world, leader);
    connect(&mut world, 0, all[1]);
    let until_us = world.now_us() + 10 * SECOND_US;
    world.network.cut(leader, all[0], until_us);
    world.network.cut(all[0], leader, until_us);
    wait(&mut world, 5 * SECOND_US);
    write(&mut world, 0, 1);
    wait(&mut world, 4 * SECOND_US);
    assert!(world.leaders.count() <= 2, "{} epochs", world.leaders.count());
    world.finish();
}

/// Nothing passes from the leader to the others: it hears them, and they do not hear it.
#[test]
fn cut_in_one_direction_ends_with_one_leader() {
    for is_from_leader in [true, false] {
        let (mut world, leader) = led(3, 0, 2);
        let until_us = world.now_us() + 20 * SECOND_US;
        for other in others(&world, leader) {
            let (from, to) = if is_from_leader { (leader, other) } else { (other, leader) };
            world.network.cut(from, to, until_us);
        }
        let next = wait_for_other(&mut world, leader);
        wait(&mut world, 2 * SECOND_US);
        assert_eq!(world.leading(), [next]);
        connect(&mut world, 1, next);
        write(&mut world, 1, 2);
        assert!(world.leaders.count() <= 3, "{} epochs", world.leaders.count());
        world.finish();
    }
}

#[test]
fn session_moves_while_the_leader_changes_and_its_ephemerals_stay() {
    let (mut world, leader) = led(3, 0, 1);
    let all = others(&world, leader);
    connect(&mut world, 0, all[0]);
    let acl = [Acl::open()];
    let create = Create { path: "/e", data: None, acl: &acl, mode: CreateMode::Ephemeral };
    let before = world.writes;
    world.request_of(0, &Request::Create(create));
    assert!(world.run_while(LIMIT_US, |world| world.writes == before));
    let session = world.clients[0].session();
    world.crash(leader, Crash::Power);
    world.leave(0);
    connect(&mut world, 0, all[1]);
    write(&mut world, 0, 1);
    assert_eq!(world.clients[0].session(), session);
    assert!(world.committed.db().tree.find("/e").is_some(), "its session lives");
    // Nobody speaks for it any more: it ends, and not before its timeout.
    world.leave(0);
    let goes = |world: &World| world.committed.db().tree.find("/e").is_some();
    assert!(world.run_while(LIMIT_US, goes), "{}", world.what_moves());
    world.finish();
}

#[test]
fn member_whose_disk_is_full_comes_back_when_there_is_space() {
    for is_leader in [false, true] {
        let (mut world, leader) = led(3, 0, 2);
        let full = if is_leader { leader } else { others(&world, leader)[0] };
        let works = others(&world, full)[0];
        connect(&mut world, 0, works);
        let machine = &mut world.machines[full];
        machine.disk.set_capacity(Some(machine.used_bytes()));
        machine.is_full = true;
        for data in 0..20 {
            if world.clients[0].connection.is_none() {
                connect(&mut world, 0, works);
            }
            // Several segments in all.
            let request = Request::SetData { path: "/", data: Some(&[data; 4 << 10]), version: -1 };
            world.request_of(0, &request);
            wait(&mut world, SECOND_US / 20);
        }
        assert!(world.writes >= 15, "the others go on: {}", world.writes);
        assert!(!world.leading().contains(&full), "it leads, and cannot write");
        world.on_space(full);
        world.finish();
    }
}

/// All of them, for a bug that is planted.
#[cfg(feature = "plant")]
pub(crate) fn run_all() {
    leader_that_was_deposed_answers_no_sync_with_what_it_has();
    acknowledgement_of_a_connection_that_is_lost_does_not_count();
    tail_of_a_leader_that_was_cut_off_goes_whenever_its_disk_fails();
    follower_whose_disk_was_replaced_is_no_quorum_with_one_that_lacks_a_write();
    crate::elected_clients::run_all();
    crate::elected_identity::run_all();
}
