//! The course of a run while it lasts: on a terminal a few lines that are drawn again and again,
//! elsewhere one line per second, and the interval log.

use std::io::{IsTerminal as _, Write as _};
use std::time::SystemTime;

use anyhow::Result;
use rustix::termios::tcgetwinsize;

use crate::model::clock::{Nanos, SECOND};
use crate::model::interval::Interval;
use crate::model::numbers::{grouped, latency};
use crate::model::quantiles::Quantiles;
use crate::record::hdr::HdrLog;
use crate::record::telemetry::SecondSummary;
use crate::show::paint::Paint;
use crate::show::sparkline::sparkline;

/// Seconds that a sparkline shows, at most.
const SPARK_SECONDS: usize = 60;

/// Where lines go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Screen {
    Quiet,
    /// Into a file or a pipe: no escapes.
    Lines,
    /// A terminal that is drawn again.
    Terminal(Paint),
}

/// What shows the course of a run, or nothing.
#[derive(Debug)]
pub(crate) struct Live {
    screen: Screen,
    log: Option<HdrLog>,
    rates: Vec<f64>,
    p99s: Vec<f64>,
    /// Lines of the drawing that the next one replaces.
    drawn: usize,
}

impl Live {
    /// Shows nothing if it is not `wanted`.
    pub(crate) fn new(wanted: bool) -> Live {
        // A terminal without a name can do nothing but print.
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let screen = match (wanted, std::io::stderr().is_terminal() && !dumb) {
            (false, _) => Screen::Quiet,
            (true, false) => Screen::Lines,
            (true, true) => Screen::Terminal(Paint::for_stderr()),
        };
        let (rates, p99s) = (Vec::new(), Vec::new());
        Live { screen, log: None, rates, p99s, drawn: 0 }
    }

    pub(crate) fn with_log(self, log: Option<HdrLog>) -> Live {
        Live { log, ..self }
    }

    /// Says something that is not a figure.
    pub(crate) fn say(&mut self, text: &str) {
        if self.screen != Screen::Quiet {
            self.drawn = 0;
            self.print(&format!("{text}\n"));
        }
    }

    /// Reports what has just happened to the servers; the drawing goes on below it.
    pub(crate) fn report_event(&mut self, now: Nanos, from: Nanos, text: &str) {
        let at_s = (i128::from(now) - i128::from(from)) as f64 / SECOND as f64;
        match self.screen {
            Screen::Quiet => {}
            Screen::Lines => self.print(&format!("{at_s:>7.1} s  {text}\n")),
            Screen::Terminal(_) => {
                self.end();
                self.print(&format!("{at_s:>7.1} s  {text}\n"));
            }
        }
    }

    /// A run's measured time begins at `started` and takes so long.
    pub(crate) fn begin(&mut self, title: &str, started: SystemTime, length: std::time::Duration) {
        self.rates.clear();
        self.p99s.clear();
        if let Some(log) = &mut self.log {
            log.begin(title, started, length);
        }
    }

    /// Shows the second that has just passed.
    pub(crate) fn second(&mut self, summary: &SecondSummary) {
        self.rates.push(summary.ops as f64);
        self.p99s.push(summary.latency.p99);
        match self.screen {
            Screen::Quiet => {}
            Screen::Lines => self.print(&line(summary)),
            Screen::Terminal(paint) => {
                let columns = tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
                let columns = if columns == 0 { 80 } else { usize::from(columns) };
                let lines = drawing(summary, &self.rates, &self.p99s, columns, paint);
                let back = if self.drawn == 0 { String::new() } else { up(self.drawn) };
                self.drawn = lines.len();
                let lines: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
                self.print(&format!("{back}{lines}"));
            }
        }
    }

    /// Adds the second to the interval log.
    pub(crate) fn log(&mut self, interval: &Interval) {
        if let Some(log) = &mut self.log {
            log.add(interval);
        }
    }

    /// The run is over: takes the drawing away, since the report says more.
    pub(crate) fn end(&mut self) {
        if self.drawn > 0 {
            self.print(&format!("{}\x1b[J", up(self.drawn)));
            self.drawn = 0;
        }
    }

