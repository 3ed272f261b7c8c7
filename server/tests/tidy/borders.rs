//! Who may do what: `unsafe`, the operating system, other crates.

use crate::Finding;
use crate::files::{Source, Tree};

/// Files and folders that may hold `unsafe`, and why.
const UNSAFE: &[(&str, &str)] = &[
    ("bench/src/servers/child.rs", "processes that end with their parent"),
    ("engine/src/device/", "mapped segments, rings, extents, priorities, prefetching"),
    ("server/src/fatal.rs", "a handler for a signal"),
    ("server/src/huge_pages.rs", "what the loader calls before everything else"),
    ("server/src/shards/ring", "the ring and the buffers that the kernel fills"),
];

/// Lines above an `unsafe` among which its safety comment has to be.
const SAFETY_LINES_MAX: usize = 8;

/// Parts of the pure crates that touch the operating system: the edges.
const EDGES: &[&str] = &["engine/src/device/", "engine/src/client/tcp.rs"];

/// What pure code must not name: a path, the names under it, and what to do instead.
const IMPURE: &[(&str, &[&str], &str)] = &[
    ("std::time::", &["Instant", "SystemTime"], "take the time as an argument"),
    ("Instant::", &["now"], "take the time as an argument"),
    ("SystemTime::", &["now"], "take the time as an argument"),
    ("thread::", &["spawn", "sleep", "scope"], "threads belong to the server"),
    ("std::", &["fs", "process"], "files belong to engine::device"),
    ("std::net::", &["TcpStream", "TcpListener", "UdpSocket"], "sockets belong to the server"),
    ("std::collections::", &["HashMap", "HashSet"], "their order is random: use a BTreeMap"),
    ("std::env::", &["var", "args"], "take the setting as an argument"),
];

pub(crate) fn unsafe_code(source: &Source) -> Vec<Finding> {
    let allowed = UNSAFE.iter().any(|(prefix, _)| source.path.starts_with(prefix));
    let texts: Vec<&str> = source.text.lines().collect();
    let mut findings = Vec::new();
    for (number, line) in source.lines().filter(|(_, line)| has_word(line, "unsafe")) {
        if line.contains("unsafe_") {
            continue;
        }
        let above = &texts[(number - 1).saturating_sub(SAFETY_LINES_MAX)..number];
        if !allowed {
            let what =
                "unsafe outside its files: do without, or add the file to UNSAFE with a reason";
            findings.push(Finding::new(&source.path, number, what));
        } else if !above.iter().any(|text| text.contains("SAFETY:")) {
            let what = "unsafe without a `// SAFETY:` comment above it: say why it holds";
            findings.push(Finding::new(&source.path, number, what));
        }
    }
    findings
}

pub(crate) fn impure(source: &Source) -> Vec<Finding> {
    let pure = ["engine/src/", "replication/src/"].iter().any(|p| source.path.starts_with(p));
    if !pure || EDGES.iter().any(|edge| source.path.starts_with(edge)) {
        return Vec::new();
    }
    let lines: Vec<&str> = source.product_lines().map(|(_, line)| line).collect();
    let code = lines.join("\n");
    let mut findings = Vec::new();
    for (path, names, instead) in IMPURE {
        for (at, _) in code.match_indices(path) {
            let line = code[..at].matches('\n').count() + 1;
            let named = named(&code[at + path.len()..]);
            for name in names.iter().filter(|name| has_word(named, name)) {
                let what = format!("{path}{name} in the pure core: {instead}");
                findings.push(Finding::new(&source.path, line, what));
            }
        }
    }
    findings
}

/// What stands behind a path: one name, or all of a list in braces.
fn named(rest: &str) -> &str {
    let end = if rest.starts_with('{') {
        rest.find(';')
    } else {
        rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))
    };
    &rest[..end.unwrap_or(rest.len())]
}

fn has_word(text: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_name) && !text[at + word.len()..].starts_with(is_name)
    })
}

