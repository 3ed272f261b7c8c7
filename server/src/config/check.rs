//! `ringkeeper check`: what each line of a configuration does here.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

use super::Paint;
use super::ensemble::report;
use super::env::Env;
use super::load::{Explanation, explain};
use super::origin::{Origin, Problem, Warning};
use super::resolve::{Finding, Verdict};
use super::settings::Settings;
use crate::cli::CheckArgs;

/// Whether a server would start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It would.
    Starts,
    /// It would not, for its configuration.
    BadConfiguration,
    /// It would not, for what there is around it.
    DoesNotStart,
}

impl Checked {
    /// The exit code for the shell: that of the start.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Checked::Starts => ExitCode::SUCCESS,
            Checked::BadConfiguration => ExitCode::from(2),
            Checked::DoesNotStart => ExitCode::FAILURE,
        }
    }
}

/// Looks at what is around the configuration, and says why a server would not start.
pub(crate) type Look<'a> = dyn Fn(&Settings) -> Result<(), String> + 'a;

/// Writes what each entry of a configuration does, and whether a server would start with it.
/// `look` is asked where the configuration itself has no fault.
pub fn run(
    args: &CheckArgs,
    (env, look): (&Env, &Look<'_>),
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<Checked> {
    let explanation = explain(&args.start, env);
    let obstacle = explanation.settings.as_ref().ok().and_then(|settings| look(settings).err());
    if args.json {
        writeln!(out, "{:#}", as_json(&explanation, obstacle.as_deref()))?;
    } else {
        Report { explanation: &explanation, obstacle: obstacle.as_deref(), paint, out }.write()?;
    }
    Ok(match (explanation.settings, obstacle) {
        (Ok(_), None) => Checked::Starts,
        (Ok(_), Some(_)) => Checked::DoesNotStart,
        (Err(_), _) => Checked::BadConfiguration,
    })
}

/// The entries in the order in which people read them: file by file, line by line.
fn ordered(findings: &[Finding]) -> Vec<&Finding> {
    let mut ordered: Vec<&Finding> = findings.iter().collect();
    ordered.sort_by_key(|finding| match &finding.entry.origin {
        Origin::Line { file, line } => (0, file.to_string(), *line),
        other => (1, group(other), 0),
    });
    ordered
}

/// The heading entries stand under.
fn group(origin: &Origin) -> String {
    match origin {
        Origin::Line { file, .. } | Origin::File(file) => file.to_string(),
        Origin::Option(_) | Origin::Property | Origin::Argument => "command line".to_owned(),
        Origin::JvmFlags(_) | Origin::Variable(_) => "environment".to_owned(),
        Origin::Bare | Origin::Derived(_) | Origin::Default => "defaults".to_owned(),
    }
}

/// What is printed before an entry under its heading.
fn position(origin: &Origin) -> String {
    match origin {
        Origin::Line { line, .. } => line.to_string(),
        Origin::Argument | Origin::Bare => String::new(),
        other => other.to_string(),
    }
}

struct Report<'a> {
    explanation: &'a Explanation,
    /// Why a server would not start although the configuration has no fault.
    obstacle: Option<&'a str>,
    paint: Paint,
    out: &'a mut dyn Write,
}

impl Report<'_> {
    fn write(&mut self) -> io::Result<()> {
        let mut heading = String::new();
        for finding in ordered(&self.explanation.findings) {
            let group = group(&finding.entry.origin);
            if group != heading {
                writeln!(self.out, "{}", self.paint.bold(&group))?;
                heading = group;
            }
            self.entry(finding)?;
        }
        if let Some(ensemble) = &self.explanation.ensemble {
            let heading = self.paint.bold("ensemble");
            write!(self.out, "{heading}\n{}", report::text(ensemble))?;
        }
        for warning in loose_warnings(self.explanation) {
            writeln!(self.out, "{} {warning}", self.paint.warning("warning:"))?;
        }
        for problem in loose_problems(self.explanation) {
            writeln!(self.out, "{} {problem}", self.paint.bad("error:"))?;
        }
        self.verdict()
    }

    fn entry(&mut self, finding: &Finding) -> io::Result<()> {
        let label = format!("{:<10}", finding.label());
        let painted = match &finding.verdict {
            Verdict::Used => self.paint.good(&label),
            Verdict::Default | Verdict::Overridden(_) | Verdict::NoMeaning(_) => {
                self.paint.faint(&label)
            }
            Verdict::NotYet(_) | Verdict::Unknown(_) => self.paint.warning(&label),
            Verdict::Refused(_) | Verdict::Bad(_) => self.paint.bad(&label),
        };
        let position = position(&finding.entry.origin);
        let (name, value) = (&finding.entry.name, finding.shown());
        writeln!(self.out, "{position:>5}  {painted}  {name}={value}")?;
        match finding.reason() {
            Some(reason) => writeln!(self.out, "{:19}{reason}", ""),
            None => Ok(()),
        }
    }

    fn verdict(&mut self) -> io::Result<()> {
        match &self.explanation.settings {
            Ok(_) if self.obstacle.is_some() => {
                let why = self.obstacle.unwrap_or_default();
                let error = self.paint.bad("error:");
                let text = self.paint.bad("A server would not start with this");
                writeln!(self.out, "{error} {why}\n{text}, here and now.")
            }
            Ok(settings) => {
                let text = self.paint.good("A server would start with this.");
                writeln!(self.out, "{text} {}", summary(settings))
            }
            Err(error) => {
                let reasons = match error.problems.len() {
                    1 => "1 reason".to_owned(),
                    count => format!("{count} reasons"),
                };
                let text = self.paint.bad("A server would not start with this");
                writeln!(self.out, "{text}, for {reasons}.")
            }
        }
    }
}

