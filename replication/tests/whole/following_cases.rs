//! Single conversations of a member with its leaders, which random ones seldom come to.

use ringkeeper_engine::Zxid;
use ringkeeper_replication::LeaderFault;
use ringkeeper_replication::learner::{FollowEnd, LearnerKind, LearnerOffer, LinkEnd, ZabState};

use crate::ensemble::{Ensemble, Stage};
use crate::member::{World, set_data};

/// A member that nothing has happened to, whose leader serves it.
fn served(kind: LearnerKind) -> World {
    let mut world = World::of(kind);
    turn_until(&mut world, |world| world.leader().state() == ZabState::Broadcast);
    turn(&mut world);
    world
}

/// Everything moves once, but the leader commits nothing.
fn turn(world: &mut World) {
    world.connect();
    world.ensemble.serve();
    world.take_all();
    world.deliver_all();
    world.states.work();
    world.server.release();
    world.follow();
    world.server.order(usize::MAX);
    world.server.sync();
    world.serve_all();
}

fn turn_until(world: &mut World, is_reached: impl Fn(&mut World) -> bool) {
    for _ in 0..100 {
        if is_reached(world) {
            return;
        }
        turn(world);
    }
    panic!("it is never reached: {:?}", world.leader().state());
}

fn write(ensemble: &mut Ensemble) -> Zxid {
    ensemble.write(set_data("/", b"x"), crate::server::NOW.wall);
    ensemble.db.applied()
}

/// The leader's answer is wrong, and what it committed behind that is not heard. It is committed
/// all the same.
fn commit_behind_a_wrong_answer_is_applied_with_the_next_leader() {
    let mut world = served(LearnerKind::Follower);
    let zxid = write(&mut world.ensemble);
    (0..3).for_each(|_| turn(&mut world));
    assert_eq!(world.server.durable(), zxid);
    assert!(world.server.db().applied() < zxid, "it is not committed");
    world.ensemble.answer_nothing();
    world.ensemble.commit(1);
    world.has_accidents = true;
    world.deliver_all();
    world.server.order(usize::MAX);
    let end = world.leader().take_end();
    let sync = LeaderFault::OutOfOrder("a sync");
    assert_eq!(end, Some(FollowEnd::Fault(sync)));
    world.ensemble.disconnect(&[]);
    world.finish();
    assert_eq!(world.server.db().applied(), zxid);
}

/// A digest that is not true: nothing more is applied, and the next leader sends its state.
fn divergence_is_followed_by_a_state() {
    let mut world = served(LearnerKind::Observer);
    world.ensemble.spoils_digest = true;
    let zxid = write(&mut world.ensemble);
    world.ensemble.commit(1);
    world.has_accidents = true;
    turn_until(&mut world, |world| world.met.diverged == 1);
    assert_eq!(world.leader().position().offer, LearnerOffer::Nothing);
    let snaps = world.ensemble.seen.snaps;
    world.ensemble.always_sends_state = true;
    world.finish();
    assert_eq!(world.ensemble.seen.snaps, snaps + 1);
    assert_eq!(world.leader().position().offer, LearnerOffer::Log);
    assert_eq!(world.server.db().applied(), zxid);
}

