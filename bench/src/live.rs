//! One line per second while a load runs.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use crate::host;
use crate::report::Quantiles;
use crate::tally::Interval;
use crate::text::{grouped, latency};

/// What shows the course of a run, or nothing.
#[derive(Debug)]
pub(crate) struct Live {
    wanted: bool,
    /// Colours are for terminals, and for those who have not asked for none.
    plain: bool,
    before: Option<Used>,
}

#[derive(Clone, Copy, Debug)]
struct Used {
    at: Instant,
    driver_ns: u64,
    server_ns: Option<u64>,
}

impl Live {
    /// Shows nothing if it is not `wanted`.
    pub(crate) fn new(wanted: bool) -> Live {
        let plain = !std::io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
        Live { wanted, plain, before: None }
    }

    /// Says something that is not a figure.
    pub(crate) fn say(&self, text: &str) {
        if self.wanted {
            self.print(text);
        }
    }

    /// Shows the second that has just passed.
    pub(crate) fn line(
        &mut self,
        second: u64,
        warming_up: bool,
        interval: &Interval,
        pids: &[u32],
    ) {
        if !self.wanted {
            return;
        }
        let used = Used {
            at: Instant::now(),
            driver_ns: host::own_cpu_ns(),
            server_ns: Some(pids).filter(|pids| !pids.is_empty()).and_then(host::cpu_ns),
        };
        let cpu = self.before.replace(used).map(|before| shares(before, used)).unwrap_or_default();
        let Quantiles { p50, p99, max, .. } = Quantiles::of(&interval.response);
        let faults = match interval.faults {
            0 => String::new(),
            n => self.red(&format!("   {n} faults")),
        };
        let warm = if warming_up { "   warm-up" } else { "" };
        let ops = grouped(interval.response.len());
        let (p50, p99, max) = (latency(p50), latency(p99), latency(max));
        self.print(&format!(
            "{second:>5} s {ops:>11} ops   p50 {p50:>8}   p99 {p99:>8}   max {max:>8}{cpu}{faults}{warm}"
        ));
    }

    fn red(&self, text: &str) -> String {
        if self.plain { text.to_string() } else { format!("\x1b[31m{text}\x1b[0m") }
    }

    fn print(&self, text: &str) {
        // Whoever closed the terminal does not need the line.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

fn shares(before: Used, now: Used) -> String {
    let elapsed = now.at.duration_since(before.at).as_nanos().max(1) as f64;
    let percent = |from: u64, to: u64| to.saturating_sub(from) as f64 * 100.0 / elapsed;
    let driver = format!("   driver {:.0} %", percent(before.driver_ns, now.driver_ns));
    match before.server_ns.zip(now.server_ns) {
        Some((from, to)) => format!("{driver}   server {:.0} %", percent(from, to)),
        None => driver,
    }
}
