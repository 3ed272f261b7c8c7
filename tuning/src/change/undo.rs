//! `tune undo`: what `apply` changed is restored, unless another program has changed it since.

use std::process::ExitCode;

use anyhow::Result;

use super::journal::{Journal, Record};
use super::{current, set};
use crate::cli::UndoArgs;
use crate::terminal::print;
use ringkeeper_bench::servers::root::Root;

/// What became of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Undone {
    /// It is as it was before.
    Restored,
    /// It was so already.
    Already,
    /// Another program has set it to this since; it was left alone.
    ChangedByOthers(String),
    /// It could not be changed.
    Failed(String),
}

pub(crate) fn run(args: &UndoArgs) -> Result<ExitCode> {
    // To open a journal makes its files; where there is none, nothing is left behind.
    let mut journal = match args.state.exists() {
        true => Some(Journal::open(&args.state)?).filter(|journal| !journal.records.is_empty()),
        false => None,
    };
    let Some(journal) = &mut journal else {
        print(&format!("There is nothing to undo in {}.\n", args.state.display()));
        return Ok(ExitCode::SUCCESS);
    };
    let undone = undo(&Root::new(&args.root), journal)?;
    let mut whole = true;
    for (record, what) in &undone {
        print(&sentence(record, what));
        let left = matches!(what, Undone::ChangedByOthers(_));
        if left && args.forget {
            journal.forget(&record.path)?;
        }
        whole &= matches!(what, Undone::Restored | Undone::Already) || (left && args.forget);
    }
    if !whole {
        print("What was not undone stays recorded; --forget drops what another program has set.\n");
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Changes everything back, the last change first.
pub(crate) fn undo(root: &Root, journal: &mut Journal) -> Result<Vec<(Record, Undone)>> {
    let mut undone = Vec::new();
    for record in journal.records.clone().into_iter().rev() {
        let what = one(root, &record);
        if matches!(what, Undone::Restored | Undone::Already) {
            journal.forget(&record.path)?;
        }
        undone.push((record, what));
    }
    Ok(undone)
}

fn one(root: &Root, record: &Record) -> Undone {
    match current(root, &record.path) {
        Err(error) => Undone::Failed(format!("cannot read {}: {error}", record.path)),
        Ok(now) if now == record.old => Undone::Already,
        Ok(now) if now != record.new => Undone::ChangedByOthers(now),
        Ok(_) => match set(root, &record.path, &record.old) {
            Ok(()) => Undone::Restored,
            Err(why) => Undone::Failed(why),
        },
    }
}

fn sentence(record: &Record, what: &Undone) -> String {
    let Record { path, old, new, .. } = record;
    match what {
        Undone::Restored => format!("{path}: {new} -> {old}\n"),
        Undone::Already => format!("{path}: {old} already\n"),
        Undone::ChangedByOthers(now) => {
            format!("{path}: left alone; we set {new}, but it is {now} now (it was {old})\n")
        }
        Undone::Failed(why) => format!("{path}: {why}\n"),
    }
}
