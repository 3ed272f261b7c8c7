//! Words that say nothing, and marks of unfinished work.

use crate::Finding;
use crate::files::Source;
use crate::ratchet::{Known, Measured};

/// Words that name no responsibility (glossary, house style).
const EMPTY: &[&str] = &[
    "manager",
    "managers",
    "helper",
    "helpers",
    "util",
    "utils",
    "info",
    "infos",
    "handler",
    "handlers",
    "processor",
    "processors",
    "context",
    "contexts",
];

/// Names that may carry such a word, and why.
const NAMED_SO: &[(&str, &str)] = &[
    ("info", "the module of `ServerInfo`"),
    ("ServerInfo", "what reports say of the server; a better name is welcome"),
];

/// What begins a definition whose name is looked at.
const ITEMS: &[&str] = &["struct ", "enum ", "trait ", "union ", "type ", "fn ", "mod "];

/// What must not stand in any code, and what to do instead.
const HALF_DONE: &[(&str, &str)] = &[
    ("todo!(", "do it, or leave the feature out"),
    ("unimplemented!(", "do it, or leave the feature out"),
    ("dbg!(", "take it out"),
    ("#[ignore", "a test runs or goes"),
    ("#[should_panic", "look at what is returned, or catch the panic and look at its message"),
];

/// Waits in tests: each is a step of a poll with a time limit, or the very thing under test.
pub(crate) const SLEEPS: &[Known] = &[(
    "bench/tests/fake/mod.rs",
    "",
    1,
    "the stall of a server, which has to show in the figures",
)];

pub(crate) fn empty_names(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look_at = |line: usize, name: &str| {
        let allowed = NAMED_SO.iter().any(|(allowed, _)| *allowed == name);
        for word in parts(name).iter().filter(|part| EMPTY.contains(&part.as_str()) && !allowed) {
            let what = format!("`{name}` is called a {word}: say what it does");
            findings.push(Finding::new(&source.path, line, what));
        }
    };
    let stem = source.path.rsplit('/').next().unwrap_or("").trim_end_matches(".rs");
    look_at(1, stem);
    for (number, line) in source.lines() {
        for name in defined(line) {
            look_at(number, &name);
        }
    }
    findings
}

/// Names of the items that a line of blanked code defines.
fn defined(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for item in ITEMS {
        for (at, _) in line.match_indices(item) {
            let before = line[..at].chars().next_back();
            if before.is_none_or(|c| c.is_whitespace()) {
                let rest = line[at + item.len()..].chars();
                names.push(rest.take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            }
        }
    }
    names
}

/// The words of a name, in lower case: `SessionTable` and `session_table` are the same.
fn parts(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        let last = words.last_mut().expect("it is never empty");
        if c == '_' || (c.is_uppercase() && !last.is_empty()) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("it is never empty").extend(c.to_lowercase());
        }
    }
    words
}

pub(crate) fn half_done(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.lines() {
        for (mark, instead) in HALF_DONE.iter().filter(|(mark, _)| line.contains(mark)) {
            let what = format!("`{mark}`: {instead}");
            findings.push(Finding::new(&source.path, number, what));
        }
    }
    findings
}

pub(crate) fn sleeps(source: &Source) -> Vec<Measured> {
    let from = if source.is_test_file() { 1 } else { source.tests_from };
    let lines = source.lines().filter(|(number, _)| *number >= from);
    let found: Vec<usize> =
        lines.filter(|(_, line)| has_call(line, "sleep(")).map(|(number, _)| number).collect();
    let Some(first) = found.first() else { return Vec::new() };
    let what = format!(
        "{} sleeps in tests: wait for the event itself, or poll for it with a time limit",
        found.len()
    );
    vec![Measured { line: *first, name: String::new(), size: found.len(), what }]
}

fn has_call(line: &str, call: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(call).any(|(at, _)| !line[..at].ends_with(is_name))
}

#[test]
fn names_are_cut_into_words() {
    assert_eq!(parts("SessionTable"), ["session", "table"]);
    assert_eq!(parts("read_all"), ["read", "all"]);
    let count = |text: &str| empty_names(&Source::new("a.rs", text)).len();
    assert_eq!(count("pub struct EventHandler;\nfn read_util() {}\nmod context;\n"), 3);
    assert_eq!(count("fn utilise(information: Handler) -> Context {}\n// a manager\n"), 0);
    assert_eq!(empty_names(&Source::new("engine/src/utils.rs", "")).len(), 1);
}

#[test]
fn unfinished_work_is_seen() {
    let seen = |text: &str| half_done(&Source::new("a.rs", text)).len();
    assert_eq!(seen("todo!()\nfn a() { dbg!(1); }\n#[ignore = \"slow\"]\n"), 3);
    assert_eq!(seen("// todo!()\nlet a = \"dbg!(1)\";\n"), 0);
}

#[test]
fn sleeps_count_in_tests_only() {
    let text = "fn a() { thread::sleep(X); }\n#[cfg(test)]\nmod tests {\n    sleep(X);\n}\n";
    assert_eq!(sleeps(&Source::new("server/src/a.rs", text))[0].size, 1);
    assert_eq!(sleeps(&Source::new("server/tests/a.rs", text))[0].size, 2);
    assert!(sleeps(&Source::new("server/src/a.rs", "thread::sleep(X);\n")).is_empty());
}
