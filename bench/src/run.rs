//! One load on one target, from creating its nodes to removing them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};

use crate::drive::driver::DriverThread;
use crate::drive::recipe::{HolderSlot, HolderSlots};
use crate::drive::run_state::RunState;
use crate::drive::tree::RunTree;
use crate::interrupt;
use crate::load::args::Load;
use crate::load::rng::mix;
use crate::model::clock::{Clock, Nanos, SECOND, nanos};
use crate::model::error::error_text;
use crate::model::interval::Interval;
use crate::model::outage::Outages;
use crate::model::server::Server;
use crate::model::window::Window;
use crate::record::results::{Run, load_average};
use crate::record::tally::Tally;
use crate::record::telemetry::{Recorder, RunTelemetry};
use crate::record::timeline::{Feed, Timeline};
use crate::servers::four_letter::{self, ServerStatus};
use crate::servers::host;
use crate::servers::kill::{KillEvent, Killer};
use crate::servers::probe::ServerProbe;
use crate::servers::processes::{ServerProcesses, Usages};
use crate::servers::target::Target;
use crate::show::live::Live;
use crate::show::outages;

/// How often the course of a run is looked at.
const POLL: Nanos = SECOND / 50;

/// Runs a load against a target. An error means that nothing was measured; what goes wrong later
/// is in the report.
pub(crate) fn run(target: &Target, load: &Load, live: &mut Live) -> Result<Run> {
    let mut tree = RunTree::create_all(&target.servers, load, &run_name())?;
    let version = target.servers.iter().find_map(|server| ServerStatus::of(*server).version);
    let unreachable_servers: Vec<String> = unreachable_servers(target);
    unreachable_servers.iter().for_each(|story| live.say(story));
    let killer = Killer::new(target, load);
    let measured = killer.and_then(|killer| measure(target, load, &mut tree, killer, live));
    let mut run = match measured {
        Ok(run) => run,
        Err(error) => {
            // The first failure is the one to report.
            let _ = tree.clear();
            return Err(error);
        }
    };
    run.version = version;
    run.fault_examples.extend(unreachable_servers);
    live.end();
    if let Err(error) = tree.clear() {
        run.partial = true;
        let story = error_text(&error);
        run.fault_examples.push(format!("left behind: {story}; the next run removes it"));
    }
    Ok(run)
}

/// Servers of several that cannot be reached.
fn unreachable_servers(target: &Target) -> Vec<String> {
    let servers = target.servers.iter().filter(|_| target.servers.len() > 1);
    let unreachable_servers = servers.filter(|server| !four_letter::is_there(**server));
    unreachable_servers
        .map(|server| format!("{server} cannot be reached: its sessions go to the others"))
        .collect()
}

/// Short, and different for runs that overlap.
fn run_name() -> String {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let word = mix(u64::from(std::process::id()) << 32 ^ nanos(age));
    format!("{:06x}", word >> 40)
}

