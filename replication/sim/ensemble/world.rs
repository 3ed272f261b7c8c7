//! Everything that is simulated: what happens, in which order.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ringkeeper_replication::ZabState;
use ringkeeper_replication::learner::FollowEnd;
use ringkeeper_replication::member::MemberEvent;

use super::super::check::acknowledged::Acknowledged;
use super::super::check::committed::CommittedHistory;
use super::super::check::leaders::Leaders;
use super::super::check::proposals::Proposals;
use super::super::member::{Incarnation, MemberId};
use super::super::net::Stream;
use super::super::schedule::Schedule;
use super::super::streams::Streams;
use super::clients::{Connection, EnsembleClient};
use super::machine::Machine;
use super::network::Network;
use super::process::Arrived;
use super::swarm::Swarm;

/// Something that happens at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Event {
    /// The node's thread runs.
    Turn(MemberId, Incarnation),
    /// The disk is done with a flush or a command, the thread for whole states, those of feeds.
    LogDone(MemberId, Incarnation),
    StateDone(MemberId, Incarnation),
    FeedDone(MemberId, Incarnation),
    /// The thread of the background: snapshots, segments to come, seals.
    Background(MemberId, Incarnation),
    /// A process starts on what its disk has.
    Start(MemberId),
    /// Something else reaches a process: see [`World::under_way`].
    Arrive(u64),
    /// A process connects to a leader.
    Dial(MemberId, Incarnation, MemberId),
    /// Two members try to open their election connection.
    Elect(MemberId, MemberId),
    /// Bytes arrive at one end of a connection between a learner and its leader.
    ToLeader(u64),
    ToLearner(u64),
    /// Bytes of a client arrive at its server, and of a server at its client.
    ToServer(usize),
    ToClient(usize),
    /// A client does something.
    Client(usize),
    /// Something fails.
    Fault,
    /// A disk has space again.
    Space(MemberId),
}

/// What was met.
#[derive(Clone, Default, Debug)]
pub(crate) struct Met {
    pub(crate) replies: usize,
    pub(crate) events: usize,
    pub(crate) connects: usize,
    pub(crate) moves: usize,
    pub(crate) resets: usize,
    pub(crate) crashes: usize,
    pub(crate) power_losses: usize,
    pub(crate) refused_starts: usize,
    pub(crate) wipes: usize,
    pub(crate) snapshots: usize,
    pub(crate) reloads: usize,
    pub(crate) installs: usize,
    pub(crate) elected: usize,
    pub(crate) established: usize,
    pub(crate) expired: usize,
    /// DIFF, TRUNC and SNAP from the disk, and feeds that have failed.
    pub(crate) plans: [usize; 4],
    /// DIFF, TRUNC and SNAP, as members were synchronized.
    pub(crate) synchronized: BTreeMap<String, usize>,
    pub(crate) ends: BTreeMap<String, usize>,
    pub(crate) step_downs: BTreeMap<String, usize>,
    /// States that were found to be different, and members that were found to be strangers.
    pub(crate) mismatches: usize,
    pub(crate) strangers: usize,
    pub(crate) faults: BTreeMap<&'static str, usize>,
}

