//! A report as one HTML file that needs nothing else: no script, no font, nothing from the network.

use std::fmt::Write as _;

use ringkeeper_bench::show::html::{self, Axis, escape, trimmed};
use ringkeeper_engine::device::{Load, Strategy};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::chart::{Chart, Series, Unit, charts};
use crate::print;
use crate::probe::words::load_name;
use crate::probe::{Cell, Report};
use crate::text;

pub(crate) fn page(report: &Report) -> String {
    let mut out = String::new();
    head(&mut out, report);
    out.push_str("<div class=\"charts\">\n");
    charts(report).iter().for_each(|chart| out.push_str(&drawn(chart)));
    out.push_str("</div>\n<h3>What else was found</h3>\n");
    let sentences = print::facts(report).into_iter().map(|(name, said)| (name, said + "."));
    out.push_str(&html::facts(&sentences.collect::<Vec<_>>()));
    table(&mut out, report);
    html::page("tune", "Ringkeeper: durable writes", &out)
}

/// The colour of a strategy, the same in all charts.
fn colour(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Direct => "c1",
        Strategy::Uring => "c3",
        Strategy::Pwrite => "c2",
        Strategy::Mmap => "c4",
    }
}

fn head(out: &mut String, report: &Report) {
    let taken = &report.taken;
    let load = taken.load_average.map_or(String::new(), |load| format!(", load {load:.1}"));
    let _ = writeln!(
        out,
        "<h1>ringkeeper tune probe</h1>\n<h2>Durable writes on {}</h2>\n\
         <p class=\"soft\">Ringkeeper {}, kernel {}, {} CPUs{load}, {} probe, {}</p>\n\
         <p class=\"soft\">{}</p>",
        escape(&taken.directory),
        escape(&taken.version),
        escape(&taken.kernel),
        taken.cpus,
        escape(&taken.depth),
        date(taken.unix_s),
        escape(&print::disk(report)),
    );
    let (strategy, why) = report.choice();
    let _ = writeln!(
        out,
        "<p class=\"verdict\">ringkeeper.log.device={strategy}</p>\n<p class=\"soft\">{}</p>",
        escape(&why)
    );
    if let Some(why) = &report.cut_short {
        let _ = writeln!(out, "<p><b>The probe is not complete:</b> {}.</p>", escape(why));
    }
}

fn drawn(chart: &Chart) -> String {
    let Some((low, high)) = chart.range() else {
        return "<p class=\"soft\">Nothing was measured.</p>\n".to_owned();
    };
    let size = |at: usize| text::bytes(chart.sizes[at] as u64);
    let x = Axis::steps((0..chart.sizes.len()).map(size));
    let y = match chart.unit {
        Unit::Micros => Axis::latency(low, high),
        Unit::Megabytes => Axis::log(low, high, |value| format!("{} MB/s", trimmed(value))),
    };
    let mut drawn = html::Chart::new(&chart.title, "by the bytes of a commit", x, y);
    for Series { strategy, values } in &chart.series {
        let class = colour(*strategy);
        drawn.legend(class, strategy.name());
        let points: Vec<_> = (1..).map(f64::from).zip(values.iter().copied()).collect();
        drawn.line(class, &points);
        for (at, (x, value)) in points.into_iter().enumerate() {
            let Some(value) = value else { continue };
            let label = chart.unit.label(value);
            drawn.dot(class, x, value, &format!("{strategy}, {}: {label}", size(at)));
        }
    }
    drawn.render()
}

fn table(out: &mut String, report: &Report) {
    let heads = [
        "way",
        "host",
        "commit",
        "commits",
        "p50 µs",
        "p90",
        "p99",
        "p99.9",
        "max",
        "commits/s",
        "MB/s",
        "KiB written",
        "flushes",
    ];
    let loads = [Load::Quiet, Load::Busy].into_iter();
    let cells = loads.flat_map(|load| {
        Strategy::ALL.into_iter().flat_map(move |strategy| report.curve(strategy, load))
    });
    out.push_str("<h3>Every measurement</h3>\n");
    out.push_str(&html::table("", &heads, cells.map(row)));
    for way in &report.unusable {
        let why = escape(&way.why);
        let _ = writeln!(out, "<p class=\"soft\">{} does not work here: {why}.</p>", way.strategy);
    }
}

fn row(cell: &Cell) -> Vec<String> {
    let or = |value: Option<f64>| value.map_or("?".to_owned(), |value| format!("{value:.1}"));
    let at = &cell.micros;
    vec![
        html::cell(colour(cell.strategy), cell.strategy.name()),
        load_name(cell.load).to_owned(),
        text::bytes(cell.bytes as u64),
        text::count(cell.commits as f64),
        text::count(at.p50),
        text::count(at.p90),
        print::rare(cell, at.p99, 100),
        print::rare(cell, at.p999, 1_000),
        text::count(at.max),
        text::count(cell.per_second),
        format!("{:.1}", cell.megabytes_per_second()),
        or(cell.written_kib),
        or(cell.flushes),
    ]
}

/// A day and a time in UTC.
fn date(unix_s: u64) -> String {
    let form = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(unix_s).unwrap_or(0));
    time.ok().and_then(|time| time.format(form).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_826_500), "2000-02-29 12:15 UTC");
        assert_eq!(date(4_102_444_799), "2099-12-31 23:59 UTC");
    }
}
