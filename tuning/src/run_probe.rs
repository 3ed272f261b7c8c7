//! `tune probe` as a command.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::ProbeArgs;
use crate::probe::{self, Plan, Report, Stop};
use crate::terminal::{INTERRUPTED, print, probe_with_progress, save};
use crate::{html, print, recommend};
use ringkeeper_bench::show::paint::Paint;

pub(crate) fn run(args: &ProbeArgs) -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let report = match probe_with_progress(&args.dir, &Plan::of(args.depth.depth()), &stop) {
        Err(error) if stop.is_wanted() => {
            eprintln!("ringkeeper tune: {error:#}");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        report => report?,
    };
    let to_stdout = args.json.as_deref() == Some(Path::new("-"));
    match &args.json {
        Some(_) if to_stdout => print(&report.to_json()),
        Some(path) => save(path, &report.to_json())?,
        None => {}
    }
    if let Some(path) = &args.html {
        save(path, &html::page(&report))?;
    }
    if !to_stdout {
        let paint = Paint::for_stdout();
        print(&format!("{}\n{}", print::report(&report, paint), advice(&report, paint)));
    }
    Ok(match report.cut_short.as_deref() {
        Some(probe::INTERRUPTED) => ExitCode::from(INTERRUPTED),
        Some(_) | None => ExitCode::SUCCESS,
    })
}

/// What follows for the log's device, and why. The rest is for `tune recommend`.
fn advice(report: &Report, paint: Paint) -> String {
    if report.disk.is_memory() {
        return recommend::shown(&recommend::advise(report), paint);
    }
    let (strategy, why) = report.choice();
    format!("{}\n{why}\n", paint.bold(&format!("ringkeeper.log.device={strategy}")))
}