/// The threads of a run, and what they run against.
struct DriverThreads {
    load: Arc<Load>,
    run_state: Arc<RunState>,
    feeds: Vec<Arc<Feed>>,
    threads: Vec<JoinHandle<io::Result<Tally>>>,
    connected: Arc<Barrier>,
    go: Arc<Barrier>,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl DriverThreads {
    fn start(target: &Target, load: &Load, tree: &RunTree) -> DriverThreads {
        let load = Arc::new(load.clone());
        let run_state = Arc::new(RunState::new(Clock::start(), load.grace, load.count));
        let parties = load.threads as usize + 1;
        let mut drivers = DriverThreads {
            load: load.clone(),
            run_state,
            feeds: Vec::new(),
            threads: Vec::new(),
            connected: Arc::new(Barrier::new(parties)),
            go: Arc::new(Barrier::new(parties)),
            failure: Arc::default(),
        };
        let layout = Arc::new(tree.layout().clone());
        let servers: Arc<[SocketAddr]> = target.servers.clone().into();
        let slots: HolderSlots =
            (0..load.workload.queues()).map(|_| HolderSlot::default()).collect();
        for thread in 0..load.threads {
            let share = |n| load.connections * n / load.threads;
            let feed: Arc<Feed> = Arc::default();
            drivers.feeds.push(feed.clone());
            let driver = DriverThread {
                thread,
                lanes: share(thread)..share(thread + 1),
                load: load.clone(),
                layout: layout.clone(),
                run_state: drivers.run_state.clone(),
                servers: servers.clone(),
                slots: slots.clone(),
                feed,
            };
            let ready = drivers.gate();
            drivers.threads.push(std::thread::spawn(move || driver.work(ready)));
        }
        drivers
    }

    /// Where a thread waits when it has connected, and learns whether all have.
    fn gate(&self) -> impl FnOnce(io::Result<()>) -> bool + use<> {
        let (connected, go) = (self.connected.clone(), self.go.clone());
        let failure = self.failure.clone();
        move |result| {
            let failed = || failure.lock().expect("no thread panics while it holds this");
            if let Err(error) = result {
                *failed() = Some(error);
            }
            connected.wait();
            go.wait();
            failed().is_none()
        }
    }

    /// Waits until all sessions are open, and lets the load begin.
    fn begin(&self) -> bool {
        self.connected.wait();
        let from = self.run_state.clock.now() + self.load.warmup;
        self.run_state.go(Window { from, until: from.saturating_add(self.load.length()) });
        self.go.wait();
        self.failure.lock().expect("no thread panics while it holds this").is_none()
    }

    fn is_settled(&self) -> bool {
        self.run_state.settled_threads() as usize == self.threads.len()
    }

    /// Waits until the threads have closed the sessions that they had opened.
    fn leave(self) {
        for thread in self.threads {
            // The load did not begin; why is known.
            let _ = thread.join();
        }
    }

    /// Waits for the threads; the seconds that they have not left yet go to the timeline.
    fn join(self, timeline: &mut Timeline) -> Result<Tally> {
        let mut all: Option<Tally> = None;
        for thread in self.threads {
            let mut tally = thread.join().map_err(|_| anyhow!("a driver thread panicked"))??;
            tally.rest().iter().for_each(|interval| timeline.add(interval));
            match &mut all {
                Some(all) => all.merge(&tally),
                None => all = Some(tally),
            }
        }
        self.feeds.iter().for_each(|feed| timeline.drain(feed));
        all.ok_or_else(|| anyhow!("no driver threads"))
    }
}

fn measure(
    target: &Target,
    load: &Load,
    tree: &mut RunTree,
    killer: Option<Killer>,
    live: &mut Live,
) -> Result<Run> {
    let drivers = DriverThreads::start(target, load, tree);
    let members = ServerProcesses::find(&target.servers, &target.pids);
    let probe =
        ServerProbe::begin(target.probe, &target.servers, &members, drivers.run_state.clock);
    let load_average = load_average();
    if !drivers.begin() {
        let failure = drivers.failure.lock().expect("no thread panics while it holds this").take();
        let failure = failure.unwrap_or_else(|| io::Error::other("unknown"));
        let hint = probe.connections_hint(load.connections / target.servers.len() as u32);
        let sessions = load.connections;
        drivers.leave();
        bail!("cannot connect {sessions} sessions to {}: {failure}{hint}", target.name);
    }
    let mut watch = Watch::begin(&drivers, members, killer, load_average);
    live.begin(&load.title(), watch.started, Duration::from_nanos(load.length()));
    let mut telemetry = watch.follow(&drivers, tree, live);
    drivers.run_state.release();
    let window = drivers.run_state.window();
    let mut timeline = watch.timeline;
    let mut tally = drivers.join(&mut timeline)?;
    tally.outages.merge(&watch.outages);
    tree.audit(load, &mut tally);
    if load.count.is_some() {
        telemetry.elapsed = tally.last.saturating_sub(window.from);
    }
    show(&mut watch.recorder, &timeline.finish(), window.until, live);
    telemetry.seconds = watch.recorder.finish(telemetry.elapsed);
    let missing = probe.missing.clone();
    let (server, mut events) = probe.end(window.from, &mut telemetry.seconds);
    events.extend(watch.outages.each.iter().flat_map(outages::events));
    events.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
    telemetry.events = events;
    telemetry.server = Server { members: telemetry.server.members, ..server };
    let elapsed = telemetry.elapsed;
    let mut run = Run::new(&target.name, load, &tally, telemetry);
    run.fault_examples.extend(missing);
    run.partial = match load.count {
        Some(count) => run.total.ops + run.total.errors + tally.outages.unknown < count,
        None => elapsed < load.duration,
    };
    if let Some(failure) = watch.failure {
        run.partial = true;
        run.fault_examples.push(error_text(&failure));
    }
    Ok(run)
}

/// Records complete seconds, and shows them.
fn show(recorder: &mut Recorder, intervals: &[Interval], until: Nanos, live: &mut Live) {
    recorder.take(intervals, until).iter().for_each(|summary| live.second(summary));
    intervals.iter().for_each(|interval| live.log(interval));
}

/// What follows a run while it lasts.
struct Watch {
    from: Nanos,
    next_ping: Nanos,
    started: SystemTime,
    load_average: Option<f64>,
    timeline: Timeline,
    recorder: Recorder,
    members: ServerProcesses,
    killer: Option<Killer>,
    /// What the killer has done.
    outages: Outages,
    /// Why a killed server did not come back.
    failure: Option<anyhow::Error>,
}

impl Watch {
    fn begin(
        drivers: &DriverThreads,
        members: ServerProcesses,
        mut killer: Option<Killer>,
        load_average: Option<f64>,
    ) -> Watch {
        let from = drivers.run_state.window().from;
        let recorder = Recorder::new(from, drivers.load.workload.primary());
        if let Some(killer) = &mut killer {
            killer.begin(from);
        }
        let ahead = from.saturating_sub(drivers.run_state.clock.now());
        Watch {
            from,
            next_ping: 0,
            started: SystemTime::now() + Duration::from_nanos(ahead),
            load_average,
            timeline: Timeline::default(),
            recorder,
            members,
            killer,
            outages: Outages::default(),
            failure: None,
        }
    }

