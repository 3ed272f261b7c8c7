//! One load on one target, from planting to clearing.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};

use crate::clock::{Clock, Nanos, SECOND};
use crate::course::Course;
use crate::driver::Crew;
use crate::host;
use crate::interrupt;
use crate::kill::Killer;
use crate::live::Live;
use crate::load::{Load, Target};
use crate::recipe::{Place, Places};
use crate::report::{Report, Sampled};
use crate::tally::{Interval, Tally, Window};
use crate::tree::{self, Plot};
use crate::value::mix;

/// How often the course of a run is looked at.
const LOOK: Nanos = SECOND / 50;

/// Runs a load against a target. An error means that nothing was measured; what goes wrong later
/// is in the report.
pub(crate) fn run(target: &Target, load: &Load, live: &mut Live) -> Result<Report> {
    let mut plot = Plot::plant(&target.servers, load, &run_name())?;
    let version = target.servers.first().and_then(|server| tree::version(*server));
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
    if let Err(error) = plot.clear() {
        report.partial = true;
        report.examples.push(format!("left behind: {error:#}; the next run removes it"));
    }
    Ok(report)
}

/// Short, and different for runs that overlap.
fn run_name() -> String {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let word = mix(u64::from(std::process::id()) << 32 ^ crate::clock::nanos(age));
    format!("{:06x}", word >> 40)
}

/// The threads of a run, and what they run against.
struct Team {
    pids: Vec<u32>,
    load: Arc<Load>,
    course: Arc<Course>,
    intervals: Vec<Arc<Mutex<Interval>>>,
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
        let found = || host::listeners(&target.servers);
        let mut team = Team {
            pids: if target.pids.is_empty() { found() } else { target.pids.clone() },
            load: load.clone(),
            course,
            intervals: Vec::new(),
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
            let interval: Arc<Mutex<Interval>> = Arc::default();
            team.intervals.push(interval.clone());
            let crew = Crew {
                thread,
                lanes: share(thread)..share(thread + 1),
                load: load.clone(),
                layout: layout.clone(),
                course: team.course.clone(),
                servers: servers.clone(),
                places: places.clone(),
                interval,
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

    /// The last second of all threads.
    fn interval(&self) -> Interval {
        let mut all = Interval::default();
        for interval in &self.intervals {
            let one = std::mem::take(
                &mut *interval.lock().expect("no thread panics while it holds this"),
            );
            all.response.add(&one.response).expect("all histograms have the same bounds");
            all.faults += one.faults;
        }
        all
    }

    fn join(self) -> Result<Tally> {
        let mut all: Option<Tally> = None;
        for thread in self.threads {
            let tally = thread.join().map_err(|_| anyhow!("a driver thread panicked"))??;
            match &mut all {
                Some(all) => all.merge(&tally),
                None => all = Some(tally),
            }
        }
        all.ok_or_else(|| anyhow!("no driver threads"))
    }
}

fn measure(
    target: &Target,
    load: &Load,
    plot: &mut Plot,
    mut killer: Option<Killer>,
    live: &mut Live,
) -> Result<Report> {
    let team = Team::start(target, load, plot);
    if !team.begin() {
        let failure = team.failure.lock().expect("no thread panics while it holds this").take();
        let failure = failure.unwrap_or_else(|| io::Error::other("unknown"));
        bail!("cannot connect {} sessions to {}: {failure}", load.connections, target.name);
    }
    let mut watch = Watch { plot, killer: killer.as_mut(), trouble: None };
    let mut sampled = attend(&team, &mut watch, live);
    let trouble = watch.trouble.take();
    team.course.release();
    let window = team.course.window();
    let mut tally = team.join()?;
    if let Some(killer) = killer {
        tally.outages.merge(&killer.outages);
    }
    plot.audit(load, &mut tally);
    if load.count.is_some() {
        sampled.elapsed = tally.last.saturating_sub(window.from);
    }
    let mut report = Report::new(&target.name, load, &tally, &sampled);
    report.partial = match load.count {
        Some(count) => report.total.ops + report.total.errors + tally.outages.unknown < count,
        None => sampled.elapsed < load.duration,
    };
    if let Some(trouble) = trouble {
        report.partial = true;
        report.examples.push(format!("{trouble:#}"));
    }
    Ok(report)
}

/// What is looked after beside the load.
struct Watch<'a> {
    plot: &'a mut Plot,
    killer: Option<&'a mut Killer>,
    /// Why a killed server did not come back.
    trouble: Option<anyhow::Error>,
}

impl Watch<'_> {
    fn look(&mut self, now: Nanos, may_kill: bool) {
        let Some(killer) = &mut self.killer else { return };
        match killer.look(now, may_kill) {
            Ok(true) => self.plot.revive(),
            Ok(false) => {}
            Err(error) => {
                self.trouble = Some(error);
                self.killer = None;
            }
        }
    }

