//! The page of a comparison.

use std::fmt::Write as _;

use crate::record::results::{Document, LoadGroup, Run, loads};
use crate::show::compare::{Comparison, Row, Side, summary};

use super::axis::{Axis, nines, short_count};
use super::chart::Chart;
use super::report::verdicts;
use super::{cell, escape, facts, page, table};

/// The page of a comparison of all sides with the first one.
pub(crate) fn comparison(
    sides: &[Side],
    comparisons: &[Comparison],
    document: &Document,
) -> String {
    let command = &document.command_line();
    let mut body = String::from("<h1>ringkeeper bench · comparison</h1>\n");
    body.push_str(&verdicts(document));
    for line in summary(comparisons).lines().filter(|line| !line.is_empty()) {
        let _ = writeln!(body, "<p class=\"verdict\">{}.</p>", escape(line));
    }
    for comparison in comparisons {
        one(&mut body, comparison);
    }
    for load in sides.first().map(|base| loads(&base.runs)).unwrap_or_default() {
        let _ = writeln!(body, "<h2>{}</h2>", escape(&load.title));
        let groups: Vec<(&Side, LoadGroup<'_>)> = sides
            .iter()
            .filter_map(|side| {
                let same = loads(&side.runs).into_iter().find(|one| one.key == load.key);
                same.map(|same| (side, same))
            })
            .collect();
        let charts = rates(&groups) + &curves(&groups);
        let _ = write!(body, "<div class=\"charts\">\n{charts}</div>\n");
    }
    body.push_str("<h3>Sides</h3>\n");
    let rows: Vec<(String, String)> = sides.iter().map(described).collect();
    body.push_str(&facts(&rows));
    let _ = writeln!(body, "<h3>Made with</h3>\n<pre>{}</pre>", escape(command));
    body.push_str(
        "<p class=\"soft\">Figures are medians of runs. Differences are judged by the \
         Mann-Whitney test between runs, exactly and from both sides; the interval holds the true \
         ratio with 95 % confidence. Seconds of one run depend on each other and are no \
         sample.</p>\n",
    );
    page("bench", "Comparison", &body)
}

fn described(side: &Side) -> (String, String) {
    let version = side.runs.first().and_then(|run| run.version.clone());
    let (date, host) = side.hosts.first().cloned().unwrap_or_default();
    let version = version.unwrap_or_else(|| "unknown version".into());
    let text = format!(
        "{version}, {} runs, {date}, kernel {}, {} x {}",
        side.runs.len(),
        host.kernel,
        host.cpus,
        host.cpu
    );
    (side.name.clone(), text)
}

fn one(body: &mut String, comparison: &Comparison) {
    let Comparison { title, base, new, rows, warnings, faults } = comparison;
    let _ = writeln!(
        body,
        "<h2>{}</h2>\n<p class=\"soft\">{} ({} runs) compared with {} ({} runs)</p>",
        escape(title),
        escape(&new.0),
        new.1,
        escape(&base.0),
        base.1
    );
    if *faults > 0 {
        let _ = writeln!(body, "<p class=\"bad\">{faults} faults: its figures do not stand.</p>");
    }
    let heads = ["median of runs", "base", "new", "change", "95 % confidence", "verdict"];
    body.push_str(&table("", &heads, rows.iter().map(row)));
    if !warnings.is_empty() {
        body.push_str("<ul class=\"warn\">\n");
        for warning in warnings {
            let _ = writeln!(body, "<li>{}</li>", escape(warning));
        }
        body.push_str("</ul>\n");
    }
}

fn row(row: &Row) -> Vec<String> {
    let class = match row.words() {
        "faster" | "less" => "good",
        "slower" | "more" => "bad",
        _ => "soft",
    };
    let [base, new] =
        [row.base, row.new].map(|one| row.unit.show(one.median).replace(" us", " µs"));
    let (change, words) = (cell(class, &row.change()), cell(class, row.words()));
    vec![escape(&row.name), base, new, change, row.interval(), words]
}

/// A point for each run, so that the spread is seen.
fn rates(groups: &[(&Side, LoadGroup<'_>)]) -> String {
    let all = groups.iter().flat_map(|(_, group)| &group.runs);
    let top = all.map(|run| run.total.ops_per_s).fold(0.0, f64::max);
    let most = groups.iter().map(|(_, group)| group.runs.len()).max().unwrap_or(1);
    let x = Axis::steps((1..=most).map(|n| format!("run {n}")));
    let y = Axis::from_zero(top, short_count);
    let mut chart = Chart::new("Rate of each run", "operations per second", x, y);
    for (at, (side, group)) in groups.iter().enumerate() {
        let class = colour(at);
        chart.legend(&class, &side.name);
        for (turn, run) in group.runs.iter().enumerate() {
            let rate = run.total.ops_per_s;
            let text = format!("{}, run {}: {}/s", side.name, turn + 1, short_count(rate));
            chart.dot(&class, turn as f64 + 1.0, rate, &text);
        }
    }
    chart.render()
}

/// A thin line for each run, and a thick one for the run with the median p99.
fn curves(groups: &[(&Side, LoadGroup<'_>)]) -> String {
    let runs = || groups.iter().flat_map(|(_, group)| group.runs.iter());
    let values = || runs().flat_map(|run| &run.total.curve).map(|(_, us)| *us);
    let lowest = values().fold(f64::INFINITY, f64::min);
    if !lowest.is_finite() {
        return String::new();
    }
    let x = Axis::percentiles(runs().map(|run| run.total.ops).max().unwrap_or(1));
    let high = x.high();
    let y = Axis::latency(lowest, values().fold(0.0, f64::max));
    let note = "every run; the thick line is the one with the median p99";
    let mut chart = Chart::new("Latency by percentile", note, x, y);
    for (at, (side, group)) in groups.iter().enumerate() {
        let class = colour(at);
        chart.legend(&class, &side.name);
        let mut runs: Vec<&&Run> = group.runs.iter().filter(|run| run.total.ops > 0).collect();
        runs.sort_by(|a, b| a.total.latency_us.p99.total_cmp(&b.total.latency_us.p99));
        for (rank, run) in runs.iter().enumerate() {
            let place = |(percentile, us): &(f64, f64)| (nines(*percentile, high), Some(*us));
            let line: Vec<_> = run.total.curve.iter().map(place).collect();
            let thin = if rank == runs.len() / 2 { "" } else { " thin" };
            chart.line(&format!("{class}{thin}"), &line);
        }
    }
    chart.render()
}

fn colour(side: usize) -> String {
    format!("c{}", [6, 1, 3, 4, 5, 2][side % 6])
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;
    use crate::record::results::Verdict;
    use crate::show::compare::compare;
    use crate::show::compare::tests::side;

    #[test]
    fn comparison_page_is_well_formed() {
        let sides =
            [side("<old>", &[1_000.0; 5]), side("new", &[2_000.0, 2_001.0, 2_002.0, 2_003.0])];
        let comparisons = compare(&sides).unwrap();
        let page = comparison(
            &sides,
            &comparisons,
            &Document {
                command: vec!["ringkeeper bench compare".into()],
                verdicts: vec![Verdict { failed: true, text: "FAIL p99>1us".into() }],
                ..Document::default()
            },
        );
        check(&page);
        for part in [
            "badge bad\">failed</span> FAIL p99&gt;1us",
            "&lt;old&gt;",
            "faster",
            "run 5",
            "Mann-Whitney",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
    }
}
