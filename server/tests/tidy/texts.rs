//! What no text of the repository may say.

use crate::Finding;
use crate::files::Tree;

/// Where every package of the lock file comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Paths that exist on one machine only. They are cut in two so that this file does not hold them.
const MACHINE_PATHS: &[(&str, &str)] =
    &[("../sha", "red"), ("/wo", "rk/"), ("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/")];

/// A path that belongs to nobody, as an example.
const EXAMPLES: &[&str] = &["/home/ringkeeper", "/home/user"];

pub(crate) fn of_one_machine(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for place in MACHINE_PATHS.iter().map(|(head, tail)| format!("{head}{tail}")) {
            let found = line.match_indices(&place).any(|(at, _)| is_absolute(line, at));
            if found && !EXAMPLES.iter().any(|example| line.contains(example)) {
                let what = format!("{place} is a path of one machine: use a relative or made one");
                findings.push(Finding::new(path, index + 1, what));
            }
        }
    }
    findings
}

/// An absolute path begins where no other path goes on.
fn is_absolute(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '}' | '/' | '.'))
}

pub(crate) fn foreign_packages(tree: &Tree) -> Vec<Finding> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let lock = root.expect("server has a parent").join("Cargo.lock");
    let lock = std::fs::read_to_string(lock).expect("the lock file is kept with the sources");
    let mut findings = sources_of("Cargo.lock", &lock);
    for (path, text) in tree.texts.iter().filter(|(path, _)| path.ends_with(".toml")) {
        for (index, line) in text.lines().enumerate() {
            let mirror = ["[source.", "[registries", "replace-with", "registry = "];
            if mirror.iter().any(|word| line.trim_start().starts_with(word)) {
                let what = "a registry of one machine: configure it outside of the repository";
                findings.push(Finding::new(path, index + 1, what));
            }
        }
    }
    findings
}

fn sources_of(path: &str, lock: &str) -> Vec<Finding> {
    let lines = lock.lines().enumerate();
    let sources = lines.filter_map(|(index, line)| Some((index, line.strip_prefix("source = ")?)));
    let foreign = sources.filter(|(_, source)| source.trim_matches('"') != REGISTRY);
    let what = "a package from elsewhere: take it from crates.io";
    foreign.map(|(index, _)| Finding::new(path, index + 1, what)).collect()
}

#[test]
fn paths_of_one_machine_are_seen() {
    let bad = |text: &str| of_one_machine("a.md", text).len();
    assert_eq!(bad(&format!("see ..{}shared/x", "/")), 1);
    assert_eq!(bad(&format!("cd /{}/me", "home")), 1);
    assert_eq!(bad("target/debug, docs/work/x, $HOME/x, /home/user/data"), 0);
}

#[test]
fn foreign_sources_are_seen() {
    let own = format!("source = \"{REGISTRY}\"\n");
    assert!(sources_of("Cargo.lock", &own).is_empty());
    assert_eq!(sources_of("Cargo.lock", "source = \"git+https://example.org/x\"\n").len(), 1);
}
