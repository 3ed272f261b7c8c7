//! Single histories of a member with its leaders, which random ones seldom come to.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::client::Request;
use ringkeeper_engine::device::Fault as DiskFault;
use ringkeeper_replication::learner::{FollowEnd, LearnerKind, LearnerOffer, ZabState};

use crate::sim::leader::{Wrong, set_data};
use crate::sim::world::World;

pub(crate) const KINDS: [LearnerKind; 2] = [LearnerKind::Observer, LearnerKind::Follower];

/// A member that nothing has happened to, whose leader serves it.
pub(crate) fn served(kind: LearnerKind) -> World {
    let mut world = World::calm(kind);
    world.run_while(|world| !is_served(world));
    world
}

pub(crate) fn is_served(world: &World) -> bool {
    world.members[0].process.as_ref().is_some_and(|process| {
        process.leader_ref().state() == ZabState::Broadcast && process.leader_ref().is_connected()
    })
}

/// Another server's client writes.
pub(crate) fn write(world: &mut World) -> Zxid {
    let now = world.leader_time();
    world.ensemble.write(set_data("/", b"x"), now);
    world.ensemble.db.applied()
}

pub(crate) fn applied(world: &World) -> Zxid {
    world.members[0].process.as_ref().expect("it runs").server.db().applied()
}

pub(crate) fn met(world: &World) -> crate::sim::member::Met {
    world.members[0].process.as_ref().expect("it runs").met
}

pub(crate) fn offer(world: &World) -> LearnerOffer {
    world.members[0].process.as_ref().expect("it runs").leader_ref().position().offer
}

/// What the leader does next is wrong, and it commits behind that. The member does not hear the
/// commit, and the next link brings nothing new. It is committed all the same.
fn commit_behind_a_wrong_answer_is_applied_with_the_next_leader() {
    let mut world = served(LearnerKind::Follower);
    world.holds_commits = true;
    let zxid = write(&mut world);
    world.run_while(|world| world.members[0].record.borrow().durable() < zxid);
    assert!(applied(&world) < zxid, "it is not committed");
    world.is_honest = false;
    world.ensemble.wrong = Some(Wrong::Sync);
    world.ensemble.do_wrong();
    world.ensemble.commit(1);
    world.holds_commits = false;
    world.run_while(|world| met(world).faults == 0);
    world.finish();
    assert_eq!(world.ensemble.truth.last().map(|txn| txn.zxid), Some(zxid));
}

/// A digest that is not true: nothing more is applied, and the next leader sends its state.
fn divergence_is_followed_by_a_state() {
    for kind in KINDS {
        let mut world = served(kind);
        world.is_honest = false;
        world.ensemble.wrong = Some(Wrong::Digest);
        let (snaps, installs) = (world.ensemble.seen.snaps, met(&world).installs);
        write(&mut world);
        world.run_while(|world| met(world).diverged == 0);
        assert_eq!(offer(&world), LearnerOffer::Nothing);
        world.ensemble.always_sends_state = true;
        world.run_while(|world| met(world).installs == installs);
        assert_eq!(world.ensemble.seen.snaps, snaps + 1);
        assert_eq!(offer(&world), LearnerOffer::Log);
        world.finish();
    }
}

/// Connections outlive a leader that is lost and found with a DIFF.
fn clients_stay_connected_through_a_change_of_leaders() {
    let mut world = with_clients(LearnerKind::Observer);
    let before: Vec<_> = world.clients.iter().map(|client| client.connection).collect();
    assert!(before.iter().all(Option::is_some));
    world.change_leader();
    world.run_while(|world| world.ensemble.seen.served < 2 || !is_served(world));
    let after: Vec<_> = world.clients.iter().map(|client| client.connection).collect();
    assert_eq!(before, after);
    world.finish();
}

