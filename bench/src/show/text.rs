//! Reports for people.

use std::fmt::Write as _;

use crate::model::numbers::{grouped, latency, megabytes, whole};
use crate::model::quantiles::Quantiles;
use crate::model::server::Member;
use crate::model::spread::Spread;
use crate::record::results::{Operation, Run, loads};
use crate::show::outages;
use crate::verify::fault::FaultKind;

/// A run as a table and some lines.
pub(crate) fn report(run: &Run, columns: usize) -> String {
    let version = run.version.as_ref().map(|v| format!(" ({v})")).unwrap_or_default();
    let mut out = format!(
        "\n{}\n{}{version}, {:.1} s after {:.1} s of warm-up\n\n",
        run.title, run.target, run.elapsed_s, run.warmup_s,
    );
    header(&mut out, columns);
    for one in &run.ops {
        row(&mut out, &one.op, (one, &one.latency_us), columns);
        if let Some(service) = &one.service_us {
            row(&mut out, &format!("{} service", one.op), (one, service), columns);
        }
    }
    if run.is_mixed {
        row(&mut out, &run.total.op, (&run.total, &run.total.latency_us), columns);
    }
    out.push('\n');
    usage(&mut out, run);
    verdict(&mut out, run);
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

/// Columns of the name and of each figure: those of a wide terminal, and those that fit 80.
fn widths(columns: usize) -> [usize; 8] {
    let (wide, narrow) = ([18, 11, 10, 10, 10, 10, 11, 9], [14, 10, 9, 9, 9, 10, 10, 8]);
    if wide.iter().sum::<usize>() <= columns { wide } else { narrow }
}

fn header(out: &mut String, columns: usize) {
    let heads = ["", "ops/s", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us", "errors"];
    line(out, heads.map(str::to_owned), columns);
}

fn row(out: &mut String, name: &str, (one, times): (&Operation, &Quantiles), columns: usize) {
    let Quantiles { p50, p90, p99, p999, max, .. } = *times;
    let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(whole);
    let (rate, errors) = (whole(one.ops_per_s), grouped(one.errors));
    line(out, [name.to_owned(), rate, p50, p90, p99, p999, max, errors], columns);
}

fn line(out: &mut String, [name, figures @ ..]: [String; 8], columns: usize) {
    let [first, rest @ ..] = widths(columns);
    let _ = write!(out, "{name:<first$}");
    for (figure, width) in figures.iter().zip(rest) {
        let _ = write!(out, "{figure:>width$}");
    }
    out.push('\n');
}

fn usage(out: &mut String, run: &Run) {
    let driver = run.driver;
    let _ = writeln!(
        out,
        "driver   {:.2} us of CPU per operation, {:.0} % of one CPU",
        driver.cpu_us_per_op,
        driver.cpus * 100.0
    );
    match (&run.server, run.server_rss_bytes.zip(run.server_rss_peak_bytes)) {
        (Some(server), Some((rss, peak))) => {
            let _ = writeln!(
                out,
                "server   {:.2} us of CPU per operation, {:.0} % of one CPU, {} of memory (peak {})",
                server.cpu_us_per_op,
                server.cpus * 100.0,
                megabytes(rss),
                megabytes(peak)
            );
            if run.servers_unknown > 0 {
                let _ = writeln!(
                    out,
                    "         without {} of the servers, whose processes are not known",
                    run.servers_unknown
                );
            }
            members(out, &run.server_facts.members);
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

fn verdict(out: &mut String, run: &Run) {
    out.push_str(&outages::text(&run.outages));
    if run.unsent > 0 {
        let _ = writeln!(
            out,
            "rate     not reached: {} operations that were due were never sent, so the latencies \
             above are too good",
            grouped(run.unsent)
        );
    }
    let checked = grouped(run.checked);
    if run.faults.is_empty() {
        let _ = writeln!(
            out,
            "verified {checked} replies and events: order, codes, zxids, data, \
             reads after writes, no write lost"
        );
    } else {
        let count = |kind: FaultKind| Some((kind.name(), run.faults.get(kind.name())?));
        let kinds = FaultKind::all().filter_map(count);
        let kinds = kinds.map(|(name, n)| format!("{} {name}", grouped(*n)));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "FAULTS   {kinds}; {checked} replies and events looked at");
    }
    for example in &run.fault_examples {
        let _ = writeln!(out, "         {example}");
    }
    if run.partial {
        out.push_str(
            "PARTIAL  the run ended before its time, or something else is missing that was asked \
             for; the\n         figures are of what there was\n",
        );
    } else if run.total.ops == 0 {
        out.push_str("EMPTY    nothing was measured\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_a_run_fits_80_columns_and_uses_more_where_there_are() {
        let run = Run::sample("get", 123_456.0);
        let widest = |columns| {
            let text = report(&run, columns);
            let table = text.lines().skip(4).take_while(|line| !line.is_empty());
            table.map(|line| line.chars().count()).max().unwrap_or(0)
        };
        assert_eq!((widest(80), widest(89), widest(200)), (79, 89, 89));
    }

    #[test]
    fn repeats_are_summed_up() {
        let rates = [10_000.0, 12_000.0, 11_000.0];
        let runs: Vec<_> = rates.iter().map(|rate| Run::sample("get", *rate)).collect();
        let text = repeats(&runs);
        assert!(text.starts_with("\nget · 64 connections, median of 3 runs (least, most)\n"));
        assert!(text.contains("ops/s           11,000  (10,000, 12,000)\n"), "{text}");
        assert_eq!(repeats(&runs[..1]), "");
    }
}
