//! Results of before and after, or of several targets, beside each other.

mod table;

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::model::numbers::{latency, megabytes, whole};
use crate::model::spread::{Relation, Spread, Verdict, relate};
use crate::record::results::{Document, Host, LoadGroup, Operation, Run, loads};

pub(crate) use table::{summary, table};

/// The load average, in shares of all processors, from which a host counts as busy.
const BUSY_SHARE: f64 = 0.5;

/// One of the things that are compared.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub name: String,
    /// Hosts that measured it, with the dates.
    pub hosts: Vec<(String, Host)>,
    pub runs: Vec<Run>,
}

impl Side {
    /// Of several files with repeats of the same loads.
    pub(crate) fn of(name: &str, documents: &[Document]) -> Result<Side> {
        let runs: Vec<Run> = documents.iter().flat_map(|one| one.results.clone()).collect();
        let targets = targets(&runs);
        if targets.len() > 1 && documents.len() == 1 {
            bail!(
                "{name} has runs of several targets ({}): compare it alone, or give files of one",
                targets.join(", ")
            );
        }
        let hosts = documents.iter().map(|one| (one.date.clone(), one.host.clone())).collect();
        Ok(Side { name: name.to_string(), hosts, runs })
    }

    /// The targets of one file, each as a side.
    pub(crate) fn each_target(document: &Document) -> Vec<Side> {
        let sides = targets(&document.results).into_iter().map(|target| Side {
            runs: document.results.iter().filter(|run| run.target == target).cloned().collect(),
            hosts: vec![(document.date.clone(), document.host.clone())],
            name: target,
        });
        sides.collect()
    }
}

/// Names of the targets, in the order of their first runs.
fn targets(runs: &[Run]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for run in runs.iter().filter(|run| run.is_good() || run.total.ops > 0) {
        if !names.contains(&run.target) {
            names.push(run.target.clone());
        }
    }
    names
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    /// Operations per second: more is better.
    Rate,
    /// Microseconds of latency.
    Latency,
    /// Microseconds of processor time per operation.
    Cpu,
    Memory,
}

impl Unit {
    pub(crate) fn show(self, figure: f64) -> String {
        match self {
            Unit::Rate => format!("{}/s", whole(figure)),
            Unit::Latency => latency(figure),
            Unit::Cpu => format!("{figure:.2} us"),
            Unit::Memory => megabytes(figure as u64),
        }
    }

    pub(crate) fn words(self, verdict: Verdict) -> &'static str {
        match (verdict, self) {
            (Verdict::TooFew, _) => "too few runs to tell",
            (Verdict::WithinNoise, _) => "within noise",
            (Verdict::Slight, _) => "less than 2 %",
            (Verdict::Doubtful, _) => "not claimed",
            (Verdict::Larger, Unit::Rate) | (Verdict::Smaller, Unit::Latency) => "faster",
            (Verdict::Smaller, Unit::Rate) | (Verdict::Larger, Unit::Latency) => "slower",
            (Verdict::Larger, Unit::Cpu | Unit::Memory) => "more",
            (Verdict::Smaller, Unit::Cpu | Unit::Memory) => "less",
        }
    }
}

/// A ratio as a change; from three times on as a factor.
fn percent(ratio: f64) -> String {
    if ratio >= 3.0 { format!("{ratio:.1}x") } else { format!("{:+.1} %", (ratio - 1.0) * 100.0) }
}

/// One figure on both sides.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// `rate`, `get p99`, ...
    pub name: String,
    pub unit: Unit,
    pub base: Spread,
    pub new: Spread,
    pub relation: Option<Relation>,
}

impl Row {
    fn of(name: String, unit: Unit, base: &[f64], new: &[f64]) -> Option<Row> {
        let (b, n) = (Spread::of(base.to_vec())?, Spread::of(new.to_vec())?);
        Some(Row { name, unit, base: b, new: n, relation: relate(base, new) })
    }

