//! What a server will do with a disk: a model that is simple enough to be said in two sentences.
//!
//! One client waits for one write at a time: its request and the reply cross the loopback, the
//! group goes to the committer's thread and back, and between the two there is one commit. Many
//! clients share commits: what arrives during one commit is the next group, so a group holds half
//! of what is in flight, unless the processors are used up first.

use ringkeeper_engine::device::{Load, Strategy};
use serde::Serialize;

use crate::probe::{Cell, Report, wake};

/// Bytes in the log of a record that sets a value of 100 bytes.
pub(crate) const RECORD_BYTES: usize = 216;
/// Threads up to which one thread serves and orders, so that a write changes threads twice and
/// not four times.
const FUSED_CPUS_MAX: usize = 2;
/// Processor time of the server for one write where many are in flight: measured once, on a
/// virtual processor of 2024; another host has another figure.
const SERVER_CPU_US: f64 = 1.9;
/// Of that, what the thread that serves and orders takes, without the committer's.
const THREAD_CPU_US: f64 = 1.6;
/// Of a client on the same host, for the same write.
const CLIENT_CPU_US: f64 = 0.6;
/// How much longer than the shortest commit one at the knee may take.
const KNEE: f64 = 1.5;

/// How many clients there are, and how much each has in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Clients {
    pub(crate) connections: usize,
    pub(crate) pipeline: usize,
}

/// One client that waits for each write.
pub(crate) const ONE: Clients = Clients { connections: 1, pipeline: 1 };
/// Many clients that do not.
pub(crate) const MANY: Clients = Clients { connections: 64, pipeline: 16 };

/// What to expect.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Prediction {
    /// The median write of one client, microseconds.
    pub(crate) one_p50_us: f64,
    /// Its writes per second.
    pub(crate) one_per_second: f64,
    /// Writes per second of 64 clients with 16 in flight each, on the same host.
    pub(crate) many_per_second: f64,
    /// What the disk alone would allow them.
    pub(crate) many_disk_per_second: f64,
    /// What the processors alone would allow them.
    pub(crate) many_cpu_per_second: f64,
    /// How the first number comes about.
    pub(crate) one_sum: Sum,
}

/// The parts of one write, microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Sum {
    pub(crate) loopback_us: f64,
    pub(crate) hand_offs: u32,
    pub(crate) hand_off_us: f64,
    pub(crate) commit_us: f64,
}

/// Where the curve bends.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Knee {
    /// Bytes of the largest commit that takes at most half as long again as the smallest.
    pub(crate) bytes: usize,
    /// What it takes, microseconds.
    pub(crate) commit_us: f64,
    /// What the smallest takes, microseconds.
    pub(crate) least_us: f64,
}

/// The prediction for a strategy; nothing where the report lacks what it needs.
pub(crate) fn predict(report: &Report, strategy: Strategy) -> Option<Prediction> {
    let fused = report.taken.cpus <= FUSED_CPUS_MAX;
    let hand_offs = if fused { 2 } else { 4 };
    let median = |kind| Some(report.wake(kind, Load::Quiet)?.micros.p50);
    let hand_off_us = median(wake::WAITED)?;
    let one_sum = Sum {
        loopback_us: median(wake::LOOPBACK)?,
        hand_offs,
        hand_off_us,
        commit_us: commit_us(&report.curve(strategy, Load::Quiet), RECORD_BYTES)?,
    };
    let one_p50_us = one_sum.loopback_us + f64::from(hand_offs) * hand_off_us + one_sum.commit_us;
    let group = (MANY.connections * MANY.pipeline / 2).max(1);
    let busy = report.curve(strategy, Load::Busy);
    let commit = commit_us(&busy, group * RECORD_BYTES)?;
    let many_disk_per_second = group as f64 / commit * 1e6;
    let many_cpu_per_second = report.taken.cpus as f64 / (SERVER_CPU_US + CLIENT_CPU_US) * 1e6;
    // One thread serves and orders; or one orders, which is taken for half of that work.
    let threads = if fused { 1.0 } else { 2.0 };
    let many_cpu_per_second = many_cpu_per_second.min(threads * 1e6 / THREAD_CPU_US);
    Some(Prediction {
        one_p50_us,
        one_per_second: 1e6 / one_p50_us,
        many_per_second: many_disk_per_second.min(many_cpu_per_second),
        many_disk_per_second,
        many_cpu_per_second,
        one_sum,
    })
}

/// The median of a commit of any size: between two measured sizes on the straight line, behind the
/// largest at its speed per byte.
pub(crate) fn commit_us(curve: &[&Cell], bytes: usize) -> Option<f64> {
    let (first, last) = (curve.first()?, curve.last()?);
    if bytes <= first.bytes {
        return Some(first.micros.p50);
    }
    if bytes >= last.bytes {
        return Some(last.micros.p50 * bytes as f64 / last.bytes as f64);
    }
    let pair = curve.windows(2).find(|pair| bytes <= pair[1].bytes)?;
    let share = (bytes - pair[0].bytes) as f64 / (pair[1].bytes - pair[0].bytes) as f64;
    Some(pair[0].micros.p50 + share * (pair[1].micros.p50 - pair[0].micros.p50))
}

