//! A server that was on its own joins others: nothing of what it has is lost.

use ringkeeper_engine::Zxid;
use ringkeeper_replication::ZabState;

use crate::elected_cases::{
    LIMIT_US, SECOND_US, connect, others, wait, wait_for_all, wait_for_other, write,
};
use crate::sim::ensemble::members::Crash;
use crate::sim::ensemble::world::World;

/// The one that has been on its own, and the end of its history.
const ALONE: usize = 2;
const END: Zxid = Zxid::new(7, 5);

/// Three voters, of which one has been on its own; these are not started yet.
fn world(down: &[usize]) -> World {
    let mut world = World::calm(3, 0, 1);
    world.machines[ALONE].make_alone(END.counter());
    down.iter().for_each(|member| world.machines[*member].stays_down = true);
    world
}

fn start(world: &mut World, member: usize) {
    world.machines[member].stays_down = false;
    world.start_later(member);
}

fn is_refused(world: &World) -> bool {
    world.met.ends.keys().any(|end| end.contains("OwnHistory"))
}

fn state(world: &World, member: usize) -> ZabState {
    let process = world.machines[member].process.as_ref().expect("it runs");
    process.port_ref().followed().state()
}

/// An empty majority has begun without it: it keeps what it has, and disturbs nobody, also where
/// its zxids are later, and when the others look for a leader.
fn history_is_not_given_up_for_that_of_an_empty_majority() {
    let mut world = world(&[ALONE]);
    let leader = wait_for_all(&mut world);
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    start(&mut world, ALONE);
    let is_met = world.run_while(LIMIT_US, |world| !is_refused(world));
    assert!(is_met, "nobody has noticed: {:?}", world.met.ends);
    wait(&mut world, 2 * SECOND_US);
    assert_eq!(world.leading(), [leader], "{:?}", world.met.step_downs);
    write(&mut world, 0, 2);
    // The others choose another leader; with this server alone they choose none.
    let other = others(&world, leader)[0];
    world.crash(leader, Crash::Process);
    let next = wait_for_other(&mut world, ALONE);
    assert!([leader, other].contains(&next), "{next} leads");
    world.machines[other].stays_down = true;
    world.crash(other, Crash::Process);
    wait(&mut world, 5 * SECOND_US);
    assert_eq!(world.leading(), [0; 0]);
    assert_ne!(state(&world, ALONE), ZabState::Broadcast);
    assert_eq!(world.machines[ALONE].record.borrow().last(), END, "it has what it had");
}

/// It is refused in the same way when it has been restarted, and has promised to follow meanwhile.
fn history_is_kept_over_a_restart() {
    let mut world = world(&[ALONE]);
    let leader = wait_for_all(&mut world);
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    for _ in 0..3 {
        start(&mut world, ALONE);
        let is_met = world.run_while(LIMIT_US, |world| !is_refused(world));
        assert!(is_met, "nobody has noticed: {:?}", world.met.ends);
        world.met.ends.clear();
        world.machines[ALONE].stays_down = true;
        world.crash(ALONE, Crash::Power);
    }
    assert_eq!(world.machines[ALONE].record.borrow().last(), END, "it has what it had");
}

/// Of the first quorum it is the leader, with all that it has.
#[test]
fn server_that_was_on_its_own_leads_the_first_quorum() {
    for first in [0, 1] {
        let mut world = world(&[1 - first]);
        assert_eq!(wait_for_all(&mut world), ALONE);
        connect(&mut world, 0, first);
        write(&mut world, 0, 1);
        start(&mut world, 1 - first);
        wait_for_all(&mut world);
        assert_eq!(world.committed.txns()[0].zxid, Zxid::new(7, 1));
        world.finish();
    }
}

/// It has led, and nothing was written: it comes back to those that have its history.
#[test]
fn server_whose_history_a_quorum_has_is_one_of_them() {
    let mut world = world(&[]);
    assert_eq!(wait_for_all(&mut world), ALONE);
    world.machines[ALONE].stays_down = true;
    world.crash(ALONE, Crash::Power);
    let leader = wait_for_other(&mut world, ALONE);
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    start(&mut world, ALONE);
    wait_for_all(&mut world);
    assert!(!is_refused(&world), "{:?}", world.met.ends);
    world.finish();
}

/// Two were started from one copy, and the third, with the same copy, comes later.
#[test]
fn server_with_the_same_copy_follows_without_giving_anything_up() {
    let mut world = world(&[1]);
    world.machines[1].make_alone(END.counter());
    let leader = wait_for_all(&mut world);
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    start(&mut world, 1);
    wait_for_all(&mut world);
    assert!(!is_refused(&world), "{:?}", world.met.ends);
    world.finish();
}

#[test]
fn history_of_a_server_on_its_own_is_kept() {
    history_is_not_given_up_for_that_of_an_empty_majority();
    history_is_kept_over_a_restart();
}

/// For planted bugs.
#[cfg(feature = "plant")]
pub(crate) fn run_all() {
    history_is_not_given_up_for_that_of_an_empty_majority();
    history_is_kept_over_a_restart();
}
