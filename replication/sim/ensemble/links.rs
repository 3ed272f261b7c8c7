//! What goes on between members.

use ringkeeper_engine::session::ServerId;

use super::super::member::{Incarnation, MemberId};
use super::network::{ProcessId, QuorumLink};
use super::process::{Arrived, Done, Process};
use super::world::{Event, World};

/// The longest time between two attempts to open an election connection.
const ELECT_US: u64 = 20_000;
/// The longest time until an attempt to connect fails, where nobody answers.
const TIMEOUT_US: u64 = 300_000;
/// The longest time until the end of a connection is heard of, where it is half open.
const HALF_OPEN_US: u64 = 500_000;

/// A member by its number.
fn member_of(server: ServerId) -> MemberId {
    usize::from(server.0) - 1
}

fn server_of(member: MemberId) -> ServerId {
    ServerId(u8::try_from(member + 1).expect("there are few members"))
}

impl World {
    /// A process, if it is still the one of its member.
    pub(crate) fn process_of(&mut self, (member, incarnation): ProcessId) -> Option<&mut Process> {
        let machine = &mut self.machines[member];
        machine.process.as_mut().filter(|_| machine.incarnation == incarnation)
    }

    fn latency_us(&mut self) -> u64 {
        let latency = self.swarm.latency;
        latency.least_us + self.streams.network.micros(latency.spread_us)
    }

    /// Something is on its way to a process.
    pub(crate) fn send_at(&mut self, at_us: u64, to: ProcessId, arrived: Arrived) {
        self.sent += 1;
        self.under_way.insert(self.sent, (to.0, to.1, arrived));
        self.schedule.at(at_us, Event::Arrive(self.sent));
    }

    pub(crate) fn on_arrive(&mut self, number: u64) {
        let Some((member, incarnation, arrived)) = self.under_way.remove(&number) else { return };
        if let Arrived::Notified(_, bytes) = &arrived {
            self.schedule.trace_bytes(bytes);
        }
        let dialed = match &arrived {
            Arrived::Dialed(_, link) => Some(*link),
            _ => None,
        };
        if let Some(process) = self.process_of((member, incarnation)) {
            process.arrived.push_back(arrived);
            self.wake(member, 1);
        } else if let Some(link) = dialed {
            self.end_link(link, 0);
        }
    }

    /// Does what a process has done in its turn.
    pub(crate) fn execute(&mut self, member: MemberId, done: Vec<Done>) {
        let from = (member, self.machines[member].incarnation);
        for done in done {
            match done {
                Done::Sent(link, bytes) => self.send_over(link, from, bytes),
                Done::Closed(link) => self.close(link, from),
                Done::Notify(peer, bytes) => self.notify(from, member_of(peer), bytes),
                Done::Dial(leader) => {
                    let at_us = self.now_us() + self.latency_us();
                    let event = Event::Dial(from.0, from.1, member_of(leader));
                    self.schedule.at(at_us, event);
                }
            }
        }
    }
}

/// Connections for elections.
impl World {
    /// Two members try to connect sooner or later.
    pub(crate) fn elect_later(&mut self, a: MemberId, b: MemberId) {
        let at_us = self.now_us() + 1 + self.streams.network.micros(ELECT_US);
        let link = self.network.elections.get_mut(&(a, b)).expect("they have one");
        if !link.is_dialed && link.open.is_none() {
            link.is_dialed = true;
            self.schedule.at(at_us, Event::Elect(a, b));
        }
    }

    pub(crate) fn on_elect(&mut self, a: MemberId, b: MemberId) {
        let now_us = self.now_us();
        let link = self.network.elections.get_mut(&(a, b)).expect("they have one");
        link.is_dialed = false;
        let is_open = link.open.is_some();
        let run = [a, b].iter().all(|member| self.machines[*member].process.is_some());
        if is_open || !run || !self.network.can_connect(a, b, now_us) {
            return self.elect_later(a, b);
        }
        let ends = [a, b].map(|member| (member, self.machines[member].incarnation));
        let latencies = [self.latency_us(), self.latency_us()];
        let link = self.network.elections.get_mut(&(a, b)).expect("they have one");
        link.open = Some(ends);
        for (last_us, latency_us) in link.last_us.iter_mut().zip(latencies) {
            *last_us = (now_us + latency_us).max(*last_us);
        }
        let (last_us, kept) = (link.last_us, std::mem::take(&mut link.kept));
        self.send_at(last_us[0], ends[0], Arrived::PeerOpened(server_of(b)));
        self.send_at(last_us[1], ends[1], Arrived::PeerOpened(server_of(a)));
        for (from, kept) in [a, b].into_iter().zip(kept) {
            if let Some(bytes) = kept {
                let incarnation = self.machines[from].incarnation;
                self.notify((from, incarnation), a + b - from, bytes);
            }
        }
    }

