//! The words of public types are those of the glossary.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;
use crate::files::{Source, Tree};
use crate::items::{Kind, items, parts};
use crate::words;

const PAGE: &str = "docs/glossary.md";
/// The heading above the list of plain words.
const PLAIN: &str = "## Plain words in type names";
/// Columns of a list that is printed to be pasted.
const COLUMNS: usize = 98;

pub(crate) fn unknown_words(tree: &Tree) -> Vec<Finding> {
    let page = tree.texts.iter().find(|(path, _)| path == PAGE);
    let (_, page) = page.expect("docs has a glossary");
    compare(page, &tree.sources)
}

/// Words of public types that the page lacks, and plain words that no type has.
fn compare(page: &str, sources: &[Source]) -> Vec<Finding> {
    let types = public_types(sources);
    let (terms, plain) = (terms(page), plain(page));
    let mut findings = Vec::new();
    let mut wanted = BTreeSet::new();
    for (word, places) in &types {
        if terms.contains(word) {
            continue;
        }
        wanted.insert(word.clone());
        if plain.contains_key(word) {
            continue;
        }
        let (path, line, name) = &places[0];
        let what = format!("`{name}`: `{word}` is no word of {PAGE}");
        findings.push(Finding::new(path, *line, what));
    }
    for (word, line) in plain.iter().filter(|(word, _)| !wanted.contains(*word)) {
        let why = if terms.contains(word) { "is a term too" } else { "is in no type's name" };
        let what = format!("`{word}` {why}: take it out of the list below \"{PLAIN}\"");
        findings.push(Finding::new(PAGE, *line, what));
    }
    if !findings.is_empty() {
        let what = format!(
            "a type uses words of this page. Rename it; or, for a concept, add a row `| word | \
             what it is | ZooKeeper / etcd / TigerBeetle |` to one of the tables; or, for a plain \
             word, add it to the list below \"{PLAIN}\". With every word of today that no table \
             has, that list is\n```text\n{}\n```",
            wrapped(&wanted)
        );
        findings.push(Finding::new(PAGE, page.lines().count(), what));
    }
    findings
}

/// Words of public types without tests and programs, and where. A banned word has its own rule.
fn public_types(sources: &[Source]) -> BTreeMap<String, Vec<(String, usize, String)>> {
    let mut types: BTreeMap<String, Vec<(String, usize, String)>> = BTreeMap::new();
    let is_product = |source: &&Source| source.path.contains("/src/") && !source.is_test_file();
    for source in sources.iter().filter(is_product) {
        let public = items(source)
            .into_iter()
            .filter(|item| item.kind == Kind::Type && item.public && item.line < source.tests_from);
        for item in public {
            for word in parts(&item.name).iter().filter(|word| !words::is_banned(word)) {
                let place = (source.path.clone(), item.line, item.name.clone());
                types.entry(singular(word)).or_default().push(place);
            }
        }
    }
    types
}

/// The words of the first column of all tables.
fn terms(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let cells = rows.flat_map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        let term = cells.next().unwrap_or_default();
        // Names of types in the text beside it are terms as well.
        let named = cells.next().unwrap_or_default().split('`').skip(1).step_by(2);
        named.chain([term]).map(str::to_owned).collect::<Vec<String>>()
    });
    cells.flat_map(|cell| words_of(&cell)).collect()
}

/// The list at the end of the page, each word with its line.
fn plain(page: &str) -> BTreeMap<String, usize> {
    let lines = page.lines().enumerate().skip_while(|(_, line)| *line != PLAIN);
    // The paragraph behind the heading says what the list is.
    let list = lines.skip(1).skip_while(|(_, line)| !line.contains("```")).skip(1);
    list.take_while(|(_, line)| !line.contains("```"))
        .flat_map(|(index, line)| words_of(line).into_iter().map(move |word| (word, index + 1)))
        .collect()
}

fn words_of(text: &str) -> Vec<String> {
    let names = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    names.flat_map(parts).map(|word| singular(&word)).collect()
}

/// One form for a word and its plural. It need not be right, only the same for both.
fn singular(word: &str) -> String {
    let ends = |ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    let cut = |letters: usize| word[..word.len() - letters].to_owned();
    if word.len() < 4 || ends(&["ss", "us", "is"]) {
        word.to_owned()
    } else if ends(&["ies"]) {
        cut(3) + "y"
    } else if ends(&["ches", "shes", "xes"]) {
        cut(2)
    } else {
        cut(usize::from(ends(&["s"])))
    }
}

/// A list of words, broken into lines.
fn wrapped(words: &BTreeSet<String>) -> String {
    let mut lines = vec![String::new()];
    for word in words {
        let line = lines.last_mut().expect("it is never empty");
        if line.len() + word.len() + 1 > COLUMNS {
            lines.push(word.clone());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Glossary\n\n| term | what it is | elsewhere |\n|---|---|---|\n\
                        | commit queue | what waits (`LogWriter`) | CommitProcessor |\n\n\
                        ## Plain words in type names\n\nPlain ones, in the alphabet.\n\n\
                        ```text\nbegun kind\n```\n";

    fn found(code: &str) -> Vec<String> {
        let findings = compare(TEXT, &[Source::new("engine/src/a.rs", code)]);
        findings.into_iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.what)).collect()
    }

    const USED: &str = "pub struct Begun;\npub enum Kind {}\n";

    #[test]
    fn terms_types_in_the_text_and_plain_words_may_be_used() {
        let code = format!("{USED}pub struct CommitQueues;\npub trait Writer {{}}\n");
        assert!(found(&code).is_empty(), "{:?}", found(&code));
    }

    #[test]
    fn private_types_tests_and_banned_words_do_not_count() {
        let code = "struct Odd;\npub(crate) struct Odd;\npub struct Desk;\npub fn odd() {}\n\
                    #[cfg(test)]\nmod tests {\n    pub struct Odd;\n}\n";
        assert!(found(&format!("{USED}{code}")).is_empty());
    }

    #[test]
    fn a_word_that_the_page_lacks_is_reported_with_what_to_add() {
        let said = found(&format!("{USED}pub struct OddQueue;\n"));
        assert_eq!(said.len(), 2);
        assert!(
            said[0].starts_with("engine/src/a.rs:3: `OddQueue`: `odd` is no word of"),
            "{said:?}"
        );
        assert!(said[1].contains("add a row `| word | what it is |"), "{said:?}");
        assert!(said[1].ends_with("is\n```text\nbegun kind odd\n```"), "{said:?}");
    }

    #[test]
    fn a_plain_word_without_a_type_is_reported() {
        let said = found("pub struct Begun;\n");
        assert!(
            said[0].starts_with("docs/glossary.md:12: `kind` is in no type's name"),
            "{said:?}"
        );
        assert!(said[1].ends_with("is\n```text\nbegun\n```"), "{said:?}");
    }

    #[test]
    fn a_word_and_its_plural_are_one() {
        for (one, many) in [("change", "changes"), ("entry", "entries"), ("watch", "watches")] {
            assert_eq!(singular(one), singular(many));
        }
        assert_eq!((singular("access"), singular("status")), ("access".into(), "status".into()));
    }
}
