//! A report for the terminal.

use std::fmt::Write as _;

use ringkeeper_engine::device::{Load, Strategy};

use crate::chart::charts;
use crate::probe::files::{FileFacts, FileState};
use crate::probe::words::load_name;
use crate::probe::{Cell, Report};
use crate::text::{self, micros};
use ringkeeper_bench::show::paint::Paint;

/// Bytes of a log record that sets a small value: how many of them a commit holds is shown.
pub(crate) const RECORD_BYTES: usize = 256;

pub(crate) fn report(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    let taken = &report.taken;
    let load = taken.load_average.map_or(String::new(), |load| format!(", load {load:.1}"));
    let _ = writeln!(
        out,
        "{} on {}, {} CPUs{load}; commits at {} priority",
        paint.bold(&taken.directory),
        taken.kernel,
        taken.cpus,
        taken.priority
    );
    let _ = writeln!(out, "{}\n", disk(report));
    out.push_str(&cells(report, paint));
    for chart in charts(report) {
        let _ = write!(out, "\n{}{}\n", chart.to_text(), paint.faint(&chart.legend()));
    }
    out.push('\n');
    for (name, sentence) in facts(report) {
        let _ = writeln!(out, "{}\n{}", paint.bold(&name), text::wrap(&sentence, 90, 2));
    }
    if let Some(why) = &report.cut_short {
        let _ = writeln!(out, "{}", paint.warning(&format!("The probe is not complete: {why}.")));
    }
    out
}

