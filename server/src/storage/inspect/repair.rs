//! What a repair would take, and the repair.

use std::io::{self, Write};

use ringkeeper_engine::device::DirectoryLock;
use ringkeeper_engine::log::{self, Repaired, repair_plan, repair_truncate};

use crate::cli::RepairArgs;

/// How a repair ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing is wrong with the log.
    Whole,
    /// Something is, and `--yes` was not given.
    Damaged,
    /// It is repaired.
    Done,
}

/// Prints what is wrong with a log and what would be lost by cutting it off there, and cuts it off
/// with `--yes`.
pub fn repair(args: &RepairArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    // Order: a lock leaves a file behind, and what is not a server's directory stays untouched.
    let (dirs, identity) = super::open(&args.directories)?;
    let _locks = lock(args)?;
    let plan = repair_plan(&dirs, &identity)?;
    super::ignore_broken_pipe(write_plan(&plan, out))?;
    if plan.trouble.is_none() {
        return Ok(Outcome::Whole);
    }
    if !args.yes {
        let advice = "Nothing was changed. To do it, give --yes as well; a copy of the directory \
                      made before can do no harm.";
        super::ignore_broken_pipe(writeln!(out, "{advice}"))?;
        return Ok(Outcome::Damaged);
    }
    let repaired = repair_truncate(&dirs, &identity, &log::Settings::default())?;
    super::ignore_broken_pipe(write_done(&repaired, out))?;
    Ok(Outcome::Done)
}

/// A log is not repaired under a server that runs on it.
fn lock(args: &RepairArgs) -> anyhow::Result<Vec<DirectoryLock>> {
    let paths = [Some(&args.directories.data_dir), args.directories.log_dir.as_ref()];
    paths.into_iter().flatten().map(|path| Ok(DirectoryLock::acquire(path)?)).collect()
}

fn write_plan(plan: &Repaired, out: &mut dyn Write) -> io::Result<()> {
    for note in &plan.notes {
        writeln!(out, "{note}")?;
    }
    let Some(trouble) = &plan.trouble else {
        return writeln!(out, "Nothing is wrong: the log is good up to {}, its end.", plan.last);
    };
    writeln!(out, "{trouble}.")?;
    write!(out, "A repair ends the log with {}. Every transaction behind it is lost", plan.last)?;
    match plan.lost_to {
        Some(last) => writeln!(out, "; there are some up to {last} at least.")?,
        None => writeln!(out, "; how many there were cannot be read any more.")?,
    }
    writeln!(out, "These files are kept aside, under names that begin with \"damaged.\":")?;
    plan.aside.iter().try_for_each(|file| writeln!(out, "  {file}"))
}

fn write_done(repaired: &Repaired, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Repaired: the log ends with {}. Kept aside:", repaired.last)?;
    repaired.aside.iter().try_for_each(|file| writeln!(out, "  {file}"))
}
