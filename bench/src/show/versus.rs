//! Several targets under the same load, taking turns.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::numbers::{grouped, megabytes, whole};
use crate::model::spread::{Spread, Verdict, relate};
use crate::record::results::{Run, loads};
use crate::show::compare::{Comparison, Side};

/// The figures that are compared.
const FIGURES: [Figure; 7] = [
    Figure { name: "ops/s", read: |run| Some(run.total.ops_per_s) },
    Figure { name: "p50 us", read: |run| Some(run.total.latency_us.p50) },
    Figure { name: "p99 us", read: |run| Some(run.total.latency_us.p99) },
    Figure { name: "p99.9 us", read: |run| Some(run.total.latency_us.p999) },
    Figure { name: "server us/op", read: |run| run.server.map(|server| server.cpu_us_per_op) },
    Figure { name: "server bytes", read: |run| run.server_rss_bytes.map(|now| now as f64) },
    Figure { name: "driver us/op", read: |run| Some(run.driver.cpu_us_per_op) },
];

struct Figure {
    name: &'static str,
    read: fn(&Run) -> Option<f64>,
}

impl Figure {
    fn of(&self, runs: &[&Run]) -> Vec<f64> {
        runs.iter().filter_map(|run| (self.read)(run)).collect()
    }
}

pub(crate) fn json(comparisons: &[Comparison]) -> Value {
    json!(comparisons.iter().map(Comparison::json).collect::<Vec<_>>())
}

/// A comparison for people: medians, then every other target relative to the first. A ratio in
/// parentheses may be chance.
pub(crate) fn table(sides: &[Side]) -> String {
    let mut out = String::new();
    for load in sides.first().map(|first| loads(&first.runs)).unwrap_or_default() {
        let targets: Vec<(&str, Vec<&Run>)> = sides
            .iter()
            .map(|side| {
                let same = side.runs.iter().filter(|run| run.title == load.title);
                (side.name.as_str(), same.collect())
            })
            .collect();
        one(&mut out, &load.title, &targets);
    }
    out
}

fn one(out: &mut String, title: &str, targets: &[(&str, Vec<&Run>)]) {
    let _ = write!(out, "\n{title}\n{:<22}", "median of rounds");
    for figure in &FIGURES {
        let _ = write!(out, "{:>14}", figure.name.replace("bytes", "memory"));
    }
    let _ = writeln!(out, "{:>9}", "faults");
    for (name, runs) in targets {
        let _ = write!(out, "{name:<22}");
        for figure in &FIGURES {
            let spread = Spread::of(figure.of(runs));
            let text = spread.map_or("-".into(), |spread| show(figure, spread.median));
            let _ = write!(out, "{text:>14}");
        }
        let faults: u64 = runs.iter().map(|run| run.faults_total()).sum();
        let _ = writeln!(out, "{:>9}", grouped(faults));
    }
    let Some(((base, base_runs), others)) = targets.split_first() else { return };
    let mut verdicts = Vec::new();
    for (name, runs) in others {
        let _ = write!(out, "{:<22}", format!("{name} : {base}"));
        for figure in &FIGURES {
            let relation = relate(&figure.of(base_runs), &figure.of(runs));
            verdicts.extend(relation.map(|relation| relation.verdict));
            let text =
                relation.map_or("-".into(), |relation| ratio(relation.ratio, relation.verdict));
            let _ = write!(out, "{text:>14}");
        }
        out.push('\n');
    }
    if verdicts.contains(&Verdict::TooFew) {
        out.push_str(
            "in parentheses: too few rounds to tell it from chance (--rounds 4 or more)\n",
        );
    } else if verdicts.contains(&Verdict::WithinNoise) {
        out.push_str("in parentheses: within noise\n");
    }
}

fn show(figure: &Figure, value: f64) -> String {
    match figure.name {
        "server bytes" => megabytes(value as u64),
        "server us/op" | "driver us/op" => format!("{value:.2}"),
        _ => whole(value),
    }
}

fn ratio(ratio: f64, verdict: Verdict) -> String {
    match verdict {
        Verdict::TooFew | Verdict::WithinNoise => format!("({ratio:.2}x)"),
        Verdict::Larger | Verdict::Smaller => format!("{ratio:.2}x"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::compare::tests::side;

    #[test]
    fn ratios_within_noise_are_in_parentheses() {
        let text = table(&[
            side("apache", &[1_000.0, 1_001.0, 1_002.0, 1_003.0]),
            side("ringkeeper", &[4_000.0, 4_001.0, 4_002.0, 4_003.0]),
        ]);
        let figures = text.lines().nth(5).unwrap_or_default();
        let words: Vec<_> = figures.split_whitespace().skip(3).collect();
        let expected = ["4.00x", "0.25x", "0.25x", "0.25x", "(1.00x)", "(1.00x)", "(1.00x)"];
        assert_eq!(words, expected, "{text}");
        assert!(text.ends_with("in parentheses: within noise\n"), "{text}");
        let few = table(&[side("a", &[1.0]), side("b", &[2.0])]);
        assert!(few.contains("(2.00x)") && few.contains("too few rounds"), "{few}");
    }
}
