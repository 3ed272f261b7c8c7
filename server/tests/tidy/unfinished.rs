//! Marks of unfinished work, and waits that are no proof.

use crate::Finding;
use crate::files::Source;
use crate::ratchet::{Known, Measured};

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
