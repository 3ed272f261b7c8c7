//! Results as they are kept: one JSON document with everything that is needed to read, compare
//! and repeat a measurement. `docs/use/bench/results.md` describes it.

mod environment;
mod latencies;
mod load_group;
mod run;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use environment::{Host, load_average};
pub(crate) use latencies::{Operation, encode};
pub(crate) use load_group::{LoadGroup, loads};
pub(crate) use run::Run;

/// Name and version of the document's form. The version changes when a reader of the old form
/// would misunderstand the new one; new fields alone do not change it.
pub(crate) const SCHEMA: &str = "ringkeeper-bench/1";

/// What a session of measurements leaves behind.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    pub tool: String,
    /// When it began, in UTC.
    pub date: String,
    pub command: Vec<String>,
    pub host: Host,
    /// The runs, in the order in which they were made.
    pub results: Vec<Run>,
    /// Loads that were asked for and could not be measured, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// A comparison of the targets, from `bench versus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versus: Option<Value>,
    /// Searches for the highest rate, from `--search`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<Value>,
    /// What `check`, `--search` and `--fail-if` came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
}

/// What one question about the runs came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Whether it makes the whole fail.
    pub failed: bool,
    /// The question and the answer, in words.
    pub text: String,
}

impl Document {
    /// Of a session that begins now.
    pub(crate) fn begin() -> Document {
        Document {
            schema: SCHEMA.into(),
            tool: concat!("ringkeeper bench ", env!("CARGO_PKG_VERSION")).into(),
            date: date(SystemTime::now()),
            command: std::env::args().collect(),
            host: Host::describe(),
            ..Document::default()
        }
    }

    /// Reads a file, and says what is wrong with one that is none of ours.
    pub(crate) fn read(path: &Path) -> Result<Document> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        Document::parse(&text).with_context(|| format!("{shown} is no result of `bench --json`"))
    }

    fn parse(text: &str) -> Result<Document> {
        let value: Value = serde_json::from_str(text).context("it is no JSON")?;
        match value["schema"].as_str() {
            Some(SCHEMA) => {}
            Some(other) => bail!("its form is {other:?}; this program reads {SCHEMA:?}"),
            None => bail!("it does not say its form: a field \"schema\" is missing"),
        }
        let document: Document = serde_json::from_value(value)?;
        if document.results.is_empty() {
            bail!("it holds no runs");
        }
        Ok(document)
    }

    /// Writes it to a file, or to the standard output as `-`.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        save(path, &format!("{text}\n"))
    }

    /// The command line as a shell takes it.
    pub(crate) fn command_line(&self) -> String {
        command_line(&self.command)
    }
}

/// Writes a text to a file, or to the standard output as `-`. What was in the file stays there if
/// this fails: a full disk must not cost what was kept before.
pub(crate) fn save(path: &Path, text: &str) -> Result<()> {
    if path.as_os_str() == "-" {
        // A reader that closed the pipe does not need the text.
        let _ = std::io::stdout().write_all(text.as_bytes());
        return Ok(());
    }
    replace(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Devices and pipes cannot be replaced, and a link is to stay one.
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::write(path, text);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It may not even have come into being.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Whether a file can be written later, as far as that is known now.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    if path.as_os_str() == "-" {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK)
        .or_else(|error| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).map_err(|_| error));
    writable.with_context(|| format!("cannot write {}", path.display()))?;
    if path.is_dir() {
        bail!("cannot write {}: it is a directory", path.display());
    }
    Ok(())
}

/// A time as RFC 3339, in whole seconds of UTC.
pub(crate) fn date(time: SystemTime) -> String {
    use time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::from(time).replace_nanosecond(0);
    time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

fn command_line(words: &[String]) -> String {
    let program = words.first().map_or("ringkeeper", String::as_str);
    let program = program.rsplit('/').next().unwrap_or(program);
    let words = std::iter::once(program).chain(words.iter().skip(1).map(String::as_str));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::error::error_text;

    #[test]
    fn command_line_is_shell_quoted() {
        let words = ["/opt/x/ringkeeper", "bench", "--fail-if", "p99>5ms", "it's"];
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        assert_eq!(command_line(&words), r"ringkeeper bench --fail-if 'p99>5ms' 'it'\''s'");
    }

    #[test]
    fn failed_save_keeps_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        save(&file, "one").unwrap();
        save(&file, "two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        fs::create_dir(folder.path().join("a.json.part")).unwrap();
        assert!(save(&file, "three").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        let full = Path::new("/dev/full");
        let error = error_text(&save(full, "x").unwrap_err());
        assert!(error.starts_with("cannot write /dev/full: No space left"), "{error}");
        assert!(check_writable(full).is_ok() && check_writable(&file).is_ok());
        assert!(check_writable(folder.path()).is_err());
        assert!(check_writable(&folder.path().join("none/a.json")).is_err());
    }

    #[test]
    fn foreign_document_is_rejected_with_reason() {
        for (text, reason) in [
            ("x", "no JSON"),
            ("{}", "\"schema\" is missing"),
            (r#"{"schema": "ringkeeper-bench/9"}"#, "its form is"),
            (r#"{"schema": "ringkeeper-bench/1"}"#, "missing field"),
        ] {
            let error = format!("{:#}", Document::parse(text).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
        let mut document = Document::begin();
        let empty = serde_json::to_string(&document).unwrap();
        assert!(Document::parse(&empty).unwrap_err().to_string().contains("no runs"));
        document.results.push(Run::sample("get", 1_000.0));
        let text = serde_json::to_string(&document).unwrap();
        assert!(Document::parse(&text).unwrap() == document, "{text}");
    }

    #[test]
    fn dates_are_in_utc() {
        assert_eq!(date(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }
}
