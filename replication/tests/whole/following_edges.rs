//! Single histories of a member whose leader sends a state, has another one, or is behind its own
//! commits, and of one whose disk is full.

use ringkeeper_engine::client::Request;
use ringkeeper_replication::learner::{
    FollowEnd, LearnerKind, LearnerOffer, RetryDelay, StateProgress,
};

use crate::following_cases::{KINDS, applied, is_served, met, offer, served, with_clients, write};
use crate::sim::leader::{Wrong, set_data};
use crate::sim::member::Process;
use crate::sim::world::World;
use crate::sim::world::members::Crash;

fn process(world: &World) -> &Process {
    world.members[0].process.as_ref().expect("it runs")
}

fn progress(world: &World) -> Option<StateProgress> {
    process(world).leader_ref().state_progress()
}

/// Whatever a disk is given from now on takes so long, in virtual milliseconds.
fn stall(world: &mut World, ms: u64) {
    world.members[0].stalled_us = world.now_us() + ms * 1_000;
}

/// The leader does this to its member, behind a transaction.
fn wrong(world: &mut World, wrong: Wrong) {
    world.is_honest = false;
    world.ensemble.wrong = Some(wrong);
    write(world);
    world.run_while(|world| met(world).diverged == 0);
}

/// The link is lost in the middle of a state. What makes a tree of it ends first; then the next
/// link gets a whole one.
fn abandoned_state_ends_before_the_next_link_begins() {
    let mut world = served(LearnerKind::Observer);
    let before = (met(&world).installs, process(&world).states.discarded);
    world.lose(0);
    world.ensemble.always_sends_state = true;
    stall(&mut world, 2_000);
    world.run_while(|world| progress(world).is_none());
    world.lose(0);
    world.run_while(|world| process(world).leader_ref().is_connected());
    assert_eq!(progress(&world), Some(StateProgress::Loading));
    world.run_until(world.now_us() + 1_000_000);
    assert!(!process(&world).leader_ref().can_connect(), "a load is under way");
    assert!(world.ensemble.links.is_empty() && met(&world).installs == before.0);
    world.run_while(|world| !is_served(world));
    assert_eq!((progress(&world), met(&world).installs), (None, before.0 + 1));
    let discarded = process(&world).states.discarded - before.1;
    assert!((1..=2).contains(&discarded), "the state before, and what was loaded: {discarded}");
    world.finish();
}

/// A divergence is known after a restart: nothing of the log is offered.
fn divergence_is_not_forgotten_in_a_restart() {
    let mut world = served(LearnerKind::Follower);
    world.ensemble.never_sends_state = true;
    stall(&mut world, 500);
    wrong(&mut world, Wrong::Digest);
    assert!(!process(&world).leader_ref().can_connect(), "it is not noted yet");
    world.run_while(|world| !process(world).leader_ref().can_connect());
    world.crash(0, Crash::Power);
    world.run_while(|world| world.members[0].process.is_none());
    assert_eq!(offer(&world), LearnerOffer::Nothing);
    world.ensemble.never_sends_state = false;
    world.ensemble.always_sends_state = true;
    world.run_while(|world| !is_served(world));
    assert_eq!(met(&world).installs, 1);
    world.crash(0, Crash::Power);
    world.run_while(|world| world.members[0].process.is_none());
    assert_eq!(offer(&world), LearnerOffer::Log, "the install erases the note");
    world.finish();
}

/// A transaction that does not fit the state is not applied, no client sees what there is of it,
/// and the leader's state comes.
fn misfit_is_followed_by_a_state() {
    for kind in KINDS {
        let mut world = with_clients(kind);
        let installs = met(&world).installs;
        wrong(&mut world, Wrong::Misfit);
        world.ensemble.always_sends_state = true;
        world.run_while(|world| world.clients.iter().any(|client| client.connection.is_some()));
        world.run_while(|world| !is_served(world));
        assert_eq!(met(&world).installs, installs + 1);
        (0..3).for_each(|client| world.connect_client(client));
        world.finish();
    }
}