/// All cases, for planted bugs.
#[cfg(feature = "plant")]
pub(crate) fn run_all() {
    commit_behind_a_wrong_answer_is_applied_with_the_next_leader();
    divergence_is_followed_by_a_state();
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
fn first_link_of_an_empty_member_installs_the_leaders_state() {
    let mut world = served(LearnerKind::Observer);
    assert_eq!((world.ensemble.seen.snaps, world.met.installs), (1, 1));
    assert_eq!(world.server.db().tree.digest(), world.ensemble.db.tree.digest());
    assert_eq!(world.ensemble.link.as_ref().map(|link| link.stage), Some(Stage::Serving));
    world.finish();
}

/// Bytes that are no packet end the link, and nothing else.
#[test]
fn garbage_of_a_leader_ends_the_link_alone() {
    let mut world = served(LearnerKind::Observer);
    let digest = world.server.db().tree.digest();
    world.leader().received(&[0xff; 40]);
    let end = world.leader().take_end();
    assert!(matches!(end, Some(FollowEnd::Link(LinkEnd::Malformed(_)))), "{end:?}");
    assert!(!world.leader().is_connected() && !world.leader().wants_bytes());
    assert_eq!(world.server.db().tree.digest(), digest);
    world.ensemble.disconnect(&[]);
    world.finish();
    assert_eq!(world.ensemble.seen.snaps, 1, "a DIFF follows");
}

/// What the node has not taken is bounded: the leader's bytes wait in the socket.
#[test]
fn node_that_is_behind_stops_the_reading_of_the_link() {
    let mut world = served(LearnerKind::Observer);
    for _ in 0..100 {
        write(&mut world.ensemble);
    }
    world.ensemble.commit(100);
    let limit = world.limits.event_bytes_max;
    world.deliver_all();
    let left = world.ensemble.link.as_ref().map_or(0, |link| link.bytes.len());
    assert!(!world.leader().wants_bytes(), "100 events take more than {limit} bytes");
    world.deliver_all();
    assert_eq!(world.ensemble.link.as_ref().map_or(0, |link| link.bytes.len()), left);
    world.finish();
}

/// The first answer to a ping names every session of a client here, and the next one those that
/// were heard of since.
#[test]
fn ping_is_answered_with_the_sessions_of_clients_here() {
    let mut world = served(LearnerKind::Observer);
    world.connect_clients();
    world.finish();
    let sessions = world.sessions();
    assert!(!sessions.is_empty());
    world.ensemble.ping();
    world.finish();
    let mut touched = std::mem::take(&mut world.ensemble.seen.touched);
    touched.sort_unstable();
    assert_eq!(touched, sessions);
    world.ensemble.ping();
    world.finish();
    assert_eq!((world.ensemble.seen.pings, world.ensemble.seen.touched.len()), (2, 0));
}

/// Connections outlive a leader that is lost and found with a DIFF.
#[test]
fn clients_stay_connected_through_a_change_of_leaders() {
    let mut world = served(LearnerKind::Observer);
    world.connect_clients();
    world.finish();
    let before: Vec<_> = world.clients.iter().map(|client| client.at).collect();
    world.change_leader();
    world.finish();
    assert!(world.ensemble.seen.diffs > 0 && before.iter().all(Option::is_some));
    let after: Vec<_> = world.clients.iter().map(|client| client.at).collect();
    assert_eq!(before, after);
}

/// A state that is none ends the link, and the one before stays.
#[test]
fn state_that_is_damaged_is_not_installed() {
    let mut world = served(LearnerKind::Follower);
    let digest = world.server.db().tree.digest();
    world.has_accidents = true;
    world.lose();
    world.ensemble.always_sends_state = true;
    world.ensemble.spoils_state = true;
    turn_until(&mut world, |world| world.met.not_installed == 1);
    assert_eq!(world.server.db().tree.digest(), digest);
    assert_eq!(world.met.installs, 1, "the one of the first link");
    world.finish();
    assert_eq!(world.met.installs, 2);
}

/// The leader of an empty ensemble sends the beginning of its epoch, which is no transaction.
#[test]
fn empty_ensemble_is_followed_into_later_epochs() {
    for kind in [LearnerKind::Observer, LearnerKind::Follower] {
        for always_sends_state in [false, true] {
            let mut world = World::of_empty(kind);
            world.ensemble.always_sends_state = always_sends_state;
            world.finish();
            assert_eq!(world.met.installs, usize::from(always_sends_state));
            world.lose();
            world.finish();
            world.change_leader();
            world.finish();
            let zxid = write(&mut world.ensemble);
            world.finish();
            assert_eq!((zxid.counter(), world.server.db().applied()), (1, zxid));
            assert!(zxid.epoch() > 1, "{zxid}");
        }
    }
}
