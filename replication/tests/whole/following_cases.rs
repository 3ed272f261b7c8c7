//! Single conversations of a member with its leaders, which random ones seldom come to.

use ringkeeper_engine::Zxid;
use ringkeeper_replication::learner::{
    FollowEnd, LearnerKind, LearnerOffer, LinkEnd, RetryDelay, StateProgress, ZabState,
};
use ringkeeper_replication::{LeaderFault, WriteAdmission};

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

/// The link is lost in the middle of a state. What makes a tree of it ends first; then the next
/// link gets a whole one.
fn abandoned_state_ends_before_the_next_link_begins() {
    let mut world = served(LearnerKind::Observer);
    world.lose();
    world.ensemble.always_sends_state = true;
    turn_until_receiving(&mut world);
    world.lose();
    turn_without_states(&mut world);
    assert!(!world.leader().can_connect(), "a load is under way");
    assert_eq!(world.leader().state_progress(), Some(StateProgress::Loading));
    world.connect();
    assert!(world.ensemble.link.is_none());
    world.states.work();
    world.follow();
    assert_eq!(world.leader().state_progress(), None);
    assert!(world.leader().can_connect());
    assert_eq!(world.met.installs, 1, "the one of the first link");
    world.finish();
    assert_eq!(world.met.installs, 2);
    assert_eq!(world.states.discarded, 2, "the states before");
}

/// A divergence is known after a restart: nothing of the log is offered.
fn divergence_is_not_forgotten_in_a_restart() {
    let mut world = served(LearnerKind::Follower);
    world.ensemble.spoils_digest = true;
    write(&mut world.ensemble);
    world.ensemble.commit(1);
    world.has_accidents = true;
    turn_until(&mut world, |world| world.met.diverged == 1);
    assert!(!world.leader().can_connect(), "it is not noted yet");
    world.server.sync();
    world.server.release();
    world.follow();
    assert!(world.leader().can_connect());
    world.crash();
    assert_eq!(world.leader().position().offer, LearnerOffer::Nothing);
    world.ensemble.always_sends_state = true;
    world.finish();
    assert_eq!(world.met.installs, 2);
    world.crash();
    assert_eq!(world.leader().position().offer, LearnerOffer::Log, "the install erases the note");
    world.finish();
}

/// A transaction that does not fit the state is not applied, no client sees what there is of it,
/// and the leader's state comes.
fn misfit_is_followed_by_a_state() {
    let mut world = served(LearnerKind::Follower);
    world.connect_clients();
    world.finish();
    world.ensemble.spoils_txn = true;
    write(&mut world.ensemble);
    world.ensemble.commit(1);
    world.has_accidents = true;
    turn_until(&mut world, |world| world.met.diverged == 1);
    world.ensemble.always_sends_state = true;
    world.finish();
    assert_eq!(world.met.installs, 2);
}

/// A disk without space: the link is closed before anything is appended, clients read, and the
/// member comes back by itself.
fn full_disk_closes_the_link_until_there_is_space() {
    let mut world = served(LearnerKind::Observer);
    world.connect_clients();
    world.finish();
    let before: Vec<_> = world.clients.iter().map(|client| client.at).collect();
    world.has_accidents = true;
    world.server.set_admission(WriteAdmission::CloseOnly);
    (0..5).for_each(|_| turn(&mut world));
    assert!(world.leader().is_connected(), "nothing is to be appended");
    let last = world.server.last();
    write(&mut world.ensemble);
    world.ensemble.commit(1);
    turn_until(&mut world, |world| world.met.full == 1);
    (0..5).for_each(|_| turn(&mut world));
    assert!(!world.leader().is_connected() && !world.leader().can_connect());
    assert_eq!((world.server.last(), world.met.full), (last, 1), "it is said once");
    world.finish();
    let after: Vec<_> = world.clients.iter().map(|client| client.at).collect();
    assert_eq!(before, after, "and nobody was cut off");
}

/// A leader is asked between the commit of a transaction and its own applying of it.
fn leader_behind_its_own_commit_has_lost_nothing() {
    for kind in [LearnerKind::Observer, LearnerKind::Follower] {
        for lag in [1, 2] {
            let mut world = served(kind);
            for _ in 0..2 {
                write(&mut world.ensemble);
            }
            world.ensemble.commit(2);
            world.finish();
            let applied = world.server.db().applied();
            world.has_accidents = true;
            world.lose();
            world.ensemble.lag = lag;
            turn_until(&mut world, |world| world.met.behind == 1);
            assert_eq!(world.server.db().applied(), applied);
            world.finish();
            assert_eq!(world.met.installs, 1, "the one of the first link");
        }
    }
}