/// A divergence that is found when the link has ended is reported all the same.
fn divergence_behind_the_end_of_a_link_is_reported() {
    for kind in KINDS {
        let mut world = served(kind);
        world.is_honest = false;
        world.ensemble.wrong = Some(Wrong::Digest);
        stall(&mut world, 500);
        let zxid = write(&mut world);
        world.ensemble.commit(1);
        world.run_while(|world| process(world).server.last() < zxid);
        world.run_until(world.now_us() + 20_000);
        world.lose(0);
        world.run_while(|world| process(world).leader_ref().is_connected());
        assert_eq!(met(&world).diverged, 0, "it is not durable");
        world.run_while(|world| met(world).diverged == 0);
        assert!(matches!(world.met.ends.last(), Some(FollowEnd::Diverged(_))));
        world.ensemble.always_sends_state = true;
        world.finish();
    }
}

/// A disk without space: the link is closed before anything is appended, clients read, and the
/// member comes back by itself.
fn full_disk_closes_the_link_until_there_is_space() {
    let mut world = with_clients(LearnerKind::Observer);
    world.swarm.faults.disk_full = 1;
    let connections = |world: &World| -> Vec<_> {
        world.clients.iter().map(|client| client.connection).collect()
    };
    let before = connections(&world);
    world.members[0].disk.set_capacity(Some(world.members[0].used_bytes()));
    for round in 0.. {
        assert!(round < 200, "no link ends");
        world.ensemble.write(set_data("/", &[7; 1_000]), world.leader_time());
        world.run_until(world.now_us() + 20_000);
        if met(&world).full > 0 {
            break;
        }
        world.members[0].process.as_mut().expect("it runs").idle();
    }
    let last = process(&world).server.last();
    assert!(last < world.ensemble.db.applied());
    world.run_until(world.now_us() + 500_000);
    let leader = process(&world).leader_ref();
    assert!(!leader.is_connected() && !leader.can_connect());
    let now = (process(&world).server.last(), met(&world).full);
    assert_eq!(now, (last, 1), "it is reported once");
    world.finish();
    assert_eq!(before, connections(&world), "and no client was cut off");
}

/// A leader is found between the commit of a transaction and its own applying of it.
fn leader_behind_its_own_commit_has_lost_nothing() {
    for kind in KINDS {
        for lag in [1, 2] {
            let mut world = served(kind);
            world.swarm.lags = 1;
            let _ = write(&mut world);
            let last = write(&mut world);
            world.run_while(|world| applied(world) < last);
            let (behind, installs) = (met(&world).behind, met(&world).installs);
            world.lose(0);
            world.ensemble.lag = lag;
            world.run_while(|world| met(world).behind == behind);
            assert_eq!(applied(&world), last);
            world.run_while(|world| !is_served(world));
            assert_eq!(met(&world).installs, installs, "a DIFF follows");
            world.finish();
        }
    }
}

/// All cases, for planted bugs.
#[cfg(feature = "plant")]
pub(crate) fn run_all() {
    abandoned_state_ends_before_the_next_link_begins();
    divergence_is_not_forgotten_in_a_restart();
    misfit_is_followed_by_a_state();
    divergence_behind_the_end_of_a_link_is_reported();
    full_disk_closes_the_link_until_there_is_space();
    leader_behind_its_own_commit_has_lost_nothing();
}

#[test]
fn link_lost_within_a_state_leaves_nothing_of_it() {
    abandoned_state_ends_before_the_next_link_begins();
}

#[test]
fn divergence_is_known_after_a_restart() {
    divergence_is_not_forgotten_in_a_restart();
}

#[test]
fn transaction_that_does_not_fit_the_state_is_followed_by_a_state() {
    misfit_is_followed_by_a_state();
}

#[test]
fn divergence_that_is_found_without_a_link_is_reported() {
    divergence_behind_the_end_of_a_link_is_reported();
}

#[test]
fn learner_with_a_full_disk_leaves_and_comes_back() {
    full_disk_closes_the_link_until_there_is_space();
}

#[test]
fn leader_that_has_not_applied_its_commits_is_tried_again() {
    leader_behind_its_own_commit_has_lost_nothing();
}

