//! Which ensemble it is, whose session it is, and what the state is: whole ensembles.

use ringkeeper_engine::device::{Identity, Standing};
use ringkeeper_replication::ZabState;
use ringkeeper_replication::node::COMPARED_EVERY;

use crate::elected_cases::{
    LIMIT_US, SECOND_US, connect, led, others, wait, wait_for_all, wait_for_other, write,
};
use crate::sim::ensemble::members::Crash;
use crate::sim::ensemble::world::World;

/// The ensemble of a member's directory, as its disk has it.
fn identity(world: &World, member: usize) -> Identity {
    let disk = &world.machines[member].disk;
    Identity::read(disk).expect("it is whole").expect("it is there")
}

/// The first leader has made one identity, and all have it.
#[test]
fn members_of_a_new_ensemble_have_one_identity() {
    let (mut world, leader) = led(3, 1, 1);
    wait(&mut world, SECOND_US);
    let ensemble = identity(&world, leader).ensemble.expect("it leads one");
    assert_eq!(ensemble.standing, Standing::Confirmed);
    for member in others(&world, leader) {
        let found = identity(&world, member);
        assert_eq!((found.ensemble, found.secret), (Some(ensemble), ensemble.secret), "{member}");
    }
    world.finish();
}

/// A session goes on wherever its client goes: the servers have one secret.
#[test]
fn session_moves_between_all_members_and_to_one_that_was_wiped() {
    let (mut world, leader) = led(3, 1, 1);
    connect(&mut world, 0, leader);
    let session = world.clients[0].session();
    write(&mut world, 0, 1);
    let wiped = others(&world, leader)[0];
    world.machines[wiped].stays_down = true;
    world.crash(wiped, Crash::Power);
    world.machines[wiped].wipe();
    world.machines[wiped].stays_down = false;
    world.start_later(wiped);
    wait_for_all(&mut world);
    for member in others(&world, leader) {
        world.leave(0);
        connect(&mut world, 0, member);
        write(&mut world, 0, member as u8);
        assert_eq!(world.clients[0].session(), session, "member {member} lets it in");
    }
    world.finish();
}

/// Ends a member, and makes its directory one of another ensemble.
fn make_stranger(world: &mut World, member: usize) {
    world.machines[member].stays_down = true;
    world.crash(member, Crash::Process);
    world.machines[member].make_stranger();
    world.machines[member].stays_down = false;
    world.start_later(member);
}

/// The others are a quorum; the stranger hears of their leader, and does not follow it.
fn stranger_that_observes_is_not_led() {
    let (mut world, leader) = led(3, 1, 1);
    make_stranger(&mut world, 3);
    wait(&mut world, 5 * SECOND_US);
    connect(&mut world, 0, leader);
    write(&mut world, 0, 1);
    let process = world.machines[3].process.as_ref().expect("it runs");
    assert_ne!(process.port_ref().followed().state(), ZabState::Broadcast, "it follows");
    assert!(world.met.ends.keys().any(|end| end.contains("OtherEnsemble")), "{:?}", world.met.ends);
}

/// Without the third, a voter and a stranger are no quorum: neither is chosen.
fn stranger_that_votes_is_not_counted() {
    let (mut world, leader) = led(3, 0, 0);
    let [stays, stranger] = others(&world, leader)[..] else { panic!("there are two") };
    make_stranger(&mut world, stranger);
    wait(&mut world, 2 * SECOND_US);
    assert!(world.met.strangers > 0, "nobody has noticed");
    world.machines[leader].stays_down = true;
    world.crash(leader, Crash::Process);
    wait(&mut world, SECOND_US);
    let before = world.met.elected;
    wait(&mut world, 5 * SECOND_US);
    assert_eq!(world.met.elected, before, "one of {stays} and {stranger} was chosen");
    assert_eq!(world.leading(), [0; 0]);
}

/// Writes until the states have been compared.
fn write_until_compared(world: &mut World) {
    let last = world.machines.iter().map(|it| it.record.borrow().last().counter()).max();
    let count = COMPARED_EVERY - last.unwrap_or(0) % COMPARED_EVERY;
    (0..=count).for_each(|data| write(world, 0, data as u8));
}

fn tamper(world: &mut World, member: usize) {
    world.machines[member].process.as_mut().expect("it runs").tamper();
}

