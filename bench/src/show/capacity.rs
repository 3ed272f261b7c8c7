//! `bench check`: whether a server is good enough for a use of a certain size.
//!
//! Each size is an open loop: requests are due at a fixed rate whether the server keeps up or
//! not, nine reads to one write, as coordination is used. A server passes if it does all of it,
//! without a fault, within the limits. The limits are the same for all sizes, since what clients
//! need does not depend on how many they are:
//!
//! - reads p99 10 ms, writes p99 50 ms: recipes such as locks and elections take several round
//!   trips, and stay below what people notice;
//! - nothing above 1 s: the shortest session that servers grant by default is two ticks, 4 s; its
//!   client pings after a third of it and gives up after two thirds, which leaves 1.3 s.

use crate::load::args::Load;
use crate::model::numbers::{grouped, latency, whole};
use crate::record::results::Run;

/// Share of reads.
pub(crate) const READS: f64 = 0.9;
/// Share of what was due that has to be answered in time.
const RATE_SHARE: f64 = 0.99;

/// Reads, writes and anything at all, in microseconds.
const READS_P99_US_MAX: f64 = 10e3;
const WRITES_P99_US_MAX: f64 = 50e3;
const SLOWEST_US_MAX: f64 = 1e6;

/// How much a server has to carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Size {
    /// One application: 50 sessions, 1,000 operations per second (100 of them writes)
    S,
    /// A team's services: 200 sessions, 5,000 per second (500 writes)
    M,
    /// A large message broker or database cluster: 500 sessions, 20,000 per second (2,000 writes)
    L,
    /// A company's shared ensemble: 1,000 sessions, 100,000 per second (10,000 writes)
    Xl,
}

impl Size {
    pub(crate) fn figures(self) -> (u32, f64) {
        match self {
            Size::S => (50, 1_000.0),
            Size::M => (200, 5_000.0),
            Size::L => (500, 20_000.0),
            Size::Xl => (1_000, 100_000.0),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Size::S => "s",
            Size::M => "m",
            Size::L => "l",
            Size::Xl => "xl",
        }
    }
}

/// What is asked of the server, in words.
pub(crate) fn announcement(size: Size, load: &Load) -> String {
    let (sessions, rate) = size.figures();
    format!(
        "check {}: {} sessions, {} operations per second, {:.0} % reads, for {:.0} s",
        size.name(),
        grouped(u64::from(sessions)),
        whole(rate),
        READS * 100.0,
        load.duration as f64 / 1e9
    )
}

/// Whether the server is good enough, and each threshold with its figure.
pub(crate) fn verdict(size: Size, run: &Run) -> (bool, String) {
    let mut lines = Vec::new();
    let mut say = |passed: bool, what: &str, found: String, limit: String| {
        let word = if passed { "PASS" } else { "FAIL" };
        lines.push(format!("{word}  {what:<22}{found:>12}   {limit}"));
        passed
    };
    let needed = run.due_per_s() * RATE_SHARE;
    let limit = format!("at least {} (99 % of what was due)", whole(needed));
    let mut passed = say(
        run.total.ops_per_s >= needed,
        "operations per second",
        whole(run.total.ops_per_s),
        limit,
    );
    let limits = [("get", "reads p99", READS_P99_US_MAX), ("set", "writes p99", WRITES_P99_US_MAX)];
    for (name, what, us_max) in limits {
        let found = run.operation(name).filter(|op| op.ops > 0).map(|op| op.latency_us.p99);
        let (good, shown) =
            (found.is_some_and(|us| us <= us_max), found.map_or("-".into(), latency));
        passed &= say(good, what, shown, format!("at most {}", latency(us_max)));
    }
    let slowest = run.total.latency_us.max;
    passed &= say(slowest <= SLOWEST_US_MAX, "slowest", latency(slowest), "at most 1 s".into());
    let faults = run.faults_total();
    passed &= say(faults == 0, "faults", grouped(faults), "none".into());
    let unsent = run.unsent;
    passed &= say(unsent == 0, "never sent", grouped(unsent), "none".into());
    passed &= !run.partial && run.total.ops > 0;
    let (word, size) = (if passed { "PASS" } else { "FAIL" }, size.name());
    let text = format!("{}\n\n{word}  load {size}\n", lines.join("\n"));
    (passed, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::results::Operation;

    fn run(rate: f64, median_us: f64) -> Run {
        let mut run = Run::sample("get", rate);
        run.ops = ["get", "set"].map(|op| Operation::sample(op, rate, median_us)).to_vec();
        run.total = Operation::sample("total", rate, median_us);
        run.elapsed_s = run.total.ops as f64 / 1_000.0;
        run
    }

    #[test]
    fn every_threshold_is_shown_with_its_figure() {
        let (passed, text) = verdict(Size::S, &run(999.0, 20.0));
        assert!(passed, "{text}");
        let expected = "\
PASS  operations per second          999   at least 990 (99 % of what was due)
PASS  reads p99                   909 us   at most 10.0 ms
PASS  writes p99                  909 us   at most 50.0 ms
PASS  slowest                    10.0 ms   at most 1 s
PASS  faults                           0   none
PASS  never sent                       0   none

PASS  load s
";
        assert_eq!(text, expected);
    }

    #[test]
    fn each_threshold_can_fail() {
        let good = run(1_000.0, 20.0);
        let unsent = Run { unsent: 1, ..good.clone() };
        let partial = Run { partial: true, ..good.clone() };
        let faults = Run { faults: [("lost writes".to_string(), 1)].into(), ..good.clone() };
        let without = Run { ops: Vec::new(), ..good.clone() };
        assert!(verdict(Size::S, &good).0);
        let bad = [run(980.0, 20.0), run(1_000.0, 900.0), unsent, partial, faults, without];
        for (at, run) in bad.iter().enumerate() {
            let (passed, text) = verdict(Size::S, run);
            assert!(!passed && text.ends_with("FAIL  load s\n"), "{at}: {text}");
        }
    }
}