/// A simulation.
pub(crate) struct World {
    pub(crate) swarm: Swarm,
    pub(crate) streams: Streams,
    pub(crate) schedule: Schedule<Event>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    pub(crate) clients: Vec<EnsembleClient>,
    pub(crate) connections: BTreeMap<usize, Connection>,
    pub(crate) connections_made: usize,
    /// What is on its way to a process.
    pub(crate) under_way: BTreeMap<u64, (MemberId, Incarnation, Arrived)>,
    pub(crate) sent: u64,
    pub(crate) committed: CommittedHistory,
    pub(crate) leaders: Leaders,
    pub(crate) acknowledged: Acknowledged,
    /// Writes that were acknowledged.
    pub(crate) writes: usize,
    /// The last of them.
    pub(crate) acknowledged_zxid: i64,
    /// Whether nothing fails any more, and whether clients request nothing more.
    pub(crate) is_healed: bool,
    pub(crate) is_quiet: bool,
    /// The members that clients connect to, while only they are to work.
    pub(crate) core: Option<Vec<MemberId>>,
    /// Whether what happens is printed.
    pub(crate) is_reported: bool,
    pub(crate) met: Met,
}

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64) -> World {
        let mut streams = Streams::new(seed);
        let swarm = Swarm::draw(&mut streams);
        World::with(swarm, streams)
    }

    /// A world in which nothing fails by itself, and clients do nothing by themselves.
    pub(crate) fn calm(voters: usize, observers: usize, clients: usize) -> World {
        World::with(Swarm::calm(voters, observers, clients), Streams::new(1))
    }

    /// A world as the swarm says.
    pub(crate) fn with(swarm: Swarm, streams: Streams) -> World {
        let proposals = Rc::new(RefCell::new(Proposals::default()));
        let members = swarm.voters + swarm.observers;
        let machines = (0..members).map(|id| Machine::new(id, &swarm, proposals.clone())).collect();
        let clients = (0..swarm.clients).map(|_| EnsembleClient::new(swarm.session_ms)).collect();
        let is_healed = swarm.fault_us == 0;
        let mut world = World {
            network: Network::new(members, swarm.voters),
            swarm,
            streams,
            schedule: Schedule::default(),
            machines,
            clients,
            connections: BTreeMap::new(),
            connections_made: 0,
            under_way: BTreeMap::new(),
            sent: 0,
            committed: CommittedHistory::new(proposals.clone()),
            leaders: Leaders::default(),
            acknowledged: Acknowledged::default(),
            writes: 0,
            acknowledged_zxid: 0,
            is_healed,
            is_quiet: is_healed,
            core: None,
            is_reported: false,
            met: Met::default(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for member in 0..self.machines.len() {
            let at_us = self.streams.crash.micros(20_000);
            self.schedule.at(at_us, Event::Start(member));
        }
        for (a, b) in self.network.elections.keys().copied().collect::<Vec<_>>() {
            self.elect_later(a, b);
        }
        for client in 0..self.clients.len() {
            let at_us = self.streams.workload.micros(self.swarm.think_us);
            self.schedule.at(at_us, Event::Client(client));
        }
        if self.swarm.fault_us > 0 {
            let at_us = 500_000 + self.streams.crash.micros(self.swarm.failure_us);
            self.schedule.at(at_us, Event::Fault);
        }
    }

    /// Lets everything happen up to a time.
    pub(crate) fn run_until(&mut self, end_us: u64) {
        while let Some(event) = self.schedule.next(end_us) {
            self.on_event(event);
        }
    }

    /// Lets events happen until something is so, for so long at most. Says whether it is.
    pub(crate) fn run_while(&mut self, limit_us: u64, goes_on: impl Fn(&World) -> bool) -> bool {
        let end_us = self.now_us() + limit_us;
        while goes_on(self) {
            let Some(event) = self.schedule.next(end_us) else { return false };
            self.on_event(event);
        }
        true
    }

    /// Prints what happens, where that is wanted.
    pub(crate) fn report_event(&self, what: impl FnOnce() -> String) {
        if self.is_reported {
            eprintln!("{:>12.3} ms  {}", self.now_us() as f64 / 1e3, what());
        }
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.schedule.now_us()
    }

    pub(crate) fn on_event(&mut self, event: Event) {
        match event {
            Event::Turn(member, incarnation) => self.on_turn(member, incarnation),
            Event::LogDone(member, incarnation) => self.on_log_done(member, incarnation),
            Event::StateDone(member, incarnation) => self.on_state_done(member, incarnation),
            Event::FeedDone(member, incarnation) => self.on_feed_done(member, incarnation),
            Event::Background(member, incarnation) => self.on_background(member, incarnation),
            Event::Start(member) => self.on_start(member),
            Event::Arrive(number) => self.on_arrive(number),
            Event::Dial(member, incarnation, leader) => self.on_dial(member, incarnation, leader),
            Event::Elect(a, b) => self.on_elect(a, b),
            Event::ToLeader(link) => self.on_bytes_to_leader(link),
            Event::ToLearner(link) => self.on_bytes_to_learner(link),
            Event::ToServer(connection) => self.on_bytes_to_server(connection),
            Event::ToClient(connection) => self.on_bytes_to_client(connection),
            Event::Client(client) => self.on_client(client),
            Event::Fault => self.on_fault(),
            Event::Space(member) => self.on_space(member),
        }
    }

    /// Lets the next of a stream's bytes arrive, where there are some.
    pub(crate) fn await_stream(schedule: &mut Schedule<Event>, stream: &mut Stream, event: Event) {
        if !stream.is_awaited
            && let Some(at_us) = stream.next_us()
        {
            stream.is_awaited = true;
            schedule.at(at_us, event);
        }
    }

    /// Who leads, as far as its process knows.
    pub(crate) fn leading(&self) -> Vec<MemberId> {
        let leads = |machine: &&Machine| machine.process.as_ref().is_some_and(|it| it.is_leading());
        self.machines.iter().filter(leads).map(|machine| machine.id).collect()
    }

    /// What a process has reported is looked at.
    pub(crate) fn take_reports(&mut self, member: MemberId) {
        let incarnation = self.machines[member].incarnation;
        let process = self.machines[member].process.as_mut().expect("it runs");
        let (events, ends) =
            (std::mem::take(&mut process.events), std::mem::take(&mut process.ends));
        let port = process.port_ref();
        let is_synchronized =
            port.voter().is_none() && port.followed().state() == ZabState::Broadcast;
        self.machines[member].is_trusted |= is_synchronized;
        for end in ends {
            self.on_end(member, end);
        }
        for event in events {
            self.report_event(|| {
                format!(
                    "member {member}: {event:?} {}",
                    self.machines[member].record.borrow().last()
                )
            });
            match event {
                MemberEvent::Elected { .. } => self.met.elected += 1,
                MemberEvent::Established { epoch, last, .. } => {
                    let voters = self.swarm.voters;
                    self.machines[member].is_trusted = true;
                    let holders = self.machines[..voters].iter();
                    let holders = holders.filter(|machine| machine.holds(last)).count();
                    let process = (member, incarnation);
                    self.leaders.established(epoch, process, last, (holders, voters));
                    let record = self.machines[member].record.borrow();
                    self.committed.check_leader(epoch, record.txns());
                    self.met.established += 1;
                }
                MemberEvent::Synchronized { by, .. } => {
                    *self.met.synchronized.entry(format!("{by:?}")).or_default() += 1;
                    self.machines[member].is_trusted = true;
                }
                MemberEvent::SteppedDown(why) => {
                    let name = kind(&format!("{why:?}"));
                    *self.met.step_downs.entry(name).or_default() += 1;
                }
                MemberEvent::LearnerLost(_, _, end) => {
                    let name = format!("leader: {}", kind(&format!("{end:?}")));
                    *self.met.ends.entry(name).or_default() += 1;
                }
                MemberEvent::StatesDiffer(_) => self.met.mismatches += 1,
                MemberEvent::OtherEnsemble { .. } => self.met.strangers += 1,
                MemberEvent::Looking
                | MemberEvent::Found { .. }
                | MemberEvent::NotReached(_)
                | MemberEvent::FollowEnded(..)
                | MemberEvent::LeaderDiffers(..)
                | MemberEvent::LearnerDiffers(..)
                | MemberEvent::NotLeading(_)
                | MemberEvent::OwnHistory { .. }
                | MemberEvent::LeaderSilent(..) => {}
            }
        }
    }

    fn on_end(&mut self, member: MemberId, end: FollowEnd) {
        self.report_event(|| format!("member {member} leaves its leader: {end}"));
        assert!(
            !end.is_fatal(),
            "member {member} believes the ensemble to have lost writes: {end}"
        );
        *self.met.ends.entry(kind(&format!("{end:?}"))).or_default() += 1;
    }

    /// What a process has applied, and what it has called committed, is compared with all others.
    pub(crate) fn check_committed(&mut self, member: MemberId) {
        use ringkeeper_engine::database::CommitStatus;
        let (voters, machines) = (self.swarm.voters, &self.machines);
        let is_held = |zxid| {
            machines[..voters].iter().filter(|machine| machine.holds(zxid)).count() > voters / 2
        };
        let process = machines[member].process.as_ref().expect("it runs");
        for zxid in &process.port_ref().committed {
            assert!(is_held(*zxid), "{zxid} is called committed, and no majority holds it");
        }
        if process.server.db().commit_status() == CommitStatus::Committed {
            let mut compared = process.compared;
            self.committed.applied(&process.server.history, &mut compared, is_held);
            if !process.is_tampered {
                self.committed.check_state(&process.server.history, &process.server.db());
            }
            let process = self.machines[member].process.as_mut().expect("it runs");
            process.compared = compared;
        }
        let process = self.machines[member].process.as_mut().expect("it runs");
        process.port().committed.clear();
    }
}

/// The name of a value, without what it holds.
fn kind(text: &str) -> String {
    let cut = |text: &str| text.split(['{', ' ']).next().unwrap_or_default().to_owned();
    let parts: Vec<&str> = text.splitn(2, '(').collect();
    match parts[..] {
        [name, rest] => {
            format!("{}({}", cut(name), cut(rest.split([')', ',']).next().unwrap_or("")))
        }
        _ => cut(text),
    }
}