    fn stay(&mut self) {
        let is_down = self.killer.as_ref().is_some_and(|killer| killer.is_busy());
        if !is_down {
            self.plot.stay();
        }
    }
}

/// Samples at the begin and at the end of the measured time, and shows what goes on meanwhile.
fn attend(team: &Team, watch: &mut Watch<'_>, live: &mut Live) -> Sampled {
    let pids = &team.pids[..];
    let clock = team.course.clock;
    let Window { from, .. } = team.course.window();
    let began = clock.now();
    if let Some(killer) = &mut watch.killer {
        killer.begin(from);
    }
    let mut begin = None;
    let mut next_line = began + SECOND;
    loop {
        let now = clock.now();
        if interrupt::is_wanted() {
            team.course.end(now);
        }
        let Window { until, .. } = team.course.window();
        if now >= from && begin.is_none() {
            begin = Some(Sample::take(pids));
        }
        if now >= until || team.is_settled() {
            break;
        }
        if now >= next_line {
            next_line += SECOND;
            live.line((now - began) / SECOND, now < from, &team.interval(), pids);
            watch.stay();
        }
        watch.look(now, true);
        let wake = if begin.is_none() { from.min(until) } else { until };
        clock.sleep_until(wake.min(next_line).min(now + LOOK));
    }
    let end = Sample::take(pids);
    let begin = begin.unwrap_or_else(|| end.clone());
    let Window { until, .. } = team.course.window();
    let elapsed = clock.now().min(until).saturating_sub(from).min(team.load.length());
    wait_settled(team, watch);
    Sampled {
        elapsed,
        driver_cpu_ns: end.driver_ns - begin.driver_ns,
        server_cpu_ns: end.server_ns.zip(begin.server_ns).map(|(end, begin)| end - begin),
        server_rss: end.rss,
    }
}

/// The threads see to it themselves that this comes to an end.
fn wait_settled(team: &Team, watch: &mut Watch<'_>) {
    let clock = team.course.clock;
    let mut next_ping = clock.now() + SECOND;
    let is_down = |watch: &Watch<'_>| watch.killer.as_ref().is_some_and(|killer| killer.is_busy());
    while !team.is_settled() || is_down(watch) {
        let now = clock.now();
        if now >= next_ping {
            next_ping += SECOND;
            watch.stay();
        }
        watch.look(now, false);
        clock.sleep_until(now + LOOK);
    }
}

#[derive(Clone)]
struct Sample {
    driver_ns: u64,
    server_ns: Option<u64>,
    rss: Option<(u64, u64)>,
}

impl Sample {
    fn take(pids: &[u32]) -> Sample {
        let known = !pids.is_empty();
        Sample {
            driver_ns: host::own_cpu_ns(),
            server_ns: known.then(|| host::cpu_ns(pids)).flatten(),
            rss: known.then(|| host::rss_bytes(pids)).flatten(),
        }
    }
}
