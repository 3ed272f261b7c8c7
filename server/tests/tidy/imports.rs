//! Which file imports from which: paths, followed through re-exports to the file that defines.

use std::collections::BTreeMap;

use crate::files::Source;
use crate::modules::{Module, modules};

/// Re-exports that are followed one after the other.
const STEPS_MAX: usize = 16;

/// Who imports: a file of a crate, and what it names of others.
pub(crate) struct Imports {
    /// Paths of files, from the root of the repository.
    pub(crate) files: Vec<String>,
    /// By file: the file that it imports from, and where it does so first.
    pub(crate) edges: Vec<BTreeMap<usize, Edge>>,
}

/// Why one file needs another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Edge {
    pub(crate) line: usize,
    pub(crate) path: String,
    /// How many times it names something there.
    pub(crate) count: usize,
}

/// The modules of a crate by their paths.
struct Crate {
    modules: BTreeMap<Vec<String>, Module>,
}

/// What a path leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Target {
    Module(Vec<String>),
    /// An item, by the file that defines it.
    Item(usize),
}

/// The imports of the sources below a folder such as `engine/src/`.
///
/// A module and what is below it belong together: between them nothing counts.
pub(crate) fn imports(folder: &str, sources: &[Source]) -> Imports {
    let inside = sources.iter().filter(|source| {
        source.path.starts_with(folder) && !source.is_test_file() && !is_program(source)
    });
    let sources: Vec<&Source> = inside.collect();
    let mut house = Crate { modules: BTreeMap::new() };
    for (file, source) in sources.iter().enumerate() {
        for module in modules(source, file, &path_of(folder, &source.path)) {
            house.modules.insert(module.path.clone(), module);
        }
    }
    let mut edges = vec![BTreeMap::new(); sources.len()];
    for module in house.modules.values() {
        for named in &module.named {
            let Some(target) = house.follow(module, &named.path, STEPS_MAX) else { continue };
            let to = house.file(&target);
            let of = |file: usize| path_of(folder, &sources[file].path);
            let (own, other) = (of(module.file), of(to));
            if own.starts_with(&other) || other.starts_with(&own) {
                continue;
            }
            let path = named.path.join("::");
            let first = Edge { line: named.line, path, count: 0 };
            let edge: &mut Edge = edges[module.file].entry(to).or_insert(first);
            edge.count += 1;
        }
    }
    Imports { files: sources.iter().map(|source| source.path.clone()).collect(), edges }
}

/// A program is a crate of its own beside the library.
fn is_program(source: &Source) -> bool {
    source.path.ends_with("/src/main.rs") || source.path.contains("/src/bin/")
}