    /// What it comes to, in words.
    pub(crate) fn words(&self) -> &'static str {
        self.relation.map_or("-", |relation| self.unit.words(relation.verdict))
    }

    pub(crate) fn change(&self) -> String {
        self.relation.map_or("-".into(), |relation| percent(relation.ratio))
    }

    /// Where the true change lies, with 95 % confidence.
    pub(crate) fn interval(&self) -> String {
        let interval = self.relation.and_then(|relation| relation.interval);
        let text = |(low, high)| format!("{} to {}", percent(low), percent(high));
        interval.map_or("-".into(), text)
    }

    fn json(&self) -> Value {
        let spread = |s: Spread| json!({ "median": s.median, "min": s.min, "max": s.max });
        json!({
            "figure": self.name, "base": spread(self.base), "new": spread(self.new),
            "ratio": self.relation.map(|r| r.ratio), "p": self.relation.map(|r| r.p),
            "interval": self.relation.and_then(|r| r.interval), "verdict": self.words(),
        })
    }
}

/// One load on two sides.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub title: String,
    /// The base's name and its number of runs.
    pub base: (String, usize),
    /// The new one's name and its number of runs.
    pub new: (String, usize),
    pub rows: Vec<Row>,
    /// What makes them hard to compare.
    pub warnings: Vec<String>,
    /// Faults on the new side, which make its figures void.
    pub faults: u64,
}

impl Comparison {
    /// Whether the new side is slower in something.
    pub(crate) fn is_worse(&self) -> bool {
        self.faults > 0 || self.rows.iter().any(|row| row.words() == "slower")
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "load": self.title,
            "base": { "name": self.base.0, "runs": self.base.1 },
            "new": { "name": self.new.0, "runs": self.new.1, "faults": self.faults },
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "warnings": self.warnings,
        })
    }
}

/// Each file as a side, or `base` and `new` as one each; a single file has a side for each target.
pub(crate) fn read_sides(
    files: &[PathBuf],
    base: &[PathBuf],
    new: &[PathBuf],
) -> Result<Vec<Side>> {
    let read = |paths: &[PathBuf]| -> Result<Vec<Document>> {
        paths.iter().map(|path| Document::read(path)).collect()
    };
    if !base.is_empty() {
        let sides = [("base", base), ("new", new)];
        return sides.iter().map(|(name, paths)| Side::of(name, &read(paths)?)).collect();
    }
    let documents = read(files)?;
    if let [document] = &documents[..] {
        return Ok(Side::each_target(document));
    }
    let named = files.iter().zip(documents);
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    named.map(|(path, document)| Side::of(&name(path), &[document])).collect()
}

/// Compares every side with the first one, load by load. Loads that only one of them has are
/// left out; if none is left, nothing can be compared.
pub(crate) fn compare(sides: &[Side]) -> Result<Vec<Comparison>> {
    let Some((base, others)) = sides.split_first() else { bail!("nothing to compare") };
    if others.is_empty() {
        bail!("{} has runs of one target only: give a second file", base.name);
    }
    let mut comparisons = Vec::new();
    for load in loads(&base.runs) {
        for other in others {
            let new = loads(&other.runs).into_iter().find(|one| one.key == load.key);
            comparisons.extend(new.map(|new| of_load(base, other, &load, &new)));
        }
    }
    if comparisons.is_empty() {
        bail!("no load was run on both sides, so nothing can be compared: {}", differences(sides));
    }
    Ok(comparisons)
}

/// In what the first runs of two sides differ.
fn differences(sides: &[Side]) -> String {
    let firsts: Vec<&Run> = sides.iter().filter_map(|side| side.runs.first()).collect();
    let [base, new, ..] = firsts[..] else { return "a side has no runs".into() };
    let pairs = base.parameters().into_iter().zip(new.parameters());
    let differ = pairs.filter(|((_, a), (_, b))| a != b);
    let texts = differ.map(|((name, a), (_, b))| format!("{name} is {a} and {b}"));
    texts.collect::<Vec<_>>().join(", ")
}

