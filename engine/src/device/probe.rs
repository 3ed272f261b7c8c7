//! Which way to write this disk likes best: measured, briefly, where the log will live.
//!
//! A quiet machine and a busy one rank the ways differently (one that waits for a kernel thread is
//! fast until something else wants the processor), so both are measured.
#![expect(
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and keeps cores busy"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Directory, Disk, DiskError, Durability, ReadAt, Segment, Sink, Source, Strategy};

/// The file that is written while measuring.
const SCRATCH: &str = "probe.tmp";
const SCRATCH_BYTES: u64 = 4 << 20;
/// How much of it a start writes that knows nothing of the disk, and for how long at most: it does
/// not choose by that, it only says what to expect.
const GLANCE_BYTES: u64 = 128 << 10;
const GLANCE_TIME: Duration = Duration::from_millis(1);
/// A small commit, and a large one.
const SMALL: usize = 4 << 10;
const LARGE: usize = 64 << 10;
/// Commits of one measurement at most.
const COMMITS_MAX: usize = 2_000;
/// And at least.
const COMMITS_MIN: usize = 3;
/// How much faster than the usual way another one must be to be taken instead, each time that it
/// is measured: less is noise, and a choice that wavers is worse than a good one.
const CLEARLY: f64 = 0.65;
/// How much slower than the usual way another one may be on a quiet machine to be taken for what it
/// does on a busy one, which is the least certain of all figures.
const SLOWER: f64 = 1.25;
/// How many times everything is measured.
const ROUNDS: u32 = 2;
/// Bytes written for each byte of a small commit beyond which a way wears out the disk.
const AMPLIFICATION_MAX: f64 = 8.0;
/// The file that keeps a report.
const NAME: &str = "device.probe";
const TITLE: &str = "ringkeeper device probe 2";

/// What else the machine does during a measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// Nothing of ours.
    Quiet,
    /// Every core is wanted by somebody else.
    Busy,
}

/// One way, measured once.
#[derive(Clone, PartialEq, Debug)]
pub struct Measured {
    /// The way.
    pub strategy: Strategy,
    /// Bytes of each commit.
    pub bytes: usize,
    /// What else went on.
    pub load: Load,
    /// Commits measured.
    pub commits: usize,
    /// Microseconds of the median commit.
    pub p50_us: u64,
    /// Microseconds that one commit in a hundred takes longer than.
    pub p99_us: u64,
    /// Bytes that the kernel wrote for each commit; unknown where it does not tell.
    pub written_bytes: Option<u64>,
}

/// What was measured and what follows from it.
#[derive(Clone, PartialEq, Debug)]
pub struct ProbeReport {
    /// The way to use.
    pub chosen: Strategy,
    /// Why.
    pub why: String,
    /// The file system that was measured (see [`Disk::file_system`]).
    pub file_system: String,
    /// Microseconds of the median `fdatasync` behind a write of 4 KiB.
    pub fdatasync_p50_us: u64,
    /// And of the slowest in a hundred.
    pub fdatasync_p99_us: u64,
    /// Everything that was measured; not kept in the file.
    pub measured: Vec<Measured>,
}

impl ProbeReport {
    /// The report kept in a directory, if it is of the disk on which the directory lies now, and
    /// the system still allows what it chose: a container may forbid what its host does not. What
    /// an interrupted measurement has left there is removed.
    pub fn kept(path: &Path) -> Result<Option<ProbeReport>, DiskError> {
        let disk = Disk::open(path, Strategy::Pwrite, Durability::Synced)?;
        // Usually there is nothing, and what is there is in nobody's way.
        let _ = disk.remove(SCRATCH);
        let here = disk.file_system()?;
        let known = load(&disk).filter(|report| report.file_system == here);
        Ok(known.filter(|report| match try_one(path, report.chosen) {
            Ok(()) => true,
            // That says nothing about the way.
            Err(error) => error.is_full(),
        }))
    }

