//! Charts of one run.

use crate::model::numbers::grouped;
use crate::model::quantiles::Distribution;
use crate::model::second::Second;
use crate::record::results::Run;

use super::axis::{Axis, nines, short_count, trimmed};
use super::chart::Chart;
use super::latency;

/// Points of a chart over time, at most: more would not be seen.
const POINTS_MAX: usize = 240;

/// Percentiles in the order of their colours.
const LINES: [(&str, &str); 4] = [("c1", "p50"), ("c2", "p99"), ("c3", "p99.9"), ("c4", "max")];

/// Some seconds as one point.
struct Point {
    from: f64,
    to: f64,
    rate: f64,
    ops: u64,
    faults: u64,
    latency: [f64; 4],
    driver: Option<f64>,
    server: Option<f64>,
    records: Option<f64>,
    sync_ms: Option<f64>,
    commit_ms: Option<Distribution>,
    commit_records: Option<Distribution>,
}

impl Point {
    /// Rates are means; of percentiles the worst is shown, since they have no mean.
    fn of(seconds: &[Second]) -> Point {
        let length: f64 = seconds.iter().map(|second| second.length_s).sum();
        let ops: u64 = seconds.iter().map(|second| second.ops).sum();
        let mean = |of: fn(&Second) -> Option<f64>| {
            let known: Vec<f64> = seconds.iter().filter_map(of).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        let worst = |of: fn(&Second) -> f64| seconds.iter().map(of).fold(0.0, f64::max);
        Point {
            from: seconds[0].at_s,
            to: seconds[0].at_s + length,
            rate: ops as f64 / length.max(1e-3),
            ops,
            faults: seconds.iter().map(|second| second.faults).sum(),
            latency: [
                worst(|second| second.latency_us.p50),
                worst(|second| second.latency_us.p99),
                worst(|second| second.latency_us.p999),
                worst(|second| second.latency_us.max),
            ],
            driver: mean(|second| second.driver_cpus),
            server: mean(|second| second.server_cpus),
            records: mean(|second| second.records_per_sync),
            sync_ms: mean(|second| second.sync_ms),
            commit_ms: widest(seconds, |second| second.commit_ms),
            commit_records: widest(seconds, |second| second.commit_records),
        }
    }

    fn middle(&self) -> f64 {
        f64::midpoint(self.from, self.to)
    }

    fn label(&self) -> String {
        format!("{} to {} s", trimmed(self.from), trimmed(self.to))
    }
}

/// The largest of each figure.
fn widest(seconds: &[Second], of: fn(&Second) -> Option<Distribution>) -> Option<Distribution> {
    seconds.iter().filter_map(of).reduce(|one, other| Distribution {
        p50: one.p50.max(other.p50),
        p99: one.p99.max(other.p99),
        max: one.max.max(other.max),
    })
}

fn points(run: &Run) -> (Vec<Point>, usize) {
    let each = run.series.len().div_ceil(POINTS_MAX).max(1);
    (run.series.chunks(each).map(Point::of).collect(), each)
}

/// All charts over time of a run.
pub(crate) fn charts(run: &Run) -> String {
    let (points, each) = points(run);
    let Some(end) = points.last().map(|point| point.to) else { return String::new() };
    let mut out = latencies(run, &points, each, end) + &rates(run, &points, each, end);
    if points.iter().any(|point| point.driver.is_some()) {
        out += &busy_cpus(run, &points, end);
    }
    if points.iter().any(|point| point.commit_ms.is_some()) {
        out += &commits(run, &points, end, &COMMIT_TIMES);
        out += &commits(run, &points, end, &COMMIT_RECORDS);
    } else if points.iter().any(|point| point.records.is_some() || point.sync_ms.is_some()) {
        out += &syncs(run, &points, end);
    }
    out
}

/// The percentile curve of each operation.
pub(crate) fn percentile_curve(run: &Run) -> String {
    let operations: Vec<_> = run.ops.iter().filter(|op| !op.curve.is_empty()).collect();
    let curves = operations.iter().flat_map(|op| &op.curve);
    let values: Vec<f64> = curves.map(|(_, us)| *us).collect();
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(0.0, f64::max);
    if values.is_empty() {
        return String::new();
    }
    let most = operations.iter().map(|op| op.ops).max().unwrap_or(1);
    let x = Axis::percentiles(most);
    let high = x.high();
    let note = "share of operations that were at least this fast";
    let mut chart = Chart::new("Latency by percentile", note, x, Axis::latency(lowest, highest));
    for (at, operation) in operations.iter().enumerate() {
        let class = format!("c{}", at % 6 + 1);
        let place = |(percentile, us): &(f64, f64)| (nines(*percentile, high), Some(*us));
        chart.line(&class, &operation.curve.iter().map(place).collect::<Vec<_>>());
        chart.legend(&class, &operation.op);
    }
    if let [operation] = operations[..] {
        let mut before = 0.0;
        for (percentile, us) in &operation.curve {
            let at = nines(*percentile, high);
            chart.hit(before, at, &format!("{percentile:.4} %: {}", latency(*us)));
            before = at;
        }
    }
    chart.render()
}

fn latencies(run: &Run, points: &[Point], each: usize, end: f64) -> String {
    let values = || points.iter().flat_map(|point| point.latency).filter(|us| *us > 0.0);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let low = if low.is_finite() { low } else { 1.0 };
    let note = match each {
        1 => "of the replies of each second".to_string(),
        n => format!("the worst second of every {n}"),
    };
    let mut chart =
        Chart::new("Latency over time", &note, Axis::seconds(end), Axis::latency(low, high));
    late(run, &mut chart, end);
    for (at, (class, _)) in LINES.iter().enumerate().rev() {
        let line = points
            .iter()
            .map(|point| (point.middle(), Some(point.latency[at]).filter(|us| *us > 0.0)));
        chart.line(class, &line.collect::<Vec<_>>());
    }
    LINES.iter().for_each(|(class, name)| chart.legend(class, name));
    for point in points {
        let [p50, p99, p999, max] = point.latency.map(latency);
        let text = format!("{}\np50 {p50}\np99 {p99}\np99.9 {p999}\nmax {max}", point.label());
        chart.hit(point.from, point.to, &text);
    }
    events(run, &mut chart);
    chart.render()
}

fn rates(run: &Run, points: &[Point], each: usize, end: f64) -> String {
    let top = points.iter().map(|point| point.rate).fold(run.rate.unwrap_or(0.0), f64::max);
    let note = match each {
        1 => "operations per second".to_string(),
        n => format!("operations per second, means of {n} s"),
    };
    let y = Axis::from_zero(top, short_count);
    let mut chart = Chart::new("Rate over time", &note, Axis::seconds(end), y);
    late(run, &mut chart, end);
    let bars: Vec<_> = points.iter().map(|point| (point.from, point.to, point.rate)).collect();
    chart.bars("c1", &bars);
    if let Some(rate) = run.rate {
        chart.line("c3", &[(0.0, Some(rate)), (run.elapsed_s, Some(rate))]);
        chart.legend("c1", "answered");
        chart.legend("c3", "asked for");
    }
    for point in points {
        let (rate, ops) = (grouped(point.rate.round() as u64), grouped(point.ops));
        let faults = match point.faults {
            0 => String::new(),
            n => format!("\n{} faults", grouped(n)),
        };
        chart.hit(
            point.from,
            point.to,
            &format!("{}\n{rate}/s, {ops} operations{faults}", point.label()),
        );
    }
    events(run, &mut chart);
    chart.render()
}

fn busy_cpus(run: &Run, points: &[Point], end: f64) -> String {
    let values = points.iter().flat_map(|point| [point.driver, point.server]).flatten();
    let y = Axis::from_zero(values.fold(0.0, f64::max), short_count);
    let mut chart = Chart::new("Processors kept busy", "1 is one CPU", Axis::seconds(end), y);
    late(run, &mut chart, end);
    let line = |of: fn(&Point) -> Option<f64>| -> Vec<_> {
        points.iter().map(|point| (point.middle(), of(point))).collect()
    };
    chart.line("c6", &line(|point| point.driver));
    chart.legend("c6", "driver");
    if points.iter().any(|point| point.server.is_some()) {
        chart.line("c2", &line(|point| point.server));
        chart.legend("c2", "server");
    }
    for point in points {
        let show = |cpus: Option<f64>| cpus.map_or("unknown".into(), |cpus| format!("{cpus:.2}"));
        let (driver, server) = (show(point.driver), show(point.server));
        chart.hit(
            point.from,
            point.to,
            &format!("{}\ndriver {driver}\nserver {server}", point.label()),
        );
    }
    chart.render()
}

/// Records per sync. The word `mntr` tells sums, so it is the mean of each second; how the syncs of
/// a second differ would take every one of them.
fn syncs(run: &Run, points: &[Point], end: f64) -> String {
    let records = points.iter().filter_map(|point| point.records);
    let y = Axis::from_zero(records.fold(1.0, f64::max), short_count);
    let note = "how many one sync of the log made durable, mean of each second";
    let mut chart = Chart::new("Mean records per sync", note, Axis::seconds(end), y);
    late(run, &mut chart, end);
    let bars = points.iter().filter_map(|point| Some((point.from, point.to, point.records?)));
    chart.bars("c5", &bars.collect::<Vec<_>>());
    for point in points {
        let show = |figure: Option<f64>| figure.map_or("unknown".into(), trimmed);
        let (records, ms) = (show(point.records), show(point.sync_ms));
        let text =
            format!("{}\nmean {records} records per sync\nmean {ms} ms per sync", point.label());
        chart.hit(point.from, point.to, &text);
    }
    events(run, &mut chart);
    chart.render()
}

/// A distribution over time.
struct Spread {
    title: &'static str,
    note: &'static str,
    of: fn(&Point) -> Option<Distribution>,
    axis: fn(f64, f64) -> Axis,
    show: fn(f64) -> String,
}

/// How long syncs took.
const COMMIT_TIMES: Spread = Spread {
    title: "Commits of the log",
    note: "how long they took, of the server's buckets",
    of: |point| point.commit_ms.map(|ms| ms.times(1e3)),
    axis: Axis::latency,
    show: latency,
};

/// How many records each made durable.
const COMMIT_RECORDS: Spread = Spread {
    title: "Group commit",
    note: "records that shared a commit, of the server's buckets",
    of: |point| point.commit_records,
    axis: |_, high| Axis::from_zero(high, short_count),
    show: trimmed,
};

fn commits(run: &Run, points: &[Point], end: f64, spread: &Spread) -> String {
    let known = || points.iter().filter_map(spread.of);
    let low = known().map(|one| one.p50).fold(f64::INFINITY, f64::min);
    let high = known().map(|one| one.max).fold(0.0, f64::max);
    let y = (spread.axis)(low, high);
    let mut chart = Chart::new(spread.title, spread.note, Axis::seconds(end), y);
    late(run, &mut chart, end);
    let line = |figure: fn(Distribution) -> f64| -> Vec<_> {
        points.iter().map(|point| (point.middle(), (spread.of)(point).map(figure))).collect()
    };
    chart.line("c4", &line(|one| one.max));
    chart.line("c2", &line(|one| one.p99));
    chart.line("c1", &line(|one| one.p50));
    [("c1", "p50"), ("c2", "p99"), ("c4", "max")]
        .iter()
        .for_each(|(c, name)| chart.legend(c, name));
    for point in points {
        let Some(one) = (spread.of)(point) else { continue };
        let [p50, p99, max] = [one.p50, one.p99, one.max].map(spread.show);
        let text = format!("{}\np50 {p50}\np99 {p99}\nmax {max}", point.label());
        chart.hit(point.from, point.to, &text);
    }
    events(run, &mut chart);
    chart.render()
}

/// Replies that came after the end.
fn late(run: &Run, chart: &mut Chart, end: f64) {
    if run.series.iter().any(|second| second.late) {
        chart.shade(run.elapsed_s, end, "after the measured time: late replies");
    }
}

/// Kills and what they cost, and what else happened to the servers.
fn events(run: &Run, chart: &mut Chart) {
    for kill in &run.outages.each {
        if let Some(pause) = kill.no_writes_s.filter(|_| kill.at_s >= 0.0) {
            let text = format!("no write acknowledged for {}", latency(pause * 1e6));
            chart.shade(kill.at_s, kill.at_s + pause, &text);
        }
    }
    for event in run.events.iter().filter(|event| event.at_s >= 0.0) {
        let class = match event.kind.as_str() {
            "slow fsync" => "slow",
            "kill" | "restart" | "role" | "election" => "lost",
            _ => "",
        };
        chart.event(event.at_s, class, &format!("{} s: {}", trimmed(event.at_s), event.text));
    }
}
