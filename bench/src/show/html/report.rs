//! The page of a session of runs.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::numbers::{grouped, megabytes, whole};
use crate::model::outage::Kill;
use crate::model::quantiles::Quantiles;
use crate::model::server::Member;
use crate::record::results::{Document, Operation, Run};

use super::axis::trimmed;
use super::{escape, facts, latency, page, series, table, tile};

/// Runs that are shown at once; the others are one click away.
const OPEN_MAX: usize = 4;
/// Events of one kind that are listed; the charts mark all of them.
const EVENTS_MAX: usize = 5;

pub(crate) fn report(document: &Document) -> String {
    let mut body = format!("<h1>ringkeeper bench · {}</h1>\n", escape(&document.date));
    for failed in &document.failed {
        let _ = writeln!(
            body,
            "<p class=\"verdict\"><span class=\"badge bad\">not measured</span> {}</p>",
            escape(failed)
        );
    }
    body.push_str(&verdicts(document));
    if document.results.len() > 1 {
        overview(&mut body, document);
    }
    for (at, run) in document.results.iter().enumerate() {
        if at == OPEN_MAX {
            let rest = document.results.len() - OPEN_MAX;
            let _ = writeln!(body, "<details><summary>{rest} more runs</summary>");
        }
        one(&mut body, run);
    }
    if document.results.len() > OPEN_MAX {
        body.push_str("</details>\n");
    }
    body.push_str("<h3>Measured with</h3>\n");
    let _ = writeln!(body, "<pre>{}</pre>", escape(&document.command_line()));
    body.push_str(&facts(&host(document)));
    let log = hdr_log(document);
    let _ = writeln!(
        body,
        "<h3>Raw histograms</h3>\n<p class=\"soft\">An HdrHistogram log with one interval for \
         each run and operation, in nanoseconds.</p>\n<p><a class=\"button\" \
         download=\"ringkeeper-bench.hlog\" href=\"data:text/plain;base64,{}\">Download \
         (.hlog)</a></p>",
        STANDARD.encode(log)
    );
    let title = document.results.first().map_or("ringkeeper bench", |run| run.title.as_str());
    page("bench", title, &body)
}

/// What `check`, `--search` and `--fail-if` came to: above the runs, which may stand all the same.
pub(super) fn verdicts(document: &Document) -> String {
    let mut text = String::new();
    for verdict in &document.verdicts {
        let (class, word) = if verdict.failed { ("bad", "failed") } else { ("good", "passed") };
        let said = escape(&verdict.text).replace('\n', "<br>");
        let _ = writeln!(
            text,
            "<p class=\"verdict\"><span class=\"badge {class}\">{word}</span> {said}</p>"
        );
    }
    text
}

fn overview(body: &mut String, document: &Document) {
    let heads = ["run", "target", "ops/s", "p50", "p99", "p99.9", "max", "faults"];
    let row = |run: &Run| {
        let times = run.total.latency_us;
        let repeat = if run.repeat > 1 { format!(", run {}", run.repeat) } else { String::new() };
        let [p50, p99, p999, max] = [times.p50, times.p99, times.p999, times.max].map(latency);
        let (title, target) = (escape(&run.title) + &repeat, escape(&run.target));
        let (rate, faults) = (whole(run.total.ops_per_s), grouped(run.faults_total()));
        vec![title, target, rate, p50, p99, p999, max, faults]
    };
    body.push_str("<h2>All runs</h2>\n");
    body.push_str(&table("wrap", &heads, document.results.iter().map(row)));
}

fn one(body: &mut String, run: &Run) {
    let version = run.version.as_ref().map(|version| format!(" ({version})")).unwrap_or_default();
    let repeat = if run.repeat > 1 { format!(", run {}", run.repeat) } else { String::new() };
    let _ = writeln!(body, "<h2>{}{repeat}</h2>", escape(&run.title));
    let _ = writeln!(
        body,
        "<p class=\"soft\">{}{}, {} s after {} s of warm-up, from {}</p>",
        escape(&run.target),
        escape(&version),
        trimmed(run.elapsed_s),
        trimmed(run.warmup_s),
        escape(&run.started)
    );
    let (class, word) = if run.is_good() { ("good", "stands") } else { ("bad", "does not stand") };
    let _ = writeln!(
        body,
        "<p class=\"verdict\"><span class=\"badge {class}\">{word}</span> {}</p>",
        escape(&verdict(run))
    );
    tiles(body, run);
    kills(body, run);
    let charts = series::percentile_curve(run) + &series::charts(run);
    let _ = write!(body, "<div class=\"charts\">\n{charts}</div>\n");
    events(body, run);
    operations(body, run);
    body.push_str("<h3>Server</h3>\n");
    body.push_str(&facts(&server(run)));
    if !run.fault_examples.is_empty() {
        body.push_str("<h3>Notes</h3>\n<ul>\n");
        for example in &run.fault_examples {
            let _ = writeln!(body, "<li>{}</li>", escape(example));
        }
        body.push_str("</ul>\n");
    }
}

