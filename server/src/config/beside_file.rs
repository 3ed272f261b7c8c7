//! Variables of the container image beside a `zoo.cfg`.
//!
//! The image writes a file of its variables only where there is none, so a file rules: a variable
//! that says something else is told, and never stops a start. What the file does not say, a
//! variable may.

use std::sync::Arc;

use super::origin::{Origin, Warning, Weight};
use super::resolve::{Finding, Values, Verdict};
use super::table::Kind;
use super::value;

/// Takes back what only a variable has wrong, and says where one differs from the file.
pub(super) fn file_rules(
    file: &Arc<str>,
    values: &Values,
    findings: &mut [Finding],
    warnings: &mut Vec<Warning>,
) {
    for finding in findings {
        if !matches!(finding.entry.origin, Origin::Variable(_)) {
            continue;
        }
        let Some((weight, text)) = remark(file, values, finding) else { continue };
        let text = format!("{}: {text}", finding.entry.name);
        warnings.push(Warning { weight, origin: finding.entry.origin.clone(), text });
        if matches!(finding.verdict, Verdict::Refused(_) | Verdict::Bad(_)) {
            finding.verdict = Verdict::Overridden(Origin::File(file.clone()));
        }
    }
}

fn remark(file: &str, values: &Values, finding: &Finding) -> Option<(Weight, String)> {
    match &finding.verdict {
        Verdict::Refused(why) | Verdict::Bad(why) => {
            Some((Weight::Warning, format!("it is not used, for {file} rules: {why}")))
        }
        Verdict::Overridden(Origin::Line { file, line }) => {
            let row = finding.found.as_ref()?.row;
            let held = (!row.is_family()).then(|| values.held(row.key))?;
            let said = value::parse(row, row.key, &finding.entry.value);
            if said.is_ok_and(|said| said == held.value) {
                return None;
            }
            let text = match row.kind {
                Kind::Secret => format!("it is not used: {file}:{line} says something else"),
                _ => format!("it is not used: {file}:{line} says {}", held.text),
            };
            Some((Weight::Warning, text))
        }
        Verdict::Used => Some((Weight::Note, format!("it is used, for {file} says nothing of it"))),
        Verdict::Overridden(_)
        | Verdict::Default
        | Verdict::NotYet(_)
        | Verdict::NoMeaning(_)
        | Verdict::Unknown(_) => None,
    }
}