    /// Keeps the report in a directory.
    pub fn keep(&self, path: &Path) -> Result<(), DiskError> {
        let disk = Disk::open(path, Strategy::Pwrite, Durability::Synced)?;
        let mut sink = disk.create(NAME)?;
        sink.write(self.to_text().as_bytes())?;
        sink.sync()
    }

    /// The report as it is kept.
    pub fn to_text(&self) -> String {
        format!(
            "{TITLE}\nchosen={}\nwhy={}\nfile_system={}\nfdatasync_p50_us={}\n\
             fdatasync_p99_us={}\n",
            self.chosen, self.why, self.file_system, self.fdatasync_p50_us, self.fdatasync_p99_us
        )
    }

    /// Reads a report that was kept; `None` where it is not understood, and is to be made again.
    pub fn parse(text: &str) -> Option<ProbeReport> {
        let fields = text.strip_prefix(TITLE)?;
        let field =
            |name: &str| fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        Some(ProbeReport {
            chosen: field("chosen")?.parse().ok()?,
            why: field("why")?.to_owned(),
            file_system: field("file_system")?.to_owned(),
            fdatasync_p50_us: field("fdatasync_p50_us")?.parse().ok()?,
            fdatasync_p99_us: field("fdatasync_p99_us")?.parse().ok()?,
            measured: Vec::new(),
        })
    }
}

fn load(disk: &Disk) -> Option<ProbeReport> {
    let reader = disk.read(NAME, Source::Cached).ok()?;
    let bytes = usize::try_from(reader.bytes()).ok().filter(|&bytes| bytes <= SMALL)?;
    ProbeReport::parse(&String::from_utf8(reader.read_at(0, bytes).ok()?).ok()?)
}

/// Measures every way within about `budget` and chooses one. Fails only where not even plain
/// writes work.
pub fn probe(path: &Path, budget: Duration) -> Result<ProbeReport, DiskError> {
    let report = probe_while(path, budget, || true)?;
    Ok(report.expect("nobody has called it off"))
}

/// As [`probe`], but asks before each measurement whether to go on; `None` where it was called off.
pub fn probe_while(
    path: &Path,
    budget: Duration,
    mut go_on: impl FnMut() -> bool,
) -> Result<Option<ProbeReport>, DiskError> {
    let deadline = Instant::now() + budget;
    // What works everywhere comes first: if the disk is too slow for more, it is what is used.
    let order = [Strategy::Pwrite, Strategy::Direct, Strategy::Uring, Strategy::Mmap];
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut measured = Vec::new();
        for (number, strategy) in order.into_iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let ways = (ROUNDS - round) * order.len() as u32 - number as u32;
            match measure_all(path, strategy, left / ways, &mut go_on) {
                Ok(Some(rows)) => measured.extend(rows),
                Ok(None) => return Ok(None),
                Err(error) if strategy == Strategy::Pwrite => return Err(error),
                // The system forbids it, or the file system cannot do it.
                Err(_) => {}
            }
        }
        rounds.push(measured);
    }
    let file_system = Disk::open(path, Strategy::Pwrite, Durability::Synced)?.file_system()?;
    let (chosen, why) = settle(&rounds);
    let measured = rounds.pop().expect("there is a last round");
    let plain = find(&measured, Strategy::Pwrite, SMALL, Load::Quiet);
    let (fdatasync_p50_us, fdatasync_p99_us) = plain.map_or((0, 0), |row| (row.p50_us, row.p99_us));
    Ok(Some(ProbeReport { chosen, why, file_system, fdatasync_p50_us, fdatasync_p99_us, measured }))
}

/// Small and large commits on a quiet machine, small ones on a busy one. A third of the time is
/// for making the file.
fn measure_all(
    path: &Path,
    strategy: Strategy,
    time: Duration,
    go_on: &mut impl FnMut() -> bool,
) -> Result<Option<Vec<Measured>>, DiskError> {
    let begun = Instant::now();
    let scratch = Scratch::make(path, strategy)?;
    let slice = time.saturating_sub(begun.elapsed()) / 3;
    let mut rows = Vec::new();
    for (bytes, load) in [(SMALL, Load::Quiet), (LARGE, Load::Quiet), (SMALL, Load::Busy)] {
        if !go_on() {
            return Ok(None);
        }
        rows.push(scratch.measure(bytes, load, slice)?);
    }
    Ok(Some(rows))
}

