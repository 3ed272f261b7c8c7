//! Links between the Markdown files of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::Finding;
use crate::files::Tree;

/// A link as it stands in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    target: String,
}

/// Relative links whose file or heading does not exist.
pub(crate) fn broken(tree: &Tree) -> Vec<Finding> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("server has a parent");
    let pages: Vec<_> = tree.texts.iter().filter(|(path, _)| path.ends_with(".md")).collect();
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        pages.iter().map(|(path, text)| (path.as_str(), anchors(text))).collect();
    let mut findings = Vec::new();
    for (path, text) in pages {
        for link in links(text) {
            if let Some(what) = wrong(root, &anchors, path, &link.target) {
                findings.push(Finding::new(path, link.line, what));
            }
        }
    }
    findings
}

/// What is wrong with one link of a page, if anything is.
fn wrong(
    root: &Path,
    anchors: &BTreeMap<&str, BTreeSet<String>>,
    page: &str,
    target: &str,
) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { Some(page.to_owned()) } else { resolve(page, file) };
    let Some(file) = file else {
        return Some(format!("`{target}` leaves the repository: link to a file of it"));
    };
    if !root.join(&file).exists() {
        return Some(format!("`{target}`: there is no {file}: correct the path"));
    }
    let known = anchors.get(file.as_str()).is_some_and(|known| known.contains(anchor));
    if anchor.is_empty() || known {
        return None;
    }
    Some(format!("`{target}`: {file} has no heading #{anchor}: correct the anchor"))
}

/// The path from the root that a relative path of a page means. `None` if it is outside.
fn resolve(page: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The inline links of a text, outside of code.
fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, prose) in prose(text) {
        let mut rest = prose.as_str();
        while let Some((_, behind)) = rest.split_once("](") {
            let Some((target, behind)) = behind.split_once(')') else { break };
            links.push(Link { line, target: target.trim().to_owned() });
            rest = behind;
        }
    }
    links
}

/// The anchors of a text's headings, made as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= is_fence(line);
        let heading = line.trim_start_matches('#');
        if fenced || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let slug = slug(heading.trim());
        let numbered = (1..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone()).chain(numbered).find(|a| !anchors.contains(a));
        anchors.extend(free);
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The lines of a text that are not in a fence, numbered from 1, without code spans.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let fence = is_fence(line);
        fenced ^= fence;
        if !fenced && !fence {
            lines.push((index + 1, line.split('`').step_by(2).collect()));
        }
    }
    lines
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

#[test]
fn links_in_code_are_no_links() {
    let targets = |text: &str| links(text).into_iter().map(|l| l.target).collect::<Vec<_>>();
    assert_eq!(targets("[a](b.md), [c](d.md#e)\n"), ["b.md", "d.md#e"]);
    assert_eq!(targets("`[a](b.md)`\n```\n[a](b.md)\n```\n"), [""; 0]);
    assert_eq!(links("one\n[long\nname](b.md)\n"), [Link { line: 3, target: "b.md".into() }]);
}

#[test]
fn anchors_are_those_of_github() {
    let found =
        anchors("# A b\n## `mntr`, and more\n### ZooKeeper's A-b_c\n## A b\n```\n# no\n```\n");
    let expected = ["a-b", "a-b-1", "mntr-and-more", "zookeepers-a-b_c"];
    assert_eq!(found, expected.map(String::from).into());
}

#[test]
fn wrong_links_are_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("server has a parent");
    let pages = BTreeMap::from([("docs/README.md", anchors("# Documents\n## Use\n"))]);
    let ok = |target: &str| wrong(root, &pages, "docs/README.md", target).is_none();
    assert!(ok("#use") && ok("README.md#documents") && ok("../LICENSE") && ok("../server"));
    assert!(ok("https://example.org/x#y"));
    assert!(!ok("#operate") && !ok("nowhere.md") && !ok("../../outside.md"));
}
