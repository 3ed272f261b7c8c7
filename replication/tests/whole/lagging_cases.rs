//! Learners that take less than what is proposed.

use ringkeeper_engine::client::Request;

use crate::elected_cases::{LIMIT_US, SECOND_US, connect, others, wait, wait_for_all, write};
use crate::sim::ensemble::swarm::Swarm;
use crate::sim::ensemble::world::World;
use crate::sim::streams::Streams;

const LINK_BYTES_MAX: usize = 4_000;
const DATA_BYTES: usize = 1 << 10;

/// An ensemble whose leader keeps little in memory, with members that may be silent for long.
fn narrow(observers: usize) -> (World, usize) {
    let swarm = Swarm {
        link_bytes_max: LINK_BYTES_MAX,
        window_records: 10,
        socket_bytes: 500,
        piece_bytes: 4_000,
        sync_ms: 20_000,
        // No snapshot is taken, so no log is purged: nobody is behind what a log still has.
        snapshot_us: 1_000 * SECOND_US,
        ..Swarm::calm(3, observers, 1)
    };
    let mut world = World::with(swarm, Streams::new(1));
    let leader = wait_for_all(&mut world);
    (world, leader)
}

/// A client writes much, and is answered as if everybody were there.
fn write_much(world: &mut World, leader: usize, count: u8) {
    for data in 0..count {
        let (before, begun_us) = (world.writes, world.now_us());
        let data = Some(&[data; DATA_BYTES][..]);
        world.request_of(0, &Request::SetData { path: "/", data, version: -1 });
        let is_there = world.run_while(LIMIT_US, |world| world.writes == before);
        assert!(is_there, "{}", world.what_moves());
        assert!(world.now_us() - begun_us < SECOND_US / 20, "it waits for one that is slow");
        let process = world.machines[leader].process.as_ref().expect("it runs");
        let leadership = process.port_ref().voter().and_then(|voter| voter.leadership());
        for learner in leadership.expect("it leads").learners() {
            let most = LINK_BYTES_MAX + 4 * DATA_BYTES;
            assert!(learner.unsent_bytes <= most, "{learner:?}");
        }
    }
}

#[test]
fn learner_that_was_stopped_gets_what_it_lacks_over_the_same_connection() {
    for observers in [0, 1] {
        let (mut world, leader) = narrow(observers);
        connect(&mut world, 0, leader);
        let stopped = *others(&world, leader).last().expect("there are others");
        for _ in 0..2 {
            let until_us = world.now_us() + 3 * SECOND_US;
            world.machines[stopped].paused_us = until_us;
            // Its socket is full soon.
            world.network.cut(leader, stopped, until_us);
            write_much(&mut world, leader, 200);
            wait(&mut world, 4 * SECOND_US);
            write(&mut world, 0, 7);
        }
        wait(&mut world, SECOND_US);
        assert!(world.met.ends.is_empty(), "{:?}", world.met.ends);
        world.finish();
        assert!(world.met.plans[0] > 0, "it was read from the disk");
    }
}

#[test]
fn learner_with_a_slow_disk_holds_nobody_up_and_comes_along() {
    let (mut world, leader) = narrow(0);
    connect(&mut world, 0, leader);
    let slow = others(&world, leader)[0];
    world.machines[slow].slowness = 1_000;
    write_much(&mut world, leader, 200);
    world.machines[slow].slowness = 1;
    assert!(world.met.ends.is_empty(), "{:?}", world.met.ends);
    world.finish();
}
