//! What there is to change on a host.

use anyhow::{Context, Result};

use super::journal::is_kernel_file;
use super::{Change, current};
use crate::check::finding::{Finding, Outcome};
use crate::check::{self, Configuration};
use crate::cli::Target;
use ringkeeper_bench::servers::root::Root;

/// A change with what the file holds now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    pub(crate) condition: String,
    pub(crate) from: String,
    pub(crate) change: Change,
}

/// What can be changed, and what is for a person to do.
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// A condition and its fix.
    pub(crate) manual: Vec<(String, String)>,
}

/// What there is to change on a host.
pub(crate) fn plan(target: &Target, configuration: Configuration<'_>) -> Result<Plan> {
    let root = Root::new(&target.subject.root);
    let configured = check::configured(&target.subject, configuration)?;
    let findings = check::findings(root.clone(), configured);
    let word = target.only.as_deref().unwrap_or("").to_lowercase();
    let wanted = |finding: &&Finding| {
        finding.outcome == Outcome::Failed && finding.condition.to_lowercase().contains(&word)
    };
    let mut plan = Plan { steps: Vec::new(), manual: Vec::new() };
    for finding in findings.iter().filter(wanted) {
        if finding.changes.is_empty() {
            let fix = finding.fix.clone().unwrap_or_default();
            plan.manual.push((finding.condition.clone(), fix));
        }
        for change in &finding.changes {
            assert!(is_kernel_file(&change.path), "only files of the kernel are changed");
            let from = current(&root, &change.path)
                .with_context(|| format!("cannot read {}", change.path))?;
            let condition = finding.condition.clone();
            plan.steps.push(Step { condition, from, change: change.clone() });
        }
    }
    Ok(plan)
}