    /// Whether the interval log could be written.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.log.as_mut().map_or(Ok(()), HdrLog::check)
    }

    fn print(&self, text: &str) {
        // A reader that closed the terminal does not need the line.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

fn up(lines: usize) -> String {
    format!("\r\x1b[{lines}A")
}

fn line(summary: &SecondSummary) -> String {
    let Quantiles { p50, p99, p999, .. } = summary.latency;
    let mut tail = String::new();
    if let Some(driver) = summary.busy.driver {
        tail += &format!("   driver {:.0} %", driver * 100.0);
    }
    if let Some(server) = summary.busy.server {
        tail += &format!("   server {:.0} %", server * 100.0);
    }
    if summary.faults > 0 {
        tail += &format!("   {} faults", grouped(summary.faults));
    }
    if summary.second < 0 {
        tail += "   warm-up";
    }
    format!(
        "{:>5} s {:>11} ops   p50 {:>8}   p99 {:>8}   p99.9 {:>8}{tail}\n",
        summary.second,
        grouped(summary.ops),
        latency(p50),
        latency(p99),
        latency(p999),
    )
}

/// What a terminal shows: figures, and how they went.
fn drawing(
    summary: &SecondSummary,
    rates: &[f64],
    p99s: &[f64],
    columns: usize,
    paint: Paint,
) -> Vec<String> {
    let Quantiles { p50, p99, p999, .. } = summary.latency;
    let phase = match summary.second {
        second if second < 0 => format!("{:>4} s  warm-up", -second),
        second => format!("{:>4} s", second + 1),
    };
    let rate = format!("{:>11}/s", grouped(summary.ops));
    let times =
        format!("p50 {:>8}  p99 {:>8}  p99.9 {:>8}", latency(p50), latency(p99), latency(p999));
    let percent =
        |cpus: Option<f64>| cpus.map_or("-".into(), |cpus| format!("{:.0} %", cpus * 1e2));
    let (driver, server) = (percent(summary.busy.driver), percent(summary.busy.server));
    let cpu = format!("driver {driver}, server {server} of a CPU");
    let faults = match summary.faults {
        0 => paint.good("no faults"),
        n => paint.bad(&format!("{} faults", grouped(n))),
    };
    let width = columns.saturating_sub(24).clamp(8, SPARK_SECONDS);
    let top = |values: &[f64]| values.iter().rev().take(width).copied().fold(0.0, f64::max);
    let (top_rate, top_p99) = (grouped(top(rates) as u64), latency(top(p99s)));
    let narrow = columns < 76;
    let mut lines = match narrow {
        false => vec![format!("{phase}  {}  {times}", paint.bold(&rate))],
        true => vec![format!("{phase}  {}", paint.bold(&rate)), format!("  {times}")],
    };
    lines.push(format!("  rate {}  top {top_rate}", paint.with(36, &sparkline(rates, width))));
    lines.push(format!("  p99  {}  top {top_p99}", paint.warning(&sparkline(p99s, width))));
    lines.push(format!("  {cpu}, {faults}"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::interval::SecondNumber;
    use crate::record::telemetry::CpuUse;

    fn summary(second: SecondNumber, faults: u64) -> SecondSummary {
        let latency = Quantiles { p50: 61.0, p99: 1_234.0, p999: 20_000.0, ..Quantiles::default() };
        let busy = CpuUse { driver: Some(0.31), server: Some(1.2) };
        SecondSummary { second, ops: 12_345, latency, busy, faults }
    }

    #[test]
    fn pipe_gets_plain_line() {
        assert_eq!(
            line(&summary(3, 0)),
            "    3 s      12,345 ops   p50    61 us   p99  1.23 ms   p99.9  20.0 ms   driver 31 %   \
             server 120 %\n"
        );
        let early = SecondSummary { busy: CpuUse::default(), ..summary(-1, 2) };
        assert!(line(&early).ends_with("   2 faults   warm-up\n"), "{}", line(&early));
    }

    #[test]
    fn terminal_drawing_fits_columns() {
        let lines = drawing(&summary(3, 0), &[1.0, 2.0], &[5.0, 1_234.0], 100, Paint::Plain);
        let expected = "   4 s       12,345/s  p50    61 us  p99  1.23 ms  p99.9  20.0 ms
  rate ▅█  top 2
  p99  ▁█  top 1.23 ms
  driver 31 %, server 120 % of a CPU, no faults";
        assert_eq!(lines.join("\n"), expected);
        let values = vec![1e6; 200];
        for columns in [48, 60, 80, 200] {
            let lines = drawing(&summary(-2, 3), &values, &values, columns, Paint::Plain);
            let longest = lines.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns, "{longest} of {columns}: {lines:?}");
        }
        let painted = drawing(&summary(3, 1), &[1.0], &[1.0], 80, Paint::Colours).join("");
        assert!(painted.contains("\x1b[31m1 faults\x1b[0m"), "{painted:?}");
    }
}
