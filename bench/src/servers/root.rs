//! Where `/proc` and `/sys` are: at `/`, or in a copy of them that a test made.

use std::io;
use std::path::{Path, PathBuf};

/// Longest file that is read: everything of interest is a few lines.
const BYTES_MAX: u64 = 4 << 20;

/// The root of the file system that is looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// The root of this host, or a copy.
    pub fn new(path: impl Into<PathBuf>) -> Root {
        Root(path.into())
    }

    /// This host.
    pub fn host() -> Root {
        Root::new("/")
    }

    /// Whether it is this host, whose kernel can be asked too.
    pub fn is_host(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where an absolute path lies.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file. What is not UTF-8 is replaced: a strange byte is no reason to stop.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        use io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(self.at(path))?.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The only word or number of a file; nothing where it cannot be read or is empty.
    pub fn word(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = self.read(path).ok()?;
        let word = text.trim();
        (!word.is_empty()).then(|| word.to_owned())
    }

    /// The number in a file.
    pub fn number<T: std::str::FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        self.word(path)?.parse().ok()
    }

    /// Names in a directory, sorted; none where it cannot be listed.
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.at(path)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Whether there is such a file or directory.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).exists()
    }
}

/// The choice in force of a file such as `none [mq-deadline] kyber`; the whole word of others.
pub fn chosen(text: &str) -> &str {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text.trim(), |(word, _)| word.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_in_brackets() {
        assert_eq!(chosen("none [mq-deadline] kyber bfq\n"), "mq-deadline");
        assert_eq!(chosen("none\n"), "none");
        assert_eq!(chosen("always [madvise never\n"), "always [madvise never");
    }

    #[test]
    fn malformed_file_has_no_value() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("proc")).unwrap();
        std::fs::write(directory.path().join("proc/bytes"), b"\xff\xfe12\n").unwrap();
        std::fs::write(directory.path().join("proc/empty"), "\n").unwrap();
        std::fs::write(directory.path().join("proc/good"), " 12\n").unwrap();
        let root = Root::new(directory.path());
        assert_eq!(root.number::<u32>("/proc/good"), Some(12));
        assert_eq!(root.number::<u32>("/proc/bytes"), None);
        assert_eq!((root.word("/proc/empty"), root.word("/proc/none")), (None, None));
        assert_eq!(root.names("/proc"), ["bytes", "empty", "good"]);
        assert!(root.names("/none").is_empty() && root.has("/proc/good"));
    }
}
