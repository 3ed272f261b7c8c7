//! The highest rate that holds a goal: doubled until it fails, then halved in between, and run once
//! more to be sure.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::load::args::{Load, LoadArgs, parse_nanos};
use crate::model::clock::{Nanos, SECOND};
use crate::model::numbers::{latency, whole};
use crate::model::quantiles::Quantiles;
use crate::record::results::Run;

/// The first rate tried, unless another one was given.
pub(crate) const START: f64 = 1_000.0;
/// Rates this close are the same.
const CLOSE: f64 = 1.05;
/// Steps at most.
const STEPS_MAX: usize = 40;
/// Part of the first rate below which nothing is tried.
const FLOOR: f64 = 1.0 / 32.0;
/// What has to be answered in time of what was due at a rate that holds.
const REACHED: f64 = 0.98;
/// From this share of a processor per thread on, the driver is the limit.
const DRIVER_BUSY: f64 = 0.9;
/// Operations beyond the quantile that make it trustworthy.
const BEYOND: f64 = 100.0;
/// The longest step that is made for the sake of the quantile.
const STEP_MAX: Nanos = 60 * SECOND;

/// A bound on latency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    quantile: &'static Quantile,
    bound: Nanos,
}

#[derive(Debug)]
struct Quantile {
    name: &'static str,
    of: fn(&Quantiles) -> f64,
    /// Share of the operations that are slower.
    beyond: f64,
}

/// The slowest is taken for one of ten thousand.
static QUANTILES: [Quantile; 5] = [
    Quantile { name: "p50", of: |all| all.p50, beyond: 0.5 },
    Quantile { name: "p90", of: |all| all.p90, beyond: 0.1 },
    Quantile { name: "p99", of: |all| all.p99, beyond: 0.01 },
    Quantile { name: "p99.9", of: |all| all.p999, beyond: 0.001 },
    Quantile { name: "max", of: |all| all.max, beyond: 0.000_1 },
];

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} < {}", self.quantile.name, latency(self.bound as f64 / 1e3))
    }
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Goal, String> {
        let expected = "a goal such as 'p99<5ms' is expected: p50, p90, p99, p99.9 or max, and a \
                        time";
        let (name, bound) = text.split_once('<').ok_or(expected)?;
        let quantile = QUANTILES.iter().find(|known| known.name == name.trim()).ok_or(expected)?;
        if !bound.contains(|c: char| c.is_ascii_alphabetic()) {
            return Err(format!("the unit is missing in {text:?}: us, ms or s"));
        }
        let bound = parse_nanos(bound.trim())?;
        if bound == 0 {
            return Err("nothing is faster than that".to_string());
        }
        Ok(Goal { quantile, bound })
    }
}

/// What one rate came to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Step {
    pub rate: f64,
    pub reached: f64,
    /// The quantile of the goal, in microseconds.
    pub us: f64,
    pub holds: bool,
    /// Whether the driver had no time left.
    pub driver_bound: bool,
}

impl Goal {
    /// How long a step at this rate has to be, `least` at least.
    pub(crate) fn duration(&self, rate: f64, least: Nanos) -> Nanos {
        let operations = BEYOND / self.quantile.beyond;
        let needed = operations / rate * SECOND as f64;
        (needed as Nanos).min(STEP_MAX).max(least)
    }

    /// A step at this rate: the last one takes twice the time.
    pub(crate) fn load(&self, load: &Load, rate: f64, confirms: bool) -> Load {
        let least = if confirms { load.duration.saturating_mul(2) } else { load.duration };
        let duration = self.duration(rate, least);
        let args = LoadArgs { rate: Some(rate), duration, ..load.args.clone() };
        Load { args, ..load.clone() }
    }

    pub(crate) fn judge(&self, rate: f64, run: &Run) -> Step {
        let us = (self.quantile.of)(&run.total.latency_us);
        let reached = run.total.ops_per_s;
        let in_time = us * 1e3 < self.bound as f64;
        let kept_up = reached >= run.due_per_s() * REACHED && run.unsent == 0;
        let threads = f64::from(run.threads);
        Step {
            rate,
            reached,
            us,
            holds: in_time && kept_up && run.is_good(),
            driver_bound: run.driver.cpus >= DRIVER_BUSY * threads,
        }
    }
}

/// A search under way: which rate is next, from what came of the ones before.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Search {
    next: f64,
    floor: f64,
    /// The highest rate that held, and the lowest above it that did not.
    held: Option<f64>,
    failed: Option<f64>,
    confirming: bool,
    pub steps: Vec<Step>,
    found: Option<Step>,
    over: bool,
}

impl Search {
    pub(crate) fn new(start: f64) -> Search {
        Search { next: start, floor: start * FLOOR, ..Search::default() }
    }

    /// The rate to try, until all is known.
    pub(crate) fn next(&self) -> Option<f64> {
        (!self.over).then_some(self.next)
    }

    /// Whether the next step is the one that counts.
    pub(crate) fn is_confirming(&self) -> bool {
        self.confirming
    }

    pub(crate) fn found(&self) -> Option<Step> {
        self.found
    }

