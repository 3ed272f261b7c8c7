//! Conditions that fail a run: `p99>5ms`, `get.p99>+10%`, `errors>0`, `rate<10000`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use crate::model::kind::Kind;
use crate::model::numbers::{latency, megabytes, whole};
use crate::model::spread::Spread;
use crate::record::results::{Operation, Run, Verdict, loads};

/// What a condition looks at.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Metric {
    Percentile(f64),
    Mean,
    Rate,
    Errors,
    /// Everything that the server did wrong.
    Faults,
    /// Operations of an open loop that were never sent.
    Unsent,
    /// The servers' processor time per operation.
    Cpu,
    /// The servers' memory.
    Memory,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Bound {
    /// In microseconds, operations per second, bytes or a count.
    Value(f64),
    /// Percent more than the baseline has (or less).
    Change(f64),
}

/// A condition that fails a run if it holds.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    text: String,
    /// Kind of operation; all of them as one otherwise.
    operation: Option<String>,
    metric: Metric,
    /// Of a figure and its bound.
    holds: fn(&f64, &f64) -> bool,
    bound: Bound,
}

/// What became of a condition under one load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ConditionResult {
    /// Whether the condition holds, which fails the run.
    pub failed: bool,
    /// The condition, the figure and the load, in words.
    pub text: String,
}

impl From<ConditionResult> for Verdict {
    fn from(ConditionResult { failed, text }: ConditionResult) -> Verdict {
        Verdict { failed, text }
    }
}

/// Looks at all conditions. It is an error if one of them cannot be looked at.
pub(crate) fn judge(
    conditions: &[Condition],
    runs: &[Run],
    baseline: Option<&[Run]>,
) -> Result<Vec<ConditionResult>> {
    let verdicts = conditions.iter().map(|condition| {
        let judged = condition.judge(runs, baseline);
        judged.with_context(|| format!("--fail-if {:?}", condition.text))
    });
    Ok(verdicts.collect::<Result<Vec<_>>>()?.concat())
}

impl Condition {
    /// Whether it needs something to compare with.
    pub(crate) fn is_relative(&self) -> bool {
        matches!(self.bound, Bound::Change(_))
    }

    /// A ruling for each load that has the operation. Figures of repeated runs are medians; of
    /// errors, faults and unsent operations the most counts.
    fn judge(&self, runs: &[Run], baseline: Option<&[Run]>) -> Result<Vec<ConditionResult>> {
        let mut verdicts = Vec::new();
        for load in loads(runs) {
            let Some(figure) = self.figure(&load.runs)? else { continue };
            let (limit, against) = match self.bound {
                Bound::Value(value) => (value, String::new()),
                Bound::Change(percent) => {
                    let baseline = baseline.context("a bound in percent needs --baseline FILE")?;
                    let same = loads(baseline).into_iter().find(|other| other.key == load.key);
                    let same = same.with_context(|| {
                        format!("the baseline has no run of the same load: {}", load.title)
                    })?;
                    let base = self.figure(&same.runs)?;
                    let base = base.with_context(|| {
                        format!("the baseline does not have the figure for {}", load.title)
                    })?;
                    let text = format!(", {} in the baseline", self.shown(base));
                    (base * (1.0 + percent / 100.0), text)
                }
            };
            let failed = (self.holds)(&figure, &limit);
            let word = if failed { "FAIL" } else { "ok  " };
            let (shown, title) = (self.shown(figure), &load.title);
            let text = format!("{word} {:<18} {shown}{against} ({title})", self.text);
            verdicts.push(ConditionResult { failed, text });
        }
        if verdicts.is_empty() {
            let what = self.operation.as_deref().unwrap_or("the figure");
            bail!("no run has {what}, so it is not known whether this holds");
        }
        Ok(verdicts)
    }

    fn figure(&self, runs: &[&Run]) -> Result<Option<f64>> {
        let figures: Result<Vec<Option<f64>>> = runs.iter().map(|run| self.of(run)).collect();
        let spread = Spread::of(figures?.into_iter().flatten().collect());
        Ok(spread.map(|spread| match self.metric {
            Metric::Errors | Metric::Faults | Metric::Unsent => spread.max,
            Metric::Percentile(_) | Metric::Mean | Metric::Rate | Metric::Cpu | Metric::Memory => {
                spread.median
            }
        }))
    }

