//! The file of the audit log, and its rotation.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ringkeeper_engine::Millis;
use ringkeeper_engine::audit::{AuditLine, Ending};
use time::OffsetDateTime;
use time::macros::format_description;

/// A file that lines are added to. A full one is renamed: `audit.log.1` is the newest of those.
pub(super) struct AuditFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: Option<u64>,
    files: u32,
    text: String,
}

impl AuditFile {
    /// Opens the file, or makes it. `files` is how many full ones are kept.
    pub(super) fn open(path: PathBuf, bytes_max: Option<u64>, files: u32) -> io::Result<AuditFile> {
        let (file, bytes) = append(&path)?;
        Ok(AuditFile { path, file, bytes, bytes_max, files, text: String::new() })
    }

    /// Adds lines, with one call where they fit. `server` is the user of the server itself.
    pub(super) fn write(
        &mut self,
        lines: &mut dyn Iterator<Item = &AuditLine>,
        server: &str,
    ) -> io::Result<()> {
        self.text.clear();
        for line in lines {
            let level = if line.ending == Ending::Failure { "ERROR" } else { "INFO" };
            let head = [&moment(line.time), " ", level, " audit: ", &line.text(server), "\n"];
            self.text.extend(head);
        }
        if self.bytes_max.is_some_and(|max| self.bytes > 0 && self.bytes >= max) {
            self.begin_anew()?;
        }
        self.file.write_all(self.text.as_bytes())?;
        self.bytes += self.text.len() as u64;
        Ok(())
    }

    /// Opens the file of this name, which may be another one now.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.bytes) = append(&self.path)?;
        Ok(())
    }

    /// Renames every file to the next number, the oldest over the edge, and begins a new one.
    fn begin_anew(&mut self) -> io::Result<()> {
        for number in (1..self.files).rev() {
            let from = numbered(&self.path, number);
            if from.exists() {
                std::fs::rename(from, numbered(&self.path, number + 1))?;
            }
        }
        std::fs::rename(&self.path, numbered(&self.path, 1))?;
        (self.file, self.bytes) = append(&self.path)?;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = File::options().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// `2026-11-21T05:00:35.889Z`.
fn moment(time: Millis) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let nanos = i128::from(time.0) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos);
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH).format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::audit::Operation;

    use super::*;

    fn line(ending: Ending) -> AuditLine {
        AuditLine::of_server(Operation::ServerStart, Millis(1_795_227_477_622), ending)
    }

    #[test]
    fn lines_are_added_behind_what_is_there() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("audit.log");
        for ending in [Ending::Success, Ending::Failure] {
            let mut file = AuditFile::open(path.clone(), Some(1 << 20), 2).expect("a file");
            file.write(&mut [line(ending)].iter(), "root").expect("there is space");
        }
        let text = std::fs::read_to_string(path).expect("a file");
        let expected = "2026-11-21T02:17:57.622Z INFO audit: user=root\toperation=serverStart\t\
                        result=success\n\
                        2026-11-21T02:17:57.622Z ERROR audit: user=root\toperation=serverStart\t\
                        result=failure\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn full_files_are_kept_up_to_a_number() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("audit.log");
        let mut file = AuditFile::open(path.clone(), Some(1), 2).expect("a file");
        for user in ["a", "b", "c", "d"] {
            file.write(&mut [line(Ending::Success)].iter(), user).expect("there is space");
        }
        let user = |path: &Path| {
            let text = std::fs::read_to_string(path).expect("a file");
            assert_eq!(text.lines().count(), 1);
            text.split("user=").nth(1).and_then(|rest| rest.chars().next())
        };
        assert_eq!(user(&path), Some('d'));
        assert_eq!(user(&numbered(&path, 1)), Some('c'));
        assert_eq!(user(&numbered(&path, 2)), Some('b'));
        assert!(!numbered(&path, 3).exists(), "the oldest has gone");
    }
}
