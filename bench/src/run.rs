//! One load on one target, from planting to clearing.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};

use crate::record::telemetry::{Around, Recorder};
use crate::model::clock::{Clock, Nanos, SECOND};
use crate::drive::run_state::Course;
use crate::drive::driver::Crew;
use crate::servers::host;
use crate::servers::probe::Inquest;
use crate::drive::interrupt;
use crate::servers::kill::{Killer, News};
use crate::show::live::Live;
use crate::load::parameters::{Load, Target};
use crate::servers::processes::{Members, Usages};
use crate::model::outage::{Kill, Outages};
use crate::drive::recipe::{Place, Places};
use crate::record::report::{Report, Sampled};
use crate::record::results::{load_average, told};
use crate::record::tally::{Tally, Window};
use crate::show::text;
use crate::record::timeline::{Feed, Timeline};
use crate::drive::tree::Plot;
use crate::load::value::mix;
use crate::servers::word::{self, Introduction};

/// How often the course of a run is looked at.
const LOOK: Nanos = SECOND / 50;

/// Runs a load against a target. An error means that nothing was measured; what goes wrong later
/// is in the report.
pub(crate) fn run(target: &Target, load: &Load, live: &mut Live) -> Result<Report> {
    let mut plot = Plot::plant(&target.servers, load, &run_name())?;
    let version = target.servers.iter().find_map(|server| Introduction::of(*server).version);
    let gone: Vec<String> = gone(target);
    gone.iter().for_each(|story| live.say(story));
    let killer = Killer::new(target, load);
    let measured = killer.and_then(|killer| measure(target, load, &mut plot, killer, live));
    let mut report = match measured {
        Ok(report) => report,
        Err(error) => {
            // The first failure is the one to tell.
            let _ = plot.clear();
            return Err(error);
        }
    };
    report.version = version;
    report.examples.extend(gone);
    live.end();
    if let Err(error) = plot.clear() {
        report.partial = true;
        let story = told(&error);
        report.examples.push(format!("left behind: {story}; the next run removes it"));
    }
    Ok(report)
}

/// Servers of several that cannot be reached.
fn gone(target: &Target) -> Vec<String> {
    let servers = target.servers.iter().filter(|_| target.servers.len() > 1);
    let gone = servers.filter(|server| !word::is_there(**server));
    gone.map(|server| format!("{server} cannot be reached: its sessions go to the others"))
        .collect()
}

/// Short, and different for runs that overlap.
fn run_name() -> String {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let word = mix(u64::from(std::process::id()) << 32 ^ crate::model::clock::nanos(age));
    format!("{:06x}", word >> 40)
}