/// The state of a server that cannot go on from its log does not come: it says so, what to do the
/// second time, and no more after that.
#[test]
fn state_that_does_not_come_is_waited_for_at_long_intervals() {
    let mut world = served(LearnerKind::Observer);
    world.ensemble.never_sends_state = true;
    wrong(&mut world, Wrong::Digest);
    for (times, delay) in [(1, RetryDelay::Usual), (2, RetryDelay::Long), (3, RetryDelay::Long)] {
        world.run_while(|world| met(world).withheld < times);
        let end = FollowEnd::NoState(times as u32);
        assert_eq!((end.retry_delay(), end.is_repeated()), (delay, times == 3));
        assert_eq!(end.to_string().contains("start it on an empty directory"), times > 1);
        assert_eq!(world.met.ends.last(), Some(&end));
    }
    world.ensemble.never_sends_state = false;
    world.ensemble.always_sends_state = true;
    let installs = met(&world).installs;
    world.run_while(|world| !is_served(world));
    assert_eq!(met(&world).installs, installs + 1);
    world.finish();
}

/// Bytes of the leader that wait in the socket.
fn arrived(world: &World) -> usize {
    world.members[0].link.as_ref().map_or(0, |link| link.arrived.len())
}

/// A member without a leader; the next one sends a state of three MiB.
fn before_a_large_state(kind: LearnerKind) -> World {
    let mut world = served(kind);
    world.lose(0);
    world.ensemble.write(set_data("/", &vec![7; 3 << 20]), world.leader_time());
    world.ensemble.commit(1);
    world.ensemble.always_sends_state = true;
    world
}

/// A state is not kept in memory as bytes: what the tree is not made of yet waits in the socket.
#[test]
fn bytes_of_a_state_wait_in_the_socket_while_nothing_takes_them() {
    let mut world = before_a_large_state(LearnerKind::Follower);
    stall(&mut world, 2_000);
    world.run_while(|world| progress(world).is_none() || arrived(world) < 1 << 20);
    world.run_until(world.now_us() + 500_000);
    let Some(StateProgress::Receiving(_, bytes)) = progress(&world) else { panic!("no state") };
    assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
    assert!(!process(&world).leader_ref().wants_bytes() && arrived(&world) > 1 << 20);
    world.finish();
}

/// What makes a tree of the state finds out before all of it has come.
#[test]
fn load_that_fails_before_the_end_of_a_state_ends_the_link() {
    let mut world = served(LearnerKind::Observer);
    let before = (applied(&world), met(&world).installs);
    world.lose(0);
    // What is damaged comes before it.
    let write = set_data("/zookeeper/quota", &vec![7; 2 << 20]);
    world.ensemble.write(write, world.leader_time());
    world.ensemble.commit(1);
    world.is_honest = false;
    world.ensemble.always_sends_state = true;
    world.ensemble.wrong = Some(Wrong::State);
    stall(&mut world, 2_000);
    world.run_while(|world| progress(world).is_none() || arrived(world) < 100_000);
    let link = world.members[0].link.as_mut().expect("it is linked");
    link.arrived.clear();
    link.to_member.clog(u64::MAX / 2);
    assert!(matches!(progress(&world), Some(StateProgress::Receiving(..))));
    world.run_while(|world| met(world).not_installed == 0);
    let after = (applied(&world), met(&world).installs);
    assert_eq!((after, progress(&world)), (before, None));
    world.finish();
}

/// The answers to pings name the sessions that were heard of here: those live, and no others.
#[test]
fn session_whose_client_is_heard_of_outlives_its_timeout_and_no_other_does() {
    for kind in KINDS {
        let mut world = with_clients(kind);
        let sessions: Vec<_> = world.clients.iter().map(|client| client.session()).collect();
        world.keeps_pinging = true;
        for second in 1..20 {
            world.clients[0].client.send(&Request::Ping);
            world.upload(0);
            world.run_until(world.now_us() + 1_000_000);
            let lives = |session| world.ensemble.db.sessions().any(|(id, _)| id == session);
            assert!(lives(sessions[0]), "its client was heard of");
            assert!(second > 4 || (lives(sessions[1]) && lives(sessions[2])), "it is too early");
        }
        assert_eq!((world.ensemble.db.sessions().count(), world.ensemble.seen.expired), (1, 2));
        assert!(world.clients[1].connection.is_none() && world.clients[0].connection.is_some());
        world.keeps_pinging = false;
        world.finish();
    }
}
