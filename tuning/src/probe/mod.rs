//! `ringkeeper tune probe`: the truth about durable writes on the disk of a directory.
//!
//! What is measured is what runs: every strategy of the engine's log device, with commits of
//! several sizes, on a quiet host and on one whose processors are all busy.

pub(crate) mod clock;
mod commits;
mod counters;
pub(crate) mod disk;
pub(crate) mod files;
mod load_generator;
mod pinning;
mod plan;
pub(crate) mod report;
pub(crate) mod ring;
pub(crate) mod scratch;
pub(crate) mod spread;
mod stop;
mod tally;
pub(crate) mod wake;
pub(crate) mod words;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use ringkeeper_engine::device::{Directory, Disk, Durability, Load, Priority, Strategy};

use self::commits::{Bounds, FileLayout, Target};
use self::counters::{Counters, Counts};
use self::load_generator::LoadGenerator;
pub(crate) use self::plan::{Depth, Plan};
use self::report::FORMAT;
pub(crate) use self::report::{Cell, Report, Taken, Unusable};
use self::scratch::Scratch;
pub(crate) use self::stop::Stop;
use self::tally::Tally;
use self::words::load_name;
use crate::text;
use ringkeeper_bench::servers::root::Root;

/// What a report says that Ctrl-C has ended.
pub(crate) const INTERRUPTED: &str = "it was interrupted";
/// Time for each kind of hand-off under each load.
const WAKE_TIME: Duration = Duration::from_millis(150);
/// How long it is watched what others write before the probe begins.
const WATCH_TIME: Duration = Duration::from_millis(200);

/// Measures. `progress` is called with what comes next, and the share that is done.
pub(crate) fn run(
    directory: &Path,
    plan: &Plan,
    stop: &Stop,
    progress: &mut dyn FnMut(&str, f64),
) -> Result<Report> {
    let root = Root::host();
    let begun = Instant::now();
    require_space(directory, plan)?;
    let scratch = Scratch::make(directory)?;
    let device = disk::below(&root, directory);
    let counters = Counters::new(&root, device.as_ref());
    let before = counters.read();
    let mut disk = disk::facts(&root, directory);
    let mut taken = taken(&root, directory, plan)?;
    progress("what others write", 0.0);
    disk.others_kib_per_second = other_writes(&counters);
    let clock = clock::measure(&root);
    let mut probe = ProbeRun {
        plan,
        stop,
        counters: &counters,
        begun,
        before,
        tallies: Vec::new(),
        cut_short: None,
        priority: (Priority::Normal, Priority::Normal),
    };
    let (targets, unusable) = probe.targets(&scratch, progress)?;
    if stop.is_wanted() {
        bail!("{INTERRUPTED} before anything was measured, and leaves nothing behind");
    }
    if targets.is_empty() {
        let reasons: Vec<String> =
            unusable.iter().map(|way| format!("{}: {}", way.strategy, way.why)).collect();
        bail!("no way to write works in {}: {}", directory.display(), reasons.join("; "));
    }
    let mut wakes = Vec::new();
    if let Err(error) = probe.rounds(&targets, &mut wakes, progress) {
        if probe.tallies.iter().all(|tally| tally.cell().is_none()) {
            return Err(error);
        }
        // What was measured before it is true all the same.
        probe.cut_short = Some(format!("{error:#}"));
    }
    let works: Vec<Strategy> = targets.iter().map(|(strategy, _)| *strategy).collect();
    progress("states of the file", 0.97);
    let files = files::compare(&scratch, &counters, stop, &works);
    let ProbeRun { tallies, cut_short, priority, .. } = probe;
    taken.priority = match priority {
        (quiet, busy) if quiet == busy => quiet.to_string(),
        (quiet, busy) => format!("{quiet} ({busy} where it is busy)"),
    };
    let report = Report {
        format: FORMAT,
        taken,
        disk,
        cells: tallies.iter().filter_map(Tally::cell).collect(),
        unusable,
        files,
        ring: ring::query(&root),
        wakes,
        clock,
        cut_short: if stop.is_wanted() { Some(INTERRUPTED.to_owned()) } else { cut_short },
    };
    progress("done", 1.0);
    Ok(report)
}

fn require_space(directory: &Path, plan: &Plan) -> Result<()> {
    let shown = directory.display();
    let device = Disk::open(directory, Strategy::Pwrite, Durability::Synced).map_err(|error| {
        anyhow!("{shown} cannot be measured: {error}; name one that you may read")
    })?;
    let free = device.free_bytes()?;
    if free < plan.space() {
        let (free, needed) = (text::bytes(free), text::bytes(plan.space()));
        bail!("{shown} has {free} of free space, the probe needs {needed}; make space, or --quick");
    }
    Ok(())
}

