//! A whole probe, small: what it finds, and what it leaves behind.

use std::path::Path;
use std::time::Duration;

use super::{Depth, Plan, Report, Stop, run};
use crate::{html, print, recommend};

fn plan() -> Plan {
    Plan {
        depth: Depth::Quick,
        sizes: vec![4_096, 65_536],
        rounds: 2,
        slice: Duration::from_millis(5),
        file_bytes: 1 << 20,
        // Time ends each measurement, however fast the disk is.
        bytes_max: 1 << 40,
    }
}

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

fn probe(directory: &Path) -> Report {
    run(directory, &plan(), &Stop::default(), &mut |_, _| {}).unwrap()
}

#[test]
fn probe_measures_all_cells_and_leaves_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let report = probe(directory.path());
    assert_eq!(entries(directory.path()), 0);
    assert_eq!(report.cut_short, None);
    let works = 4 - report.unusable.len();
    assert!(works >= 1 && report.cells.len() == works * 4, "{:?}", report.unusable);
    assert!(report.cells.iter().all(|cell| cell.commits >= 3 && cell.rounds_p50.len() == 2));
    assert!(report.cells.iter().all(|cell| cell.micros.p50 > 0.0 && cell.per_second > 0.0));
    assert!(report.clock.read_ns > 0.0 && report.wakes.len() >= 4);
    assert!(report.files.is_some());

    let text = print::report(&report, ringkeeper_bench::show::paint::Paint::Plain);
    assert!(text.contains("Median commit, quiet host") && text.contains("Hand-off"), "{text}");
    let advice = recommend::advise(&report);
    let file = recommend::fragment(&advice, &report);
    assert_ne!(file.contains("\nringkeeper.log.device="), report.disk.is_memory(), "{file}");

    let page = html::page(&report);
    assert!(page.contains("<svg") && page.contains("prefers-color-scheme:dark"));
    for foreign in ["http:", "https:", "src=", "@import", "url(", "<script", "<link"] {
        assert!(!page.contains(foreign), "the page asks for something elsewhere: {foreign}");
    }
}

#[test]
fn interrupted_probe_is_marked_and_leaves_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    let report = run(directory.path(), &plan(), &stop, &mut |what, _| {
        if what.contains("64 KiB") {
            stop.request();
        }
    })
    .unwrap();
    assert_eq!(entries(directory.path()), 0);
    assert_eq!(report.cut_short.as_deref(), Some(super::INTERRUPTED));
    assert!(report.cells.iter().all(|cell| cell.rounds_p50.len() <= 1));
    let error = run(directory.path(), &plan(), &stop, &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("interrupted"), "{error}");
    assert_eq!(entries(directory.path()), 0);
}

#[test]
fn disk_failure_keeps_earlier_cells_and_marks_report() {
    let directory = tempfile::tempdir().unwrap();
    let fail_at = |word: &'static str| {
        let path = directory.path().to_owned();
        move |what: &str, _| {
            if what.contains(word) {
                for entry in std::fs::read_dir(path.join("ringkeeper-tune.tmp")).unwrap() {
                    std::fs::remove_file(entry.unwrap().path()).unwrap();
                }
            }
        }
    };
    let stop = Stop::default();
    let mut report = run(directory.path(), &plan(), &stop, &mut fail_at("64 KiB, quiet")).unwrap();
    assert!(report.cut_short.as_ref().unwrap().contains("cannot open"), "{:?}", report.cut_short);
    assert!(!report.cells.is_empty() && report.cells.iter().all(|cell| cell.bytes == 4_096));
    // Temporary files may be in memory, from which nothing follows anyway.
    report.disk.file_system = Some("ext4".to_owned());
    let doubts = recommend::advise(&report).doubts;
    assert!(doubts.iter().any(|doubt| doubt.contains("not complete")), "{doubts:?}");
    // Nothing at all is no result.
    let error = run(directory.path(), &plan(), &stop, &mut fail_at("4 KiB, quiet")).unwrap_err();
    assert!(error.to_string().contains("cannot open"), "{error}");
    assert_eq!(entries(directory.path()), 0);
}

#[test]
fn unusable_directory_is_rejected_before_writing() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |directory: &Path, plan: &Plan| {
        let error = run(directory, plan, &Stop::default(), &mut |_, _| {}).unwrap_err();
        format!("{error:#}")
    };
    let huge = Plan { file_bytes: 1 << 50, ..plan() };
    assert!(refused(directory.path(), &huge).contains("of free space"));
    assert!(refused(&directory.path().join("none"), &plan()).contains("cannot be measured"));
    assert_eq!(entries(directory.path()), 0);
}

#[test]
fn probe_stops_at_its_byte_limit() {
    let directory = tempfile::tempdir().unwrap();
    let tight = Plan { bytes_max: 4 << 20, slice: Duration::from_millis(50), ..plan() };
    let report = run(directory.path(), &tight, &Stop::default(), &mut |_, _| {}).unwrap();
    // Where the kernel does not count what a process writes, each measurement is still bounded.
    if report.cells.iter().any(|cell| cell.written_kib.is_some_and(|kib| kib > 0.0)) {
        assert!(report.cut_short.unwrap().contains("used up"));
    }
}