/// The disk, in a line.
pub(crate) fn disk(report: &Report) -> String {
    let disk = &report.disk;
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let fua = match disk.fua {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    format!(
        "disk {}, {} ({}), cache {}, FUA {fua}, scheduler {}",
        or(&disk.device),
        or(&disk.file_system),
        disk.options.join(","),
        or(&disk.write_cache),
        or(&disk.scheduler)
    )
}

fn cells(report: &Report, paint: Paint) -> String {
    let mut out = paint.bold(&format!(
        "{:7} {:>8} {:>7} {:6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8} {:>6}",
        "way",
        "bytes",
        "records",
        "host",
        "p50 us",
        "p90",
        "p99",
        "p99.9",
        "max",
        "commits/s",
        "MB/s",
        "KiB/c",
        "flush"
    ));
    out.push('\n');
    for load in [Load::Quiet, Load::Busy] {
        for strategy in Strategy::ALL {
            for cell in report.curve(strategy, load) {
                let _ = writeln!(out, "{}", row(cell));
            }
        }
    }
    for way in &report.unusable {
        let line = format!("{:7} does not work here: {}", way.strategy, way.why);
        let _ = writeln!(out, "{}", paint.warning(&line));
    }
    out.push_str(&paint.faint(
        "records: of 256 B in such a commit; KiB/c: written per commit; flush: flushes per commit\n",
    ));
    out
}

fn row(cell: &Cell) -> String {
    let or = |value: Option<f64>| value.map_or("?".to_owned(), |value| format!("{value:.1}"));
    let at = &cell.micros;
    format!(
        "{:7} {:>8} {:>7} {:6} {:>8.0} {:>8.0} {:>8} {:>8} {:>8.0} {:>9} {:>8.1} {:>8} {:>6}",
        cell.strategy.name(),
        text::bytes(cell.bytes as u64),
        (cell.bytes / RECORD_BYTES).max(1),
        load_name(cell.load),
        at.p50,
        at.p90,
        rare(cell, at.p99, 100),
        rare(cell, at.p999, 1_000),
        at.max,
        text::count(cell.per_second),
        cell.megabytes_per_second(),
        or(cell.written_kib),
        or(cell.flushes.map(|flushes| (flushes * 10.0).round() / 10.0)),
    )
}

/// A percentile, where there were enough commits for one.
pub(crate) fn rare(cell: &Cell, us: f64, one_in: u64) -> String {
    if cell.commits < one_in { "-".to_owned() } else { format!("{us:.0}") }
}

/// What else was found: a name and a sentence each.
pub(crate) fn facts(report: &Report) -> Vec<(String, String)> {
    let mut facts = vec![("Cache".to_owned(), cache(report))];
    if let Some(files) = &report.files {
        facts.push(("Preallocation".to_owned(), preallocation(files)));
        if let Some(sentence) = folios(files) {
            facts.push(("Mapped file".to_owned(), sentence));
        }
    }
    facts.push(("io_uring".to_owned(), ring(report)));
    facts.push(("Hand-off".to_owned(), wakes(report)));
    let clock = &report.clock;
    let source = clock.source.as_deref().unwrap_or("unknown");
    let verdict = if clock.read_ns > 200.0 { "; that is slow: see `tune check`" } else { "" };
    let read = format!("reading it costs {:.0} ns, source {source}{verdict}", clock.read_ns);
    facts.push(("Clock".to_owned(), read));
    facts
}

fn cache(report: &Report) -> String {
    let disk = &report.disk;
    let sentence = match (disk.write_cache.as_deref(), disk.fua) {
        (Some("write back"), Some(true)) => {
            "the disk has a volatile cache and can write past it (FUA): a direct commit needs no \
             flush of its own"
        }
        (Some("write back"), _) => {
            "the disk has a volatile cache and cannot write past it: every commit is a write and a \
             flush, one after the other"
        }
        (Some("write through"), _) => {
            "the disk says that its cache survives a power cut (write through): flushes cost \
             nothing. If a tool has set this on a disk without protected cache, writes are lost"
        }
        _ => "the kernel does not say whether the disk has a volatile cache",
    };
    match disk.others_kib_per_second {
        Some(kib) if kib > 64.0 => format!(
            "{sentence}. Others wrote {} per second to this disk before the probe, so flushes \
             include theirs and times include the waiting",
            text::bytes((kib * 1024.0) as u64)
        ),
        Some(_) | None => sentence.to_owned(),
    }
}

fn state(state: &FileState) -> String {
    let flushes = state.flushes.map_or(String::new(), |count| format!(", {count:.1} flushes"));
    let kib = state.written_kib.map_or(String::new(), |kib| format!(", {kib:.1} KiB written"));
    format!("{}{flushes}{kib}", micros(state.micros.p50))
}

fn preallocation(files: &FileFacts) -> String {
    let (Some(zeroed), Some(reserved)) = (&files.zeroed, &files.reserved) else {
        return "it could not be compared here (the file system reserves no blocks)".to_owned();
    };
    let unwritten = match reserved.unwritten_kib {
        Some(kib) => format!(", {} of it unwritten extents", text::bytes(kib << 10)),
        None => String::new(),
    };
    format!(
        "a first commit of 4 KiB ({}) takes {} into a zeroed file and {} into one that is only \
         reserved{unwritten}. The server writes zeros ahead of use",
        files.strategy,
        state(zeroed),
        state(reserved)
    )
}

fn folios(files: &FileFacts) -> Option<String> {
    let (small, large) = (files.mapped_small_pieces.as_ref()?, files.mapped_large_pieces.as_ref()?);
    Some(format!(
        "a stored commit of 4 KiB takes {} where the file was filled in pieces of 4 KiB, and {} \
         where it was filled in pieces of 2 MiB: the kernel writes whole folios",
        state(small),
        state(large)
    ))
}

fn ring(report: &Report) -> String {
    let ring = &report.ring;
    if let Some(why) = &ring.blocked {
        return format!("cannot be used: {why}. The server uses epoll, and the log goes without");
    }
    let missing = match ring.missing.as_slice() {
        [] => "it has every operation of the server".to_owned(),
        names => format!("it lacks {}", names.join(", ")),
    };
    format!("{missing}; modes: {}", ring.modes.join(", "))
}

fn wakes(report: &Report) -> String {
    let said: Vec<String> = report
        .wakes
        .iter()
        .map(|wake| {
            format!(
                "{} {} {} (p99 {})",
                wake.kind,
                load_name(wake.load),
                micros(wake.micros.p50),
                micros(wake.micros.p99)
            )
        })
        .collect();
    if said.is_empty() { "not measured".to_owned() } else { said.join(", ") }
}
