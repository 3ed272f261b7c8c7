//! One run, as it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::args::Load;
use crate::model::clock::seconds;
use crate::model::kind::Kind;
use crate::model::outage::Outages;
use crate::model::quantiles::Usage;
use crate::model::second::{Event, Second};
use crate::model::server::Server;
use crate::record::tally::{Row, Tally};
use crate::record::telemetry::RunTelemetry;

use super::Operation;

/// One run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    pub target: String,
    /// Its version, if it is known.
    pub version: Option<String>,
    pub title: String,
    pub workload: String,
    pub connections: u32,
    pub pipeline: usize,
    pub threads: u32,
    /// Operations per second that were asked for; none is a closed loop.
    pub rate: Option<f64>,
    pub arrival: Option<String>,
    pub warmup_s: f64,
    pub elapsed_s: f64,
    /// Bytes of each value, of the longest if they differ.
    pub value_bytes: usize,
    /// The same with the shortest, where they differ.
    #[serde(default)]
    pub value_sizes: String,
    /// How keys were chosen.
    #[serde(default)]
    pub keys_dist: String,
    /// The phase of a scenario.
    #[serde(default)]
    pub phase: Option<String>,
    /// What carried the driver's sockets.
    #[serde(default)]
    pub io: String,
    /// Lost connections and killed servers.
    #[serde(default)]
    pub outages: Outages,
    /// Nodes that were set and read.
    pub keys: u32,
    pub children: u32,
    pub seed: u64,
    /// Which repetition of the load it was, from 1.
    pub repeat: u32,
    /// When the measured time began, in UTC.
    pub started: String,
    /// The host's load average right before.
    pub load_average: Option<f64>,
    pub total: Operation,
    /// Kinds of operation.
    pub ops: Vec<Operation>,
    /// The course, second by second.
    pub series: Vec<Second>,
    /// What happened to the server meanwhile.
    pub events: Vec<Event>,
    pub driver: Usage,
    pub server: Option<Usage>,
    /// The servers' memory at the end.
    pub server_rss_bytes: Option<u64>,
    /// The most memory that the servers ever held.
    pub server_rss_peak_bytes: Option<u64>,
    pub server_facts: Server,
    pub checked: u64,
    /// Arrivals of an open loop that were never sent.
    pub unsent: u64,
    /// Whether it ended before its time.
    pub partial: bool,
    /// Kinds of fault and their counts.
    pub faults: BTreeMap<String, u64>,
    pub fault_examples: Vec<String>,
    /// Servers that the sums of CPU and memory lack, since their processes are not known.
    #[serde(skip)]
    pub servers_unknown: usize,
    /// Whether several kinds of operation make up the total.
    #[serde(skip)]
    pub is_mixed: bool,
}

impl Run {
    /// What was counted and what was noted beside it, put together.
    pub(crate) fn new(target: &str, load: &Load, tally: &Tally, noted: RunTelemetry) -> Run {
        let elapsed = noted.elapsed;
        let mut total = Row::new(None);
        for row in load.workload.primary().iter().filter_map(|kind| tally.row(*kind)) {
            total.add(row);
        }
        let usage = |cpu_ns| Usage::of(cpu_ns, total.in_time, elapsed);
        let operation = |(kind, row): (Kind, &Row)| Operation::new(kind.name(), row, elapsed);
        Run {
            target: target.to_string(),
            version: None,
            title: load.title(),
            workload: load.workload.to_string(),
            connections: load.connections,
            pipeline: load.pipeline as usize,
            threads: load.threads,
            rate: load.rate,
            arrival: load.rate.map(|_| format!("{:?}", load.arrival).to_lowercase()),
            warmup_s: seconds(load.warmup),
            elapsed_s: seconds(elapsed),
            value_bytes: load.value_bytes.max,
            value_sizes: load.value_bytes.to_string(),
            keys_dist: load.keys_dist.to_string(),
            phase: load.name.clone(),
            io: load.io.name().into(),
            outages: tally.outages.clone(),
            keys: load.keys,
            children: load.children,
            seed: load.seed,
            repeat: 1,
            started: super::date(noted.started),
            load_average: noted.load_average,
            total: Operation::new("total", &total, elapsed),
            ops: tally.rows().map(operation).collect(),
            series: noted.seconds,
            events: noted.events,
            driver: usage(noted.driver_cpu_ns),
            server: noted.server_cpu_ns.map(usage),
            server_rss_bytes: noted.server_rss.map(|(now, _)| now),
            server_rss_peak_bytes: noted.server_rss.map(|(_, peak)| peak),
            server_facts: noted.server,
            checked: tally.checked,
            unsent: tally.unsent,
            partial: false,
            faults: tally.faults.kinds().map(|(kind, n)| (kind.name().into(), n)).collect(),
            fault_examples: tally.faults.examples().to_vec(),
            servers_unknown: noted.servers_unknown,
            is_mixed: load.workload.primary().len() > 1,
        }
    }