/// Some bytes of a state have come, and not all.
fn turn_until_receiving(world: &mut World) {
    for _ in 0..100 {
        turn_without_states(world);
        let limits = (world.leader().state_progress(), world.leader().wants_bytes());
        if let (Some(StateProgress::Receiving(_, bytes)), true) = limits
            && bytes > 100
        {
            return;
        }
        world.deliver(60);
    }
    panic!("no state comes");
}

/// As [`turn`], but the bytes of a state come only as the test delivers them, and nothing takes
/// them.
fn turn_without_states(world: &mut World) {
    world.connect();
    world.ensemble.serve();
    world.take_all();
    if world.leader().state_progress().is_none() {
        world.deliver(60);
    }
    world.server.release();
    world.follow();
    world.server.order(usize::MAX);
    world.server.sync();
}

/// All cases, for planted bugs.
#[cfg(feature = "plant")]
pub(crate) fn run_all() {
    commit_behind_a_wrong_answer_is_applied_with_the_next_leader();
    divergence_is_followed_by_a_state();
    abandoned_state_ends_before_the_next_link_begins();
    divergence_is_not_forgotten_in_a_restart();
    misfit_is_followed_by_a_state();
    full_disk_closes_the_link_until_there_is_space();
    leader_behind_its_own_commit_has_lost_nothing();
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
    world.ensemble.spoils_digest = true;
    write(&mut world.ensemble);
    world.ensemble.commit(1);
    world.has_accidents = true;
    turn_until(&mut world, |world| world.met.diverged == 1);
    world.ensemble.never_sends_state = true;
    for (times, delay) in [(1, RetryDelay::Usual), (2, RetryDelay::Long), (3, RetryDelay::Long)] {
        turn_until(&mut world, |world| world.met.withheld == times);
        let end = FollowEnd::NoState(times as u32);
        assert_eq!((end.retry_delay(), end.is_repeated()), (delay, times == 3));
        assert_eq!(end.to_string().contains("start it on an empty directory"), times > 1);
        assert_eq!(world.met.last_end, Some(end));
    }
    world.ensemble.never_sends_state = false;
    world.ensemble.always_sends_state = true;
    world.finish();
    assert_eq!(world.met.installs, 2);
}

#[test]
fn link_lost_within_a_state_leaves_nothing_of_it() {
    abandoned_state_ends_before_the_next_link_begins();
}

/// A state is not kept in memory as bytes: what the tree is not made of yet waits in the socket.
#[test]
fn bytes_of_a_state_wait_in_the_socket_while_nothing_takes_them() {
    let mut world = served(LearnerKind::Follower);
    world.lose();
    world.ensemble.write(set_data("/", &vec![7; 5 << 20]), crate::server::NOW.wall);
    world.ensemble.commit(1);
    world.ensemble.always_sends_state = true;
    turn_until_receiving(&mut world);
    let is_received = |world: &mut World| {
        !matches!(world.leader().state_progress(), Some(StateProgress::Receiving(..)))
    };
    let mut stops = Vec::new();
    while !is_received(&mut world) {
        let mut steps = 0;
        while world.leader().wants_bytes() && !is_received(&mut world) {
            let link = world.ensemble.link.as_mut().expect("it is connected");
            let bytes: Vec<u8> = link.bytes.drain(..60_000.min(link.bytes.len())).collect();
            world.leader().received(&bytes);
            world.follow();
            steps += 1;
        }
        assert!(steps > 0, "what is staged moves on when there is space");
        stops.push(steps * 60_000);
        world.states.work();
        world.follow();
    }
    let most = 2 * (1 << 20);
    assert!(stops.len() > 3 && stops.iter().all(|bytes| *bytes < most), "{stops:?}");
    world.finish();
    assert_eq!(world.server.db().tree.digest(), world.ensemble.db.tree.digest());
}

/// What makes a tree of the state finds out before all of it has come.
#[test]
fn load_that_fails_before_the_end_of_a_state_ends_the_link() {
    let mut world = served(LearnerKind::Observer);
    world.has_accidents = true;
    world.lose();
    world.ensemble.always_sends_state = true;
    turn_until_receiving(&mut world);
    turn_without_states(&mut world);
    world.states.breaks_load = true;
    world.states.work();
    world.follow();
    assert_eq!((world.met.not_installed, world.leader().state_progress()), (1, None));
    world.finish();
    assert_eq!(world.met.installs, 2);
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
