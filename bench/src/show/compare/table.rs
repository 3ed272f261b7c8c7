//! Comparisons as text.

use std::fmt::Write as _;

use crate::model::spread::RUNS_MIN;

use super::{Comparison, Row, Unit};

pub(crate) fn table(comparisons: &[Comparison]) -> String {
    let mut out = String::new();
    for comparison in comparisons {
        one(&mut out, comparison);
    }
    out.push_str(&summary(comparisons));
    out
}

fn one(out: &mut String, comparison: &Comparison) {
    let Comparison { title, base, new, rows, warnings, faults } = comparison;
    let runs = |n: usize| if n == 1 { "1 run".to_string() } else { format!("{n} runs") };
    let _ = writeln!(out, "\n{title}");
    let _ = writeln!(out, "{} ({}) -> {} ({})\n", base.0, runs(base.1), new.0, runs(new.1));
    let _ = writeln!(
        out,
        "{:<20}{:>14}{:>14}{:>10}{:>22}  ",
        "median of runs", "base", "new", "change", "95 % confidence"
    );
    for row in rows {
        line(out, row);
    }
    if *faults > 0 {
        let _ = writeln!(out, "FAULTS   {faults} on the new side: its figures do not stand");
    }
    for warning in warnings {
        let _ = writeln!(out, "warning  {warning}");
    }
}

fn line(out: &mut String, row: &Row) {
    let (base, new) = (row.unit.show(row.base.median), row.unit.show(row.new.median));
    let (change, interval) = (row.change(), row.interval());
    let words = row.words();
    let _ = writeln!(out, "{:<20}{base:>14}{new:>14}{change:>10}{interval:>22}  {words}", row.name);
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
    let mut text = match (faster, slower) {
        (0, 0) => {
            format!("\n{new} and {base}: within noise, no rate and no latency differs by more\n")
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
        let text = table(&compare(&[old, new]).unwrap());
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
        assert!(table(&few).contains("too few runs to tell"), "{}", table(&few));
        let same = compare(&[side("a", &[1_000.0; 5]), side("b", &[1_000.0; 5])]).unwrap();
        assert!(summary(&same).contains("within noise"), "{}", summary(&same));
        assert_eq!(
            (percent(1.104), percent(0.5), percent(5.53)),
            ("+10.4 %".into(), "-50.0 %".into(), "5.5x".into())
        );
    }
}
