//! `tune verify`: whether the changes change anything: probe, apply, probe again, compare.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::change::{self, Journal};
use crate::check::{self, Configuration};
use crate::cli::VerifyArgs;
use crate::compare::{Change, Comparison, judge};
use crate::probe::words::load_name;
use crate::probe::{Cell, Plan, Report, Stop};
use crate::terminal::{INTERRUPTED, print, probe_with_progress};
use crate::text::{self, micros};
use ringkeeper_bench::servers::mounts::existing;
use ringkeeper_bench::servers::root::Root;
use ringkeeper_bench::show::paint::Paint;

pub(crate) fn run(args: &VerifyArgs, configuration: Configuration<'_>) -> Result<ExitCode> {
    let target = &args.check;
    let plan = change::plan(target, configuration)?;
    if plan.steps.is_empty() {
        print("There is nothing here that this tool would change.\n");
    }
    for step in &plan.steps {
        print(&format!("{}: {} -> {}\n", step.change.path, step.from, step.change.to));
    }
    if !args.yes {
        print(
            "Nothing was changed. With --yes it probes, changes this, probes again, and says \
             whether the advised setting is at least as good as any other.\n",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let configured = check::configured(&target.subject, configuration)?;
    let directory = existing(&configured.log_dir);
    let (stop, depth) = (Stop::on_signals()?, Plan::of(args.depth.depth()));
    // What must not be recorded is not changed: that shows before anything is measured.
    let mut journal = match plan.steps.is_empty() {
        true => None,
        false => Some(Journal::open(&args.state)?),
    };
    let Some(before) = probed(&directory, &depth, &stop)? else {
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let root = Root::new(&target.subject.root);
    let mut all_changed = true;
    if let Some(journal) = &mut journal {
        let applied = change::apply(&root, &plan, journal)?;
        applied.failed.iter().for_each(|why| print(&format!("Not changed: {why}\n")));
        all_changed = applied.failed.is_empty();
    }
    let after = probed(&directory, &depth, &stop);
    if let Ok(Some(after)) = &after {
        print(&compared(&before, after, Paint::for_stdout()));
    }
    let held = after.as_ref().ok().and_then(Option::as_ref).map(|after| standing(&before, after));
    // However the second probe ended, what was changed can be changed back.
    if let Some(journal) = &mut journal {
        offer(&root, journal, &args.state, &stop)?;
    }
    after?;
    Ok(match held {
        None => ExitCode::from(INTERRUPTED),
        Some(true) if all_changed => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

/// A probe; nothing where it was interrupted.
fn probed(directory: &Path, depth: &Plan, stop: &Stop) -> Result<Option<Report>> {
    let report = probe_with_progress(directory, depth, stop);
    if stop.is_wanted() {
        return Ok(None);
    }
    report.map(Some)
}

/// Says whether the advice stands, and returns it.
fn standing(before: &Report, after: &Report) -> bool {
    if after.disk.is_memory() {
        print("This is memory and no disk: nothing is advised.\n");
        return true;
    }
    let standing = Comparison::of(before, after);
    print(&standing.shown(Paint::for_stdout()));
    standing.holds()
}

/// On a terminal it is asked; elsewhere it is said how.
fn offer(root: &Root, journal: &mut Journal, state: &Path, stop: &Stop) -> Result<()> {
    let how = format!("ringkeeper tune undo --state {}", state.display());
    if stop.is_wanted() || !std::io::stdin().is_terminal() {
        print(&format!("To change it back: {how}\n"));
        return Ok(());
    }
    print("Change it back? [y/N] ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if !matches!(line.trim(), "y" | "yes" | "Y") {
        print(&format!("It stays. To change it back later: {how}\n"));
        return Ok(());
    }
    for (record, what) in change::undo(root, journal)? {
        print(&format!("{}: {what:?}\n", record.path));
    }
    Ok(())
}

/// Every measurement that both probes have.
fn compared(before: &Report, after: &Report, paint: Paint) -> String {
    let mut out = paint.bold(&format!(
        "{:7} {:>8} {:6} {:>10} {:>10} {:>10} {:>10}  {}",
        "way", "bytes", "host", "p50", "p50 after", "p99", "p99 after", "median"
    ));
    out.push('\n');
    let (mut real, mut all) = (0, 0);
    for old in &before.cells {
        let same = |cell: &&Cell| {
            (cell.strategy, cell.bytes, cell.load) == (old.strategy, old.bytes, old.load)
        };
        let Some(new) = after.cells.iter().find(same) else { continue };
        let change = judge(old, new);
        all += 1;
        real += usize::from(change != Change::WithinNoise);
        let _ = writeln!(
            out,
            "{:7} {:>8} {:6} {:>10} {:>10} {:>10} {:>10}  {}",
            old.strategy.name(),
            text::bytes(old.bytes as u64),
            load_name(old.load),
            micros(old.micros.p50),
            micros(new.micros.p50),
            micros(old.micros.p99),
            micros(new.micros.p99),
            worded(change, paint)
        );
    }
    let _ = writeln!(
        out,
        "{real} of {all} medians changed by more than their rounds differ among themselves. A \
         change of one or two is chance; the slowest commits vary more than any of this."
    );
    out
}

fn worded(change: Change, paint: Paint) -> String {
    match change {
        Change::WithinNoise => "within noise".to_owned(),
        Change::Faster(share) => paint.good(&format!("{:.0} % faster", share * 100.0)),
        Change::Slower(share) => paint.warning(&format!("{:.0} % slower", share * 100.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::sample;

    #[test]
    fn the_table_has_every_measurement() {
        let text = compared(&sample(1.0), &sample(1.02), Paint::Plain);
        assert_eq!(text.matches("within noise").count(), 32, "{text}");
        assert!(text.contains("0 of 32 medians changed"), "{text}");
    }
}
