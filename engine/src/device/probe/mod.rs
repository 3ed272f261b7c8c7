//! Which strategy is the fastest on a disk: a short measurement in the directory of the log.
//!
//! Performance machinery: a reader may skip this module on first reading, for a log is as durable
//! with any strategy. See `docs/understand/performance.md`.
//!
//! The order of the strategies differs between a quiet machine and a busy one (a strategy that
//! waits for a kernel thread is fast until other threads want the processor), so both are measured.
#![expect(
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and keeps cores busy"
)]

mod choice;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use choice::{choose, choose_over_rounds};

use super::{Directory, Disk, DiskError, Durability, ReadAt, Segment, Sink, Source, Strategy};

/// The file that is written while measuring.
const SCRATCH: &str = "probe.tmp";
const SCRATCH_BYTES: u64 = 4 << 20;
/// What a start writes that has no measurement of the disk, and for how long at most. It chooses
/// nothing by that, it only reports the latency to expect.
const SAMPLE_BYTES: u64 = 128 << 10;
const SAMPLE_TIME: Duration = Duration::from_millis(1);
/// Bytes of a small flush, and of a large one.
const SMALL: usize = 4 << 10;
const LARGE: usize = 64 << 10;
/// Flushes of one measurement at most.
const FLUSHES_MAX: usize = 2_000;
/// And at least.
const FLUSHES_MIN: usize = 3;
/// How many times everything is measured.
const ROUNDS: u32 = 2;
/// The file of a report.
const NAME: &str = "device.probe";
const TITLE: &str = "ringkeeper device probe 2";

/// What else the machine does during a measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// Nothing of ours.
    Quiet,
    /// A thread of ours spins on every core.
    Busy,
}

/// One strategy, measured once.
#[derive(Clone, PartialEq, Debug)]
pub struct Measured {
    /// The strategy.
    pub strategy: Strategy,
    /// Bytes of each flush.
    pub bytes: usize,
    /// What else went on.
    pub load: Load,
    /// Flushes measured.
    pub flushes: usize,
    /// Microseconds of the median flush.
    pub p50_us: u64,
    /// Microseconds of the slowest flush in a hundred.
    pub p99_us: u64,
    /// Bytes that the kernel wrote for each flush; unknown where it does not tell.
    pub written_bytes: Option<u64>,
}

/// What was measured and what follows from it.
#[derive(Clone, PartialEq, Debug)]
pub struct ProbeReport {
    /// The strategy to use.
    pub chosen: Strategy,
    /// Why.
    pub why: String,
    /// The file system that was measured (see [`Disk::file_system`]).
    pub file_system: String,
    /// Microseconds of the median `fdatasync` behind a write of 4 KiB.
    pub fdatasync_p50_us: u64,
    /// And of the slowest in a hundred.
    pub fdatasync_p99_us: u64,
    /// Everything that was measured; not in the file.
    pub measured: Vec<Measured>,
}

impl ProbeReport {
    /// Reads the report in a directory. `None` if it is of another disk than the directory is on,
    /// or if the system does not allow the chosen strategy any more: a container may forbid what
    /// its host allows. Files of an interrupted measurement are removed.
    pub fn load(path: &Path) -> Result<Option<ProbeReport>, DiskError> {
        let disk = Disk::open(path, Strategy::Pwrite, Durability::Synced)?;
        // Usually there is none, and one that stays does no harm.
        let _ = disk.remove(SCRATCH);
        let here = disk.file_system()?;
        // An earlier version may have chosen what is not chosen any more: it is measured again.
        let known = load(&disk)
            .filter(|report| report.file_system == here && choice::is_candidate(report.chosen));
        Ok(known.filter(|report| match try_one(path, report.chosen) {
            Ok(()) => true,
            // A full disk says nothing about the strategy.
            Err(error) => error.is_full(),
        }))
    }

    /// Writes the report into a directory.
    pub fn save(&self, path: &Path) -> Result<(), DiskError> {
        let disk = Disk::open(path, Strategy::Pwrite, Durability::Synced)?;
        let mut sink = disk.create(NAME)?;
        sink.write(self.to_text().as_bytes())?;
        sink.sync()
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        format!(
            "{TITLE}\nchosen={}\nwhy={}\nfile_system={}\nfdatasync_p50_us={}\n\
             fdatasync_p99_us={}\n",
            self.chosen, self.why, self.file_system, self.fdatasync_p50_us, self.fdatasync_p99_us
        )
    }