    /// Operations per second that were due, of an open loop: chance spaces them.
    pub(crate) fn due_per_s(&self) -> f64 {
        let due = self.total.ops + self.total.errors + self.unsent;
        due as f64 / self.elapsed_s.max(1e-9)
    }

    pub(crate) fn faults_total(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Whether the figures stand: nothing was wrong, and something was measured.
    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty() && !self.partial && self.total.ops > 0
    }

    /// One kind of operation, or `total`.
    pub(crate) fn operation(&self, name: &str) -> Option<&Operation> {
        if name == self.total.op {
            return Some(&self.total);
        }
        self.ops.iter().find(|operation| operation.op == name)
    }

    /// What has to be the same for two runs to be comparable, and its value.
    pub(crate) fn parameters(&self) -> [(&'static str, String); 10] {
        let rate = self.rate.map_or("none".into(), |rate| rate.to_string());
        [
            ("workload", self.workload.clone()),
            ("connections", self.connections.to_string()),
            ("pipeline", self.pipeline.to_string()),
            ("threads", self.threads.to_string()),
            ("rate", rate),
            ("value_bytes", self.value_bytes.to_string()),
            ("value_sizes", self.value_sizes.clone()),
            ("keys", self.keys.to_string()),
            ("keys_dist", self.keys_dist.clone()),
            ("children", self.children.to_string()),
        ]
    }
}

#[cfg(test)]
impl Run {
    /// A good run of one kind of operation.
    pub(crate) fn sample(workload: &str, rate: f64) -> Run {
        let total = Operation::sample("total", rate, 1e6 / rate);
        let second = |at: u32| Second {
            at_s: f64::from(at),
            length_s: 1.0,
            ops: rate as u64,
            ops_per_s: rate * (1.0 + f64::from(at % 3) / 10.0),
            latency_us: total.latency_us,
            driver_cpus: Some(0.5),
            server_cpus: Some(0.75),
            ..Second::default()
        };
        Run {
            target: "127.0.0.1:2181".into(),
            version: Some("3.9.5".into()),
            title: format!("{workload} · 64 connections"),
            workload: workload.into(),
            connections: 64,
            pipeline: 16,
            threads: 1,
            warmup_s: 1.0,
            elapsed_s: 5.0,
            value_bytes: 100,
            value_sizes: "100".into(),
            keys_dist: "uniform".into(),
            io: "io_uring".into(),
            keys: 1_000,
            children: 100,
            seed: 1,
            repeat: 1,
            started: "2026-01-02T03:04:05Z".into(),
            load_average: Some(0.1),
            ops: vec![Operation { op: workload.into(), ..total.clone() }],
            series: (0..5).map(second).collect(),
            driver: Usage { cpu_us_per_op: 0.5, cpus: 0.5 },
            server: Some(Usage { cpu_us_per_op: 0.75, cpus: 0.75 }),
            server_rss_bytes: Some(70_000_000),
            server_rss_peak_bytes: Some(80_000_000),
            checked: 5_000,
            total,
            ..Run::default()
        }
    }
}