/// Measures one way with commits of `bytes` for about `time`, in a file of its own in `path`.
pub fn measure(
    path: &Path,
    strategy: Strategy,
    bytes: usize,
    load: Load,
    time: Duration,
) -> Result<Measured, DiskError> {
    Scratch::make(path, strategy)?.measure(bytes, load, time)
}

/// The way that is taken before anything was measured, and what a few small commits took; nothing
/// of these where not even one was possible (a full disk).
pub fn usual(path: &Path) -> (Strategy, Option<Measured>) {
    let mut glance = None;
    let strategy = Strategy::usual(|strategy| {
        glance = glance_at(path, strategy).ok();
        glance.is_some()
    });
    let glance = glance.or_else(|| glance_at(path, strategy).ok());
    (strategy, glance)
}

/// Writes one block in this way.
fn try_one(path: &Path, strategy: Strategy) -> Result<(), DiskError> {
    let scratch = Scratch::sized(path, strategy, SMALL as u64)?;
    scratch.disk.segment(SCRATCH, 0)?.write(0, &[0x5a; SMALL]).map(drop)
}

/// Writes some blocks in this way.
fn glance_at(path: &Path, strategy: Strategy) -> Result<Measured, DiskError> {
    let scratch = Scratch::sized(path, strategy, GLANCE_BYTES)?;
    scratch.commits(SMALL, Load::Quiet, GLANCE_TIME, 1)
}

/// A preallocated file that goes away with the measurement.
struct Scratch {
    disk: Disk,
    strategy: Strategy,
    size: u64,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody depends on it; the next probe writes over it.
        let _ = self.disk.remove(SCRATCH);
    }
}

impl Scratch {
    fn make(path: &Path, strategy: Strategy) -> Result<Scratch, DiskError> {
        Scratch::sized(path, strategy, SCRATCH_BYTES)
    }

    fn sized(path: &Path, strategy: Strategy, size: u64) -> Result<Scratch, DiskError> {
        let disk = Disk::open(path, strategy, Durability::Synced)?;
        let scratch = Scratch { disk, strategy, size };
        scratch.disk.preallocate(SCRATCH, size)?;
        Ok(scratch)
    }

    fn measure(&self, bytes: usize, load: Load, time: Duration) -> Result<Measured, DiskError> {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let hogs = match load {
                Load::Quiet => 0,
                Load::Busy => thread::available_parallelism().map_or(1, usize::from),
            };
            // They stop by themselves too: where threads are never preempted (a real-time policy),
            // nobody else would get to tell them.
            let (begun, limit) = (Instant::now(), time * 2);
            for _ in 0..hogs {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) && begun.elapsed() < limit {
                        std::hint::spin_loop();
                    }
                });
            }
            let measured = self.commits(bytes, load, time, COMMITS_MIN);
            stop.store(true, Ordering::Relaxed);
            measured
        })
    }

    /// At least so many commits, however slow the disk is.
    fn commits(
        &self,
        bytes: usize,
        load: Load,
        time: Duration,
        least: usize,
    ) -> Result<Measured, DiskError> {
        let commit = vec![0x5a; bytes];
        let mut segment = self.disk.segment(SCRATCH, 0)?;
        // The first write after opening pays for things that no later one pays for.
        segment.write(0, &commit)?;
        let mut offset = bytes as u64;
        let mut micros = Vec::with_capacity(COMMITS_MAX);
        let (begun, written) = (Instant::now(), written_so_far());
        while micros.len() < COMMITS_MAX && (begun.elapsed() < time || micros.len() < least) {
            if offset + bytes as u64 > self.size {
                segment = self.disk.segment(SCRATCH, 0)?;
                offset = 0;
            }
            micros.push(segment.write(offset, &commit)?.micros);
            offset += bytes as u64;
        }
        let commits = micros.len();
        let written = written.zip(written_so_far()).map(|(from, to)| (to - from) / commits as u64);
        micros.sort_unstable();
        Ok(Measured {
            strategy: self.strategy,
            bytes,
            load,
            commits,
            p50_us: micros[commits / 2],
            p99_us: micros[(commits * 99 / 100).min(commits - 1)],
            written_bytes: written,
        })
    }
}

