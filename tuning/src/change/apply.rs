//! `tune apply`: what `check` found and what can be changed safely. Nothing without `--yes`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::journal::{Journal, Record};
use super::plan::{Plan, Step, plan};
use super::{current, script, set};
use crate::check::Configuration;
use crate::cli::ApplyArgs;
use crate::terminal::print;
use crate::text;
use ringkeeper_bench::servers::root::Root;
use ringkeeper_bench::show::paint::Paint;

/// What became of a plan.
#[derive(Default)]
pub(crate) struct Applied {
    pub(crate) done: Vec<Step>,
    pub(crate) failed: Vec<String>,
}

pub(crate) fn run(args: &ApplyArgs, configuration: Configuration<'_>) -> Result<ExitCode> {
    let root = Root::new(&args.check.subject.root);
    let plan = plan(&args.check, configuration)?;
    let paint = Paint::for_stdout();
    print(&shown(&plan, paint));
    if let Some(path) = &args.output_script {
        script::write(path, &plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    if plan.steps.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        print("Nothing was changed. With --yes it is; `ringkeeper tune undo` changes it back.\n");
        return Ok(ExitCode::SUCCESS);
    }
    let mut journal = Journal::open(&args.state)?;
    let applied = apply(&root, &plan, &mut journal)?;
    print(&outcome(&applied, paint));
    let state = args.state.display();
    print(&format!("Recorded in {state}. It lasts until the host restarts.\n"));
    Ok(if applied.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the changes in turn. One that fails is reported, and the next is tried; a record that
/// cannot be written ends it, before the change.
pub(crate) fn apply(root: &Root, plan: &Plan, journal: &mut Journal) -> Result<Applied> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut applied = Applied::default();
    for step in &plan.steps {
        let (path, new) = (&step.change.path, &step.change.to);
        let before = journal.records.iter().find(|record| record.path == *path).cloned();
        journal.note(Record {
            path: path.clone(),
            old: step.from.clone(),
            new: new.clone(),
            unix_s: now,
        })?;
        match set(root, path, new) {
            Ok(()) => applied.done.push(step.clone()),
            Err(why) => {
                // The file holds what it held, unless it says otherwise: then the record stays.
                if current(root, path).is_ok_and(|value| value == step.from) {
                    journal.forget(path)?;
                    before.map_or(Ok(()), |record| journal.note(record))?;
                }
                applied.failed.push(why);
            }
        }
    }
    Ok(applied)
}

fn shown(plan: &Plan, paint: Paint) -> String {
    let mut out = String::new();
    if plan.steps.is_empty() {
        out.push_str("There is nothing here that this tool would change.\n");
    }
    for step in &plan.steps {
        let change = &step.change;
        let _ = writeln!(
            out,
            "{}  {}: {} -> {}",
            paint.bold(&step.condition),
            change.path,
            step.from,
            paint.good(&change.to)
        );
        let lasting = text::wrap(&format!("to keep it: {}", change.lasting), 88, 4);
        let _ = writeln!(out, "{}", paint.faint(&lasting));
    }
    if !plan.manual.is_empty() {
        out.push_str("\nFor you to decide:\n");
    }
    for (condition, fix) in &plan.manual {
        let _ = writeln!(out, "  {}\n{}", paint.bold(condition), text::wrap(fix, 88, 4));
    }
    out
}

fn outcome(applied: &Applied, paint: Paint) -> String {
    let mut out = format!("{} changed.\n", applied.done.len());
    for why in &applied.failed {
        let _ = writeln!(out, "{}", paint.bad(&format!("Not changed: {why}")));
    }
    out
}