/// The run in words.
fn verdict(run: &Run) -> String {
    if run.total.ops == 0 {
        return "Nothing was measured.".into();
    }
    let times = run.total.latency_us;
    let mut text = format!(
        "{} operations per second: half of them took at most {}, 99 % at most {}, the slowest {}.",
        whole(run.total.ops_per_s),
        latency(times.p50),
        latency(times.p99),
        latency(times.max)
    );
    if run.unsent > 0 {
        let _ = write!(
            text,
            " The rate was not reached: {} operations that were due were never sent, so the \
             latencies are too good.",
            grouped(run.unsent)
        );
    }
    let checked = grouped(run.checked);
    match run.faults_total() {
        0 => {
            let _ = write!(text, " All {checked} replies and events were verified.");
        }
        n => {
            let kinds = run.faults.iter().map(|(kind, n)| format!("{} {kind}", grouped(*n)));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            let _ = write!(text, " The server was wrong {} times: {kinds}.", grouped(n));
        }
    }
    if run.partial {
        text.push_str(" The run ended before its time.");
    }
    text
}

fn tiles(body: &mut String, run: &Run) {
    let times = run.total.latency_us;
    body.push_str("<div class=\"tiles\">\n");
    body.push_str(&tile(&whole(run.total.ops_per_s), "operations per second"));
    let latencies =
        [("p50", times.p50), ("p99", times.p99), ("p99.9", times.p999), ("slowest", times.max)];
    for (name, us) in latencies {
        body.push_str(&tile(&latency(us), name));
    }
    if let Some(server) = run.server {
        let figure = format!("{:.2} µs", server.cpu_us_per_op);
        body.push_str(&tile(&figure, "server CPU per operation"));
    }
    if let Some(bytes) = run.server_rss_bytes {
        body.push_str(&tile(&megabytes(bytes), "server memory"));
    }
    body.push_str("</div>\n");
}

/// Servers that were killed, and what became of it.
fn kills(body: &mut String, run: &Run) {
    if run.outages.each.is_empty() {
        return;
    }
    let heads = ["server", "at", "a server led after", "which", "no write for", "back after"];
    let time = |seconds: Option<f64>| seconds.map_or("-".into(), |s| latency(s * 1e6));
    let row = |kill: &Kill| {
        let successor = escape(kill.successor.as_deref().unwrap_or("-"));
        let (server, at) = (escape(&kill.server), format!("{} s", trimmed(kill.at_s)));
        let [led, writes, back] = [kill.leader_s, kill.no_writes_s, kill.back_s].map(time);
        vec![server, at, led, successor, writes, back]
    };
    body.push_str("<h3>Servers that were killed</h3>\n");
    body.push_str(&table("", &heads, run.outages.each.iter().map(row)));
}

fn events(body: &mut String, run: &Run) {
    // What came of kills has a table of its own.
    let tabled = ["kill", "leader", "writes", "back"];
    let events = || run.events.iter().filter(|event| !tabled.contains(&event.kind.as_str()));
    if events().count() == 0 {
        return;
    }
    body.push_str("<h3>What the server did meanwhile</h3>\n<ul>\n");
    let mut kinds: Vec<&str> = events().map(|event| event.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let events: Vec<_> = events().filter(|event| event.kind == kind).collect();
        for event in events.iter().take(EVENTS_MAX) {
            let at = match event.at_s {
                at if at < 0.0 => "in the warm-up".to_string(),
                at => format!("about {} s", trimmed(at)),
            };
            let _ = writeln!(body, "<li>{at}: {}</li>", escape(&event.text));
        }
        if events.len() > EVENTS_MAX {
            let more = events.len() - EVENTS_MAX;
            let _ = writeln!(body, "<li>and {more} more of this kind: {}</li>", escape(kind));
        }
    }
    body.push_str("</ul>\n");
}

fn operations(body: &mut String, run: &Run) {
    let heads =
        ["operation", "ops", "ops/s", "mean", "p50", "p90", "p99", "p99.9", "max", "errors"];
    let total = Some(&run.total).filter(|_| run.ops.len() > 1);
    let rows = run.ops.iter().chain(total).flat_map(|operation| {
        let service = operation
            .service_us
            .map(|service| row(&format!("{}, from sending", operation.op), operation, service));
        [Some(row(&operation.op, operation, operation.latency_us)), service]
    });
    body.push_str("<h3>Operations</h3>\n");
    body.push_str(&table("", &heads, rows.flatten()));
}

fn row(name: &str, operation: &Operation, times: Quantiles) -> Vec<String> {
    let mut cells = vec![escape(name), grouped(operation.ops), whole(operation.ops_per_s)];
    let times = [times.mean, times.p50, times.p90, times.p99, times.p999, times.max];
    cells.extend(times.map(latency));
    cells.push(grouped(operation.errors));
    cells
}

/// Rows of names and values.
type Facts = Vec<(String, String)>;