    /// Samples at the begin and at the end of the measured time, and shows what goes on meanwhile.
    fn follow(
        &mut self,
        drivers: &DriverThreads,
        tree: &mut RunTree,
        live: &mut Live,
    ) -> RunTelemetry {
        let clock = drivers.run_state.clock;
        self.next_ping = clock.now() + SECOND;
        let from = self.from;
        let mut begin = None;
        loop {
            let now = clock.now();
            if interrupt::is_wanted() {
                drivers.run_state.end(now);
            }
            let until = drivers.run_state.window().until;
            if now >= from && begin.is_none() {
                begin = Some(Sample::take(&mut self.members));
            }
            self.look(drivers, live);
            if now >= until || drivers.is_settled() {
                break;
            }
            self.kill(drivers, true, tree, live);
            self.keep_alive(now, tree);
            let wake = if begin.is_none() { from.min(until) } else { until };
            clock.sleep_until(wake.min(now + POLL));
        }
        let end = Sample::take(&mut self.members);
        let begin = begin.unwrap_or_else(|| end.clone());
        let until = drivers.run_state.window().until;
        let elapsed = clock.now().min(until).saturating_sub(from).min(drivers.load.length());
        self.wait_settled(drivers, tree, live);
        let used = end.servers.zip(begin.servers);
        let (members, cpu_ns) = match &used {
            None => (Vec::new(), None),
            Some((end, begin)) => (
                self.members.describe(begin, end, elapsed),
                Some(end.sum().saturating_sub(begin.sum())),
            ),
        };
        RunTelemetry {
            elapsed,
            driver_cpu_ns: end.driver_ns - begin.driver_ns,
            server_cpu_ns: cpu_ns,
            server_rss: end.rss,
            servers_unknown: self.members.unknown(),
            server: Server { members, ..Server::default() },
            started: self.started,
            load_average: self.load_average,
            seconds: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The threads see to it themselves that this comes to an end; a server that was killed is
    /// waited for.
    fn wait_settled(&mut self, drivers: &DriverThreads, tree: &mut RunTree, live: &mut Live) {
        let clock = drivers.run_state.clock;
        self.next_ping = clock.now() + SECOND;
        while !drivers.is_settled() || self.is_server_down() {
            let now = clock.now();
            self.look(drivers, live);
            self.kill(drivers, false, tree, live);
            self.keep_alive(now, tree);
            clock.sleep_until(now + POLL);
        }
        if let Some(killer) = self.killer.take() {
            (self.outages, self.failure) = killer.finish(&drivers.run_state.acks);
        }
    }

    fn is_server_down(&self) -> bool {
        self.killer.as_ref().is_some_and(Killer::is_busy)
    }

    /// Keeps the session of the nodes alive, once a second.
    fn keep_alive(&mut self, now: Nanos, tree: &mut RunTree) {
        if now < self.next_ping {
            return;
        }
        self.next_ping += SECOND;
        if !self.killer.as_ref().is_some_and(Killer::has_no_leader) {
            tree.keep_alive();
        }
    }

    /// Kills a server if it is time, and sees to one that was killed.
    fn kill(
        &mut self,
        drivers: &DriverThreads,
        may_kill: bool,
        tree: &mut RunTree,
        live: &mut Live,
    ) {
        let Some(killer) = &mut self.killer else { return };
        let now = drivers.run_state.clock.now();
        if let Some(KillEvent { text, serves }) =
            killer.look(now, may_kill, &drivers.run_state.acks)
        {
            live.report_event(now, self.from, &text);
            if serves {
                tree.reconnect();
            }
        }
    }

    fn look(&mut self, drivers: &DriverThreads, live: &mut Live) {
        self.recorder.look(drivers.run_state.clock.now(), &mut self.members);
        let complete = self.timeline.collect(drivers.feeds.iter().map(AsRef::as_ref));
        show(&mut self.recorder, &complete, drivers.run_state.window().until, live);
    }
}

#[derive(Clone)]
struct Sample {
    driver_ns: u64,
    servers: Option<Usages>,
    rss: Option<(u64, u64)>,
}

impl Sample {
    fn take(members: &mut ServerProcesses) -> Sample {
        let servers = members.usages();
        Sample { driver_ns: host::own_cpu_ns(), servers, rss: members.rss_bytes() }
    }
}
