//! All connections between members are reset at once, and everybody runs on: how long until all of
//! them are led again?

use ringkeeper_replication::ZabState;

use crate::elected_cases::{LIMIT_US, SECOND_US, wait_for_all};
use crate::sim::ensemble::swarm::Swarm;
use crate::sim::ensemble::world::World;
use crate::sim::net::Latency;
use crate::sim::streams::Streams;

/// Within which a chosen leader waits for a quorum, milliseconds.
const INIT_MS: i64 = 5_000;

fn is_led(world: &World) -> bool {
    let serves = |process: &crate::sim::ensemble::process::Process| {
        process.is_leading() || process.port_ref().followed().state() == ZabState::Broadcast
    };
    let mut processes = world.machines.iter().map(|machine| machine.process.as_ref());
    world.leading().len() == 1 && processes.all(|process| process.is_some_and(serves))
}

/// Milliseconds until all are led, at least a second.
fn gap_ms(voters: usize, seed: u64) -> u64 {
    let spread_us = [100, 5_000, 30_000][seed as usize % 3];
    let latency = Latency { least_us: 50, spread_us };
    let (tick_ms, init_ms, sync_ms) = (400, INIT_MS, 2_000);
    let swarm = Swarm { tick_ms, init_ms, sync_ms, latency, ..Swarm::calm(voters, 0, 0) };
    let mut world = World::with(swarm, Streams::new(seed));
    wait_for_all(&mut world);
    for a in 0..voters {
        (a + 1..voters).for_each(|b| world.reset_between(a, b));
    }
    let began_us = world.now_us();
    world.run_until(began_us + SECOND_US);
    let is_there = world.run_while(LIMIT_US, |world| !is_led(world));
    assert!(is_there, "{}", world.what_moves());
    (world.now_us() - began_us) / 1_000
}

/// Worlds in which a server was chosen while the others went back, and waited for `initLimit`.
const GAPS: [(usize, &[u64]); 2] = [
    (3, &[413, 422, 839, 1256, 1286, 1481, 494, 1178]),
    (5, &[193, 351, 493, 660, 680, 698, 763, 909, 1006, 1082, 1145, 1296, 1483, 1493]),
];

/// A server may be chosen while the others go back to the leader that they had. It does not wait
/// for them as long as a new leader may.
#[test]
fn no_member_waits_for_those_that_have_gone_back_to_their_leader() {
    for (voters, seeds) in GAPS {
        for seed in seeds.iter().copied().chain(1..20) {
            let ms = gap_ms(voters, seed);
            assert!(ms < 1_500, "{ms} ms with {voters} voters and seed {seed}");
        }
    }
}