/// The knee of a strategy's quiet curve: where a larger group begins to cost more time.
pub(crate) fn knee(report: &Report, strategy: Strategy) -> Option<Knee> {
    let curve = report.curve(strategy, Load::Quiet);
    let least_us = curve.first()?.micros.p50;
    let flat = curve.iter().take_while(|cell| cell.micros.p50 <= least_us * KNEE);
    let (bytes, commit_us) = flat.last().map(|cell| (cell.bytes, cell.micros.p50))?;
    Some(Knee { bytes, commit_us, least_us })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::probe::report::FORMAT;
    use crate::probe::spread::Spread;
    use crate::probe::wake::Wake;
    use crate::probe::{Taken, ring::RingFacts};

    fn spread(p50: f64) -> Spread {
        Spread { p50, p90: p50 * 1.2, p99: p50 * 2.0, p999: p50 * 5.0, max: p50 * 9.0 }
    }

    fn cell(strategy: Strategy, bytes: usize, load: Load, p50: f64) -> Cell {
        Cell {
            strategy,
            bytes,
            load,
            commits: 1_000,
            micros: spread(p50),
            per_second: 1e6 / p50,
            rounds_p50: vec![p50 * 0.95, p50, p50 * 1.05],
            rounds_p99: vec![p50 * 2.0, p50 * 9.0, p50 * 2.0],
            written_kib: Some((bytes as f64 / 1024.0).max(4.0)),
            flushes: Some(1.0),
        }
    }

    /// A report whose commits take `factor` times 100, 100, 140 and 400 microseconds.
    pub(crate) fn sample(factor: f64) -> Report {
        let mut cells = Vec::new();
        for (load, slower) in [(Load::Quiet, 1.0), (Load::Busy, 2.0)] {
            for (bytes, us) in [(256, 100.0), (4_096, 100.0), (65_536, 140.0), (262_144, 400.0)] {
                for (at, strategy) in Strategy::ALL.into_iter().enumerate() {
                    let us = us * slower * factor * (1.0 + at as f64 / 100.0);
                    cells.push(cell(strategy, bytes, load, us));
                }
            }
        }
        let kinds = [(wake::FUTEX, 2.0), (wake::WAITED, 25.0), (wake::LOOPBACK, 60.0)];
        let wakes = kinds.map(|(kind, us)| Wake {
            kind: kind.to_owned(),
            load: Load::Quiet,
            count: 100,
            micros: spread(us),
        });
        Report {
            format: FORMAT,
            taken: Taken {
                unix_s: 1_700_000_000,
                version: "0".to_owned(),
                directory: "/<data>".to_owned(),
                depth: "normal".to_owned(),
                priority: "usual".to_owned(),
                kernel: "6.1".to_owned(),
                cpus: 2,
                load_average: Some(0.5),
            },
            disk: crate::probe::disk::DiskFacts::default(),
            cells,
            unusable: Vec::new(),
            files: None,
            ring: RingFacts::default(),
            wakes: wakes.into(),
            clock: Default::default(),
            cut_short: None,
        }
    }

    #[test]
    fn one_client_latency_is_sum_of_parts() {
        let prediction = predict(&sample(1.0), Strategy::Direct).unwrap();
        assert_eq!(prediction.one_p50_us, 60.0 + 2.0 * 25.0 + 100.0);
        assert_eq!(prediction.one_per_second.round(), 4_762.0);
        let mut large = sample(1.0);
        large.taken.cpus = 8;
        assert_eq!(predict(&large, Strategy::Direct).unwrap().one_p50_us, 260.0);
    }

    #[test]
    fn many_clients_are_bound_by_disk_or_cpus() {
        let fast = predict(&sample(1.0), Strategy::Direct).unwrap();
        assert_eq!(fast.many_per_second, fast.many_cpu_per_second);
        let slow = predict(&sample(100.0), Strategy::Direct).unwrap();
        assert_eq!(slow.many_per_second, slow.many_disk_per_second);
        assert!(slow.many_disk_per_second < 20_000.0, "{slow:?}");
        let mut bare = sample(1.0);
        bare.wakes.clear();
        assert_eq!(predict(&bare, Strategy::Direct), None);
    }

    #[test]
    fn commit_time_is_interpolated_between_sizes() {
        let report = sample(1.0);
        let curve = report.curve(Strategy::Direct, Load::Quiet);
        let us = |bytes| commit_us(&curve, bytes).unwrap();
        assert_eq!([us(1), us(256), us(34_816), us(65_536)], [100.0, 100.0, 120.0, 140.0]);
        assert_eq!(us(524_288), 800.0);
        assert_eq!(commit_us(&[], 1), None);
    }

    #[test]
    fn knee_is_largest_size_within_half_more() {
        let knee = knee(&sample(1.0), Strategy::Direct).unwrap();
        assert_eq!((knee.bytes, knee.commit_us, knee.least_us), (65_536, 140.0, 100.0));
    }

    #[test]
    fn report_survives_json() {
        let report = sample(1.5);
        let back = Report::parse(&report.to_json()).unwrap();
        assert_eq!((&back.taken, back.choice()), (&report.taken, report.choice()));
        assert_eq!(back.cells.len(), report.cells.len());
        let close = |(one, two): (&Cell, &Cell)| (one.micros.p99 - two.micros.p99).abs() < 1e-6;
        assert!(back.cells.iter().zip(&report.cells).all(close));
        let other = report.to_json().replace("\"format\": 1", "\"format\": 2");
        assert!(Report::parse(&other).unwrap_err().contains("format 2"));
        assert!(Report::parse("{}").unwrap_err().contains("no report"));
        assert_eq!(report.choice().0, Strategy::Direct);
    }
}
