//! A report as one HTML file that needs nothing else: no script, no font, nothing from the network.

use std::fmt::Write as _;

use ringkeeper_engine::device::{Load, Strategy};

use crate::chart::{Chart, Series, charts};
use crate::print;
use crate::probe::words::load_name;
use crate::probe::{Cell, Report};
use crate::text;

/// The picture of a chart, in its own units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 92.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 30.0;
/// Lines across a chart.
const LINES: usize = 5;
/// Space between the names at the ends of two curves.
const NAME_SPACE: f64 = 15.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2128;--soft:#5b6470;--line:#d9dee4;--page:#fff;\
--card:#f6f8fa;--direct:#0b62c4;--uring:#b35900;--pwrite:#1a7f37;--mmap:#a0268e}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4b0;--line:#343b44;\
--page:#0f1318;--card:#171c23;--direct:#6cb0ff;--uring:#ffad5c;--pwrite:#57d076;\
--mmap:#f08be0}}*{box-sizing:border-box}body{margin:0 auto;padding:24px 16px 48px;\
max-width:1040px;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:32px 0 8px}\
p{margin:4px 0;overflow-wrap:anywhere}\
.soft{color:var(--soft)}.verdict{background:var(--card);border:1px solid var(--line);\
border-radius:8px;padding:12px 16px;margin:16px 0}figure{margin:0;overflow-x:auto}\
svg{display:block;width:100%;min-width:560px;height:auto}svg text{font:12px system-ui,\
sans-serif;fill:var(--soft)}.grid{stroke:var(--line)}.direct{--c:var(--direct)}\
.uring{--c:var(--uring)}.pwrite{--c:var(--pwrite)}.mmap{--c:var(--mmap)}polyline{fill:none;\
stroke:var(--c);stroke-width:2}circle{fill:var(--c)}text.name{fill:var(--c)}\
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;\
font-variant-numeric:tabular-nums}th,td{padding:3px 8px;text-align:right;\
border-bottom:1px solid var(--line);white-space:nowrap}th:first-child,\
td:first-child{text-align:left}th{color:var(--soft);font-weight:600}dt{font-weight:600;\
margin-top:8px}dd{margin:0;color:var(--soft)}.key{display:inline-block;width:10px;height:10px;\
border-radius:5px;background:var(--c);margin-right:6px}";

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Ringkeeper: durable writes</title>\n<style>",
    );
    out.push_str(STYLE);
    out.push_str("</style></head>\n<body>\n");
    head(&mut out, report);
    for chart in charts(report) {
        let _ = writeln!(out, "<h2>{}</h2>", escape(&chart.title));
        out.push_str(&svg(&chart));
    }
    out.push_str("<h2>What else was found</h2>\n<dl>\n");
    for (name, sentence) in print::facts(report) {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}.</dd>", escape(&name), escape(&sentence));
    }
    out.push_str("</dl>\n");
    table(&mut out, report);
    out.push_str("</body></html>\n");
    out
}

fn head(out: &mut String, report: &Report) {
    let taken = &report.taken;
    let load = taken.load_average.map_or(String::new(), |load| format!(", load {load:.1}"));
    let _ = writeln!(
        out,
        "<h1>Durable writes on {}</h1>\n<p class=\"soft\">Ringkeeper {}, kernel {}, {} CPUs{load}, \
         {} probe, {}</p>\n<p class=\"soft\">{}</p>",
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
        "<div class=\"verdict\"><b>ringkeeper.log.device={strategy}</b><p class=\"soft\">{}</p>\
         </div>",
        escape(&why)
    );
    if let Some(why) = &report.cut_short {
        let _ = writeln!(out, "<p><b>The probe is not complete:</b> {}.</p>", escape(why));
    }
}

