//! Everything that is simulated: what happens, in which order, until the time is over; and then,
//! without faults, until everything is at rest.

mod clients;
pub(crate) mod faults;
mod links;
pub(crate) mod members;
mod rest;

use std::collections::BTreeMap;

use ringkeeper_engine::Millis;
use ringkeeper_replication::learner::{FollowEnd, LearnerKind};

pub(crate) use self::clients::{Connection, SimClient};
use super::check::acknowledged::Acknowledged;
use super::leader::{Ensemble, set_data};
use super::member::{Member, MemberSettings};
use super::net::Stream;
use super::schedule::{Event, Schedule};
use super::server::{NOW, ServerSettings};
use super::streams::Streams;
use super::swarm::Swarm;

/// What was met.
#[derive(Clone, Default, Debug)]
pub(crate) struct Met {
    pub(crate) replies: usize,
    pub(crate) events: usize,
    pub(crate) connects: usize,
    pub(crate) moves: usize,
    pub(crate) losses: usize,
    pub(crate) crashes: usize,
    pub(crate) power_losses: usize,
    pub(crate) refused_starts: usize,
    pub(crate) wipes: usize,
    pub(crate) snapshots: usize,
    pub(crate) reloads: usize,
    /// Why links were given up by members.
    pub(crate) ends: Vec<FollowEnd>,
    pub(crate) faults: BTreeMap<&'static str, usize>,
    pub(crate) links: super::member::Met,
}