    pub(crate) fn take(&mut self, step: Step) {
        self.steps.push(step);
        if self.confirming && step.holds {
            (self.found, self.over) = (Some(step), true);
            return;
        }
        if step.holds {
            self.held = Some(step.rate);
        } else {
            self.failed = Some(step.rate);
            // A rate that held once and not twice does not hold; one below it still may.
            self.held = self.held_below(step.rate);
        }
        self.confirming = false;
        self.next = match (self.held, self.failed) {
            (Some(held), None) => held * 2.0,
            (None, Some(failed)) => failed / 2.0,
            (Some(held), Some(failed)) if failed / held > CLOSE => (held * failed).sqrt(),
            (Some(held), Some(_)) => {
                self.confirming = true;
                held
            }
            (None, None) => self.next,
        };
        self.over = self.next < self.floor || self.steps.len() >= STEPS_MAX;
    }

    /// The highest rate below this one that held whenever it was tried.
    fn held_below(&self, rate: f64) -> Option<f64> {
        let failed = |rate: f64| self.steps.iter().any(|step| step.rate == rate && !step.holds);
        let held = self.steps.iter().filter(|step| step.holds).map(|step| step.rate);
        held.filter(|held| *held < rate && !failed(*held)).reduce(f64::max)
    }

    pub(crate) fn last_line(&self, confirming: bool) -> String {
        self.steps.last().map_or(String::new(), |step| line(step, confirming))
    }

    pub(crate) fn json(&self, goal: &Goal) -> Value {
        let step = |step: &Step| {
            json!({
                "rate": step.rate, "reached": step.reached, "us": step.us, "holds": step.holds,
                "driver_bound": step.driver_bound,
            })
        };
        json!({
            "goal": goal.to_string(),
            "found": self.found.as_ref().map(step),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn text(&self, goal: &Goal) -> String {
        let driver = self.steps.iter().any(|step| !step.holds && step.driver_bound);
        let note = if driver {
            "\n         the driver, not the server, had no time left where it failed: more --threads \
             or another\n         host for the driver may find more"
        } else {
            ""
        };
        match self.found {
            Some(step) => format!(
                "found    {} operations per second hold {goal} ({} there){note}\n",
                whole(step.rate),
                latency(step.us)
            ),
            None => match self.held.filter(|_| !self.over) {
                Some(held) => format!(
                    "stopped  before it was known; {} operations per second held {goal} once\n",
                    whole(held)
                ),
                None => format!("found    no rate that holds {goal}{note}\n"),
            },
        }
    }
}

/// One step, for people.
fn line(step: &Step, confirming: bool) -> String {
    let verdict = if step.holds { "holds" } else { "fails" };
    let busy = if step.driver_bound { ", the driver was busy" } else { "" };
    let confirmed = if confirming { ", confirmation" } else { "" };
    format!(
        "{:>10} per second: {:>9}, {:>10} reached, {verdict}{busy}{confirmed}\n",
        whole(step.rate),
        latency(step.us),
        whole(step.reached),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rate: f64, holds: bool) -> Step {
        Step { rate, reached: rate, us: 1.0, holds, driver_bound: false }
    }

    fn search(start: f64, holds: impl Fn(f64, usize) -> bool) -> Search {
        let mut search = Search::new(start);
        while let Some(rate) = search.next() {
            let number = search.steps.len();
            search.take(step(rate, holds(rate, number)));
        }
        search
    }

    #[test]
    fn search_finds_limit_from_below_and_above() {
        for start in [100.0, 1_000.0, 200_000.0] {
            let search = search(start, |rate, _| rate <= 7_777.0);
            let found = search.found().unwrap().rate;
            assert!((7_777.0 / CLOSE..=7_777.0).contains(&found), "{found}");
            assert!(search.steps.last().unwrap().holds && search.steps.len() < 25);
        }
        assert_eq!(search(100.0, |_, _| false).found(), None);
        assert!(search(100.0, |_, _| true).steps.len() <= STEPS_MAX);
    }

    #[test]
    fn rate_that_fails_confirmation_is_not_found() {
        let once = std::cell::Cell::new(true);
        let found =
            search(1_000.0, |rate, _| rate < 3_000.0 && (rate < 2_800.0 || once.replace(false)));
        assert!(found.found().unwrap().rate < 2_800.0, "{found:?}");
    }

    #[test]
    fn failed_confirmation_keeps_lower_rates() {
        let goal: Goal = "p99<5ms".parse().unwrap();
        let mut search = Search::new(1_000.0);
        for (rate, holds) in [(1_000.0, true), (2_000.0, true), (4_000.0, false)] {
            assert_eq!(search.next(), Some(rate));
            search.take(step(rate, holds));
        }
        while !search.is_confirming() {
            let rate = search.next().unwrap();
            search.take(step(rate, rate < 3_000.0));
        }
        assert!(search.text(&goal).starts_with("stopped  before"), "{}", search.text(&goal));
        let unsteady = search.next().unwrap();
        search.take(step(unsteady, false));
        assert!(search.next().unwrap() > 2_000.0 && search.held.unwrap() >= 2_000.0);
        search.over = true;
        assert!(search.text(&goal).starts_with("found    no rate"));
    }

    #[test]
    fn goal_without_unit_is_rejected() {
        let goal: Goal = "p99<5ms".parse().unwrap();
        assert_eq!(goal.to_string(), "p99 < 5.00 ms");
        assert_eq!(goal.duration(1_000.0, SECOND), 10 * SECOND);
        assert_eq!(goal.duration(1_000_000.0, SECOND), SECOND);
        assert_eq!("max < 1s".parse::<Goal>().unwrap().duration(1.0, 0), STEP_MAX);
        for bad in ["", "p99", "p98<5ms", "p99<5", "p99<0ms", "p99<x"] {
            assert!(bad.parse::<Goal>().is_err(), "{bad}");
        }
    }
}
