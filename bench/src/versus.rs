//! Several targets under the same load, taking turns.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::report::Report;
use crate::text::{megabytes, whole};

/// All rounds of one target under one load.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    /// Name of the target.
    pub name: String,
    /// Its rounds.
    pub rounds: Vec<Report>,
}

/// The figures that are compared.
const FIGURES: [Figure; 7] = [
    Figure { name: "ops/s", read: |report| Some(report.total.rate) },
    Figure { name: "p50 us", read: |report| Some(report.total.response.p50) },
    Figure { name: "p99 us", read: |report| Some(report.total.response.p99) },
    Figure { name: "p99.9 us", read: |report| Some(report.total.response.p999) },
    Figure {
        name: "server us/op",
        read: |report| report.server.map(|server| server.cpu_us_per_op),
    },
    Figure { name: "server bytes", read: |report| report.server_rss.map(|(now, _)| now as f64) },
    Figure { name: "driver us/op", read: |report| Some(report.driver.cpu_us_per_op) },
];

struct Figure {
    name: &'static str,
    read: fn(&Report) -> Option<f64>,
}

/// Median and extremes of a figure over the rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of some figures; `None` if there are none.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Spread> {
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Some(Spread { median, min, max })
    }

    /// Whether some round of one is like some round of the other.
    pub(crate) fn overlaps(&self, other: &Spread) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

impl Side {
    fn spread(&self, figure: &Figure) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(figure.read).collect())
    }

    fn faults(&self) -> u64 {
        self.rounds.iter().map(Report::faults_total).sum()
    }

    /// Whether every round stands.
    pub(crate) fn is_good(&self) -> bool {
        !self.rounds.is_empty() && self.rounds.iter().all(Report::is_good)
    }

    fn json(&self) -> Value {
        let figures = FIGURES.iter().map(|figure| {
            let spread = self.spread(figure).map(
                |spread| json!({ "median": spread.median, "min": spread.min, "max": spread.max }),
            );
            (figure.name.to_string(), json!(spread))
        });
        json!({
            "target": self.name,
            "figures": figures.collect::<serde_json::Map<_, _>>(),
            "faults": self.faults(),
            "rounds": self.rounds.iter().map(Report::json).collect::<Vec<_>>(),
        })
    }
}

/// A comparison for machines.
pub(crate) fn json(sides: &[Side]) -> Value {
    json!(sides.iter().map(Side::json).collect::<Vec<_>>())
}

/// A comparison for people: medians, then every other target relative to the first. A ratio in
/// parentheses is within noise: the rounds of the two targets overlap.
pub(crate) fn table(title: &str, sides: &[Side]) -> String {
    let mut out = format!("\n{title}\n{:<18}", "median of rounds");
    for figure in &FIGURES {
        let _ = write!(out, "{:>14}", figure.name.replace("bytes", "memory"));
    }
    let _ = writeln!(out, "{:>9}", "faults");
    for side in sides {
        let _ = write!(out, "{:<18}", side.name);
        for figure in &FIGURES {
            let text = side.spread(figure).map_or("-".into(), |spread| show(figure, spread.median));
            let _ = write!(out, "{text:>14}");
        }
        let _ = writeln!(out, "{:>9}", side.faults());
    }
    let Some((first, others)) = sides.split_first() else { return out };
    for side in others {
        let _ = write!(out, "{:<18}", format!("{} : {}", side.name, first.name));
        for figure in &FIGURES {
            let _ = write!(out, "{:>14}", ratio(side.spread(figure), first.spread(figure)));
        }
        out.push('\n');
    }
    out
}

fn show(figure: &Figure, value: f64) -> String {
    match figure.name {
        "server bytes" => megabytes(value as u64),
        "server us/op" | "driver us/op" => format!("{value:.2}"),
        _ => whole(value),
    }
}

fn ratio(of: Option<Spread>, to: Option<Spread>) -> String {
    match of.zip(to) {
        Some((of, to)) if to.median > 0.0 => {
            let ratio = format!("{:.2}x", of.median / to.median);
            if of.overlaps(&to) { format!("({ratio})") } else { ratio }
        }
        _ => "-".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_noise() {
        let spread = |figures: &[f64]| Spread::of(figures.to_vec());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(spread(&[4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(ratio(spread(&[2.0, 4.0]), spread(&[1.0, 1.5])), "2.40x");
        assert_eq!(ratio(spread(&[2.0, 4.0]), spread(&[1.0, 2.0])), "(2.00x)");
        assert_eq!(ratio(None, spread(&[1.0])), "-");
    }
}