fn of_load(base: &Side, new: &Side, b: &LoadGroup<'_>, n: &LoadGroup<'_>) -> Comparison {
    let figures = |runs: &[&Run], of: &dyn Fn(&Run) -> Option<f64>| -> Vec<f64> {
        runs.iter().filter(|run| run.total.ops > 0).filter_map(|run| of(run)).collect()
    };
    let mut rows = Vec::new();
    let mut row = |name: String, unit, of: &dyn Fn(&Run) -> Option<f64>| {
        rows.extend(Row::of(name, unit, &figures(&b.runs, of), &figures(&n.runs, of)));
    };
    row("rate".into(), Unit::Rate, &|run| Some(run.total.ops_per_s));
    for name in operations(b) {
        let timed = |run: &Run| run.operation(&name).filter(|op| op.ops > 0).cloned();
        let label = if name == "total" { String::new() } else { format!("{name} ") };
        let read = |pick: fn(&Operation) -> f64| move |run: &Run| timed(run).map(|op| pick(&op));
        row(format!("{label}p50"), Unit::Latency, &read(|op| op.latency_us.p50));
        row(format!("{label}p99"), Unit::Latency, &read(|op| op.latency_us.p99));
        row(format!("{label}p99.9"), Unit::Latency, &read(|op| op.latency_us.p999));
    }
    row("server CPU per op".into(), Unit::Cpu, &|run| run.server.map(|s| s.cpu_us_per_op));
    row("server memory".into(), Unit::Memory, &|run| run.server_rss_bytes.map(|b| b as f64));
    let warnings = warnings(base, new, b, n);
    if !warnings.is_empty() {
        for row in &mut rows {
            row.relation = row.relation.map(Relation::doubtful);
        }
    }
    Comparison {
        title: b.title.clone(),
        base: (base.name.clone(), b.runs.len()),
        new: (new.name.clone(), n.runs.len()),
        rows,
        warnings,
        faults: n.runs.iter().map(|run| run.faults_total()).sum(),
    }
}

/// Kinds of operation, or the total if there is only one kind.
fn operations(load: &LoadGroup<'_>) -> Vec<String> {
    let first = load.runs.first().map(|run| &run.ops[..]).unwrap_or_default();
    match first {
        [] | [_] => vec!["total".into()],
        several => several.iter().map(|operation| operation.op.clone()).collect(),
    }
}