/// Bytes that this process has caused to be written. Right as long as it does nothing else.
fn written_so_far() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}

fn find(rows: &[Measured], strategy: Strategy, bytes: usize, load: Load) -> Option<&Measured> {
    rows.iter().find(|row| (row.strategy, row.bytes, row.load) == (strategy, bytes, load))
}

/// The way that every round has found clearly better than the usual one, or else that one. Says
/// why. There is a round at least.
pub fn settle(rounds: &[Vec<Measured>]) -> (Strategy, String) {
    let mut verdicts = rounds.iter().map(|rows| choose(rows));
    let (first, mut why) = verdicts.next().expect("there is a round at least");
    let mut chosen = first;
    for (next, _) in verdicts {
        if next != first {
            chosen = Strategy::usual(|way| rounds.iter().all(|rows| works(rows, way)));
            let _ = write!(why, "; measured again, {next} was better, so neither is taken");
        }
    }
    (chosen, why)
}

fn works(rows: &[Measured], strategy: Strategy) -> bool {
    find(rows, strategy, SMALL, Load::Busy).is_some()
}

/// Whether a way loses on a quiet machine what it may win on a busy one.
fn is_slower(rows: &[Measured], way: Strategy, usual: Strategy) -> bool {
    [SMALL, LARGE].into_iter().any(|bytes| {
        let p50_us = |way| find(rows, way, bytes, Load::Quiet).map(|row| row.p50_us as f64);
        matches!((p50_us(way), p50_us(usual)), (Some(it), Some(that)) if it > that * SLOWER)
    })
}

/// Takes the usual way, unless there is one that is clearly better, and not slower on a quiet
/// machine: then the best. Says why. It looks at commits of 4 KiB, quiet and busy, and of 64 KiB,
/// quiet.
pub fn choose(rows: &[Measured]) -> (Strategy, String) {
    let mut why = String::new();
    let costs: Vec<(Strategy, f64)> = Strategy::ALL
        .into_iter()
        .filter_map(|strategy| Some((strategy, cost(rows, strategy, &mut why)?)))
        .collect();
    let usual = Strategy::usual(|way| works(rows, way));
    let limit = costs.iter().find(|(way, _)| *way == usual).map_or(f64::MAX, |(_, cost)| *cost);
    let better = costs
        .into_iter()
        .filter(|(way, cost)| *cost < limit * CLEARLY && !is_slower(rows, *way, usual));
    let best = better.min_by(|(_, a), (_, b)| a.total_cmp(b));
    (best.map_or(usual, |(strategy, _)| strategy), why)
}