    fn of(&self, run: &Run) -> Result<Option<f64>> {
        let name = self.operation.as_deref().unwrap_or("total");
        let Some(operation) = run.operation(name) else { return Ok(None) };
        let all = |operation: &Operation| operation.op == "total";
        Ok(match self.metric {
            Metric::Percentile(percentile) => {
                let histogram = operation.histogram()?;
                let nanos = histogram.value_at_quantile(percentile / 100.0);
                (!histogram.is_empty()).then_some(nanos.min(histogram.max()) as f64 / 1e3)
            }
            Metric::Mean => (operation.ops > 0).then_some(operation.latency_us.mean),
            Metric::Rate => Some(operation.ops_per_s),
            Metric::Errors if all(operation) => {
                Some(run.ops.iter().map(|op| op.errors as f64).sum())
            }
            Metric::Errors => Some(operation.errors as f64),
            Metric::Faults => Some(run.faults_total() as f64),
            Metric::Unsent => Some(run.unsent as f64),
            Metric::Cpu => run.server.map(|server| server.cpu_us_per_op),
            Metric::Memory => run.server_rss_bytes.map(|bytes| bytes as f64),
        })
    }

    fn shown(&self, figure: f64) -> String {
        match self.metric {
            Metric::Percentile(_) | Metric::Mean => latency(figure),
            Metric::Rate => format!("{}/s", whole(figure)),
            Metric::Errors | Metric::Faults | Metric::Unsent => whole(figure),
            Metric::Cpu => format!("{figure:.2} us"),
            Metric::Memory => megabytes(figure as u64),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Condition, String> {
        let at = text.find(['<', '>']).ok_or_else(|| {
            format!("{text:?} compares nothing: write it like p99>5ms, get.p99>+10% or errors>0")
        })?;
        let (left, rest) = text.split_at(at);
        let or_equal = rest[1..].starts_with('=');
        let holds = match (rest.starts_with('>'), or_equal) {
            (true, false) => f64::gt,
            (true, true) => f64::ge,
            (false, false) => f64::lt,
            (false, true) => f64::le,
        };
        let right = rest[1 + usize::from(or_equal)..].trim();
        let left = left.trim();
        let (operation, metric) = match left.split_once('.') {
            Some((name, metric)) if !left.starts_with('p') || is_kind(name) => {
                (Some(known_kind(name)?), metric)
            }
            Some(_) | None => (None, left),
        };
        let metric = metric.parse()?;
        let whole_run =
            matches!(metric, Metric::Faults | Metric::Unsent | Metric::Cpu | Metric::Memory);
        if operation.is_some() && whole_run {
            return Err(format!("{left:?}: this is a figure of a whole run, not of one operation"));
        }
        let bound = parse_bound(right, metric)?;
        Ok(Condition { text: text.trim().into(), operation, metric, holds, bound })
    }
}

fn is_kind(name: &str) -> bool {
    Kind::all().any(|kind| kind.name() == name)
}

fn known_kind(name: &str) -> Result<String, String> {
    if is_kind(name) {
        return Ok(name.to_string());
    }
    let known = Kind::all().map(Kind::name).collect::<Vec<_>>().join(", ");
    Err(format!("no operation is called {name:?}; {known} are known"))
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Metric, String> {
        if let Some(percentile) = text.strip_prefix('p').and_then(|p| p.parse::<f64>().ok()) {
            if (0.0..=100.0).contains(&percentile) {
                return Ok(Metric::Percentile(percentile));
            }
            return Err(format!("{text:?} is no percentile: p0 to p100 are"));
        }
        Ok(match text {
            "max" => Metric::Percentile(100.0),
            "mean" => Metric::Mean,
            "rate" => Metric::Rate,
            "errors" => Metric::Errors,
            "faults" => Metric::Faults,
            "unsent" => Metric::Unsent,
            "cpu" => Metric::Cpu,
            "memory" => Metric::Memory,
            _ => {
                return Err(format!(
                    "{text:?} is no figure; p50, p99, p99.9, ..., max, mean, rate, errors, \
                     faults, unsent, cpu (server time per operation) and memory are"
                ));
            }
        })
    }
}

fn parse_bound(text: &str, metric: Metric) -> Result<Bound, String> {
    let end = text.find(|c: char| c.is_ascii_alphabetic() || c == '%' || c == '/');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let value: f64 = match number.trim().replace('_', "").parse() {
        Ok(value) => value,
        Err(_) => return Err(format!("{text:?} is no bound: a number is expected")),
    };
    let unit = unit.trim();
    if unit == "%" {
        return match number.trim().starts_with(['+', '-']) {
            true => Ok(Bound::Change(value)),
            false => Err(format!("{text:?}: a change needs its sign, such as +10% or -5%")),
        };
    }
    if value < 0.0 || !value.is_finite() || number.trim().starts_with('+') {
        return Err(format!("{text:?}: only changes in percent have a sign"));
    }
    let units: &[(&str, f64)] = match metric {
        Metric::Percentile(_) | Metric::Mean | Metric::Cpu => {
            &[("ns", 1e-3), ("us", 1.0), ("ms", 1e3), ("s", 1e6)]
        }
        Metric::Rate => &[("", 1.0), ("/s", 1.0), ("k", 1e3), ("k/s", 1e3)],
        Metric::Errors | Metric::Faults | Metric::Unsent => &[("", 1.0)],
        Metric::Memory => &[("MB", 1e6), ("GB", 1e9), ("MiB", 1_048_576.0), ("GiB", 1.074e9)],
    };
    match units.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => Ok(Bound::Value(value * scale)),
        None => {
            let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
            let known = names.join(", ").trim_start_matches(", ").to_string();
            Err(match (unit, known.as_str()) {
                (_, "") => format!("{text:?}: this figure is a plain number"),
                ("", _) => format!("{text:?} needs a unit: {known}"),
                _ => format!("{unit:?} is no unit of this figure: {known}"),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(condition: &str, runs: &[Run], baseline: Option<&[Run]>) -> Result<Vec<bool>> {
        let conditions = [condition.parse::<Condition>().unwrap()];
        let verdicts = judge(&conditions, runs, baseline)?;
        Ok(verdicts.iter().map(|verdict| verdict.failed).collect())
    }

    #[test]
    fn malformed_condition_is_rejected() {
        for good in [
            "p99>5ms",
            "get.p99.9>=+10%",
            "p99.99>1s",
            "errors>0",
            "rate<10_000/s",
            "set.rate < 5k",
            "max>1s",
            "mean>300us",
            "cpu>+5%",
            "memory>200MB",
            "pwatch",
        ] {
            let read = good.parse::<Condition>();
            assert_eq!(read.is_ok(), good != "pwatch", "{good}: {read:?}");
        }
        for (bad, reason) in [
            ("p99", "compares nothing"),
            ("p99>5", "needs a unit: ns, us, ms, s"),
            ("p99>5min", "is no unit"),
            ("p101>5ms", "no percentile"),
            ("foo.p99>5ms", "no operation is called \"foo\""),
            ("latency>5ms", "is no figure"),
            ("p99>10%", "needs its sign"),
            ("p99>+5ms", "only changes in percent"),
            ("errors>1ms", "plain number"),
            ("rate<fast", "a number is expected"),
            ("get.cpu>1us", "figure of a whole run"),
        ] {
            let error = bad.parse::<Condition>().unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }

    #[test]
    fn condition_holds_by_its_bound() {
        let runs = [Run::sample("get", 10_000.0)];
        assert_eq!(runs[0].total.latency_us.p50.round(), 100.0);
        for (condition, failed) in [
            ("rate<10000", false),
            ("rate<=10000", true),
            ("get.p50>99us", true),
            ("p50>102us", false),
            ("max>1ms", true),
            ("errors>0", false),
            ("memory>70MB", false),
        ] {
            assert_eq!(judged(condition, &runs, None).unwrap(), [failed], "{condition}");
        }
        let error = judged("set.p99>1ms", &runs, None).unwrap_err();
        assert!(format!("{error:#}").contains("no run has set"), "{error:#}");
    }

    #[test]
    fn relative_condition_uses_same_load_of_baseline() {
        let runs = [Run::sample("get", 8_000.0), Run::sample("get", 9_000.0)];
        let base = [Run::sample("set", 1.0), Run::sample("get", 10_000.0)];
        assert_eq!(judged("rate<-10%", &runs, Some(&base)).unwrap(), [true]);
        assert_eq!(judged("rate<-20%", &runs, Some(&base)).unwrap(), [false]);
        assert_eq!(judged("p50>+10%", &runs, Some(&base)).unwrap(), [true]);
        for (baseline, reason) in
            [(None, "needs --baseline"), (Some(&base[..1]), "no run of the same")]
        {
            let error = judged("rate<-10%", &runs, baseline).unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
    }

    #[test]
    fn condition_result_shows_figure() {
        let runs = [Run::sample("get", 10_000.0)];
        let conditions = ["get.p50>50us".parse().unwrap()];
        let verdicts = judge(&conditions, &runs, None).unwrap();
        assert_eq!(verdicts[0].text, "FAIL get.p50>50us       100 us (get · 64 connections)");
    }
}
