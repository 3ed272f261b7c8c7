//! Single histories of whole ensembles: clients keep their connections, and no longer than they
//! may.

use ringkeeper_engine::client::Request;
use ringkeeper_engine::txn::TxnBody;
use ringkeeper_replication::EpochLimits;

use crate::elected_cases::{
    LIMIT_US, SECOND_US, begin_write, connect, cut_off, led, others, wait, wait_for_all,
    wait_for_other, write,
};
use crate::sim::ensemble::network::QuorumLink;
use crate::sim::ensemble::swarm::Swarm;
use crate::sim::ensemble::world::World;
use crate::sim::streams::Streams;

/// As [`led`], where not everything is as usual.
fn led_by(swarm: Swarm) -> (World, usize) {
    let mut world = World::with(swarm, Streams::new(1));
    let leader = wait_for_all(&mut world);
    (world, leader)
}

/// The connection of a follower to its leader is lost, and both go on.
fn lose_link(world: &mut World, follower: usize, leader: usize) {
    let is_its = |link: &QuorumLink| (link.learner.0, link.leader.0) == (follower, leader);
    let link = world.network.links.iter().rfind(|(_, link)| is_its(link));
    let link = *link.expect("it follows").0;
    world.end_link(link, 0);
}

fn connections(world: &World) -> Vec<Option<usize>> {
    world.clients.iter().map(|client| client.connection).collect()
}

/// Waits until so many writes were answered.
fn wait_for_writes(world: &mut World, count: usize) {
    assert!(world.run_while(LIMIT_US, |world| world.writes < count), "{}", world.what_moves());
}

#[test]
fn link_lost_to_the_same_leader_cuts_no_client_off_and_every_write_takes_effect_once() {
    let (mut world, leader) = led(3, 0, 4);
    let follower = others(&world, leader)[0];
    (0..4).for_each(|client| connect(&mut world, client, follower));
    let before = connections(&world);
    for round in 0..60_u8 {
        let writes = world.writes;
        (0..4).for_each(|client| {
            begin_write(&mut world, client, round);
            world.request_of(client, &Request::Sync { path: "/" });
            begin_write(&mut world, client, round);
        });
        // At every point of their way.
        wait(&mut world, u64::from(round) * 17);
        lose_link(&mut world, follower, leader);
        wait_for_writes(&mut world, writes + 8);
        assert_eq!(wait_for_all(&mut world), leader);
    }
    assert_eq!(connections(&world), before, "all are still connected");
    world.finish();
}

/// The leader has got a write and has not ordered it when its link is lost: it does that while the
/// next link begins.
#[test]
fn write_that_waits_at_the_leader_when_its_link_is_lost_takes_effect_once() {
    let (mut world, leader) = led_by(Swarm { uncommitted_bytes_max: 100, ..Swarm::calm(3, 0, 2) });
    let [follower, other] = others(&world, leader)[..] else { panic!("there are two") };
    connect(&mut world, 0, leader);
    connect(&mut world, 1, follower);
    let before = connections(&world);
    for round in 0..20_u8 {
        let writes = world.writes;
        (world.machines[follower].slowness, world.machines[other].slowness) = (300, 3_000);
        (0..4).for_each(|_| begin_write(&mut world, 0, round));
        begin_write(&mut world, 1, round);
        wait(&mut world, 2_000 + u64::from(round) * 500);
        lose_link(&mut world, follower, leader);
        wait_for_writes(&mut world, writes + 5);
        assert_eq!(connections(&world), before, "both are still connected");
        (world.machines[follower].slowness, world.machines[other].slowness) = (1, 1);
        assert_eq!(wait_for_all(&mut world), leader);
    }
    world.finish();
}

/// A follower is cut off and does not notice for long. The leader lets the session expire; its
/// client reads no longer than the session lives.
#[test]
fn session_is_not_served_longer_than_its_timeout_when_no_leader_confirms_it() {
    let swarm = Swarm { session_ms: 900, sync_ms: 20_000, ..Swarm::calm(3, 0, 2) };
    let (mut world, leader) = led_by(swarm);
    let follower = others(&world, leader)[0];
    connect(&mut world, 0, follower);
    let read = Request::GetData { path: "/", watch: false };
    for _ in 0..20 {
        world.request_of(0, &read);
        wait(&mut world, SECOND_US / 10);
    }
    let session = world.clients[0].session();
    assert!(world.clients[0].connection.is_some(), "it lives for longer than its timeout");
    cut_off(&mut world, follower, 10 * SECOND_US);
    let replies = world.clients[0].client.replies;
    let is_ended = |world: &World| {
        let mut all = world.committed.txns().iter().filter(|txn| txn.session == session);
        all.any(|txn| matches!(txn.body, TxnBody::CloseSession { .. }))
    };
    while !is_ended(&world) {
        if world.clients[0].connection.is_some() {
            world.request_of(0, &read);
        }
        wait(&mut world, SECOND_US / 50);
    }
    let replies = world.clients[0].client.replies - replies;
    assert!(replies > 10, "it reads while its session may live: {replies}");
    wait(&mut world, SECOND_US / 50);
    assert_eq!(world.clients[0].connection, None, "its session has ended");
    world.finish();
}

#[test]
fn epoch_that_is_used_up_costs_no_connection_and_no_write() {
    let limits = EpochLimits { elects_from: 60, orders_until: 10_000 };
    for voters in [3, 5] {
        let (mut world, first) = led_by(Swarm { epochs: limits, ..Swarm::calm(voters, 1, 4) });
        let all = others(&world, first);
        let members = [first, all[0], all[1], voters];
        (0..4).for_each(|client| connect(&mut world, client, members[client]));
        let before = connections(&world);
        for round in 0..200_u8 {
            let writes = world.writes;
            (0..4).for_each(|client| begin_write(&mut world, client, round));
            wait_for_writes(&mut world, writes + 4);
        }
        assert!(world.leaders.count() > 8, "{} epochs", world.leaders.count());
        let step_downs = world.met.step_downs.keys().collect::<Vec<_>>();
        assert_eq!(step_downs.len(), 1, "{step_downs:?}");
        assert_eq!(connections(&world), before, "all are still connected");
        world.finish();
    }
}

/// As a server that stops does it, once its own clients are gone.
#[test]
fn leader_that_hands_over_costs_no_connection_of_others_and_no_write() {
    let (mut world, leader) = led(5, 0, 4);
    let all = others(&world, leader);
    (0..4).for_each(|client| connect(&mut world, client, all[client]));
    let before = connections(&world);
    write(&mut world, 0, 1);
    let writes = world.writes;
    for client in 0..4 {
        (0..3).for_each(|data| begin_write(&mut world, client, data));
    }
    wait(&mut world, 150);
    world.hand_over(leader);
    let next = wait_for_other(&mut world, leader);
    wait_for_writes(&mut world, writes + 12);
    assert_ne!(next, leader);
    assert_eq!(connections(&world), before, "all are still connected");
    world.finish();
}

/// All of them, for a bug that is planted.
#[cfg(feature = "plant")]
pub(crate) fn run_all() {
    write_that_waits_at_the_leader_when_its_link_is_lost_takes_effect_once();
    session_is_not_served_longer_than_its_timeout_when_no_leader_confirms_it();
}