/// What a way costs in microseconds: small commits count most, then those on a busy machine, where
/// the slow ones are what clients notice.
fn cost(rows: &[Measured], strategy: Strategy, why: &mut String) -> Option<f64> {
    let separator = if why.is_empty() { "" } else { "; " };
    let row = |bytes, load| find(rows, strategy, bytes, load);
    let (Some(small), Some(large), Some(busy)) =
        (row(SMALL, Load::Quiet), row(LARGE, Load::Quiet), row(SMALL, Load::Busy))
    else {
        let _ = write!(why, "{separator}{strategy}: does not work here");
        return None;
    };
    let _ = write!(
        why,
        "{separator}{strategy}: {} us (busy {}, p99 {}; 64 KiB {})",
        small.p50_us, busy.p50_us, busy.p99_us, large.p50_us
    );
    if strategy == Strategy::Mmap {
        let amplification = small.written_bytes.map(|bytes| bytes as f64 / SMALL as f64);
        if amplification.is_none_or(|times| times > AMPLIFICATION_MAX) {
            why.push_str(", rejected: it writes far more than it is given");
            return None;
        }
    }
    let busy = (busy.p50_us + busy.p99_us.min(20 * busy.p50_us)) as f64;
    Some(small.p50_us as f64 + busy / 4.0 + large.p50_us as f64 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(strategy: Strategy, small: u64, busy_p99: u64, written: u64) -> Vec<Measured> {
        let row = |bytes, load, p99_us| Measured {
            strategy,
            bytes,
            load,
            commits: 100,
            p50_us: small,
            p99_us,
            written_bytes: Some(written),
        };
        vec![
            row(SMALL, Load::Quiet, small),
            row(LARGE, Load::Quiet, small),
            row(SMALL, Load::Busy, busy_p99),
        ]
    }

    #[test]
    fn a_little_faster_is_not_better() {
        let mut all = rows(Strategy::Direct, 100, 200, 4_096);
        all.extend(rows(Strategy::Uring, 70, 140, 4_096));
        all.extend(rows(Strategy::Pwrite, 110, 150, 4_096));
        assert_eq!(choose(&all).0, Strategy::Direct);
        all.extend(rows(Strategy::Mmap, 30, 60, 4_096));
        assert_eq!(choose(&all).0, Strategy::Mmap);
        all.retain(|row| row.strategy == Strategy::Uring || row.strategy == Strategy::Pwrite);
        assert_eq!(choose(&all).0, Strategy::Pwrite, "without direct writes, plain ones are usual");
    }

    #[test]
    fn once_clearly_faster_is_not_better() {
        let round = |uring| {
            let mut all = rows(Strategy::Direct, 100, 200, 4_096);
            all.extend(rows(Strategy::Uring, uring, 2 * uring, 4_096));
            all
        };
        assert_eq!(settle(&[round(40), round(50)]).0, Strategy::Uring);
        let (chosen, why) = settle(&[round(40), round(80)]);
        assert_eq!(chosen, Strategy::Direct);
        assert!(why.ends_with("measured again, direct was better, so neither is taken"), "{why}");
        assert_eq!(settle(&[round(80), round(40)]).0, Strategy::Direct);
    }

    /// Where commits of one way took 4 ms in one probe of a busy machine and 0.1 ms in the next.
    #[test]
    fn busy_figures_alone_do_not_decide() {
        let mut all = rows(Strategy::Direct, 115, 4_800, 4_096);
        all.extend(rows(Strategy::Uring, 120, 300, 4_096));
        assert_eq!(choose(&all).0, Strategy::Uring, "as fast, and sooner where it matters");
        all.retain(|row| row.strategy == Strategy::Direct);
        all.extend(rows(Strategy::Uring, 208, 300, 4_096));
        assert_eq!(choose(&all).0, Strategy::Direct);
    }

    #[test]
    fn what_stalls_on_a_busy_machine_or_writes_too_much_is_not_taken() {
        let mut all = rows(Strategy::Direct, 100, 200, 4_096);
        all.extend(rows(Strategy::Uring, 60, 4_000, 4_096));
        all.extend(rows(Strategy::Mmap, 30, 60, 2 << 20));
        let (chosen, why) = choose(&all);
        assert_eq!(chosen, Strategy::Direct);
        assert!(why.contains("mmap: 30 us") && why.contains("rejected"), "{why}");
        assert!(why.contains("pwrite: does not work here"), "{why}");
    }

    #[test]
    fn reports_survive_their_file() {
        let (chosen, why) = choose(&rows(Strategy::Uring, 1, 2, 3));
        let report = ProbeReport {
            chosen,
            why,
            file_system: "1f".to_owned(),
            fdatasync_p50_us: 7,
            fdatasync_p99_us: 9,
            measured: Vec::new(),
        };
        assert_eq!(ProbeReport::parse(&report.to_text()), Some(report));
        assert_eq!(ProbeReport::parse("ringkeeper device probe 1\nchosen=direct\n"), None);
    }
}
