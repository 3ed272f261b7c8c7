//! Followers whose disks are slow, stand still, or do not give what they have for a moment.

use std::io::ErrorKind;

use ringkeeper_engine::device::Fault;
use ringkeeper_replication::ZabState;

use crate::elected_cases::{
    LIMIT_US, SECOND_US, connect, leave_tail, led_by, others, purge_log, wait, wait_for_all,
};
use crate::sim::ensemble::members::Crash;
use crate::sim::ensemble::swarm::Swarm;
use crate::sim::ensemble::world::World;

/// A wiped follower is about to be sent the whole state, for which its disk takes long.
fn wiped(slowness: u64) -> (World, usize) {
    let (mut world, leader) = led_by(Swarm { init_ms: 600, ..Swarm::calm(3, 0, 1) });
    let wiped = others(&world, leader)[0];
    connect(&mut world, 0, leader);
    purge_log(&mut world, leader);
    world.crash(wiped, Crash::Power);
    world.machines[wiped].wipe();
    world.machines[wiped].slowness = slowness;
    (world, wiped)
}

fn state(world: &World, member: usize) -> Option<ZabState> {
    let process = world.machines[member].process.as_ref()?;
    Some(process.port_ref().followed().state())
}

fn wait_for_state(world: &mut World, member: usize, expected: ZabState) {
    let is_there = world.run_while(LIMIT_US, |world| state(world, member) != Some(expected));
    assert!(is_there, "{}", world.what_moves());
}

fn is_dropped(world: &World) -> bool {
    world.met.ends.keys().any(|end| end.contains("leader: Silent"))
}

/// Up to 4 s for each step, where `initLimit` is 0.6 s.
#[test]
fn member_that_goes_on_writing_a_state_for_longer_than_the_init_limit_is_waited_for() {
    let (mut world, wiped) = wiped(10_000);
    wait_for_state(&mut world, wiped, ZabState::Synchronization);
    let began_us = world.now_us();
    wait_for_state(&mut world, wiped, ZabState::Broadcast);
    assert!(world.now_us() - began_us > SECOND_US, "it was not slow");
    assert!(!is_dropped(&world), "{:?}", world.met.ends);
    world.finish();
}

/// It says nothing while nothing moves.
#[test]
fn member_whose_disk_stands_still_while_it_writes_a_state_is_given_up() {
    let (mut world, wiped) = wiped(1_000);
    wait_for_state(&mut world, wiped, ZabState::Synchronization);
    world.machines[wiped].stalled_us = world.now_us() + 10 * SECOND_US;
    let is_met = world.run_while(5 * SECOND_US, |world| !is_dropped(world));
    assert!(is_met, "it is waited for: {:?}", world.met.ends);
    world.machines[wiped].slowness = 1;
    wait_for_state(&mut world, wiped, ZabState::Broadcast);
    world.finish();
}

/// A leader that was cut off has a tail, and a log that does not reach back to the beginning.
fn with_tail() -> (World, usize) {
    let (mut world, leader) = led_by(Swarm::calm(3, 0, 2));
    connect(&mut world, 0, leader);
    purge_log(&mut world, leader);
    leave_tail(&mut world, leader);
    (world, leader)
}

/// One read fails while the log is to be cut: it is cut with the next link, and the member votes.
#[test]
fn log_that_could_not_be_read_for_a_moment_is_cut_with_the_next_link() {
    let mut met = 0;
    for number in 0..24 {
        let (mut world, member) = with_tail();
        let incarnation = world.machines[member].incarnation;
        let disk = &world.machines[member].disk;
        disk.fail_at(disk.operations() + number, Fault::Error(ErrorKind::Other));
        let is_met = |world: &World| world.met.ends.keys().any(|end| end.contains("CutTooFar"));
        wait(&mut world, 4 * SECOND_US);
        if !is_met(&world) || world.machines[member].incarnation != incarnation {
            continue;
        }
        met += 1;
        wait_for_all(&mut world);
        assert_eq!(world.met.synchronized.get("Snap"), None, "the state came as a whole");
        assert!(world.met.synchronized.contains_key("Trunc"), "{:?}", world.met.synchronized);
        world.finish();
    }
    assert!(met > 0, "no read of a snapshot has failed");
}
