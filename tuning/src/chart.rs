//! A curve against the bytes of a commit, for the terminal and for the HTML report.

use ringkeeper_engine::device::{Load, Strategy};

use crate::probe::{Cell, Report};
use crate::text;

/// Lines between the lowest and the highest value of a chart in text.
const ROWS: usize = 9;
/// Columns between two sizes.
const STEP: usize = 9;
/// Columns of the labels on the left.
const LABEL: usize = 9;

/// Some curves over the same sizes, on logarithmic axes.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) unit: Unit,
    /// Bytes of the commits.
    pub(crate) sizes: Vec<usize>,
    pub(crate) series: Vec<Series>,
}

/// One curve.
pub(crate) struct Series {
    pub(crate) strategy: Strategy,
    pub(crate) values: Vec<Option<f64>>,
}

/// What a chart shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    Micros,
    Megabytes,
}

impl Unit {
    pub(crate) fn label(self, value: f64) -> String {
        match self {
            Unit::Micros => text::micros(value),
            Unit::Megabytes if value < 10.0 => format!("{value:.1} MB/s"),
            Unit::Megabytes => format!("{value:.0} MB/s"),
        }
    }
}

/// The charts of a report.
pub(crate) fn charts(report: &Report) -> Vec<Chart> {
    let chart = |title: &str, unit, load, of: fn(&Cell) -> f64| {
        let mut sizes: Vec<usize> = report.cells.iter().map(|cell| cell.bytes).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let curve = |strategy| {
            let cells = report.curve(strategy, load);
            let at = |bytes: &usize| cells.iter().find(|cell| cell.bytes == *bytes);
            Series { strategy, values: sizes.iter().map(|b| at(b).map(|cell| of(cell))).collect() }
        };
        let series = Strategy::ALL.into_iter().map(curve).filter(Series::has_values).collect();
        Chart { title: title.to_owned(), unit, sizes, series }
    };
    vec![
        chart("Median commit, quiet host", Unit::Micros, Load::Quiet, |cell| cell.micros.p50),
        chart("Slowest commit in 100, busy host", Unit::Micros, Load::Busy, |c| c.micros.p99),
        chart("Throughput, quiet host", Unit::Megabytes, Load::Quiet, Cell::megabytes_per_second),
    ]
}

impl Series {
    fn has_values(&self) -> bool {
        self.values.iter().any(Option::is_some)
    }

    /// The letter that stands for it.
    pub(crate) fn letter(&self) -> char {
        match self.strategy {
            Strategy::Direct => 'D',
            Strategy::Uring => 'U',
            Strategy::Pwrite => 'P',
            Strategy::Mmap => 'M',
        }
    }
}

impl Chart {
    /// The lowest and the highest value; nothing in an empty chart.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let values = self.series.iter().flat_map(|series| &series.values).flatten();
        let range =
            values.filter(|value| **value > 0.0).fold(None, |range, &value| match range {
                None => Some((value, value)),
                Some((low, high)) => Some((value.min(low), value.max(high))),
            })?;
        // One value alone still needs an axis.
        if range.0 < range.1 { Some(range) } else { Some((range.0 / 2.0, range.1 * 2.0)) }
    }

    /// Where a value lies between the lowest (0) and the highest (1).
    pub(crate) fn height(&self, value: f64) -> Option<f64> {
        let (low, high) = self.range()?;
        Some(((value.max(low) / low).ln() / (high / low).ln()).clamp(0.0, 1.0))
    }

    pub(crate) fn to_text(&self) -> String {
        let Some((low, high)) = self.range() else { return String::new() };
        let width = self.sizes.len() * STEP;
        let mut grid = vec![vec![' '; width]; ROWS];
        for series in &self.series {
            for (at, value) in series.values.iter().enumerate() {
                let Some(height) = value.and_then(|value| self.height(value)) else { continue };
                let row = ROWS - 1 - (height * (ROWS - 1) as f64).round() as usize;
                let cell = &mut grid[row][at * STEP + STEP / 2];
                *cell = if *cell == ' ' { series.letter() } else { '*' };
            }
        }
        let mut out = format!("{}\n", self.title);
        for (row, cells) in grid.iter().enumerate() {
            let share = 1.0 - row as f64 / (ROWS - 1) as f64;
            let label = match row % 2 {
                0 => self.unit.label(low * (high / low).powf(share)),
                _ => String::new(),
            };
            let line: String = cells.iter().collect();
            out.push_str(&format!("{label:>LABEL$} │{}\n", line.trim_end()));
        }
        let sizes = self.sizes.iter().map(|&bytes| format!("{:^STEP$}", text::bytes(bytes as u64)));
        let sizes: String = sizes.collect();
        out.push_str(&format!("{:>LABEL$} └{}\n", "", "─".repeat(width)));
        out.push_str(&format!("{:>LABEL$}  {}\n", "", sizes.trim_end()));
        out
    }

    /// What the letters mean.
    pub(crate) fn legend(&self) -> String {
        let named: Vec<String> = self
            .series
            .iter()
            .map(|series| format!("{} {}", series.letter(), series.strategy))
            .collect();
        format!("{}   * several", named.join("   "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: [&[Option<f64>]; 2]) -> Chart {
        let [one, two] = values.map(<[_]>::to_vec);
        Chart {
            title: "Median".to_owned(),
            unit: Unit::Micros,
            sizes: vec![256, 4_096, 65_536],
            series: vec![
                Series { strategy: Strategy::Direct, values: one },
                Series { strategy: Strategy::Mmap, values: two },
            ],
        }
    }

    #[test]
    fn chart_points_are_placed() {
        let text =
            chart([&[Some(100.0), Some(100.0), Some(200.0)], &[Some(100.0), None, Some(800.0)]])
                .to_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], format!("{:>9} │{:>23}", "800 us", "M"));
        assert_eq!(lines[ROWS], format!("{:>9} │    *        D", "100 us"));
        assert!(lines[6].ends_with('D') && lines[7].contains('│'), "{text}");
        assert!(lines[ROWS + 2].contains("256 B    4 KiB   64 KiB"), "{text}");
    }

    #[test]
    fn empty_and_single_value_charts_render() {
        assert_eq!(chart([&[None], &[]]).to_text(), "");
        let one = chart([&[Some(0.0), Some(5.0)], &[]]);
        assert_eq!(one.range(), Some((2.5, 10.0)));
        assert!(one.to_text().contains('D'));
    }
}