fn taken(root: &Root, directory: &Path, plan: &Plan) -> Result<Taken> {
    let directory = directory.canonicalize().context("cannot resolve the directory")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let load = root.word("/proc/loadavg");
    Ok(Taken {
        unix_s: now.as_secs(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        directory: directory.display().to_string(),
        depth: plan.depth.name().to_owned(),
        priority: Priority::Normal.to_string(),
        kernel: root.word("/proc/sys/kernel/osrelease").unwrap_or_default(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        load_average: load.and_then(|text| text.split(' ').next()?.parse().ok()),
    })
}

/// KiB per second that others write to the disk while we do nothing.
fn other_writes(counters: &Counters) -> Option<f64> {
    let before = counters.read();
    std::thread::sleep(WATCH_TIME);
    let sectors = counters.read().since(before).sectors?;
    Some(sectors as f64 / 2.0 / WATCH_TIME.as_secs_f64())
}

/// The files that are measured, one for each strategy that works here.
type Targets = Vec<(Strategy, Target)>;

/// A probe under way.
struct ProbeRun<'a> {
    plan: &'a Plan,
    stop: &'a Stop,
    counters: &'a Counters,
    begun: Instant,
    before: Counts,
    tallies: Vec<Tally>,
    cut_short: Option<String>,
    /// What the commits were granted, on the quiet host and on the busy one.
    priority: (Priority, Priority),
}

impl ProbeRun<'_> {
    /// A file for each strategy that works here.
    fn targets(
        &self,
        scratch: &Scratch,
        progress: &mut dyn FnMut(&str, f64),
    ) -> Result<(Targets, Vec<Unusable>)> {
        let (mut targets, mut unusable) = (Vec::new(), Vec::new());
        for strategy in Strategy::ALL {
            if self.stop.is_wanted() {
                break;
            }
            progress(&format!("a file for {strategy}"), 0.0);
            match Target::make(scratch, strategy, self.plan.file_bytes, FileLayout::AsSegments) {
                Ok(target) => targets.push((strategy, target)),
                // That says nothing about the strategy.
                Err(error) if error.is_full() => {
                    return Err(anyhow!("{error}; the disk is full, so make space"));
                }
                Err(error) => unusable.push(Unusable { strategy, why: error.to_string() }),
            }
        }
        Ok((targets, unusable))
    }

    /// All measurements in turn, several times.
    fn rounds(
        &mut self,
        targets: &[(Strategy, Target)],
        wakes: &mut Vec<wake::Wake>,
        progress: &mut dyn FnMut(&str, f64),
    ) -> Result<()> {
        let cells = self.plan.cells();
        self.tallies =
            cells.iter().map(|&(way, bytes, load)| Tally::new(way, bytes, load)).collect();
        let all = cells.len() * self.plan.rounds as usize;
        for round in 0..self.plan.rounds as usize {
            let mut busy: Option<LoadGenerator> = None;
            for (at, &(strategy, bytes, load)) in cells.iter().enumerate() {
                if self.is_over() {
                    return Ok(());
                }
                if load == Load::Busy && busy.is_none() {
                    if round == 0 {
                        progress("hand-offs between threads", 0.0);
                        wakes.extend(wake::measure(Load::Quiet, WAKE_TIME, self.stop)?);
                    }
                    busy = Some(LoadGenerator::start(self.plan.time_max()));
                    if round == 0 {
                        wakes.extend(wake::measure(Load::Busy, WAKE_TIME, self.stop)?);
                    }
                }
                let size = text::bytes(bytes as u64);
                let named = format!("{strategy}, {size}, {}", load_name(load));
                progress(&named, (round * cells.len() + at) as f64 / all as f64);
                let target = targets.iter().find(|(way, _)| *way == strategy);
                if let Some((_, target)) = target {
                    self.measure(at, target)?;
                }
            }
        }
        Ok(())
    }

    fn measure(&mut self, at: usize, target: &Target) -> Result<()> {
        let tally = &mut self.tallies[at];
        let bytes = self.plan.slice_bytes(tally.bytes);
        let bounds = Bounds { time: self.plan.slice, bytes, stop: self.stop };
        let sample = std::thread::scope(|scope| {
            // As the server's log has it: a thread of its own, of the priority that it may have.
            let commits = scope.spawn(|| {
                let priority = match tally.load {
                    Load::Quiet => Priority::prefer(),
                    Load::Busy => Priority::raise(),
                };
                target.commit(tally.bytes, bounds, self.counters).map(|sample| (sample, priority))
            });
            commits.join().expect("a failed commit is an error, not a panic")
        });
        let (sample, priority) = sample?;
        match tally.load {
            Load::Quiet => self.priority.0 = priority,
            Load::Busy => self.priority.1 = priority,
        }
        tally.add(&sample);
        Ok(())
    }

    /// Whether to end: asked to, out of time, or more was written than promised.
    fn is_over(&mut self) -> bool {
        let written = self.counters.read().since(self.before).written_bytes.unwrap_or(0);
        if self.begun.elapsed() > self.plan.time_max() {
            self.cut_short = Some("the disk is so slow that the time was up".to_owned());
        } else if written > self.plan.bytes_max {
            self.cut_short = Some("the bytes that it may write were used up".to_owned());
        }
        self.cut_short.is_some() || self.stop.is_wanted()
    }
}

#[cfg(test)]
mod tests;