fn is_tampered(world: &World, member: usize) -> bool {
    world.machines[member].process.as_ref().is_none_or(|process| process.is_tampered)
}

fn wait_until_replaced(world: &mut World, member: usize) {
    let is_there = world.run_while(LIMIT_US, |world| is_tampered(world, member));
    assert!(is_there, "another state stays at member {member}: {}", world.what_moves());
}

/// A follower, and an observer, whose state is another one take over the leader's.
fn learner_with_another_state_is_brought_in_line() {
    for is_observer in [false, true] {
        let (mut world, leader) = led(3, 1, 1);
        let wrong = if is_observer { 3 } else { others(&world, leader)[0] };
        let at = others(&world, leader)[1];
        connect(&mut world, 0, at);
        tamper(&mut world, wrong);
        write_until_compared(&mut world);
        wait_until_replaced(&mut world, wrong);
        assert!(world.met.mismatches > 0);
        wait_for_all(&mut world);
        assert_eq!(world.leading(), [leader], "the leader is right");
        world.finish();
    }
}

/// A leader whose state is another one than that of the others ends, and takes over theirs.
fn leader_with_another_state_ends_and_is_brought_in_line() {
    let (mut world, leader) = led(3, 0, 1);
    let follower = others(&world, leader)[0];
    connect(&mut world, 0, follower);
    tamper(&mut world, leader);
    write_until_compared(&mut world);
    wait_for_other(&mut world, leader);
    wait_until_replaced(&mut world, leader);
    assert!(world.met.step_downs.contains_key("Diverged"), "{:?}", world.met.step_downs);
    wait_for_all(&mut world);
    world.finish();
}

/// Of two, none is a majority: it is said, and nothing is done.
#[test]
fn two_members_with_two_states_are_reported_and_left_alone() {
    let (mut world, leader) = led(3, 0, 1);
    let [one, other] = others(&world, leader)[..] else { panic!("there are two") };
    world.machines[other].stays_down = true;
    world.crash(other, Crash::Process);
    connect(&mut world, 0, leader);
    tamper(&mut world, one);
    write_until_compared(&mut world);
    wait(&mut world, SECOND_US);
    assert!(world.met.mismatches > 0 && is_tampered(&world, one));
    assert_eq!(world.leading(), [leader]);
    // With the third it is decided.
    world.machines[other].stays_down = false;
    world.start_later(other);
    wait_for_all(&mut world);
    write_until_compared(&mut world);
    wait_until_replaced(&mut world, one);
    world.finish();
}

/// The connection that a session has left is closed by its server, which has not noticed that the
/// client is gone.
fn connection_that_a_session_has_left_is_closed() {
    let (mut world, leader) = led(3, 0, 1);
    let [from, to] = others(&world, leader)[..] else { panic!("there are two") };
    let all = [(from, to), (to, leader), (leader, from), (from, leader)];
    for (from, to) in all {
        connect(&mut world, 0, from);
        write(&mut world, 0, 1);
        let stale = world.clients[0].client.at.expect("it is connected");
        world.vanish(0);
        connect(&mut world, 0, to);
        let is_open = |world: &World| {
            let process = world.machines[from].process.as_ref().expect("it runs");
            !process.server.has_closed(stale.0, stale.1)
        };
        let is_closed = world.run_while(LIMIT_US, is_open);
        assert!(is_closed, "member {from} keeps the connection of a session that {to} has");
        write(&mut world, 0, 2);
        world.leave(0);
    }
    world.finish();
}

#[test]
fn stranger_is_neither_led_nor_counted() {
    stranger_that_observes_is_not_led();
    stranger_that_votes_is_not_counted();
}

#[test]
fn member_with_another_state_than_a_majority_is_brought_in_line() {
    learner_with_another_state_is_brought_in_line();
    leader_with_another_state_ends_and_is_brought_in_line();
}

#[test]
fn session_that_moves_leaves_no_connection_behind() {
    connection_that_a_session_has_left_is_closed();
}

/// All of them, for a bug that is planted.
#[cfg(feature = "plant")]
pub(crate) fn run_all() {
    stranger_that_observes_is_not_led();
    stranger_that_votes_is_not_counted();
    learner_with_another_state_is_brought_in_line();
    connection_that_a_session_has_left_is_closed();
}
