//! Keeps the runs of a session and puts them where they were asked for: a long session that is
//! cut short keeps what it has.

use std::path::{Path, PathBuf};

use anyhow::{Error, Result, bail};

use crate::cli::OutputArgs;
use crate::model::error::error_text;
use crate::record::hdr::{self, HdrLog};
use crate::record::results::{Document, LoadGroup, Run, Verdict, check_writable, loads, save};
use crate::show::condition::{Condition, ConditionResult, judge};
use crate::show::live::Live;

/// Whether the figures stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Nothing was wrong.
    Good,
    /// Something was wrong, or is missing.
    Bad,
    /// They stand, and one of `--fail-if` holds.
    ConditionFailed,
}

/// The runs of a session.
#[derive(Debug)]
pub(crate) struct ResultWriter {
    pub document: Document,
    /// Why a file could not be written.
    failure: Option<Error>,
    json: Option<PathBuf>,
    html: Option<PathBuf>,
    hgrm: Option<PathBuf>,
    conditions: Vec<Condition>,
    baseline: Option<Document>,
}

impl ResultWriter {
    /// Looks at everything that could fail later, before any time is spent.
    pub(crate) fn open(output: &OutputArgs) -> Result<ResultWriter> {
        let baseline = output.baseline.as_deref().map(Document::read).transpose()?;
        if baseline.is_none()
            && let Some(condition) = output.fail_if.iter().find(|one| one.is_relative())
        {
            bail!("--fail-if '{condition}' is a change: it needs --baseline FILE to start from");
        }
        if baseline.is_some() && !output.fail_if.iter().any(Condition::is_relative) {
            bail!("--baseline is for changes: --fail-if 'p99>+10%', or see `bench compare`");
        }
        let files = [&output.json, &output.html, &output.hgrm, &output.hdr];
        if files.iter().filter(|file| is_stdout(file.as_deref())).count() > 1 {
            bail!("only one result can go to the standard output");
        }
        if is_stdout(output.hdr.as_deref()) {
            bail!("--hdr needs a file");
        }
        for file in files.into_iter().flatten() {
            check_writable(file)?;
        }
        Ok(ResultWriter {
            document: Document::begin(),
            failure: None,
            json: output.json.clone(),
            html: output.html.clone(),
            hgrm: output.hgrm.clone(),
            conditions: output.fail_if.clone(),
            baseline,
        })
    }

    /// Adds a run, and brings the JSON up to date. If that fails, measuring goes on: the tables
    /// are worth having, and other files may do.
    pub(crate) fn add(&mut self, run: Run) {
        self.document.results.push(run);
        if let Some(path) = self.json.clone().filter(|path| path.as_os_str() != "-") {
            let written = self.document.write(&path);
            self.note(written);
        }
    }

    /// A load could not be measured. What was measured before is kept, with a mark; if there is
    /// nothing, this is the end.
    pub(crate) fn fail(&mut self, title: &str, error: Error) -> Result<()> {
        if self.document.results.is_empty() {
            return Err(error);
        }
        let story = format!("{title}: {}", error_text(&error));
        eprintln!("bench: {story}");
        self.document.failed.push(story);
        Ok(())
    }

    /// Writes what is only written at the end; `page` makes the HTML. All files are tried; the
    /// first failure is the one that is reported.
    pub(crate) fn close(&mut self, page: impl Fn(&Document) -> String) -> Result<()> {
        // A condition that cannot be looked at is reported where the outcome is made.
        let judged = self.judged().unwrap_or_default();
        self.document.verdicts.extend(judged.into_iter().map(Verdict::from));
        if let Some(path) = &self.json {
            let written = self.document.write(path);
            self.note(written);
        }
        if let Some(path) = &self.html {
            let written = save(path, &page(&self.document));
            self.note(written);
        }
        let groups = loads(&self.document.results);
        let files = self.hgrm.iter().flat_map(|path| named(path, &groups));
        let written = files.map(|(path, group)| save(&path, &distribution(group)?));
        let written: Vec<_> = written.collect();
        written.into_iter().for_each(|written| self.note(written));
        self.failure.take().map_or(Ok(()), Err)
    }

    fn note(&mut self, written: Result<()>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    /// Keeps what a question about the runs came to.
    pub(crate) fn conclude(&mut self, verdict: Verdict) {
        self.document.verdicts.push(verdict);
    }

    fn judged(&self) -> Result<Vec<ConditionResult>> {
        let baseline = self.baseline.as_ref().map(|document| &document.results[..]);
        judge(&self.conditions, &self.document.results, baseline)
    }

    /// Prints what became of the conditions, and sums up.
    pub(crate) fn outcome(&self, print: impl Fn(&str)) -> Result<Outcome> {
        let runs = &self.document.results;
        let verdicts = self.judged()?;
        for verdict in &verdicts {
            print(&format!("{}\n", verdict.text));
        }
        Ok(if !runs.iter().all(Run::is_good) || !self.document.failed.is_empty() {
            Outcome::Bad
        } else if verdicts.iter().any(|verdict| verdict.failed) {
            Outcome::ConditionFailed
        } else {
            Outcome::Good
        })
    }

    /// Whether the standard output is taken by a result.
    pub(crate) fn takes_stdout(&self) -> bool {
        [&self.json, &self.html, &self.hgrm].iter().any(|file| is_stdout(file.as_deref()))
    }
}

impl OutputArgs {
    /// What shows the course of the runs.
    pub(crate) fn live(&self) -> Result<Live> {
        let log = self.hdr.as_deref().map(HdrLog::create).transpose()?;
        Ok(Live::new(!self.quiet).with_log(log))
    }
}

fn is_stdout(path: Option<&Path>) -> bool {
    path.is_some_and(|path| path.as_os_str() == "-")
}

/// A file for each load: the one that was asked for, or several beside it, named by workload.
fn named<'a>(path: &Path, groups: &'a [LoadGroup<'a>]) -> Vec<(PathBuf, &'a LoadGroup<'a>)> {
    if let [group] = groups {
        return vec![(path.to_path_buf(), group)];
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or("hgrm".as_ref()).to_string_lossy();
    let file = |(at, group): (usize, &'a LoadGroup<'a>)| {
        let workload = group.runs.first().map_or("", |run| run.workload.as_str());
        let clean: String =
            workload.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let twice = groups[..at].iter().any(|other| other.runs[0].workload == workload);
        let number = if twice { format!("-{}", at + 1) } else { String::new() };
        (path.with_file_name(format!("{stem}-{clean}{number}.{extension}")), group)
    };
    groups.iter().enumerate().map(file).collect()
}

/// All operations of all runs of a load as one.
fn distribution(group: &LoadGroup<'_>) -> Result<String> {
    let mut all = crate::model::quantiles::histogram();
    for run in &group.runs {
        all.add(run.total.histogram()?).expect("it has room for all latencies");
    }
    Ok(hdr::percentiles(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_load_has_its_own_hgrm_file() {
        let runs = [Run::sample("mix:0.9", 10.0), Run::sample("get", 10.0)];
        let groups = loads(&runs);
        let paths = |groups| -> Vec<String> {
            let files = named(Path::new("out/x.hgrm"), groups);
            files.into_iter().map(|(path, _)| path.display().to_string()).collect()
        };
        assert_eq!(paths(&groups), ["out/x-mix-0-9.hgrm", "out/x-get.hgrm"]);
        assert_eq!(paths(&groups[..1]), ["out/x.hgrm"]);
        assert!(distribution(&groups[0]).unwrap().contains("Total count    =         1000"));
    }
}