    /// Reads the text of the file; `None` for another format, after which the disk is measured
    /// again.
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

/// Measures every strategy within about `budget` and chooses one. Fails only where not even plain
/// writes work.
pub fn probe(path: &Path, budget: Duration) -> Result<ProbeReport, DiskError> {
    let report = probe_while(path, budget, || true)?;
    Ok(report.expect("nothing stops it"))
}

/// As [`probe`], but checks before each measurement whether to go on; `None` if it was stopped.
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
            let measurements = (ROUNDS - round) * order.len() as u32 - number as u32;
            match measure_all(path, strategy, left / measurements, &mut go_on) {
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
    let (chosen, why) = choose_over_rounds(&rounds);
    let measured = rounds.pop().expect("there is a last round");
    let plain = find(&measured, Strategy::Pwrite, SMALL, Load::Quiet);
    let (fdatasync_p50_us, fdatasync_p99_us) = plain.map_or((0, 0), |row| (row.p50_us, row.p99_us));
    Ok(Some(ProbeReport { chosen, why, file_system, fdatasync_p50_us, fdatasync_p99_us, measured }))
}

/// Small and large flushes on a quiet machine, small ones on a busy one. Creating the file takes
/// its share of the time.
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

/// Measures one strategy with flushes of `bytes` for about `time`, in a file of its own in `path`.
pub fn measure(
    path: &Path,
    strategy: Strategy,
    bytes: usize,
    load: Load,
    time: Duration,
) -> Result<Measured, DiskError> {
    Scratch::make(path, strategy)?.measure(bytes, load, time)
}

/// The strategy of a disk that was not measured, and the latency of a few small flushes with it;
/// none if not even one was possible (a full disk).
pub fn default_strategy(path: &Path) -> (Strategy, Option<Measured>) {
    let mut sampled = None;
    let strategy = Strategy::default_among(|strategy| {
        sampled = sample(path, strategy).ok();
        sampled.is_some()
    });
    let sampled = sampled.or_else(|| sample(path, strategy).ok());
    (strategy, sampled)
}

/// Writes one block with this strategy.
fn try_one(path: &Path, strategy: Strategy) -> Result<(), DiskError> {
    let scratch = Scratch::sized(path, strategy, SMALL as u64)?;
    scratch.disk.segment(SCRATCH, 0)?.write(0, &[0x5a; SMALL]).map(drop)
}

/// Writes some blocks with this strategy.
fn sample(path: &Path, strategy: Strategy) -> Result<Measured, DiskError> {
    let scratch = Scratch::sized(path, strategy, SAMPLE_BYTES)?;
    scratch.flushes(SMALL, Load::Quiet, SAMPLE_TIME, 1)
}

/// A preallocated file that goes away with the measurement.
struct Scratch {
    disk: Disk,
    strategy: Strategy,
    size: u64,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it; the next probe writes over it.
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
            let busy_threads = match load {
                Load::Quiet => 0,
                Load::Busy => thread::available_parallelism().map_or(1, usize::from),
            };
            // They stop by themselves too: where threads are never preempted (a real-time policy),
            // the thread that would stop them may not run.
            let (begun, limit) = (Instant::now(), time * 2);
            for _ in 0..busy_threads {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) && begun.elapsed() < limit {
                        std::hint::spin_loop();
                    }
                });
            }
            let measured = self.flushes(bytes, load, time, FLUSHES_MIN);
            stop.store(true, Ordering::Relaxed);
            measured
        })
    }

    /// At least so many flushes, however slow the disk is.
    fn flushes(
        &self,
        bytes: usize,
        load: Load,
        time: Duration,
        least: usize,
    ) -> Result<Measured, DiskError> {
        let payload = vec![0x5a; bytes];
        let mut segment = self.disk.segment(SCRATCH, 0)?;
        // The first write after opening has costs that no later one has.
        segment.write(0, &payload)?;
        let mut offset = bytes as u64;
        let mut micros = Vec::with_capacity(FLUSHES_MAX);
        let (begun, written) = (Instant::now(), written_so_far());
        while micros.len() < FLUSHES_MAX && (begun.elapsed() < time || micros.len() < least) {
            if offset + bytes as u64 > self.size {
                segment = self.disk.segment(SCRATCH, 0)?;
                offset = 0;
            }
            micros.push(segment.write(offset, &payload)?.micros);
            offset += bytes as u64;
        }
        let flushes = micros.len();
        let written = written.zip(written_so_far()).map(|(from, to)| (to - from) / flushes as u64);
        micros.sort_unstable();
        Ok(Measured {
            strategy: self.strategy,
            bytes,
            load,
            flushes,
            p50_us: micros[flushes / 2],
            p99_us: micros[(flushes * 99 / 100).min(flushes - 1)],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_survives_writing_and_parsing() {
        let report = ProbeReport {
            chosen: Strategy::Uring,
            why: "uring: 1 us (busy 2, p99 3; 64 KiB 1)".to_owned(),
            file_system: "1f".to_owned(),
            fdatasync_p50_us: 7,
            fdatasync_p99_us: 9,
            measured: Vec::new(),
        };
        assert_eq!(ProbeReport::parse(&report.to_text()), Some(report));
        assert_eq!(ProbeReport::parse("ringkeeper device probe 1\nchosen=direct\n"), None);
    }
}