fn put(rows: &mut Facts, name: &str, value: Option<impl ToString>) {
    rows.extend(value.map(|value| (name.to_string(), value.to_string())));
}

fn server(run: &Run) -> Facts {
    let mut rows = Facts::new();
    put(&mut rows, "version", run.version.clone());
    if let Some(server) = run.server {
        put(&mut rows, "CPU", Some(format!("{:.0} % of one", server.cpus * 100.0)));
    }
    let peak = run.server_rss_peak_bytes.map(|peak| format!(" (peak {})", megabytes(peak)));
    let memory = run.server_rss_bytes.map(megabytes);
    put(&mut rows, "memory", memory.map(|memory| memory + &peak.unwrap_or_default()));
    let several = run.server_facts.members.iter().filter(|_| run.server_facts.members.len() > 1);
    for member in several {
        let name = member.server.clone().unwrap_or_else(|| "process".into());
        put(&mut rows, &name, Some(member_text(member)));
    }
    if let Some(storage) = &run.server_facts.storage {
        put(&mut rows, "log directory", Some(&storage.directory));
        let system = format!("{} on {}", storage.file_system, storage.source);
        put(&mut rows, "file system", Some(system));
        put(&mut rows, "mount options", Some(&storage.mount_options));
        put(&mut rows, "block device", storage.device.as_ref());
        put(&mut rows, "scheduler", storage.scheduler.as_ref());
        put(&mut rows, "write cache", storage.write_cache.as_ref());
        put(
            &mut rows,
            "sync probe",
            storage.probe.as_ref().map(|probe| {
                let (p50, p99, max) =
                    (latency(probe.p50_us), latency(probe.p99_us), latency(probe.max_us));
                format!("{} B and fdatasync: p50 {p50}, p99 {p99}, max {max}", probe.bytes)
            }),
        );
    }
    if let Some(counters) = &run.server_facts.counters {
        let mean = |ms: Option<f64>| ms.map(|ms| format!(", {} ms each", trimmed(ms)));
        let records = counters.records_per_group.map(|n| format!(", {} records each", trimmed(n)));
        let syncs = grouped(counters.syncs) + &records.unwrap_or_default();
        put(
            &mut rows,
            "syncs of the log",
            Some(syncs + &mean(counters.sync_ms).unwrap_or_default()),
        );
        let snapshots =
            grouped(counters.snapshots) + &mean(counters.snapshot_ms).unwrap_or_default();
        put(&mut rows, "snapshots", Some(snapshots));
    }
    let settings = run.server_facts.configuration.iter();
    let settings: Vec<_> = settings.map(|(key, value)| format!("{key}={value}")).collect();
    put(&mut rows, "configuration", (!settings.is_empty()).then(|| settings.join(", ")));
    if rows.is_empty() {
        put(&mut rows, "server", Some("it does not describe itself"));
    }
    rows
}

/// One of several servers in a few words.
fn member_text(member: &Member) -> String {
    let cpus = member.cpus.map(|cpus| format!("{:.0} % of a CPU", cpus * 100.0));
    let pid = member.pid.map(|pid| format!("process {pid}"));
    let role = member.role.clone().or(Some("silent".into()));
    let words = [role, member.version.clone(), pid, cpus, member.rss_bytes.map(megabytes)];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn host(document: &Document) -> Facts {
    let host = &document.host;
    let mut rows = Facts::new();
    put(&mut rows, "kernel", Some(&host.kernel));
    put(&mut rows, "processor", Some(format!("{} x {}", host.cpus, host.cpu)));
    put(&mut rows, "governor", host.governor.as_ref());
    put(&mut rows, "machine", host.machine.as_ref());
    put(&mut rows, "memory", host.memory_bytes.map(megabytes));
    put(&mut rows, "memory limit", host.cgroup_memory_bytes.map(megabytes));
    put(&mut rows, "CPU limit", host.cgroup_cpus.map(trimmed));
    put(&mut rows, "load average", host.load_average);
    put(&mut rows, "driver", Some(&document.tool));
    if let Some(run) = document.results.first() {
        put(&mut rows, "driver CPU", Some(format!("{:.0} % of one", run.driver.cpus * 100.0)));
        put(&mut rows, "seed", Some(run.seed));
    }
    rows
}

/// One interval for each run and operation.
fn hdr_log(document: &Document) -> String {
    let mut log = String::from(
        "#[Histogram log format version 1.3]\n#[StartTime: 0 (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\
         \"Interval_Compressed_Histogram\"\n",
    );
    let mut at = 0.0;
    for run in &document.results {
        let _ = writeln!(log, "#[Run: {} on {}, {}]", run.title, run.target, run.started);
        for operation in &run.ops {
            let (length, max) = (run.elapsed_s, operation.latency_us.max / 1e3);
            let Operation { op, hdr, .. } = operation;
            let _ = writeln!(log, "Tag={op},{at:.3},{length:.3},{max:.3},{hdr}");
        }
        at += run.elapsed_s;
    }
    log
}
