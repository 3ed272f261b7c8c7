//! What came out of a run, as a value.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::record::telemetry::Around;
use crate::model::clock::{Nanos, SECOND};
use crate::load::parameters::Load;
use crate::model::outage::Outages;
use crate::record::results::Member;
use crate::record::tally::{Row, Tally, histogram};

/// Percentiles of latency, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    /// The mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

impl Quantiles {
    /// Reads a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Quantiles {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Quantiles {
            mean: histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
        }
    }
}

/// One line of the table.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Line {
    /// Kind of operation.
    pub name: &'static str,
    /// Operations timed.
    pub ops: u64,
    /// Operations per second.
    pub rate: f64,
    /// Failed operations.
    pub errors: u64,
    /// Latency: from the intended start in an open loop.
    pub response: Quantiles,
    /// Latency from the sending, in an open loop.
    pub service: Option<Quantiles>,
    /// All latencies, in nanoseconds.
    pub times: Histogram<u64>,
}

impl Line {
    fn of(name: &'static str, row: &Row, elapsed: Nanos) -> Line {
        Line {
            name,
            ops: row.response.len(),
            rate: per_second(row.in_time, elapsed),
            errors: row.errors,
            response: Quantiles::of(&row.response),
            service: row.service.as_ref().map(Quantiles::of),
            times: row.response.clone(),
        }
    }
}

/// Processor time and memory over the measured time.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Microseconds of processor time per operation.
    pub cpu_us_per_op: f64,
    /// Processors kept busy.
    pub cpus: f64,
}

impl Usage {
    /// From processor time and operations.
    pub(crate) fn of(cpu_ns: u64, ops: u64, elapsed: Nanos) -> Usage {
        Usage {
            cpu_us_per_op: cpu_ns as f64 / 1e3 / ops.max(1) as f64,
            cpus: cpu_ns as f64 / elapsed.max(1) as f64,
        }
    }
}

/// What was sampled beside the tallies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sampled {
    /// Time measured.
    pub elapsed: Nanos,
    /// The driver's processor time within it.
    pub driver_cpu_ns: u64,
    /// The servers' processor time within it, if they are known.
    pub server_cpu_ns: Option<u64>,
    /// The servers' memory at its end, and the most they ever held.
    pub server_rss: Option<(u64, u64)>,
    /// Servers whose processes are not known, so that these sums lack them.
    pub servers_unknown: usize,
    /// Each server.
    pub members: Vec<Member>,
}

/// What came out of a run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Name of the target.
    pub target: String,
    /// Its version, if it tells.
    pub version: Option<String>,
    /// The load.
    pub load: Load,
    /// Time measured.
    pub elapsed: Nanos,
    /// All primary operations as one.
    pub total: Line,
    /// Kinds of operation.
    pub lines: Vec<Line>,
    /// The driver's processor time.
    pub driver: Usage,
    /// The servers' processor time.
    pub server: Option<Usage>,
    /// The servers' memory: at the end, and the most ever.
    pub server_rss: Option<(u64, u64)>,
    /// Servers that are missing in these sums.
    pub servers_unknown: usize,
    /// Kinds of fault and their counts.
    pub faults: Vec<(&'static str, u64)>,
    /// Stories of some faults.
    pub examples: Vec<String>,
    /// Lost connections and killed servers.
    pub outages: Outages,
    /// Replies and events looked at.
    pub checked: u64,
    /// Arrivals of an open loop that were never sent.
    pub unsent: u64,
    /// Whether it ended before its time.
    pub partial: bool,
    /// Which repetition of the load it is, from 1.
    pub repeat: u32,
    /// What was noted around the operations.
    pub around: Around,
}

impl Report {
    /// Puts together what was counted and what was sampled.
    pub(crate) fn new(target: &str, load: &Load, tally: &Tally, sampled: &Sampled) -> Report {
        let mut total = Row { response: histogram(), service: None, in_time: 0, errors: 0 };
        for kind in load.workload.primary() {
            let Some(row) = tally.row(*kind) else { continue };
            total.response.add(&row.response).expect("all histograms have the same bounds");
            total.in_time += row.in_time;
            total.errors += row.errors;
        }
        let elapsed = sampled.elapsed;
        let ops = total.in_time;
        let line = |(kind, row): (crate::model::kind::Kind, &Row)| Line::of(kind.name(), row, elapsed);
        Report {
            target: target.to_string(),
            version: None,
            load: load.clone(),
            elapsed,
            total: Line::of("total", &total, elapsed),
            lines: tally.rows().map(line).collect(),
            driver: Usage::of(sampled.driver_cpu_ns, ops, elapsed),
            server: sampled.server_cpu_ns.map(|cpu_ns| Usage::of(cpu_ns, ops, elapsed)),
            server_rss: sampled.server_rss,
            servers_unknown: sampled.servers_unknown,
            faults: tally.faults.kinds().map(|(kind, n)| (kind.name(), n)).collect(),
            examples: tally.faults.examples().to_vec(),
            outages: tally.outages.clone(),
            checked: tally.checked,
            unsent: tally.unsent,
            partial: false,
            repeat: 1,
            around: Around::default(),
        }
    }

    /// Operations per second that were due, of an open loop: chance spaces them.
    pub(crate) fn due_per_s(&self) -> f64 {
        per_second(self.total.ops + self.total.errors + self.unsent, self.elapsed)
    }

    /// Whether the figures stand: nothing was wrong, and something was measured.
    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty() && !self.partial && self.total.ops > 0
    }
}

/// A time as seconds.
pub(crate) fn seconds(time: Nanos) -> f64 {
    Duration::from_nanos(time).as_secs_f64()
}

fn per_second(count: u64, elapsed: Nanos) -> f64 {
    count as f64 * SECOND as f64 / elapsed.max(1) as f64
}
