//! Is the house tidy? Sizes, words and borders that neither the compiler nor clippy looks at.
//!
//! A ratchet is a list of known violations with their size: the number may only go down, and a
//! violation that has gone leaves the list. Every message says where, what, and what to do.

#[path = "tidy/borders.rs"]
mod borders;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/glossary.rs"]
mod glossary;
#[path = "tidy/hosts.rs"]
mod hosts;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/items.rs"]
mod items;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/mask.rs"]
mod mask;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/ratchet.rs"]
mod ratchet;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/texts.rs"]
mod texts;
#[path = "tidy/tokens.rs"]
mod tokens;
#[path = "tidy/unfinished.rs"]
mod unfinished;
#[path = "tidy/words.rs"]
mod words;

use files::{Source, Tree};

/// One thing that is not as it should be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: path.into(), line, what: what.into() }
    }
}

fn report(mut findings: Vec<Finding>) {
    findings.sort();
    let lines = findings.iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.what));
    let lines: Vec<String> = lines.collect();
    assert!(lines.is_empty(), "{} things to tidy up:\n{}\n", lines.len(), lines.join("\n"));
}

/// Applies a rule to every Rust file of the repository.
fn everywhere(rule: impl Fn(&Source) -> Vec<Finding>) {
    let tree = Tree::get();
    assert!(tree.sources.len() > 100, "only {} Rust files were found", tree.sources.len());
    report(tree.sources.iter().flat_map(rule).collect());
}

#[test]
fn functions_are_short() {
    report(ratchet::hold(sizes::LONG_FUNCTIONS, &Tree::get().sources, sizes::long_functions));
}

#[test]
fn files_are_short() {
    report(ratchet::hold(sizes::LONG_FILES, &Tree::get().sources, sizes::long_file));
}

#[test]
fn lines_are_short() {
    everywhere(sizes::long_lines);
}

#[test]
fn names_have_no_banned_word() {
    report(words::banned(words::STILL, &Tree::get().sources));
}

#[test]
fn public_types_use_words_of_the_glossary() {
    report(glossary::unknown_words(Tree::get()));
}

#[test]
fn nothing_is_left_half_done() {
    everywhere(unfinished::half_done);
}

#[test]
fn tests_do_not_sleep() {
    report(ratchet::hold(unfinished::SLEEPS, &Tree::get().sources, unfinished::sleeps));
}

#[test]
fn tests_find_the_same_on_every_host() {
    everywhere(hosts::of_the_host);
}

#[test]
fn unsafe_stays_in_its_files() {
    everywhere(borders::unsafe_code);
}

#[test]
fn the_core_is_pure() {
    everywhere(borders::impure);
}

#[test]
fn files_import_in_one_direction() {
    report(circles::import_circles(circles::KNOWN, &Tree::get().sources));
}

#[test]
fn no_file_is_dead() {
    report(borders::dead_files(&Tree::get().sources));
}

#[test]
fn replication_depends_on_the_engine_only() {
    report(borders::replication_dependencies(Tree::get()));
}

#[test]
fn texts_know_no_machine() {
    let tree = Tree::get();
    report(tree.texts.iter().flat_map(|(path, text)| texts::of_one_machine(path, text)).collect());
}

#[test]
fn links_between_pages_resolve() {
    report(links::broken(Tree::get()));
}

#[test]
fn packages_come_from_the_public_registry() {
    report(texts::foreign_packages(Tree::get()));
}
