//! The same changes as a shell script, to be read first or run by root elsewhere.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::plan::Plan;

pub(super) fn write(path: &Path, plan: &Plan) -> Result<()> {
    let shown = path.display();
    std::fs::write(path, render(plan)).with_context(|| format!("cannot write {shown}"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {shown} executable"))?;
    eprintln!("Wrote {shown}. Nothing was changed.");
    Ok(())
}

/// Each value is set only if the file still holds what it held when the script was made.
pub(super) fn render(plan: &Plan) -> String {
    let mut out = String::from(
        "#!/bin/sh\n\
         # Written by `ringkeeper tune apply --output-script`. Read it, then run it as root.\n\
         # `sh FILE undo` sets back what it has set.\n\
         set -eu\n\
         direction=${1:-apply}\n\n\
         # change FILE OLD NEW\n\
         change() {\n\
         \x20   file=$1 old=$2 new=$3\n\
         \x20   if [ \"$direction\" = undo ]; then old=$3 new=$2; fi\n\
         \x20   now=$(sed 's/.*\\[\\(.*\\)\\].*/\\1/' \"$file\")\n\
         \x20   if [ \"$now\" = \"$new\" ]; then\n\
         \x20       echo \"$file: $new already\"\n\
         \x20   elif [ \"$now\" = \"$old\" ]; then\n\
         \x20       echo \"$new\" > \"$file\"\n\
         \x20       echo \"$file: $old -> $new\"\n\
         \x20   else\n\
         \x20       echo \"$file: left alone, it is $now and not $old\" >&2\n\
         \x20   fi\n\
         }\n\n",
    );
    for step in &plan.steps {
        let change = &step.change;
        let (path, from, to) = (quote(&change.path), quote(&step.from), quote(&change.to));
        let condition = one_line(&step.condition);
        let lasting = one_line(&change.lasting);
        let _ = writeln!(out, "# {condition}; to keep it: {lasting}\nchange {path} {from} {to}\n");
    }
    for (condition, fix) in &plan.manual {
        let _ = writeln!(out, "# For you to decide: {}: {}", one_line(condition), one_line(fix));
    }
    out
}

/// In quotes that the shell leaves alone, whatever is between them.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A comment that goes over two lines would be a command.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