/// `engine/src/log/mod.rs` is `log`, and so is `engine/src/log.rs`.
fn path_of(folder: &str, path: &str) -> Vec<String> {
    let inner = path.strip_prefix(folder).unwrap_or(path).trim_end_matches(".rs");
    let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

impl Crate {
    fn file(&self, target: &Target) -> usize {
        match target {
            Target::Module(path) => self.modules[path].file,
            Target::Item(file) => *file,
        }
    }

    /// Follows a path as it stands in a module; nothing where it leaves the crate.
    fn follow(&self, module: &Module, path: &[String], steps: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let mut from = module.path.clone();
        let mut rest = rest;
        match first.as_str() {
            "crate" => from.clear(),
            "self" => {}
            "super" => {
                from.pop();
                while rest.first().is_some_and(|name| name == "super") {
                    from.pop();
                    rest = &rest[1..];
                }
            }
            name if module.children.contains(name) || module.imports.contains_key(name) => {
                rest = path;
            }
            _ => return self.walk(&self.glob(module, first, steps)?, path, steps),
        }
        self.walk(&from, rest, steps)
    }

    /// Walks down from a module.
    fn walk(&self, from: &[String], path: &[String], steps: usize) -> Option<Target> {
        let module = self.modules.get(from)?;
        let steps = steps.checked_sub(1)?;
        let Some((first, rest)) = path.split_first() else {
            return Some(Target::Module(from.to_vec()));
        };
        let child: Vec<String> = from.iter().chain([first]).cloned().collect();
        let has_child = self.modules.contains_key(&child);
        if has_child && !rest.is_empty() {
            return self.walk(&child, rest, steps);
        }
        if module.items.contains(first) {
            return Some(Target::Item(module.file));
        }
        if let Some(import) = module.imports.get(first) {
            // What comes from another crate is this module's to pass on.
            let here = Target::Item(module.file);
            return match self.follow(module, import, steps).unwrap_or(here) {
                Target::Module(path) => self.walk(&path, rest, steps),
                item @ Target::Item(_) => Some(item),
            };
        }
        if has_child {
            return Some(Target::Module(child));
        }
        match self.glob(module, first, steps) {
            Some(origin) => self.walk(&origin, path, steps),
            None => Some(Target::Item(module.file)),
        }
    }

    /// The module that a name comes from by a `*`.
    fn glob(&self, module: &Module, name: &str, steps: usize) -> Option<Vec<String>> {
        let steps = steps.checked_sub(1)?;
        let globs = module.globs.iter().filter_map(|glob| self.follow(module, glob, steps));
        let mut paths = globs.filter_map(|target| match target {
            Target::Module(path) => Some(path),
            Target::Item(_) => None,
        });
        paths.find(|path| self.defines(path, name))
    }

    fn defines(&self, path: &[String], name: &str) -> bool {
        self.modules.get(path).is_some_and(|module| {
            module.items.contains(name)
                || module.imports.contains_key(name)
                || module.children.contains(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edges of a crate, as `from>to` without ends of names.
    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(&format!("x/src/{path}"), text)).collect();
        let found = imports("x/src/", &sources);
        let name = |file: usize| {
            found.files[file].trim_start_matches("x/src/").trim_end_matches(".rs").to_owned()
        };
        let pairs =
            found.edges.iter().enumerate().flat_map(|(from, edges)| {
                edges.keys().map(move |to| (from, *to)).collect::<Vec<_>>()
            });
        pairs.map(|(from, to)| format!("{}>{}", name(from), name(to))).collect()
    }

    fn two(text: &str) -> [(&str, &str); 3] {
        [("lib.rs", "mod a; mod b;"), ("a.rs", text), ("b.rs", "pub struct B; pub struct C;")]
    }

    #[test]
    fn every_form_of_an_import_is_an_edge() {
        for text in [
            "use crate::b::B;",
            "use super::b::{C, B as D};",
            "pub(crate) use crate::{b::B};",
            "fn f() { crate::b::g(); }",
            "use crate::b; fn f(x: b::B) {}",
            "use super::*; fn f(x: b::B) {}",
            "mod inner { use super::super::b::B; }",
            "fn f() { if x { use crate::b::B; } }",
        ] {
            assert_eq!(edges(&two(text)), ["a>b"], "{text}");
        }
    }

    #[test]
    fn tests_strings_and_other_crates_are_no_edges() {
        for text in [
            "// crate::b::B",
            "const A: &str = \"crate::b::B\";",
            "use b::B;",
            "#[cfg(test)]\nuse crate::b::B;",
            "#[cfg(test)]\nfn f() { crate::b::g(); }",
            "#[cfg(test)]\nmod tests { use crate::b::B; }",
        ] {
            assert!(edges(&two(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_re_export_leads_to_the_file_that_defines() {
        let files = [
            ("lib.rs", "mod low; mod a; mod b; mod c; pub use low::Low;"),
            ("low/mod.rs", "mod deep; pub use deep::{Low, read}; mod read;"),
            ("low/deep.rs", "pub struct Low; pub fn read() {}"),
            ("low/read.rs", ""),
            ("a.rs", "use crate::Low;"),
            ("b.rs", "use crate::low::read;"),
            ("c.rs", "use crate::low::read::other;"),
        ];
        assert_eq!(edges(&files), ["a>low/deep", "b>low/deep", "c>low/read"]);
    }

    #[test]
    fn a_glob_re_export_leads_to_the_file_that_defines() {
        let files = [
            ("lib.rs", "mod low; mod a; mod b;"),
            ("low/mod.rs", "mod deep; pub use deep::*; pub struct Own;"),
            ("low/deep.rs", "pub struct Low;"),
            ("a.rs", "use crate::low::Low;"),
            ("b.rs", "use crate::low::Own;"),
        ];
        assert_eq!(edges(&files), ["a>low/deep", "b>low/mod"]);
    }

    #[test]
    fn a_module_and_what_is_below_it_belong_together() {
        let files = [
            ("lib.rs", "mod a; use a::deep::Deep; pub struct Top;"),
            ("a/mod.rs", "mod deep; use deep::Deep; pub struct A;"),
            ("a/deep.rs", "use super::A; use crate::Top; pub struct Deep;"),
        ];
        assert!(edges(&files).is_empty());
    }
}