fn summary(settings: &Settings) -> String {
    let tls = settings.secure_client_port.0.map(|port| format!("port {port} with TLS"));
    let plain = settings.client_port.0.map(|port| format!("port {port}"));
    let ports: Vec<String> = plain.into_iter().chain(tls).collect();
    format!(
        "It would serve {} and keep its state in {}.",
        ports.join(" and "),
        settings.data_dir.display()
    )
}

/// What is said about the configuration but not about one entry of it.
fn loose_warnings(explanation: &Explanation) -> impl Iterator<Item = &Warning> {
    explanation.warnings.iter().filter(|warning| {
        !explanation.findings.iter().any(|f| f.warning().as_ref() == Some(*warning))
    })
}

fn loose_problems(explanation: &Explanation) -> impl Iterator<Item = &Problem> {
    let problems = explanation.settings.as_ref().err().map(|error| error.problems.as_slice());
    problems.unwrap_or_default().iter().filter(|problem| {
        !explanation.findings.iter().any(|f| f.problem().as_ref() == Some(*problem))
    })
}

fn as_json(explanation: &Explanation, obstacle: Option<&str>) -> serde_json::Value {
    let entries: Vec<_> = ordered(&explanation.findings).into_iter().map(entry_json).collect();
    let warnings: Vec<String> = explanation.warnings.iter().map(ToString::to_string).collect();
    let (problems, settings) = match &explanation.settings {
        Ok(settings) => {
            let problems: Vec<String> = obstacle.into_iter().map(str::to_owned).collect();
            (problems, settings_json(settings))
        }
        Err(error) => (error.problems.iter().map(ToString::to_string).collect(), json!(null)),
    };
    json!({
        "starts": explanation.settings.is_ok() && obstacle.is_none(),
        "entries": entries,
        "warnings": warnings,
        "problems": problems,
        "settings": settings,
        "ensemble": explanation.ensemble.as_ref().map(report::json),
    })
}

fn entry_json(finding: &Finding) -> serde_json::Value {
    let line = match &finding.entry.origin {
        Origin::Line { line, .. } => json!(line),
        _ => json!(null),
    };
    json!({
        "origin": finding.entry.origin.to_string(),
        "line": line,
        "name": finding.entry.name,
        "key": finding.found.as_ref().map(|found| found.key.clone()),
        "value": finding.shown(),
        "verdict": finding.label(),
        "reason": finding.reason(),
    })
}

fn settings_json(settings: &Settings) -> serde_json::Value {
    let described = settings.described().map(|(key, text, origin)| {
        (key.to_owned(), json!({ "value": text, "origin": origin.to_string() }))
    });
    serde_json::Value::Object(described.collect())
}
