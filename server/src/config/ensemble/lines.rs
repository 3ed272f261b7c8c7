//! The server lines among all that was said, and which file they may stand in.

use crate::config::layers::Replaced;
use crate::config::origin::{Origin, Problem, Warning};
use crate::config::resolve::{Finding, Values, Verdict};
use crate::config::servers::{self, ServerLine};
use crate::config::value::Value;

/// A server line that can be read.
#[derive(Debug)]
pub(in crate::config) struct Listed {
    /// Its name, as written.
    pub(in crate::config) name: String,
    pub(in crate::config) origin: Origin,
    pub(in crate::config) line: ServerLine,
}

impl Listed {
    /// A reason not to start that is about this line.
    pub(super) fn problem(&self, text: &str) -> Problem {
        let text = format!("{}: {text}", self.name);
        Problem { origin: self.origin.clone(), text }
    }
}

/// Reads the lines of the findings, by the numbers of the servers. What is wrong with one becomes
/// its verdict.
pub(in crate::config) fn read(findings: &mut [Finding], values: &Values) -> Vec<Listed> {
    keep_files_apart(findings, values);
    refuse_repeated(findings);
    let mut listed = Vec::new();
    for finding in findings.iter_mut() {
        let Some(found) = finding.found.as_ref().filter(|found| found.row.key == "server.*") else {
            continue;
        };
        if finding.verdict != Verdict::Used {
            continue;
        }
        match servers::parse(&found.key, &finding.entry.value) {
            Ok(line) => listed.push(Listed {
                name: finding.entry.name.clone(),
                origin: finding.entry.origin.clone(),
                line,
            }),
            Err(text) => finding.verdict = Verdict::Bad(text),
        }
    }
    listed.sort_by_key(|listed| listed.line.id);
    listed
}

/// ZooKeeper takes no server line from `zoo.cfg` beside a file of servers, and from that file
/// nothing else.
fn keep_files_apart(findings: &mut [Finding], values: &Values) {
    let held = values.held("dynamicConfigFile");
    let Value::Text(dynamic) = &held.value else { return };
    for finding in findings {
        let Origin::Line { file, .. } = &finding.entry.origin else { continue };
        let is_list = finding
            .found
            .as_ref()
            .is_some_and(|found| ["server.*", "group.*", "weight.*"].contains(&found.row.key));
        let why = match (is_list, **file == **dynamic) {
            (true, true) | (false, false) => continue,
            (true, false) => {
                format!("the servers are listed in {dynamic}, and only there; move this line there")
            }
            (false, true) => "this file only lists servers; move the line to zoo.cfg".to_owned(),
        };
        finding.verdict = Verdict::Refused(why);
    }
}

/// One server under two spellings in one file. In ZooKeeper one of them wins by chance.
fn refuse_repeated(findings: &mut [Finding]) {
    for finding in findings {
        let Verdict::Overridden(by) = &finding.verdict else { continue };
        let is_server = finding.found.as_ref().is_some_and(|found| found.row.key == "server.*");
        if is_server && same_file(&finding.entry.origin, by) {
            finding.verdict = Verdict::Refused(same_number(by));
        }
    }
}

fn same_file(one: &Origin, other: &Origin) -> bool {
    match (one, other) {
        (Origin::Line { file: one, .. }, Origin::Line { file: other, .. }) => one == other,
        _ => false,
    }
}

/// What is said of a server line whose number another one has.
pub(super) fn same_number(other: &Origin) -> String {
    format!("{other} has the same number; give each server a number of its own")
}

/// A line that is there twice is a warning for a server on its own. In an ensemble one server is
/// probably missing then.
pub(in crate::config) fn refuse_replaced(
    replaced: Vec<Replaced>,
    warnings: &mut Vec<Warning>,
    problems: &mut Vec<Problem>,
) {
    for Replaced { name, origin, by } in replaced {
        warnings.retain(|warning| warning.origin != origin);
        problems.push(Problem { origin, text: format!("{name}: {}", same_number(&by)) });
    }
}
