//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::mask::mask;

/// Folders that hold what tools made.
const SKIPPED: &[&str] = &[".git", "target", "ringkeeper-data", "__pycache__", "node_modules"];
/// Ends of names of files that are text.
const TEXTS: &[&str] =
    &["rs", "toml", "md", "txt", "py", "sh", "yml", "yaml", "json", "c", "java", "conf", "cfg"];

/// A Rust file.
pub(crate) struct Source {
    /// From the root of the repository, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with strings and comments blanked: same lines, same columns.
    pub(crate) code: String,
    /// The first line (from 1) of the tests at the file's end; one past the last without any.
    pub(crate) tests_from: usize,
}

/// Everything that was read.
pub(crate) struct Tree {
    pub(crate) sources: Vec<Source>,
    /// Every text file, Rust included, by path.
    pub(crate) texts: Vec<(String, String)>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let code = mask(text);
        let lines: Vec<&str> = code.lines().collect();
        let begins = |window: &[&str]| {
            window[0].starts_with("#[cfg(test)]") && window[1].trim_start().starts_with("mod ")
        };
        let found = lines.windows(2).position(begins);
        let tests_from = found.map_or(lines.len() + 1, |index| index + 1);
        Source { path: path.into(), text: text.into(), code, tests_from }
    }

    /// Whether the whole file is tests, examples or measurements.
    pub(crate) fn is_test_file(&self) -> bool {
        let folders = ["/tests/", "/examples/", "/benches/", "/fuzz/"];
        let names = ["tests.rs", "testing.rs", "_tests.rs", "/model.rs"];
        folders.iter().any(|part| self.path.contains(part))
            || names.iter().any(|end| self.path.ends_with(end))
    }

    /// Lines of blanked code that are not tests, numbered from 1.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test_file() { 1 } else { self.tests_from };
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line)).take(end - 1)
    }

    /// Lines of blanked code, numbered from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

impl Tree {
    /// The repository, read once for all rules.
    pub(crate) fn get() -> &'static Tree {
        static TREE: OnceLock<Tree> = OnceLock::new();
        TREE.get_or_init(Tree::read)
    }

    fn read() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("server has a parent");
        let mut tree = Tree { sources: Vec::new(), texts: Vec::new() };
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for path in entries(&folder) {
                let name = path.file_name().expect("an entry has a name").to_string_lossy();
                if path.is_dir() {
                    let built = folder.join(&*name).join("CACHEDIR.TAG").exists();
                    if !SKIPPED.contains(&&*name) && !built {
                        folders.push(path);
                    }
                } else if name != ".git" {
                    tree.add(root, &path);
                }
            }
        }
        tree.sources.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    fn add(&mut self, root: &Path, path: &Path) {
        let inner = path.strip_prefix(root).expect("the walk began at the root");
        let extension = path.extension().map(|end| end.to_string_lossy().into_owned());
        if !extension.as_deref().is_none_or(|end| TEXTS.contains(&end)) {
            return;
        }
        let Ok(text) = fs::read_to_string(path) else { return };
        let inner = inner.to_string_lossy().into_owned();
        if extension.as_deref() == Some("rs") {
            self.sources.push(Source::new(&inner, &text));
        }
        self.texts.push((inner, text));
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the repository can be read");
    entries.map(|entry| entry.expect("an entry can be read").path()).collect()
}

#[test]
fn tests_at_the_end_of_a_file_do_not_count_as_its_code() {
    let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
    let source = Source::new("engine/src/a.rs", text);
    assert_eq!(source.tests_from, 3);
    assert_eq!(source.product_lines().count(), 2);
    assert_eq!(Source::new("engine/tests/a.rs", text).product_lines().count(), 0);
    assert_eq!(Source::new("engine/src/a.rs", "fn a() {}\n").product_lines().count(), 1);
}