fn svg(chart: &Chart) -> String {
    let Some((low, high)) = chart.range() else {
        return "<p class=\"soft\">Nothing was measured.</p>\n".to_owned();
    };
    let mut out = format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        escape(&chart.title)
    );
    for line in 0..LINES {
        let share = line as f64 / (LINES - 1) as f64;
        let (y, value) = (y_of(share), low * (high / low).powf(share));
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            chart.unit.label(value)
        );
    }
    for (at, &bytes) in chart.sizes.iter().enumerate() {
        let (x, y) = (x_of(chart, at), HEIGHT - 8.0);
        let name = text::bytes(bytes as u64);
        let _ =
            writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{name}</text>");
    }
    let names = name_heights(chart);
    for (series, name_y) in chart.series.iter().zip(names) {
        curve(&mut out, chart, series, name_y);
    }
    out.push_str("</svg></figure>\n");
    out
}

fn curve(out: &mut String, chart: &Chart, series: &Series, name_y: f64) {
    let points: Vec<(f64, f64, String)> = series
        .values
        .iter()
        .enumerate()
        .filter_map(|(at, value)| {
            let value = (*value)?;
            let size = text::bytes(chart.sizes[at] as u64);
            let said = format!("{}, {size}: {}", series.strategy, chart.unit.label(value));
            Some((x_of(chart, at), y_of(chart.height(value)?), said))
        })
        .collect();
    let line: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
    let _ =
        writeln!(out, "<g class=\"{}\"><polyline points=\"{}\"/>", series.strategy, line.join(" "));
    for (x, y, said) in &points {
        let _ = write!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{said}</title></circle>"
        );
    }
    let x = WIDTH - RIGHT + 12.0;
    let name = series.strategy;
    let _ = writeln!(out, "<text class=\"name\" x=\"{x:.1}\" y=\"{name_y:.1}\">{name}</text></g>");
}

/// Where the names at the right go: beside their curves' ends, but never one over another.
fn name_heights(chart: &Chart) -> Vec<f64> {
    let ends: Vec<f64> = chart
        .series
        .iter()
        .map(|series| {
            let last = series.values.iter().rev().flatten().next();
            y_of(last.and_then(|value| chart.height(*value)).unwrap_or(0.0)) + 4.0
        })
        .collect();
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|&a, &b| ends[a].total_cmp(&ends[b]));
    let mut heights = ends;
    for pair in 1..order.len() {
        let least = heights[order[pair - 1]] + NAME_SPACE;
        heights[order[pair]] = heights[order[pair]].max(least);
    }
    heights
}

fn x_of(chart: &Chart, at: usize) -> f64 {
    let steps = (chart.sizes.len().max(2) - 1) as f64;
    LEFT + 24.0 + (WIDTH - LEFT - RIGHT - 36.0) * at as f64 / steps
}

fn y_of(share: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)
}

fn table(out: &mut String, report: &Report) {
    out.push_str("<h2>Every measurement</h2>\n<div class=\"scroll\"><table><thead><tr>");
    for name in [
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
    ] {
        let _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    for load in [Load::Quiet, Load::Busy] {
        for strategy in Strategy::ALL {
            report.curve(strategy, load).into_iter().for_each(|cell| row(out, cell));
        }
    }
    out.push_str("</tbody></table></div>\n");
    for way in &report.unusable {
        let why = escape(&way.why);
        let _ = writeln!(out, "<p class=\"soft\">{} does not work here: {why}.</p>", way.strategy);
    }
}

fn row(out: &mut String, cell: &Cell) {
    let or = |value: Option<f64>| value.map_or("?".to_owned(), |value| format!("{value:.1}"));
    let at = &cell.micros;
    let name = cell.strategy;
    let _ = write!(out, "<tr><td class=\"{name}\"><span class=\"key\"></span>{name}</td>");
    let values = [
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
    ];
    for value in values {
        let _ = write!(out, "<td>{value}</td>");
    }
    out.push_str("</tr>\n");
}

/// What came from the host is text, whatever it holds.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

/// A day and a time in UTC.
fn date(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Days since 1 March of the year 0, in cycles of 400, 100, 4 and 1 years.
    let day = days + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + carry;
    format!("{year:04}-{month:02}-{date:02} {:02}:{:02} UTC", second / 3_600, second / 60 % 60)
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

    #[test]
    fn what_a_host_says_stays_text() {
        assert_eq!(escape("<a b='c'>&\"é"), "&lt;a b=&#39;c&#39;&gt;&amp;&quot;é");
    }
}
