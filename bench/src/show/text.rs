//! Reports for people.

use std::fmt::Write as _;

use crate::load::parameters::Load;
use crate::record::report::{Line, Quantiles, Report, seconds};
use crate::record::results::{Member, Run, loads};
use crate::model::spread::Spread;
use crate::load::workload::Workload;

/// A count with its thousands apart.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A figure as a whole number with its thousands apart.
pub(crate) fn whole(figure: f64) -> String {
    grouped(figure.round().max(0.0) as u64)
}

/// Microseconds in the unit that fits.
pub(crate) fn latency(us: f64) -> String {
    match us {
        us if us < 1_000.0 => format!("{us:.0} us"),
        us if us < 10_000.0 => format!("{:.2} ms", us / 1e3),
        us if us < 1_000_000.0 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// Bytes in megabytes.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{} MB", grouped(bytes / 1_000_000))
}

/// What was asked for, in one line.
pub(crate) fn title(load: &Load) -> String {
    let plural = if load.connections == 1 { "" } else { "s" };
    let name = load.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    let mut title = format!("{name}{} · {} connection{plural}", load.workload, load.connections);
    if load.workload.is_pipelined() {
        let _ = write!(title, " x {} in flight", load.pipeline);
    }
    if load.workload != Workload::Children && load.workload != Workload::Sessions {
        let _ = write!(title, " · {} B", load.value_bytes);
    }
    match load.rate {
        Some(rate) => {
            let _ = write!(title, " · open loop, {} per second", whole(rate));
        }
        None => title.push_str(" · closed loop"),
    }
    title
}

/// A report as a table and some lines.
pub(crate) fn report(report: &Report) -> String {
    let version = report.version.as_ref().map(|v| format!(" ({v})")).unwrap_or_default();
    let mut out = format!(
        "\n{}\n{}{version}, {:.1} s after {:.1} s of warm-up\n\n",
        title(&report.load),
        report.target,
        seconds(report.elapsed),
        seconds(report.load.warmup),
    );
    header(&mut out);
    for line in &report.lines {
        row(&mut out, line.name, line, &line.response);
        if let Some(service) = &line.service {
            row(&mut out, &format!("{} service", line.name), line, service);
        }
    }
    if report.load.workload.primary().len() > 1 {
        row(&mut out, report.total.name, &report.total, &report.total.response);
    }
    out.push('\n');
    usage(&mut out, report);
    verdict(&mut out, report);
    out
}

/// Medians of repeated runs; nothing if every load was run once.
pub(crate) fn repeats(runs: &[Run]) -> String {
    let mut out = String::new();
    for load in loads(runs).iter().filter(|load| load.runs.len() > 1) {
        let figure = |of: fn(&Run) -> f64| {
            let figures = load.runs.iter().map(|run| of(run)).collect();
            Spread::of(figures).expect("a load has runs")
        };
        let rate = figure(|run| run.total.ops_per_s);
        let _ = writeln!(out, "\n{}, median of {} runs (least, most)", load.title, load.runs.len());
        let (median, min, max) = (whole(rate.median), whole(rate.min), whole(rate.max));
        let _ = writeln!(out, "{:<10}{median:>12}  ({min}, {max})", "ops/s");
        for (name, spread) in [
            ("p50", figure(|run| run.total.latency_us.p50)),
            ("p99", figure(|run| run.total.latency_us.p99)),
            ("p99.9", figure(|run| run.total.latency_us.p999)),
        ] {
            let Spread { median, min, max } = spread;
            let (median, min, max) = (latency(median), latency(min), latency(max));
            let _ = writeln!(out, "{name:<10}{median:>12}  ({min}, {max})");
        }
    }
    out
}

fn header(out: &mut String) {
    let _ = writeln!(
        out,
        "{:<18}{:>11}{:>10}{:>10}{:>10}{:>10}{:>11}{:>9}",
        "", "ops/s", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us", "errors"
    );
}

fn row(out: &mut String, name: &str, line: &Line, times: &Quantiles) {
    let _ = writeln!(
        out,
        "{:<18}{:>11}{:>10}{:>10}{:>10}{:>10}{:>11}{:>9}",
        name,
        whole(line.rate),
        whole(times.p50),
        whole(times.p90),
        whole(times.p99),
        whole(times.p999),
        whole(times.max),
        grouped(line.errors),
    );
}

fn usage(out: &mut String, report: &Report) {
    let driver = report.driver;
    let _ = writeln!(
        out,
        "driver   {:.2} us of CPU per operation, {:.0} % of one CPU",
        driver.cpu_us_per_op,
        driver.cpus * 100.0
    );
    match (&report.server, report.server_rss) {
        (Some(server), Some((rss, peak))) => {
            let _ = writeln!(
                out,
                "server   {:.2} us of CPU per operation, {:.0} % of one CPU, {} of memory (peak {})",
                server.cpu_us_per_op,
                server.cpus * 100.0,
                megabytes(rss),
                megabytes(peak)
            );
            if report.servers_unknown > 0 {
                let _ = writeln!(
                    out,
                    "         without {} of the servers, whose processes are not known",
                    report.servers_unknown
                );
            }
            members(out, &report.around.server.members);
        }
        _ => out.push_str("server   CPU and memory unknown: no process on this host, or it is gone (see --server-pid)\n"),
    }
}

/// Each of several servers.
fn members(out: &mut String, all: &[Member]) {
    for one in all.iter().filter(|_| all.len() > 1) {
        let name =
            one.server.clone().unwrap_or_else(|| format!("process {}", one.pid.unwrap_or(0)));
        let role = one.role.as_deref().unwrap_or("silent");
        let percent = |cpus: f64| format!("{:.0} %", cpus * 100.0);
        let (cpus, rss) = (one.cpus.map_or("-".into(), percent), one.rss_bytes.map(megabytes));
        let rss = rss.unwrap_or_else(|| "-".into());
        let _ = writeln!(out, "         {name:<22}{role:<11}{cpus:>6}{rss:>11}");
    }
}

fn verdict(out: &mut String, report: &Report) {
    out.push_str(&report.outages.text());
    if report.unsent > 0 {
        let _ = writeln!(
            out,
            "rate     not reached: {} operations that were due were never sent, so the latencies \
             above are too good",
            grouped(report.unsent)
        );
    }
    let checked = grouped(report.checked);
    if report.faults.is_empty() {
        let _ = writeln!(
            out,
            "verified {checked} replies and events: order, codes, zxids, data, \
             reads after writes, no write lost"
        );
    } else {
        let kinds = report.faults.iter().map(|(name, n)| format!("{} {name}", grouped(*n)));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "FAULTS   {kinds}; {checked} replies and events looked at");
    }
    for example in &report.examples {
        let _ = writeln!(out, "         {example}");
    }
    if report.partial {
        out.push_str(
            "PARTIAL  the run ended before its time, or something else is missing that was asked \
             for; the\n         figures are of what there was\n",
        );
    } else if report.total.ops == 0 {
        out.push_str("EMPTY    nothing was measured\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_summed_up() {
        let rates = [10_000.0, 12_000.0, 11_000.0];
        let runs: Vec<_> = rates.iter().map(|rate| Run::sample("get", *rate)).collect();
        let text = repeats(&runs);
        assert!(text.starts_with("\nget · 64 connections, median of 3 runs (least, most)\n"));
        assert!(text.contains("ops/s           11,000  (10,000, 12,000)\n"), "{text}");
        assert_eq!(repeats(&runs[..1]), "");
    }

    #[test]
    fn figures_are_easy_to_read() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(123_456), "123,456");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(latency(999.4), "999 us");
        assert_eq!(latency(1_234.0), "1.23 ms");
        assert_eq!(latency(2_500_000.0), "2.50 s");
    }
}
