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
pub(crate) fn table(sides: &[Side], width: usize) -> String {
    let mut out = String::new();
    for load in sides.first().map(|first| loads(&first.runs)).unwrap_or_default() {
        let targets: Vec<(&str, Vec<&Run>)> = sides
            .iter()
            .map(|side| {
                let same = side.runs.iter().filter(|run| run.title == load.title);
                (side.name.as_str(), same.collect())
            })
            .collect();
        one(&mut out, &load.title, &targets, width);
    }
    out
}

/// A row for each figure, and a column for each target and each ratio; those that do not fit the
/// width go below.
fn one(out: &mut String, title: &str, targets: &[(&str, Vec<&Run>)], width: usize) {
    let Some(((base, base_runs), others)) = targets.split_first() else { return };
    let mut cells: Vec<Vec<String>> = targets.iter().map(|(name, runs)| of(name, runs)).collect();
    let mut verdicts = Vec::new();
    for (name, runs) in others {
        let ratios = FIGURES.iter().map(|figure| {
            let relation = relate(&figure.of(base_runs), &figure.of(runs));
            verdicts.extend(relation.map(|relation| relation.verdict));
            relation.map_or("-".into(), |relation| ratio(relation.ratio, relation.verdict))
        });
        cells.push(std::iter::once(short(&format!("{name} : {base}"))).chain(ratios).collect());
    }
    let figures = FIGURES.iter().map(|figure| figure.name.replace("bytes", "memory"));
    let names = std::iter::once("median of rounds".to_owned()).chain(figures);
    let names: Vec<String> = names.chain(["faults".to_owned()]).collect();
    let _ = writeln!(out, "\n{title}");
    for some in cells.chunks(((width.saturating_sub(NAME)) / CELL).max(1)) {
        for (at, name) in names.iter().enumerate() {
            let _ = write!(out, "{name:<NAME$}");
            for cells in some {
                let _ = write!(out, "{:>CELL$}", cells.get(at).map_or("", String::as_str));
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
    }
    if others.is_empty() {
        return;
    }
    out.push_str(
        "a ratio is the median of each round of the one target divided by each of the other;\n\
         more than 1 is more operations, or a longer time\n",
    );
    if verdicts.contains(&Verdict::TooFew) {
        out.push_str(
            "in parentheses: too few rounds to tell it from chance (--rounds 4 or more)\n",
        );
    } else if verdicts.iter().any(|verdict| !is_claimed(*verdict)) {
        out.push_str("in parentheses: within noise, or less than 2 %\n");
    }
}

/// The column of a target.
fn of(name: &str, runs: &[&Run]) -> Vec<String> {
    let medians = FIGURES.iter().map(|figure| {
        let spread = Spread::of(figure.of(runs));
        spread.map_or("-".into(), |spread| show(figure, spread.median))
    });
    let faults: u64 = runs.iter().map(|run| run.faults_total()).sum();
    std::iter::once(short(name)).chain(medians).chain([grouped(faults)]).collect()
}

/// Columns of the names, and of everything else: four of these fit 80.
const NAME: usize = 17;
const CELL: usize = 15;

/// A name that leaves a blank before it.
fn short(name: &str) -> String {
    let most = CELL - 1;
    match name.char_indices().nth(most) {
        None => name.to_owned(),
        Some(_) => name.chars().take(most - 1).chain(['~']).collect(),
    }
}

fn is_claimed(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Larger | Verdict::Smaller => true,
        Verdict::TooFew | Verdict::WithinNoise | Verdict::Slight | Verdict::Doubtful => false,
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
    if is_claimed(verdict) { format!("{ratio:.2}x") } else { format!("({ratio:.2}x)") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::compare::tests::side;

    #[test]
    fn ratios_within_noise_are_in_parentheses() {
        let sides = [
            side("apache", &[1_000.0, 1_001.0, 1_002.0, 1_003.0]),
            side("ringkeeper", &[4_000.0, 4_001.0, 4_002.0, 4_003.0]),
        ];
        let text = table(&sides, 80);
        let last = |line: &str| line.split_whitespace().last().unwrap_or_default().to_owned();
        let ratios: Vec<String> = text.lines().skip(3).take(7).map(last).collect();
        let expected = ["4.00x", "0.25x", "0.25x", "0.25x", "(1.00x)", "(1.00x)", "(1.00x)"];
        assert_eq!(ratios, expected, "{text}");
        assert!(text.contains("a ratio is the median of each round"), "{text}");
        assert!(text.ends_with("in parentheses: within noise, or less than 2 %\n"), "{text}");
        let many = ["one", "two", "three", "four", "a name that is longer than a column"];
        let many = many.map(|name| side(name, &[1_000.0; 4]));
        for width in [80, 40, 200] {
            let text = table(&many, width);
            let most = text.lines().take_while(|line| !line.starts_with("a ratio"));
            let most = most.map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(most <= width && text.contains("a name that i~"), "{width}: {text}");
        }
        let few = table(&[side("a", &[1.0]), side("b", &[2.0])], 80);
        assert!(few.contains("(2.00x)") && few.contains("too few rounds"), "{few}");
    }
}