    /// A notification leaves, or is kept until it can.
    fn notify(&mut self, from: ProcessId, to: MemberId, bytes: Vec<u8>) {
        let arrives_us = self.now_us() + self.latency_us();
        let cut_us = self.network.cut_us(from.0, to);
        let Some((pair, side)) = self.network.election(from.0, to) else { return };
        let link = self.network.elections.get_mut(&pair).expect("it was found");
        let Some(ends) = link.open.filter(|ends| ends[side] == from) else {
            link.kept[side] = Some(bytes);
            return;
        };
        let at_us = arrives_us.max(link.last_us[1 - side]).max(cut_us);
        link.last_us[1 - side] = at_us;
        let arrived = Arrived::Notified(server_of(from.0), bytes);
        self.send_at(at_us, ends[1 - side], arrived);
    }

    /// The election connection of two members is reset. What was under way is lost.
    pub(crate) fn reset_election(&mut self, a: MemberId, b: MemberId) {
        let pair = (a.min(b), a.max(b));
        let Some(link) = self.network.elections.get_mut(&pair) else { return };
        let Some(ends) = link.open.take() else { return };
        let [low, high] = ends;
        let lost = |(to, incarnation, arrived): &(MemberId, Incarnation, Arrived)| {
            let to = (*to, *incarnation);
            let Arrived::Notified(from, _) = arrived else { return false };
            (to == low && member_of(*from) == high.0) || (to == high && member_of(*from) == low.0)
        };
        self.under_way.retain(|_, it| !lost(it));
        let latencies = [self.latency_us(), self.latency_us()];
        let latency = self.swarm.latency;
        let (now_us, latest_us) = (self.now_us(), latency.least_us + latency.spread_us);
        let link = self.network.elections.get_mut(&pair).expect("it was found");
        for (last_us, latency_us) in link.last_us.iter_mut().zip(latencies) {
            // Order: behind what has said that the connection is open.
            *last_us = (now_us + latency_us).max((*last_us).min(now_us + latest_us));
        }
        let last_us = link.last_us;
        self.send_at(last_us[0], low, Arrived::PeerClosed(server_of(high.0)));
        self.send_at(last_us[1], high, Arrived::PeerClosed(server_of(low.0)));
        self.elect_later(pair.0, pair.1);
    }
}

/// Connections between learners and leaders.
impl World {
    pub(crate) fn on_dial(&mut self, member: MemberId, incarnation: Incarnation, leader: MemberId) {
        let (now_us, learner) = (self.now_us(), (member, incarnation));
        if self.process_of(learner).is_none() {
            return;
        }
        let latencies = [self.latency_us(), self.latency_us()];
        let number = server_of(leader);
        let runs = self.machines[leader].process.is_some();
        if !runs || !self.network.can_connect(member, leader, now_us) {
            let most_us = if runs { TIMEOUT_US } else { 2_000 };
            let fails_us = now_us + latencies[0] + self.streams.network.micros(most_us);
            return self.send_at(fails_us, learner, Arrived::NotDialed(number));
        }
        let to = (leader, self.machines[leader].incarnation);
        let link = self.network.connect(learner, to);
        self.send_at(now_us + latencies[0], learner, Arrived::Dialed(number, link));
        let process = self.machines[leader].process.as_mut().expect("it runs");
        process.arrived.push_back(Arrived::Accepted(link));
        process.learners.entry(link).or_default().space = self.swarm.socket_bytes;
        self.wake(leader, 1);
    }

    fn send_over(&mut self, link: u64, from: ProcessId, bytes: Vec<u8>) {
        let now_us = self.now_us();
        let Some(found) = self.network.links.get_mut(&link) else { return };
        let (latency, chance) = (self.swarm.latency, &mut self.streams.network);
        let (stream, event) = if found.learner == from {
            (&mut found.to_leader, Event::ToLeader(link))
        } else {
            (&mut found.to_learner, Event::ToLearner(link))
        };
        stream.send(bytes, now_us, latency, chance);
        World::await_stream(&mut self.schedule, stream, event);
    }

    /// One end closes: everything arrives, and then the end.
    fn close(&mut self, link: u64, from: ProcessId) {
        let at_us = self.now_us() + self.swarm.latency.least_us;
        let Some(found) = self.network.links.get_mut(&link) else { return };
        let is_learner = found.learner == from;
        let (stream, event, other) = if is_learner {
            (&mut found.to_leader, Event::ToLeader(link), &mut found.to_learner)
        } else {
            (&mut found.to_learner, Event::ToLearner(link), &mut found.to_leader)
        };
        stream.end(at_us);
        World::await_stream(&mut self.schedule, stream, event);
        // Nobody reads what comes the other way.
        other.reset(0, at_us);
        found.has_ended[usize::from(is_learner)] = true;
    }