/// A property of an environment, to be the same on both sides.
type Property = (&'static str, fn(&Side, &Run) -> Option<String>);

const PROPERTIES: [Property; 11] = [
    ("kernel", |side, _| host(side, |host| Some(host.kernel.clone()))),
    ("processor", |side, _| host(side, |host| Some(host.cpu.clone()))),
    ("number of processors", |side, _| host(side, |host| Some(host.cpus.to_string()))),
    ("frequency governor", |side, _| host(side, |host| host.governor.clone())),
    ("file system", |_, run| storage(run, |s| Some(s.file_system.clone()))),
    ("mount options", |_, run| storage(run, |s| Some(s.mount_options.clone()))),
    ("block device", |_, run| storage(run, |s| s.device.clone())),
    ("write cache", |_, run| storage(run, |s| s.write_cache.clone())),
    ("forceSync", |_, run| configured(run, "forceSync")),
    ("log device", |_, run| configured(run, "logDevice")),
    ("measured time", |_, run| Some(format!("{:.0} s", run.elapsed_s))),
];

fn host(side: &Side, of: fn(&Host) -> Option<String>) -> Option<String> {
    side.hosts.first().and_then(|(_, host)| of(host))
}

fn storage(run: &Run, of: fn(&crate::model::server::Storage) -> Option<String>) -> Option<String> {
    run.server_facts.storage.as_ref().and_then(of)
}

fn configured(run: &Run, key: &str) -> Option<String> {
    run.server_facts.configuration.get(key).cloned()
}

fn warnings(base: &Side, new: &Side, b: &LoadGroup<'_>, n: &LoadGroup<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let (Some(first), Some(second)) = (b.runs.first(), n.runs.first()) else { return warnings };
    for (name, of) in PROPERTIES {
        let (before, after) = (of(base, first), of(new, second));
        if let Some((before, after)) = before.zip(after)
            && before != after
        {
            warnings.push(format!("{name} differs: {before} and {after}"));
        }
    }
    for (side, load) in [(base, b), (new, n)] {
        // Before the first run: later on it is the bench itself that keeps the host busy.
        let busy = |host: &Host| host.load_average.unwrap_or(0.0) / host.cpus.max(1) as f64;
        if let Some((_, host)) = side.hosts.iter().find(|(_, host)| busy(host) > BUSY_SHARE) {
            let average = host.load_average.unwrap_or(0.0);
            warnings.push(format!(
                "{}: the host was busy before the first run (load average {average:.1})",
                side.name
            ));
        }
        let bad = load.runs.iter().filter(|run| !run.is_good()).count();
        if bad > 0 {
            warnings.push(format!("{}: {bad} runs had faults or ended early", side.name));
        }
    }
    if !interleaved(b, n) && b.runs.len() > 1 && n.runs.len() > 1 {
        warnings.push(
            "the sides were measured one after the other, so a change of the host in between \
             looks like a difference; `bench versus` takes turns"
                .into(),
        );
    }
    warnings
}

/// Whether some run of each side began between two of the other.
fn interleaved(b: &LoadGroup<'_>, n: &LoadGroup<'_>) -> bool {
    let ends = |load: &LoadGroup<'_>| {
        let mut dates: Vec<String> = load.runs.iter().map(|run| run.started.clone()).collect();
        dates.sort();
        dates.first().cloned().zip(dates.last().cloned())
    };
    let Some(((b_first, b_last), (n_first, n_last))) = ends(b).zip(ends(n)) else { return false };
    b_first <= n_last && n_first <= b_last
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs of one load at these rates; they take turns with those of other sides.
    pub(crate) fn side(name: &str, rates: &[f64]) -> Side {
        let run = |(at, rate): (usize, &f64)| Run {
            started: format!("2026-01-02T03:04:{at:02}Z"),
            target: name.into(),
            ..Run::sample("get", *rate)
        };
        let host = Host { kernel: "6.1".into(), cpus: 2, ..Host::default() };
        let runs = rates.iter().enumerate().map(run).collect();
        Side { name: name.into(), hosts: vec![("2026-01-02".into(), host)], runs }
    }

    fn words(base: &[f64], new: &[f64]) -> Vec<&'static str> {
        let comparisons = compare(&[side("old", base), side("new", new)]).unwrap();
        comparisons[0].rows.iter().map(Row::words).collect()
    }

    #[test]
    fn words_fit_the_figures() {
        let base = [1_000.0, 1_010.0, 1_020.0, 1_030.0];
        assert_eq!(words(&base, &[2_000.0, 2_010.0, 2_020.0, 2_030.0])[..3], ["faster"; 3]);
        assert_eq!(words(&base, &[500.0, 501.0, 502.0, 503.0])[..3], ["slower"; 3]);
        assert_eq!(words(&base, &[1_005.0, 1_015.0, 1_025.0, 995.0])[0], "within noise");
        assert_eq!(words(&base[..3], &[9_000.0; 3])[0], "too few runs to tell");
    }

    #[test]
    fn difference_is_claimed_beyond_a_least_effect_and_without_warnings() {
        let base = [1_000.0, 1_001.0, 1_002.0, 1_003.0];
        assert_eq!(words(&base, &base.map(|rate| rate * 1.012))[0], "less than 2 %");
        assert_eq!(words(&base, &base.map(|rate| rate * 0.95))[0], "slower");
        let (old, mut new) = (side("old", &base), side("new", &base.map(|rate| rate * 0.5)));
        new.hosts[0].1.kernel = "6.18".into();
        let comparison = &compare(&[old, new]).unwrap()[0];
        assert_eq!(comparison.rows[0].words(), "not claimed");
        assert!(!comparison.is_worse(), "nothing is claimed: {:?}", comparison.warnings);
    }

    #[test]
    fn environment_differences_are_warned() {
        let base = side("old", &[1_000.0; 4]);
        let mut new = side("new", &[1_000.0; 4]);
        assert_eq!(compare(&[base.clone(), new.clone()]).unwrap()[0].warnings, [""; 0]);
        new.hosts[0].1.kernel = "6.18".into();
        new.hosts[0].1.load_average = Some(3.0);
        for run in &mut new.runs {
            run.started = "2027-01-01T00:00:00Z".into();
        }
        new.runs[0].faults.insert("lost writes".into(), 2);
        let comparison = &compare(&[base.clone(), new.clone()]).unwrap()[0];
        let all = comparison.warnings.join("\n");
        for part in ["kernel differs: 6.1 and 6.18", "busy", "1 runs had faults", "one after the"] {
            assert!(all.contains(part), "{all}");
        }
        assert!(comparison.is_worse(), "faults void the figures");
        new.runs.iter_mut().for_each(|run| run.connections = 2);
        let error = compare(&[base, new]).unwrap_err().to_string();
        assert!(error.contains("connections is 64 and 2"), "{error}");
    }
}
