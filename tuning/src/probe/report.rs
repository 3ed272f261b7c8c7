//! What a probe found, as a value that is kept as JSON.

use serde::{Deserialize, Serialize};

use ringkeeper_engine::device::{Load, Measured, Strategy, choose, choose_over_rounds};

use super::clock::ClockFacts;
use super::disk::DiskFacts;
use super::files::FileFacts;
use super::ring::RingFacts;
use super::spread::Spread;
use super::wake::Wake;
use super::words::{LoadWord, StrategyWord};

/// The version of the form of the report.
pub(crate) const FORMAT: u32 = 1;

/// Everything that was found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The version of this form.
    pub(crate) format: u32,
    /// Where and when.
    pub(crate) taken: Taken,
    pub(crate) disk: DiskFacts,
    pub(crate) cells: Vec<Cell>,
    /// Strategies that do not work here, and why.
    pub(crate) unusable: Vec<Unusable>,
    /// What the state of the file does to a commit.
    pub(crate) files: Option<FileFacts>,
    /// What io_uring can do here.
    pub(crate) ring: RingFacts,
    /// How long it takes to wake another thread.
    pub(crate) wakes: Vec<Wake>,
    /// What it costs to read the clock.
    pub(crate) clock: ClockFacts,
    /// Why the probe ended before it was through, if it did.
    pub(crate) cut_short: Option<String>,
}

/// Where and when a probe was taken.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// Seconds since 1970.
    pub(crate) unix_s: u64,
    pub(crate) version: String,
    /// The directory whose disk was measured.
    pub(crate) directory: String,
    /// How thorough it was: quick, normal or thorough.
    pub(crate) depth: String,
    /// The priority of the thread that made the commits, as far as it was granted what the server's
    /// asks for.
    pub(crate) priority: String,
    pub(crate) kernel: String,
    /// Processors that this process may use.
    pub(crate) cpus: usize,
    /// The load of the host in the last minute, before the probe began.
    pub(crate) load_average: Option<f64>,
}

/// One strategy with commits of one size under one load.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The strategy.
    #[serde(with = "StrategyWord")]
    pub(crate) strategy: Strategy,
    pub(crate) bytes: usize,
    /// What else went on.
    #[serde(with = "LoadWord")]
    pub(crate) load: Load,
    pub(crate) commits: u64,
    /// How long one took.
    pub(crate) micros: Spread,
    pub(crate) per_second: f64,
    /// The median of each round: how far they are apart is the noise.
    pub(crate) rounds_p50: Vec<f64>,
    /// What one in a hundred took longer than, in each round.
    pub(crate) rounds_p99: Vec<f64>,
    /// KiB that the kernel wrote for each commit.
    pub(crate) written_kib: Option<f64>,
    /// Flushes of the disk's cache for each commit; more than there were where others write to
    /// the same disk.
    pub(crate) flushes: Option<f64>,
}

/// A strategy that does not work here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Unusable {
    /// The strategy.
    #[serde(with = "StrategyWord")]
    pub(crate) strategy: Strategy,
    pub(crate) why: String,
}

impl Cell {
    /// MB (millions of bytes) per second.
    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.per_second * self.bytes as f64 / 1e6
    }

    /// As the server's own probe has it. Of the slow commits the median of the rounds counts: one
    /// bad moment of the host is not the strategy's.
    pub(crate) fn measured(&self) -> Measured {
        let mut slow = self.rounds_p99.clone();
        slow.sort_by(f64::total_cmp);
        let p99 = slow.get(slow.len() / 2).copied().unwrap_or(self.micros.p99);
        self.with(self.micros.p50, p99)
    }

    /// What one round measured; nothing where it did not come to it.
    fn measured_in(&self, round: usize) -> Option<Measured> {
        Some(self.with(*self.rounds_p50.get(round)?, *self.rounds_p99.get(round)?))
    }

    fn with(&self, p50: f64, p99: f64) -> Measured {
        Measured {
            strategy: self.strategy,
            bytes: self.bytes,
            load: self.load,
            flushes: self.commits as usize,
            p50_us: p50.round() as u64,
            p99_us: p99.round() as u64,
            written_bytes: self.written_kib.map(|kib| (kib * 1024.0) as u64),
        }
    }
}

impl Report {
    /// Reads a report from its JSON.
    pub(crate) fn parse(text: &str) -> Result<Report, String> {
        let report: Report = serde_json::from_str(text).map_err(|error| {
            format!("it is no report of `ringkeeper tune probe --json`: {error}")
        })?;
        if report.format != FORMAT {
            let (found, known) = (report.format, FORMAT);
            return Err(format!("it has format {found}, this version reads format {known}"));
        }
        Ok(report)
    }

    pub(crate) fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("it holds numbers and words only");
        text.push('\n');
        text
    }

    /// The measurements of a strategy under a load, the smallest commits first.
    pub(crate) fn curve(&self, strategy: Strategy, load: Load) -> Vec<&Cell> {
        let of = |cell: &&Cell| cell.strategy == strategy && cell.load == load;
        let mut cells: Vec<&Cell> = self.cells.iter().filter(of).collect();
        cells.sort_by_key(|cell| cell.bytes);
        cells
    }

    /// The strategy that the server's own rule takes from these measurements, and why: the default
    /// one, unless another is clearly better in every round.
    pub(crate) fn choice(&self) -> (Strategy, String) {
        let all: Vec<Measured> = self.cells.iter().map(Cell::measured).collect();
        let (best, mut why) = choose(&all);
        let rounds: Vec<Vec<Measured>> = (0..self.rounds())
            .map(|round| self.cells.iter().filter_map(|cell| cell.measured_in(round)).collect())
            .collect();
        if rounds.is_empty() {
            return (best, why);
        }
        let (chosen, _) = choose_over_rounds(&rounds);
        if chosen != best {
            why.push_str("; the rounds do not agree that another is better");
        }
        (chosen, why)
    }

    /// Rounds that every measurement has.
    fn rounds(&self) -> usize {
        self.cells.iter().map(|cell| cell.rounds_p50.len()).min().unwrap_or(0)
    }

    /// The hand-off of one kind under a load.
    pub(crate) fn wake(&self, kind: &str, load: Load) -> Option<&Wake> {
        self.wakes.iter().find(|wake| wake.kind == kind && wake.load == load)
    }
}
