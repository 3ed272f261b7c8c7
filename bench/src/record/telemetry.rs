//! What is noted beside the operations of a run: its seconds, the server, the host.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::model::clock::{Nanos, SECOND};
use crate::model::interval::{Interval, SecondNumber, second_of};
use crate::model::kind::Kind;
use crate::model::quantiles::Quantiles;
use crate::model::second::{Event, Second};
use crate::model::server::Server;
use crate::servers::host;
use crate::servers::processes::ServerProcesses;

/// What is noted beside the operations of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunTelemetry {
    pub started: SystemTime,
    /// The host's load average right before.
    pub load_average: Option<f64>,
    pub elapsed: Nanos,
    /// The driver's processor time within it.
    pub driver_cpu_ns: u64,
    /// The servers' processor time within it, if they are known.
    pub server_cpu_ns: Option<u64>,
    /// The servers' memory at its end, and the most they ever held.
    pub server_rss: Option<(u64, u64)>,
    /// Servers whose processes are not known, so that these sums lack them.
    pub servers_unknown: usize,
    pub seconds: Vec<Second>,
    pub events: Vec<Event>,
    pub server: Server,
}

/// Processors that driver and servers kept busy.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct CpuUse {
    pub driver: Option<f64>,
    /// The servers', if their processes are known.
    pub server: Option<f64>,
}

/// One second, as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct SecondSummary {
    /// Which, from the end of the warm-up.
    pub second: SecondNumber,
    pub ops: u64,
    pub latency: Quantiles,
    pub busy: CpuUse,
    pub faults: u64,
}

#[derive(Clone, Copy, Debug)]
struct Used {
    at: Nanos,
    driver_ns: u64,
    server_ns: Option<u64>,
}

/// Turns the intervals of a run into its seconds.
#[derive(Debug)]
pub(crate) struct Recorder {
    from: Nanos,
    primary: &'static [Kind],
    used: Option<Used>,
    busy: BTreeMap<SecondNumber, CpuUse>,
    seconds: Vec<(SecondNumber, Second)>,
    faults: u64,
}

impl Recorder {
    /// Of a run whose measured time begins at `from`.
    pub(crate) fn new(from: Nanos, primary: &'static [Kind]) -> Recorder {
        Recorder {
            from,
            primary,
            used: None,
            busy: BTreeMap::new(),
            seconds: Vec::new(),
            faults: 0,
        }
    }

    /// Looks at the processors' use whenever a second has passed.
    pub(crate) fn look(&mut self, now: Nanos, members: &mut ServerProcesses) {
        let second = second_of(now, self.from);
        if self.used.is_some_and(|used| second_of(used.at, self.from) == second) {
            return;
        }
        let server_ns = members.cpu_ns();
        let used = Used { at: now, driver_ns: host::own_cpu_ns(), server_ns };
        if let Some(before) = self.used.replace(used) {
            // A look may come late; the seconds that it missed were alike, as far as is known.
            let passed = second_of(before.at, self.from)..second;
            self.busy.extend(passed.map(|second| (second, shares(before, used))));
        }
    }

    /// Takes in complete seconds of a load that ends at `until`, and returns those to show. Behind
    /// the end only those with late replies are.
    pub(crate) fn take(&mut self, intervals: &[Interval], until: Nanos) -> Vec<SecondSummary> {
        let mut shown = Vec::new();
        for interval in intervals {
            let over = interval.second >= second_of(until, self.from).max(0);
            self.faults += interval.faults;
            let response = interval.all_of(self.primary);
            let latency = Quantiles::of(&response);
            let busy = self.busy.remove(&interval.second).unwrap_or_default();
            let (second, ops) = (interval.second, response.len());
            if !over || ops > 0 || interval.faults > 0 {
                shown.push(SecondSummary { second, ops, latency, busy, faults: self.faults });
            }
            let second = Second {
                at_s: interval.second as f64,
                ops,
                faults: interval.faults,
                latency_us: latency,
                driver_cpus: busy.driver,
                server_cpus: busy.server,
                ..Second::default()
            };
            self.seconds.push((interval.second, second));
        }
        shown
    }

    /// The measured seconds, and those of late replies behind them.
    pub(crate) fn finish(self, elapsed: Nanos) -> Vec<Second> {
        let measured = self.seconds.into_iter().filter(|(number, _)| *number >= 0);
        let mut seconds: Vec<Second> = Vec::new();
        for (number, mut second) in measured {
            let begin = u64::try_from(number).unwrap_or(0).saturating_mul(SECOND);
            let length = elapsed.saturating_sub(begin).min(SECOND);
            second.late = length == 0;
            second.length_s = if second.late { 1.0 } else { length as f64 / SECOND as f64 };
            second.ops_per_s = second.ops as f64 / second.length_s;
            seconds.push(second);
        }
        while seconds.last().is_some_and(|second| second.late && second.ops == 0) {
            seconds.pop();
        }
        seconds
    }
}

fn shares(before: Used, now: Used) -> CpuUse {
    let elapsed = now.at.saturating_sub(before.at).max(1) as f64;
    let share = |from: u64, to: u64| to.saturating_sub(from) as f64 / elapsed;
    CpuUse {
        driver: Some(share(before.driver_ns, now.driver_ns)),
        server: before.server_ns.zip(now.server_ns).map(|(from, to)| share(from, to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(second: SecondNumber, ops: u64) -> Interval {
        let mut interval = Interval::new(second);
        (0..ops).for_each(|n| interval.record(Kind::Get, 1_000 * (n + 1)));
        interval
    }

    #[test]
    fn last_second_is_short_and_later_ones_late() {
        let mut recorder = Recorder::new(5 * SECOND, &[Kind::Get]);
        let intervals = [(-1, 9), (0, 10), (1, 5), (2, 1), (3, 0)];
        let intervals = intervals.map(|(second, ops)| interval(second, ops));
        recorder.take(&intervals, 6 * SECOND);
        let seconds = recorder.finish(SECOND * 3 / 2);
        let shape: Vec<_> = seconds.iter().map(|s| (s.at_s, s.ops_per_s, s.late)).collect();
        assert_eq!(shape, [(0.0, 10.0, false), (1.0, 10.0, false), (2.0, 1.0, true)]);
    }

    #[test]
    fn cpu_time_is_booked_to_the_passed_second() {
        let mut recorder = Recorder::new(0, &[Kind::Get]);
        let mut members = ServerProcesses::of_pid(std::process::id());
        let times = [0, SECOND / 2, 2 * SECOND, 2 * SECOND + 1];
        times.into_iter().for_each(|now| recorder.look(now, &mut members));
        let seconds: Vec<_> = recorder.busy.keys().copied().collect();
        assert_eq!(seconds, [0, 1]);
        assert!(recorder.busy[&0].server.is_some());
    }
}