/// Files that no `mod` names are not compiled at all.
pub(crate) fn dead_files(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path.contains("/src/")) {
        let (folder, file) = source.path.rsplit_once('/').expect("it lies in src");
        let name = match file {
            "lib.rs" | "main.rs" => continue,
            "mod.rs" => folder.rsplit('/').next().expect("a folder has a name"),
            _ => file.trim_end_matches(".rs"),
        };
        let crate_folder = source.path.split("/src/").next().expect("it lies in src");
        let (declaration, path) = (format!("mod {name};"), format!("\"{file}\"]"));
        let declared = sources
            .iter()
            .filter(|other| other.path.starts_with(crate_folder))
            .any(|other| other.code.contains(&declaration) || other.text.contains(&path));
        if !declared && !folder.ends_with("/bin") {
            findings.push(Finding::new(&source.path, 1, "no `mod` names this file: delete it"));
        }
    }
    findings
}

pub(crate) fn replication_dependencies(tree: &Tree) -> Vec<Finding> {
    let path = "replication/Cargo.toml";
    let manifest = tree.texts.iter().find(|(name, _)| name == path);
    let (_, text) = manifest.expect("replication has a manifest");
    // The allocator is that of the simulator's program.
    foreign_dependencies(path, text, &["ringkeeper-engine", "mimalloc"])
}

/// Dependencies of a manifest that are not in a list; those of its tests do not count.
fn foreign_dependencies(path: &str, manifest: &str, allowed: &[&str]) -> Vec<Finding> {
    let mut section = "";
    let mut findings = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            section = line;
        }
        let Some((key, _)) = line.split_once('=').filter(|_| section == "[dependencies]") else {
            continue;
        };
        let name = key.split('.').next().expect("split gives one part at least").trim();
        if !allowed.contains(&name) {
            let what = format!("depends on {name}: only {} is allowed", allowed.join(", "));
            findings.push(Finding::new(path, index + 1, what));
        }
    }
    findings
}

#[test]
fn unsafe_needs_its_file_and_its_reason() {
    let count = |path: &str, text: &str| unsafe_code(&Source::new(path, text)).len();
    let said = "// SAFETY: it lives.\nlet a = unsafe { *b };\n";
    let unsaid = "let a = unsafe { *b };\n";
    assert_eq!(count("engine/src/device/mmap.rs", said), 0);
    assert_eq!(count("engine/src/device/mmap.rs", unsaid), 1);
    assert_eq!(count("engine/src/tree/mod.rs", said), 1);
    assert_eq!(count("engine/src/tree/mod.rs", "// unsafe\nunsafe_op();\n"), 0);
}

#[test]
fn the_pure_core_names_nothing_impure() {
    let count = |path: &str, text: &str| impure(&Source::new(path, text)).len();
    let bad = [
        "let t = std::time::Instant::now();",
        "use std::collections::{BTreeMap, HashMap};",
        "use std::{fs, io};",
        "std::thread::spawn(f);",
        "let s = std::net::TcpStream::connect(a);",
    ];
    for text in bad {
        assert!(count("engine/src/tree/mod.rs", text) > 0, "{text}");
        assert!(count("replication/src/lib.rs", text) > 0, "{text}");
        assert_eq!(count("engine/src/device/mod.rs", text), 0);
        assert_eq!(count("server/src/boot.rs", text), 0);
    }
    for good in ["use hashbrown::HashMap;", "use std::net::IpAddr;", "// std::fs", "std::fmt"] {
        assert_eq!(count("engine/src/tree/mod.rs", good), 0, "{good}");
    }
}

#[test]
fn files_without_a_mod_declaration_are_dead() {
    let sources = [
        Source::new("a/src/lib.rs", "mod used;\n"),
        Source::new("a/src/used.rs", ""),
        Source::new("a/src/dead.rs", ""),
        Source::new("a/src/gone/mod.rs", ""),
    ];
    let dead = dead_files(&sources);
    let paths: Vec<&str> = dead.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["a/src/dead.rs", "a/src/gone/mod.rs"]);
}

#[test]
fn foreign_dependencies_are_seen() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n\
                    [dev-dependencies]\nc = \"1\"\n";
    assert_eq!(foreign_dependencies("x", manifest, &["a"]).len(), 1);
    assert!(foreign_dependencies("x", manifest, &["a", "b"]).is_empty());
}