/// A link ends right behind UPTODATE. What its node then sends was meant for it, and does not go to
/// the next one.
fn requests_of_a_link_that_has_ended_are_not_sent_to_the_next() {
    let mut world = with_clients(LearnerKind::Follower);
    for round in 0..40_u8 {
        world.lose(0);
        for client in 0..world.clients.len() {
            let data = Some(&[round][..]);
            let request = Request::SetData { path: "/", data, version: -1 };
            world.clients[client].client.send(&request);
            world.upload(client);
        }
        let served = world.ensemble.seen.served;
        world.run_while(|world| world.ensemble.seen.served == served);
        world.lose(0);
        world.run_while(|world| !is_served(world));
        for client in 0..world.clients.len() {
            if world.clients[client].connection.is_none() {
                world.connect_client(client);
            }
        }
    }
    world.finish();
}

pub(crate) fn with_clients(kind: LearnerKind) -> World {
    let mut world = World::calm_with_clients(kind, 3);
    world.run_while(|world| !is_served(world));
    (0..3).for_each(|client| world.connect_client(client));
    world.run_while(|world| world.clients.iter().any(|client| client.session().0 == 0));
    world
}

/// All cases, for planted bugs.
#[cfg(feature = "plant")]
pub(crate) fn run_all() {
    commit_behind_a_wrong_answer_is_applied_with_the_next_leader();
    divergence_is_followed_by_a_state();
    clients_stay_connected_through_a_change_of_leaders();
    requests_of_a_link_that_has_ended_are_not_sent_to_the_next();
    crate::following_edges::run_all();
}

#[test]
fn commit_that_was_dropped_with_a_fault_is_applied_with_the_next_leader() {
    commit_behind_a_wrong_answer_is_applied_with_the_next_leader();
}

#[test]
fn state_that_differs_is_replaced_by_the_leaders() {
    divergence_is_followed_by_a_state();
}

#[test]
fn clients_of_a_member_stay_when_it_finds_the_next_leader_by_diff() {
    clients_stay_connected_through_a_change_of_leaders();
}

#[test]
fn requests_behind_the_end_of_a_link_wait_for_the_next_one() {
    requests_of_a_link_that_has_ended_are_not_sent_to_the_next();
}

#[test]
fn first_link_of_an_empty_member_installs_the_leaders_state() {
    let mut world = World::calm(LearnerKind::Observer);
    world.ensemble.always_sends_state = true;
    world.run_while(|world| !is_served(world));
    assert_eq!((world.ensemble.seen.snaps, met(&world).installs), (1, 1));
    world.finish();
}

/// The link stops reading while its node is behind. What has come by then goes on as soon as the
/// node has caught up: it does not wait for the next tick, and for no flush.
#[test]
fn packets_that_waited_for_their_node_wake_it() {
    let mut world = served(LearnerKind::Follower);
    world.holds_commits = true;
    let last = (0..200).map(|_| write(&mut world)).last().expect("there are some");
    world.run_while(|world| world.members[0].record.borrow().durable() < last);
    let begin_us = world.now_us();
    // Each ping takes the link further, and its answer none of the node's work.
    (0..200).for_each(|_| world.ensemble.ping());
    let last = (0..200).map(|_| write(&mut world)).last().expect("there are some");
    world.ensemble.commit(usize::MAX);
    world.run_while(|world| applied(world) < last);
    let took_us = world.now_us() - begin_us;
    assert!(took_us < 45_000, "{took_us} us");
    world.holds_commits = false;
    world.finish();
}

/// Bytes that are no packet end the link, and nothing else.
#[test]
fn garbage_of_a_leader_ends_the_link_alone() {
    let mut world = served(LearnerKind::Observer);
    let snaps = world.ensemble.seen.snaps;
    world.is_honest = false;
    world.ensemble.wrong = Some(Wrong::Garbage);
    world.ensemble.do_wrong();
    world.run_while(|world| met(world).refused_links == 0);
    world.finish();
    assert_eq!(world.ensemble.seen.snaps, snaps, "a DIFF follows");
}

/// A state that is none ends the link, and the one before stays.
#[test]
fn state_that_is_damaged_is_not_installed() {
    let mut world = served(LearnerKind::Follower);
    let (before, installs) = (applied(&world), met(&world).installs);
    world.is_honest = false;
    world.ensemble.always_sends_state = true;
    world.ensemble.wrong = Some(Wrong::State);
    world.lose(0);
    world.run_while(|world| met(world).not_installed == 0);
    assert_eq!((applied(&world), met(&world).installs), (before, installs));
    world.finish();
}