/// The threads of a run, and what they run against.
struct Team {
    load: Arc<Load>,
    course: Arc<Course>,
    feeds: Vec<Arc<Feed>>,
    threads: Vec<JoinHandle<io::Result<Tally>>>,
    connected: Arc<Barrier>,
    go: Arc<Barrier>,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Team {
    fn start(target: &Target, load: &Load, plot: &Plot) -> Team {
        let load = Arc::new(load.clone());
        let course = Arc::new(Course::new(Clock::start(), load.grace, load.count));
        let parties = load.threads as usize + 1;
        let mut team = Team {
            load: load.clone(),
            course,
            feeds: Vec::new(),
            threads: Vec::new(),
            connected: Arc::new(Barrier::new(parties)),
            go: Arc::new(Barrier::new(parties)),
            failure: Arc::default(),
        };
        let layout = Arc::new(plot.layout().clone());
        let servers: Arc<[SocketAddr]> = target.servers.clone().into();
        let places: Places = (0..load.workload.queues()).map(|_| Place::default()).collect();
        for thread in 0..load.threads {
            let share = |n| load.connections * n / load.threads;
            let feed: Arc<Feed> = Arc::default();
            team.feeds.push(feed.clone());
            let crew = Crew {
                thread,
                lanes: share(thread)..share(thread + 1),
                load: load.clone(),
                layout: layout.clone(),
                course: team.course.clone(),
                servers: servers.clone(),
                places: places.clone(),
                feed,
            };
            let ready = team.gate();
            team.threads.push(std::thread::spawn(move || crew.work(ready)));
        }
        team
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
        let from = self.course.clock.now() + self.load.warmup;
        self.course.go(Window { from, until: from.saturating_add(self.load.length()) });
        self.go.wait();
        self.failure.lock().expect("no thread panics while it holds this").is_none()
    }

    fn is_settled(&self) -> bool {
        self.course.settled_threads() as usize == self.threads.len()
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
    plot: &mut Plot,
    killer: Option<Killer>,
    live: &mut Live,
) -> Result<Report> {
    let team = Team::start(target, load, plot);
    let members = Members::find(target);
    let inquest = Inquest::begin(live.inquiry, &target.servers, &members, team.course.clock);
    let load_average = load_average();
    if !team.begin() {
        let failure = team.failure.lock().expect("no thread panics while it holds this").take();
        let failure = failure.unwrap_or_else(|| io::Error::other("unknown"));
        let hint = inquest.connections_hint(load.connections / target.servers.len() as u32);
        let sessions = load.connections;
        bail!("cannot connect {sessions} sessions to {}: {failure}{hint}", target.name);
    }
    let mut watch = Watch::begin(&team, members, killer);
    let ahead = watch.from.saturating_sub(team.course.clock.now());
    let started = SystemTime::now() + Duration::from_nanos(ahead);
    live.begin(&text::title(load), started, Duration::from_nanos(load.length()));
    let mut sampled = watch.attend(&team, plot, live);
    team.course.release();
    let window = team.course.window();
    let mut timeline = watch.timeline;
    let mut tally = team.join(&mut timeline)?;
    tally.outages.merge(&watch.outages);
    plot.audit(load, &mut tally);
    if load.count.is_some() {
        sampled.elapsed = tally.last.saturating_sub(window.from);
    }
    watch.recorder.take(timeline.finish(), window.until, live);
    let mut report = Report::new(&target.name, load, &tally, &sampled);
    let mut seconds = watch.recorder.finish(sampled.elapsed);
    let inquest_missing = inquest.missing.clone();
    let (mut server, mut events) = inquest.end(window.from, &mut seconds);
    server.members = sampled.members;
    events.extend(watch.outages.each.iter().flat_map(Kill::events));
    events.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
    report.examples.extend(inquest_missing);
    report.around = Around { started, load_average, seconds, events, server };
    report.partial = match load.count {
        Some(count) => report.total.ops + report.total.errors + tally.outages.unknown < count,
        None => sampled.elapsed < load.duration,
    };
    if let Some(trouble) = watch.trouble {
        report.partial = true;
        report.examples.push(told(&trouble));
    }
    Ok(report)
}

/// What follows a run while it lasts.
struct Watch {
    from: Nanos,
    timeline: Timeline,
    recorder: Recorder,
    members: Members,
    killer: Option<Killer>,
    /// What the killer has done.
    outages: Outages,
    /// Why a killed server did not come back.
    trouble: Option<anyhow::Error>,
}

impl Watch {
    fn begin(team: &Team, members: Members, mut killer: Option<Killer>) -> Watch {
        let from = team.course.window().from;
        let recorder = Recorder::new(from, team.load.workload.primary());
        if let Some(killer) = &mut killer {
            killer.begin(from);
        }
        let (timeline, outages) = (Timeline::default(), Outages::default());
        Watch { from, timeline, recorder, members, killer, outages, trouble: None }
    }

    /// Samples at the begin and at the end of the measured time, and shows what goes on meanwhile.
    fn attend(&mut self, team: &Team, plot: &mut Plot, live: &mut Live) -> Sampled {
        let clock = team.course.clock;
        let from = self.from;
        let mut begin = None;
        let mut next_ping = clock.now() + SECOND;
        loop {
            let now = clock.now();
            if interrupt::is_wanted() {
                team.course.end(now);
            }
            let until = team.course.window().until;
            if now >= from && begin.is_none() {
                begin = Some(Sample::take(&mut self.members));
            }
            self.look(team, live);
            if now >= until || team.is_settled() {
                break;
            }
            self.kill(team, true, plot, live);
            if now >= next_ping {
                next_ping += SECOND;
                self.stay(plot);
            }
            let wake = if begin.is_none() { from.min(until) } else { until };
            clock.sleep_until(wake.min(now + LOOK));
        }
        let end = Sample::take(&mut self.members);
        let begin = begin.unwrap_or_else(|| end.clone());
        let until = team.course.window().until;
        let elapsed = clock.now().min(until).saturating_sub(from).min(team.load.length());
        self.wait_settled(team, plot, live);
        let used = end.servers.zip(begin.servers);
        let (members, cpu_ns) = match &used {
            None => (Vec::new(), None),
            Some((end, begin)) => (
                self.members.describe(begin, end, elapsed),
                Some(end.sum().saturating_sub(begin.sum())),
            ),
        };
        Sampled {
            elapsed,
            driver_cpu_ns: end.driver_ns - begin.driver_ns,
            server_cpu_ns: cpu_ns,
            server_rss: end.rss,
            servers_unknown: self.members.unknown(),
            members,
        }
    }

    /// The threads see to it themselves that this comes to an end; a server that was killed is
    /// waited for.
    fn wait_settled(&mut self, team: &Team, plot: &mut Plot, live: &mut Live) {
        let clock = team.course.clock;
        let mut next_ping = clock.now() + SECOND;
        while !team.is_settled() || self.is_server_down() {
            let now = clock.now();
            self.look(team, live);
            self.kill(team, false, plot, live);
            if now >= next_ping {
                next_ping += SECOND;
                self.stay(plot);
            }
            clock.sleep_until(now + LOOK);
        }
        if let Some(killer) = self.killer.take() {
            (self.outages, self.trouble) = killer.finish(&team.course);
        }
    }

    fn is_server_down(&self) -> bool {
        self.killer.as_ref().is_some_and(Killer::is_busy)
    }

    /// Keeps the session that answers for the nodes.
    fn stay(&self, plot: &mut Plot) {
        if !self.killer.as_ref().is_some_and(Killer::is_headless) {
            plot.stay();
        }
    }

    /// Kills a server if it is time, and sees to one that was killed.
    fn kill(&mut self, team: &Team, may_kill: bool, plot: &mut Plot, live: &mut Live) {
        let Some(killer) = &mut self.killer else { return };
        let now = team.course.clock.now();
        if let Some(News { text, serves }) = killer.look(now, may_kill, &team.course) {
            live.tell(now, self.from, &text);
            if serves {
                plot.revive();
            }
        }
    }

    fn look(&mut self, team: &Team, live: &mut Live) {
        self.recorder.look(team.course.clock.now(), &mut self.members);
        let complete = self.timeline.collect(team.feeds.iter().map(AsRef::as_ref));
        self.recorder.take(complete, team.course.window().until, live);
    }
}

#[derive(Clone)]
struct Sample {
    driver_ns: u64,
    servers: Option<Usages>,
    rss: Option<(u64, u64)>,
}

impl Sample {
    fn take(members: &mut Members) -> Sample {
        let servers = members.usages();
        Sample { driver_ns: host::own_cpu_ns(), servers, rss: members.rss_bytes() }
    }
}
