//! `tune check`: what of this host keeps a server from being safe or fast.
//!
//! Everything is read below a root, so that a copy of `/proc` and `/sys` does as well. What a host
//! does not say is neither good nor bad: it is reported so, and it is never a pass.

mod cpu;
mod disk;
pub(crate) mod finding;
mod host;
mod kernel;
mod memory;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};

use self::finding::{Finding, Outcome, Severity};
pub use self::host::Configured;
use self::host::Host;
use crate::cli::{CheckArgs, Subject};
use crate::terminal::print;
use crate::text;
use ringkeeper_bench::servers::root::Root;
use ringkeeper_bench::show::paint::Paint;

/// How a configuration is read: by the server, which knows its forms. `None` is a start without one.
pub type Configuration<'a> = &'a dyn Fn(Option<&Path>) -> Result<Configured, String>;

/// Exit codes: nothing failed, something did, something fatal did.
const WARNED: u8 = 1;
const UNFIT: u8 = 2;

pub(crate) fn run(args: &CheckArgs, configuration: Configuration<'_>) -> Result<ExitCode> {
    let configured = configured(&args.subject, configuration)?;
    let findings = findings(Root::new(&args.subject.root), configured);
    match args.json {
        true => print(&format!("{:#}\n", as_json(&findings))),
        false => print(&table(&findings, Paint::for_stdout())),
    }
    Ok(ExitCode::from(code(&findings)))
}

/// The configuration to check, or that of a start without one in a directory.
pub(crate) fn configured(
    subject: &Subject,
    configuration: Configuration<'_>,
) -> Result<Configured> {
    let mut configured =
        configuration(subject.config.as_deref()).map_err(|why| anyhow!("{why}"))?;
    if let Some(directory) = &subject.dir {
        configured.data_dir.clone_from(directory);
        configured.log_dir.clone_from(directory);
    }
    Ok(configured)
}

/// Everything that was found, in the order of the table.
pub(crate) fn findings(root: Root, configured: Configured) -> Vec<Finding> {
    let host = Host::new(root, configured);
    let mut findings = disk::all(&host);
    findings.extend(memory::all(&host));
    findings.extend(cpu::all(&host));
    findings.extend(kernel::all(&host));
    findings
}

fn code(findings: &[Finding]) -> u8 {
    let failed = findings.iter().filter(|finding| finding.outcome == Outcome::Failed);
    match failed.map(|finding| finding.severity).max() {
        None | Some(Severity::Advice) => 0,
        Some(Severity::Warning) => WARNED,
        Some(Severity::Fatal) => UNFIT,
    }
}

fn as_json(findings: &[Finding]) -> serde_json::Value {
    serde_json::json!({ "exit_code": code(findings), "findings": findings })
}

fn word(finding: &Finding) -> &'static str {
    match (finding.outcome, finding.severity) {
        (Outcome::Passed, _) => "ok",
        (Outcome::Unknown, _) => "?",
        (Outcome::Failed, Severity::Advice) => "advice",
        (Outcome::Failed, Severity::Warning) => "warning",
        (Outcome::Failed, Severity::Fatal) => "FATAL",
    }
}

fn coloured(finding: &Finding, paint: Paint) -> String {
    let word = format!("{:8}", word(finding));
    match (finding.outcome, finding.severity) {
        (Outcome::Passed, _) => paint.good(&word),
        (Outcome::Unknown, _) => paint.faint(&word),
        (Outcome::Failed, Severity::Advice) => word,
        (Outcome::Failed, Severity::Warning) => paint.warning(&word),
        (Outcome::Failed, Severity::Fatal) => paint.bad(&word),
    }
}

/// The table. Why and how to mend it stand below each line that needs it.
fn table(findings: &[Finding], paint: Paint) -> String {
    let width = findings.iter().map(|f| f.condition.chars().count()).max().unwrap_or(0);
    let mut out = paint.bold(&format!("{:8} {:width$}  current", "severity", "condition"));
    out.push('\n');
    for finding in findings {
        let condition = &finding.condition;
        let shown = coloured(finding, paint);
        let _ = writeln!(out, "{shown} {condition:width$}  {}", finding.current);
        if finding.outcome == Outcome::Failed {
            for (name, sentence) in [
                ("required", Some(&finding.required)),
                ("why", Some(&finding.why)),
                ("fix", finding.fix.as_ref()),
            ] {
                let Some(sentence) = sentence else { continue };
                let said = text::wrap(&format!("{name}: {sentence}"), 88, 11);
                let _ = writeln!(out, "{}", paint.faint(&said));
            }
        }
    }
    let count = |outcome| findings.iter().filter(|finding| finding.outcome == outcome).count();
    let _ = writeln!(
        out,
        "\n{} passed, {} failed, {} cannot be told from here.",
        count(Outcome::Passed),
        count(Outcome::Failed),
        count(Outcome::Unknown)
    );
    let changes: usize = findings.iter().map(|finding| finding.changes.len()).sum();
    if changes > 0 {
        let _ = writeln!(out, "`ringkeeper tune apply` shows {changes} that it can change.");
    }
    out
}

#[cfg(test)]
pub(crate) mod tests;