/// The first answer to a ping names every session of a client here, and the next one those that
/// were heard of since.
#[test]
fn ping_is_answered_with_the_sessions_of_clients_here() {
    let mut world = with_clients(LearnerKind::Observer);
    world.ensemble.ping();
    world.run_while(|world| world.ensemble.seen.pings == 0);
    let mut sessions: Vec<_> = world.clients.iter().map(|client| client.session()).collect();
    let mut touched = std::mem::take(&mut world.ensemble.seen.touched);
    sessions.sort_unstable();
    touched.sort_unstable();
    assert_eq!(touched, sessions);
    world.ensemble.ping();
    world.run_while(|world| world.ensemble.seen.pings == 1);
    assert!(world.ensemble.seen.touched.is_empty());
}

/// The leader of an empty ensemble sends the beginning of its epoch, which is no transaction.
#[test]
fn empty_ensemble_is_followed_into_later_epochs() {
    for kind in KINDS {
        for always_sends_state in [false, true] {
            let mut world = World::calm_of_empty(kind);
            world.ensemble.always_sends_state = always_sends_state;
            world.run_while(|world| !is_served(world));
            assert_eq!(met(&world).installs, usize::from(always_sends_state));
            world.lose(0);
            world.run_while(|world| world.ensemble.seen.served < 2 || !is_served(world));
            world.change_leader();
            world.run_while(|world| world.ensemble.seen.served < 3 || !is_served(world));
            let zxid = write(&mut world);
            world.finish();
            assert_eq!(world.ensemble.truth.last().map(|txn| txn.zxid), Some(zxid));
            assert!(zxid.counter() == 1 && zxid.epoch() > 1, "{zxid}");
        }
    }
}

/// A leader that wants what is committed to be cut has lost it: nothing is changed.
#[test]
fn leader_that_has_lost_what_is_committed_changes_nothing() {
    for kind in KINDS {
        let mut world = served(kind);
        let zxid = write(&mut world);
        world.run_while(|world| applied(world) < zxid);
        let digest = world.members[0].process.as_ref().map(|it| it.server.db().tree.digest());
        world.is_honest = false;
        world.forget_committed(1);
        let is_fatal = |end: &FollowEnd| end.is_fatal();
        world.run_while(|world| !world.met.ends.iter().any(is_fatal));
        assert_eq!(applied(&world), zxid);
        let process = world.members[0].process.as_ref();
        assert_eq!(process.map(|it| it.server.db().tree.digest()), digest);
        assert_eq!(world.members[0].record.borrow().durable(), zxid);
    }
}

/// A short history with everything in it: a DIFF, a TRUNC, a SNAP, epochs, flushes.
fn short_history(world: &mut World) {
    for round in 0..12 {
        world.run_until(world.now_us() + 30_000);
        world.holds_commits = round % 2 == 1;
        world.ensemble.establish();
        let _ = [write(world), write(world)];
        world.run_until(world.now_us() + 10_000);
        world.ensemble.always_sends_state = round % 4 == 2;
        world.change_leader();
        world.holds_commits = false;
    }
    world.ensemble.always_sends_state = false;
    world.finish();
}

/// Wherever the process ends, between two steps of a turn or at an operation of its disk: what was
/// promised and acknowledged is there, and everything comes to rest.
#[test]
fn crash_at_any_point_of_a_short_history_loses_nothing() {
    for kind in KINDS {
        let mut ended = [0, 0];
        for point in 0.. {
            let mut world = served(kind);
            let process = world.members[0].process.as_mut().expect("it runs");
            process.steps_left = Some(point);
            short_history(&mut world);
            if world.met.crashes == 0 {
                break;
            }
            ended[0] += 1;
        }
        for point in 0.. {
            let mut world = World::calm(kind);
            world.members[0].disk.fail_at(point, DiskFault::Crash);
            short_history(&mut world);
            if world.met.crashes + world.met.refused_starts == 0 {
                break;
            }
            ended[1] += 1;
        }
        assert!(ended[0] > 100 && ended[1] > 50, "{kind:?} ends at {ended:?} points");
    }
}
