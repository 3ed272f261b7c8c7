//! `tune probe` as a command: what it says before, while and after it measures.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cli::ProbeArgs;
use crate::paint::Paint;
use crate::probe::{self, Plan, Report, Stop};
use crate::{html, print, recommend};

/// The exit code of what a signal ended.
pub(crate) const INTERRUPTED: u8 = 130;

pub(crate) fn run(args: &ProbeArgs) -> Result<ExitCode> {
    let stop = Stop::on_signals()?;
    let report = match announced(&args.dir, &Plan::of(args.depth.depth()), &stop) {
        Err(error) if stop.is_wanted() => {
            eprintln!("ringkeeper tune: {error:#}");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        report => report?,
    };
    let to_stdout = args.json.as_deref() == Some(Path::new("-"));
    match &args.json {
        Some(_) if to_stdout => say(&report.to_json()),
        Some(path) => save(path, &report.to_json())?,
        None => {}
    }
    if let Some(path) = &args.html {
        save(path, &html::page(&report))?;
    }
    if !to_stdout {
        let paint = Paint::for_stdout();
        say(&format!("{}\n{}", print::report(&report, paint), advice(&report, paint)));
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

/// A probe that says what it will do and how far it is, on standard error.
pub(crate) fn announced(directory: &Path, plan: &Plan, stop: &Stop) -> Result<Report> {
    eprintln!(
        "Probing the disk of {}: {}. Ctrl-C ends it and leaves nothing behind.",
        directory.display(),
        plan.promise()
    );
    let terminal = std::io::stderr().is_terminal();
    let mut tell = |what: &str, share: f64| {
        if terminal {
            let cells = (share * 20.0).round() as usize;
            eprint!("\r\x1b[K[{:<20}] {:3.0}% {what}", "#".repeat(cells), share * 100.0);
            let _ = std::io::stderr().flush();
        }
    };
    let report = probe::run(directory, plan, stop, &mut tell);
    if terminal {
        eprint!("\r\x1b[K");
    }
    report
}

/// To standard output. A reader such as `head` has seen enough and goes; that is no failure.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes a file and says so.
pub(crate) fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("Wrote {}.", path.display());
    Ok(())
}
