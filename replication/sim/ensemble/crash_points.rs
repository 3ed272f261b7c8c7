//! Short histories in which one process ends between two of its outputs: one history for each step
//! of each member. A step is a packet or notification that is read, a turn of the member, a group
//! that is handed to the log, what is sent to one learner, a connection that is opened or closed.
//! That a process ends at an operation of its disk is another dimension: see `elected_cases`.

use ringkeeper_engine::client::Request;
use ringkeeper_replication::ZabState;

use super::super::member::MemberId;
use super::members::Crash;
use super::world::World;

/// Virtual microseconds that a part of a history takes at most.
const LIMIT_US: u64 = 30_000_000;
const SECOND_US: u64 = 1_000_000;

/// What happens while the process may end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum History {
    /// New members choose a leader, and it serves.
    Election,
    /// Two clients write, one of a follower and one of the leader.
    Write,
    /// The leader's process ends, and another one takes over.
    Change,
    /// A leader that was cut off with a tail comes back.
    Rejoin,
}

/// How many histories there were.
pub(crate) fn end_at_steps(history: History, (first, stride): (usize, usize)) -> usize {
    let mut count = 0;
    for member in 0..3 {
        let mut steps = first;
        while end_at(history, member, steps) {
            count += 1;
            steps += stride;
        }
    }
    count
}

/// Plays a history in which a member's process ends after so many steps. Says whether it has come
/// to that.
pub(crate) fn end_at(history: History, member: MemberId, steps: usize) -> bool {
    let mut world = World::calm(3, 0, 2);
    let leader = world.prepare(history);
    let is_there = |world: &World| world.machines[member].process.is_some();
    world.run_while(LIMIT_US, |world| !is_there(world));
    let process = world.machines[member].process.as_mut().expect("it runs");
    process.steps_left = Some(steps);
    let before = world.machines[member].incarnation;
    world.play_history(history, leader);
    let has_ended = !is_there(&world) || world.machines[member].incarnation != before;
    let is_by_itself = history == History::Change && leader == Some(member);
    world.finish();
    has_ended && !is_by_itself
}

impl World {
    fn prepare(&mut self, history: History) -> Option<MemberId> {
        if history == History::Election {
            return None;
        }
        let leader = self.await_leader();
        let follower = (leader + 1) % 3;
        for (client, member) in [(0, follower), (1, leader)] {
            self.connect_client_to(client, member);
            self.run_while(LIMIT_US, |world| world.clients[client].client.is_connecting());
        }
        self.set(0, 1);
        self.settle();
        if history == History::Rejoin {
            self.leave_tail(leader, follower);
        }
        Some(leader)
    }

    /// The leader is cut off with what only itself has; another one leads.
    fn leave_tail(&mut self, leader: MemberId, follower: MemberId) {
        let until_us = self.now_us() + SECOND_US;
        for other in (0..3).filter(|id| *id != leader) {
            self.network.cut(leader, other, until_us);
            self.network.cut(other, leader, until_us);
        }
        (2..5).for_each(|data| self.set(1, data));
        let leads = |world: &World| world.leading().iter().any(|id| *id != leader);
        self.run_while(LIMIT_US, |world| !leads(world));
        if self.clients[0].connection.is_none() {
            self.connect_client_to(0, follower);
        }
        self.set(0, 5);
        self.run_until(until_us);
    }

    fn play_history(&mut self, history: History, leader: Option<MemberId>) {
        match history {
            History::Election | History::Rejoin => {}
            History::Write => [0, 1].into_iter().for_each(|client| self.set(client, 9)),
            History::Change => {
                let leader = leader.expect("it was prepared");
                if self.machines[leader].process.is_some() {
                    self.crash(leader, Crash::Process);
                }
            }
        }
        if history == History::Write {
            self.settle();
        } else {
            self.await_leader();
        }
        let end_us = self.now_us() + SECOND_US / 10;
        self.run_until(end_us);
    }

    /// Waits until one leads and all others follow it.
    fn await_leader(&mut self) -> MemberId {
        let is_led = |world: &World| {
            world.leading().len() == 1
                && world.machines.iter().all(|machine| {
                    machine.process.as_ref().is_some_and(|process| {
                        let state = process.port_ref().followed().state();
                        process.is_leading() || state == ZabState::Broadcast
                    })
                })
        };
        assert!(self.run_while(LIMIT_US, |world| !is_led(world)), "{}", self.what_moves());
        self.leading()[0]
    }

    /// Waits until all clients are answered, or a while.
    fn settle(&mut self) {
        let is_settled = |world: &World| world.clients.iter().all(|it| it.client.is_settled());
        self.run_while(SECOND_US, |world| !is_settled(world));
    }

    fn set(&mut self, client: usize, data: u8) {
        if self.clients[client].connection.is_some() {
            let request = Request::SetData { path: "/", data: Some(&[data]), version: -1 };
            self.request_of(client, &request);
        }
    }
}
