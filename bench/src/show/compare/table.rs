//! Comparisons as text.

use std::fmt::Write as _;

use crate::model::spread::RUNS_MIN;

use super::{Comparison, Row, Unit};

/// Columns from which there is room for the interval.
const WIDE: usize = 108;

pub(crate) fn table(comparisons: &[Comparison], columns: usize) -> String {
    let mut out = String::new();
    for comparison in comparisons {
        one(&mut out, comparison, columns);
    }
    out.push_str(&summary(comparisons));
    out
}

fn one(out: &mut String, comparison: &Comparison, columns: usize) {
    let Comparison { title, base, new, rows, warnings, faults } = comparison;
    let runs = |n: usize| if n == 1 { "1 run".to_string() } else { format!("{n} runs") };
    let _ = writeln!(out, "\n{title}");
    let _ = writeln!(out, "{} ({}) -> {} ({})\n", base.0, runs(base.1), new.0, runs(new.1));
    let interval = if columns < WIDE { "" } else { "95 % confidence" };
    let head = ["median of runs", "base", "new", "change", interval, ""];
    line(out, head.map(str::to_owned), columns);
    for row in rows {
        let (base, new) = (row.unit.show(row.base.median), row.unit.show(row.new.median));
        let words = row.words().to_owned();
        line(out, [row.name.clone(), base, new, row.change(), row.interval(), words], columns);
    }
    if rows.iter().any(|row| row.words() == "not claimed") {
        out.push_str("not claimed: the figures differ, and are hard to compare for the warnings\n");
    }
    if *faults > 0 {
        let _ = writeln!(out, "FAULTS   {faults} on the new side: its figures do not stand");
    }
    for warning in warnings {
        let _ = writeln!(out, "warning  {warning}");
    }
}

/// The interval needs a wide terminal.
fn line(out: &mut String, [name, base, new, change, interval, words]: [String; 6], columns: usize) {
    let _ = if columns < WIDE {
        writeln!(out, "{name:<18}{base:>13}{new:>13}{change:>10}  {words}")
    } else {
        writeln!(out, "{name:<20}{base:>14}{new:>14}{change:>10}{interval:>22}  {words}")
    };
}

/// The whole in a sentence for each side that is compared with the base.
pub(crate) fn summary(comparisons: &[Comparison]) -> String {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for Comparison { base, new, .. } in comparisons {
        if !names.contains(&(base.0.as_str(), new.0.as_str())) {
            names.push((&base.0, &new.0));
        }
    }
    let sentences = names.into_iter().map(|(base, new)| {
        let of = comparisons.iter().filter(|one| one.new.0 == new);
        sentence(base, new, of.flat_map(|one| &one.rows).collect())
    });
    sentences.collect()
}

fn sentence(base: &str, new: &str, mut rows: Vec<&Row>) -> String {
    rows.retain(|row| matches!(row.unit, Unit::Rate | Unit::Latency));
    let count = |word: &str| rows.iter().filter(|row| row.words() == word).count();
    let (faster, slower, all) = (count("faster"), count("slower"), rows.len());
    if count("too few runs to tell") > 0 {
        return format!(
            "\n{new} and {base}: too few runs to tell; {RUNS_MIN} runs on each side, or more, can \
             tell a difference from chance (--repeat)\n"
        );
    }
    if count("not claimed") > 0 {
        return format!("\n{new} and {base}: not claimed to differ, for the warnings\n");
    }
    let mut text = match (faster, slower) {
        (0, 0) => {
            format!(
                "\n{new} and {base}: no rate and no latency differs by more than noise, or 2 %\n"
            )
        }
        (faster, 0) => format!(
            "\n{new} is faster than {base} in {faster} of {all} rates and latencies, slower in \
             none\n"
        ),
        (0, slower) => format!(
            "\n{new} is slower than {base} in {slower} of {all} rates and latencies, faster in \
             none\n"
        ),
        (faster, slower) => format!(
            "\n{new} is faster than {base} in {faster} of {all} rates and latencies, slower in \
             {slower}\n"
        ),
    };
    if all > 10 {
        text += &format!("(about {} of {all} would differ by chance alone)\n", all.div_ceil(20));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::compare;
    use super::super::percent;
    use super::super::tests::side;
    use super::*;

    #[test]
    fn comparison_table_layout() {
        let old = side("old.json", &[10_000.0, 10_100.0, 10_200.0, 10_300.0]);
        let new = side("new.json", &[20_000.0, 20_100.0, 20_200.0, 20_300.0]);
        let comparisons = compare(&[old, new]).unwrap();
        let narrow = table(&comparisons, 80);
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.contains("faster") && !narrow.contains("confidence"), "{narrow}");
        let text = table(&comparisons, WIDE);
        let expected = "
get · 64 connections
old.json (4 runs) -> new.json (4 runs)

median of runs                base           new    change       95 % confidence
rate                      10,150/s      20,150/s   +98.5 %   +94.2 % to +103.0 %  faster
p50                          98 us         50 us   -49.6 %    -50.7 % to -48.5 %  faster
p99                        4.48 ms       2.26 ms   -49.6 %    -50.7 % to -48.5 %  faster
p99.9                      24.6 ms       12.4 ms   -49.6 %    -50.7 % to -48.5 %  faster
server CPU per op          0.75 us       0.75 us    +0.0 %      +0.0 % to +0.0 %  within noise
server memory                70 MB         70 MB    +0.0 %      +0.0 % to +0.0 %  within noise

new.json is faster than old.json in 4 of 4 rates and latencies, slower in none
";
        let trimmed: Vec<_> = text.lines().map(str::trim_end).collect();
        assert_eq!(trimmed.join("\n") + "\n", expected);
    }

    #[test]
    fn summary_of_few_runs_is_too_few() {
        let few = compare(&[side("a", &[1_000.0]), side("b", &[9_000.0])]).unwrap();
        assert!(table(&few, 80).contains("too few runs to tell"), "{}", table(&few, 80));
        let same = compare(&[side("a", &[1_000.0; 5]), side("b", &[1_000.0; 5])]).unwrap();
        assert!(summary(&same).contains("more than noise"), "{}", summary(&same));
        assert_eq!(
            (percent(1.104), percent(0.5), percent(5.53)),
            ("+10.4 %".into(), "-50.0 %".into(), "5.5x".into())
        );
    }
}