    pub(crate) fn on_bytes_to_leader(&mut self, link: u64) {
        let now_us = self.now_us();
        let Some(found) = self.network.links.get_mut(&link) else { return };
        let stream = &mut found.to_leader;
        stream.is_awaited = false;
        let (bytes, has_ended) = (stream.arrive(now_us), stream.has_ended(now_us));
        found.has_ended[0] |= has_ended;
        if !has_ended {
            World::await_stream(&mut self.schedule, stream, Event::ToLeader(link));
        }
        self.schedule.trace_bytes(&bytes);
        let to = found.leader;
        if let Some(process) = self.process_of(to)
            && let Some(socket) = process.learners.get_mut(&link)
        {
            socket.arrived.extend_from_slice(&bytes);
            socket.has_ended |= has_ended;
            self.wake(to.0, 1);
        }
        if has_ended {
            self.forget_link(link);
        }
    }

    pub(crate) fn on_bytes_to_learner(&mut self, link: u64) {
        let now_us = self.now_us();
        let Some(found) = self.network.links.get_mut(&link) else { return };
        let stream = &mut found.to_learner;
        stream.is_awaited = false;
        let (bytes, has_ended) = (stream.arrive(now_us), stream.has_ended(now_us));
        found.has_ended[1] |= has_ended;
        if !has_ended {
            World::await_stream(&mut self.schedule, stream, Event::ToLearner(link));
        }
        self.schedule.trace_bytes(&bytes);
        let (to, from) = (found.learner, found.leader);
        if let Some(process) = self.process_of(to) {
            if let Some(leader) = process.leader.as_mut().filter(|it| it.link == link) {
                leader.socket.arrived.extend_from_slice(&bytes);
                leader.socket.has_ended |= has_ended;
            } else if has_ended {
                process.early_ends.insert(link);
            }
            self.wake(to.0, 1);
        }
        if let Some(process) = self.process_of(from)
            && let Some(socket) = process.learners.get_mut(&link)
        {
            socket.space += bytes.len();
            // As the socket of a writer that waits for space.
            if socket.is_full {
                self.wake(from.0, 1);
            }
        }
        if has_ended {
            self.forget_link(link);
        }
    }

    fn forget_link(&mut self, link: u64) {
        let is_over = |found: &QuorumLink| found.has_ended == [true; 2];
        if self.network.links.get(&link).is_some_and(is_over) {
            self.network.links.remove(&link);
        }
    }

    /// A connection is reset. What was under way arrives in part; one of the two may hear of it
    /// only later.
    pub(crate) fn end_link(&mut self, link: u64, half_open_percent: usize) {
        let now_us = self.now_us();
        let chance = &mut self.streams.network;
        let Some(found) = self.network.links.get_mut(&link) else { return };
        let streams = [
            (&mut found.to_leader, Event::ToLeader(link)),
            (&mut found.to_learner, Event::ToLearner(link)),
        ];
        for (stream, event) in streams {
            let is_late = chance.percent(half_open_percent);
            let late_us = if is_late { chance.micros(HALF_OPEN_US) } else { 0 };
            let count = stream.under_way();
            stream.reset(chance.below(count + 1), now_us + late_us);
            World::await_stream(&mut self.schedule, stream, event);
        }
    }

    /// All connections between two members are reset.
    pub(crate) fn reset_between(&mut self, a: MemberId, b: MemberId) {
        let between = |found: &QuorumLink| {
            let ends = (found.learner.0, found.leader.0);
            ends == (a, b) || ends == (b, a)
        };
        let links = self.network.links.iter().filter(|(_, found)| between(found));
        let links: Vec<u64> = links.map(|(link, _)| *link).collect();
        links.into_iter().for_each(|link| self.end_link(link, 30));
        self.reset_election(a, b);
        self.met.resets += 1;
    }

    /// The process of a member is gone, and with it all its connections to other members.
    pub(crate) fn drop_links_of(&mut self, member: MemberId, half_open_percent: usize) {
        let links = self.network.links.iter();
        let links = links.filter(|(_, it)| it.learner.0 == member || it.leader.0 == member);
        let links: Vec<u64> = links.map(|(link, _)| *link).collect();
        links.into_iter().for_each(|link| self.end_link(link, half_open_percent));
        for other in 0..self.machines.len() {
            if other != member {
                self.reset_election(member, other);
            }
        }
    }
}