/// A simulation.
pub(crate) struct World {
    pub(crate) swarm: Swarm,
    pub(crate) streams: Streams,
    pub(crate) schedule: Schedule,
    pub(crate) members: Vec<Member>,
    pub(crate) ensemble: Ensemble,
    pub(crate) clients: Vec<SimClient>,
    pub(crate) connections: BTreeMap<usize, Connection>,
    pub(crate) acknowledged: Acknowledged,
    /// Whether things still fail and clients still request.
    pub(crate) is_healed: bool,
    /// Whether a link that is given up for what its leader did is a failure.
    pub(crate) is_honest: bool,
    /// The leader pings, and sessions expire, also where nothing fails.
    pub(crate) keeps_pinging: bool,
    /// A leader commits only what the test commits.
    pub(crate) holds_commits: bool,
    connections_made: usize,
    next_ping_us: u64,
    pub(crate) met: Met,
}

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64) -> World {
        let mut streams = Streams::new(seed);
        let swarm = Swarm::draw(&mut streams);
        World::with(swarm, streams)
    }

    /// A world in which nothing fails by itself.
    pub(crate) fn calm(kind: LearnerKind) -> World {
        World::with(Swarm::calm(kind), Streams::new(1))
    }

    /// As that, with clients that do nothing by themselves.
    pub(crate) fn calm_with_clients(kind: LearnerKind, clients: usize) -> World {
        let swarm = Swarm { clients, ..Swarm::calm(kind) };
        World::with(swarm, Streams::new(1))
    }

    /// As [`World::calm`], where nothing was ever ordered.
    pub(crate) fn calm_of_empty(kind: LearnerKind) -> World {
        let swarm = Swarm { writes_before: 0, ..Swarm::calm(kind) };
        World::with(swarm, Streams::new(1))
    }

    /// A world as the swarm says.
    pub(crate) fn with(swarm: Swarm, streams: Streams) -> World {
        let settings = |kind: &LearnerKind| MemberSettings {
            kind: *kind,
            server: ServerSettings {
                shards: swarm.shards,
                apply_batch: swarm.apply_batch,
                outstanding_max: swarm.outstanding_max,
                session_ms_min: swarm.session_ms,
                ..ServerSettings::default()
            },
            hold_ms: swarm.hold_ms,
            event_bytes_max: swarm.event_bytes_max,
        };
        let members = swarm.kinds.iter().map(settings).enumerate();
        let members = members.map(|(id, settings)| Member::new(id, settings)).collect();
        let clients = (0..swarm.clients).map(|_| SimClient::new(swarm.session_ms)).collect();
        let mut ensemble = Ensemble::new();
        (ensemble.states, ensemble.lags) = (swarm.states, swarm.lags);
        (0..swarm.writes_before).for_each(|n| ensemble.write(set_data("/", &[n as u8]), NOW.wall));
        ensemble.commit(usize::MAX);
        let is_healed = swarm.fault_us == 0;
        let mut world = World {
            is_honest: swarm.faults.wrong == 0,
            swarm,
            streams,
            schedule: Schedule::default(),
            members,
            ensemble,
            clients,
            connections: BTreeMap::new(),
            acknowledged: Acknowledged::default(),
            is_healed,
            keeps_pinging: false,
            holds_commits: false,
            connections_made: 0,
            next_ping_us: 0,
            met: Met::default(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        (0..self.members.len()).for_each(|member| self.schedule.at(0, Event::Start(member)));
        for client in 0..self.clients.len() {
            let at_us = self.streams.workload.micros(self.swarm.think_us);
            self.schedule.at(at_us, Event::Client(client));
        }
        self.schedule.at(0, Event::Leader);
        if self.swarm.fault_us > 0 {
            let at_us = self.streams.crash.micros(self.swarm.failure_us);
            self.schedule.at(at_us, Event::Fault);
        }
    }

    /// Lets everything happen up to a time.
    pub(crate) fn run_until(&mut self, end_us: u64) {
        while let Some(event) = self.schedule.next(end_us) {
            self.on_event(event);
        }
    }

    /// Lets events happen until something is so, for a minute at most.
    pub(crate) fn run_while(&mut self, goes_on: impl Fn(&World) -> bool) {
        let end_us = self.now_us() + 60_000_000;
        while goes_on(self) {
            let event = self.schedule.next(end_us).expect("it is never so");
            self.on_event(event);
        }
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.schedule.now_us()
    }

    /// The leader's clock.
    pub(crate) fn leader_time(&self) -> Millis {
        Millis(NOW.wall.0 + (self.now_us() / 1_000) as i64)
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Turn(member, incarnation) => self.on_turn(member, incarnation),
            Event::LogDone(member, incarnation) => self.on_log_done(member, incarnation),
            Event::StateDone(member, incarnation) => self.on_state_done(member, incarnation),
            Event::Background(member, incarnation) => self.on_background(member, incarnation),
            Event::Dial(member, incarnation) => self.on_dial(member, incarnation),
            Event::Start(member) => self.on_start(member),
            Event::ToMember(member) => self.on_bytes_to_member(member),
            Event::ToLeader(member) => self.on_bytes_to_leader(member),
            Event::ToServer(connection) => self.on_bytes_to_server(connection),
            Event::ToClient(connection) => self.on_bytes_to_client(connection),
            Event::Client(client) => self.on_client(client),
            Event::Leader => self.on_leader(),
            Event::Fault => self.on_fault(),
            Event::Space(member) => self.on_space(member),
        }
    }

    /// The leader does something.
    fn on_leader(&mut self) {
        let (now, chance) = (self.leader_time(), &mut self.streams.leader);
        let is_wrong = self.swarm.faults.wrong > 0 && !self.is_healed;
        match chance.below(20) {
            0..=4 if chance.percent(self.swarm.commits) && !self.holds_commits => {
                self.ensemble.commit(1 + chance.below(3));
            }
            5..=6 if chance.percent(self.swarm.quorums) => self.ensemble.establish(),
            7..=9 => self.ensemble.serve(),
            10 if !self.is_healed => {
                self.ensemble.order_other(chance, now);
            }
            11 if !self.is_healed && chance.percent(10) => self.ensemble.expire(chance, now),
            11 if chance.percent(20) || self.is_healed => self.ensemble.linger(now),
            12 if is_wrong => self.ensemble.do_wrong(),
            _ => {}
        }
        if self.is_healed && !self.holds_commits {
            self.ensemble.establish();
            self.ensemble.serve();
            self.ensemble.commit(usize::MAX);
        }
        if self.schedule.now_us() >= self.next_ping_us && (!self.is_healed || self.keeps_pinging) {
            self.ensemble.ping();
            self.ensemble.expire_silent(now);
            self.next_ping_us = self.schedule.now_us() + 300_000;
        }
        self.send_from_leader();
        let pace_us = if self.is_healed { 4_000 } else { self.swarm.leader_us };
        let delay_us = 1 + self.streams.leader.micros(pace_us);
        self.schedule.after(delay_us, Event::Leader);
    }

    /// Lets the next of a stream's bytes arrive, where there are some.
    fn await_stream(schedule: &mut Schedule, stream: &mut Stream, event: Event) {
        if !stream.is_awaited
            && let Some(at_us) = stream.next_us()
        {
            stream.is_awaited = true;
            schedule.at(at_us, event);
        }
    }
}
