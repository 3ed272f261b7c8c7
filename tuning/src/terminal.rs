//! What is said to people: on standard output the result, on standard error how far it is.

use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::probe::{self, Plan, Report, Stop};

/// The exit code of what a signal ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// A probe that says what it will do and how far it is, on standard error.
pub(crate) fn probe_with_progress(directory: &Path, plan: &Plan, stop: &Stop) -> Result<Report> {
    eprintln!(
        "Probing the disk of {}: {}. Ctrl-C ends it and leaves nothing behind.",
        directory.display(),
        plan.announcement()
    );
    let terminal = std::io::stderr().is_terminal();
    let mut progress = |what: &str, share: f64| {
        if terminal {
            let cells = (share * 20.0).round() as usize;
            eprint!("\r\x1b[K[{:<20}] {:3.0}% {what}", "#".repeat(cells), share * 100.0);
            let _ = std::io::stderr().flush();
        }
    };
    let report = probe::run(directory, plan, stop, &mut progress);
    if terminal {
        eprint!("\r\x1b[K");
    }
    report
}

/// To standard output. A reader such as `head` has seen enough and goes; that is no failure.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes a file and says so.
pub(crate) fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("Wrote {}.", path.display());
    Ok(())
}
