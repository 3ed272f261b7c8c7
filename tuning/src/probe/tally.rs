//! The rounds of one measurement, added up.

use std::time::Duration;

use hdrhistogram::Histogram;
use ringkeeper_engine::device::{Load, Strategy};

use super::commits::Sample;
use super::counters::Counts;
use super::report::Cell;
use super::spread::{Spread, histogram};

/// What was measured so far of one strategy with commits of one size under one load.
pub(crate) struct Tally {
    pub(crate) strategy: Strategy,
    pub(crate) bytes: usize,
    pub(crate) load: Load,
    nanos: Histogram<u64>,
    busy: Duration,
    counts: Counts,
    rounds: Vec<Spread>,
}

impl Tally {
    pub(crate) fn new(strategy: Strategy, bytes: usize, load: Load) -> Tally {
        Tally {
            strategy,
            bytes,
            load,
            nanos: histogram(),
            busy: Duration::ZERO,
            counts: Counts::ZERO,
            rounds: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, sample: &Sample) {
        if sample.nanos.is_empty() {
            return;
        }
        self.nanos.add(&sample.nanos).expect("all histograms have the same bounds");
        self.busy += sample.busy;
        self.counts = self.counts.plus(sample.counts);
        self.rounds.push(Spread::of(&sample.nanos));
    }

    /// The result; nothing where nothing was measured.
    pub(crate) fn cell(&self) -> Option<Cell> {
        let commits = self.nanos.len();
        if commits == 0 {
            return None;
        }
        let each = |count: u64| count as f64 / commits as f64;
        Some(Cell {
            strategy: self.strategy,
            bytes: self.bytes,
            load: self.load,
            commits,
            micros: Spread::of(&self.nanos),
            per_second: commits as f64 / self.busy.as_secs_f64().max(1e-9),
            rounds_p50: self.rounds.iter().map(|round| round.p50).collect(),
            rounds_p99: self.rounds.iter().map(|round| round.p99).collect(),
            written_kib: self.counts.written_bytes.map(|bytes| each(bytes) / 1024.0),
            flushes: self.counts.flushes.map(each),
        })
    }
}
