//! The modules of a file: what each defines, imports and names.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::Source;
use crate::tokens::{Placed, Token, tokens};

/// What begins an item whose name belongs to its module.
const ITEMS: &[&str] =
    &["struct", "enum", "trait", "union", "type", "fn", "const", "static", "macro_rules"];

/// A module: a file, or an inline module of one.
#[derive(Default, Debug)]
pub(crate) struct Module {
    /// From the root of its crate.
    pub(crate) path: Vec<String>,
    /// Which file it lies in.
    pub(crate) file: usize,
    /// Modules below it, in files of their own or inline.
    pub(crate) children: BTreeSet<String>,
    pub(crate) items: BTreeSet<String>,
    /// Names that `use` brings, and the paths they stand for.
    pub(crate) imports: BTreeMap<String, Vec<String>>,
    /// What `use …::*` brings everything of.
    pub(crate) globs: Vec<Vec<String>>,
    /// Paths that its code names, imports included.
    pub(crate) named: Vec<Named>,
}

/// A path that code names.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// The modules of one file, its own first. Tests do not count.
pub(crate) fn modules(source: &Source, file: usize, path: &[String]) -> Vec<Module> {
    let code: Vec<&str> = source.product_lines().map(|(_, line)| line).collect();
    let mut reader = Reader { tokens: tokens(&code.join("\n")), at: 0, modules: Vec::new() };
    reader.enter(Module { path: path.to_vec(), file, ..Module::default() });
    reader.modules
}

struct Reader {
    tokens: Vec<Placed>,
    at: usize,
    modules: Vec<Module>,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(token, _)| token)
    }

    fn is(&self, ahead: usize, text: &str) -> bool {
        self.peek(ahead).is_some_and(|token| token.is(text))
    }

    fn are(&self, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(ahead, text)| self.is(ahead, text))
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(_, line)| *line)
    }

    fn name(&self, ahead: usize) -> Option<String> {
        self.peek(ahead).and_then(Token::name).map(str::to_owned)
    }

    /// Reads a module to the brace that closes it.
    fn enter(&mut self, module: Module) {
        let this = self.modules.len();
        self.modules.push(module);
        let mut depth = 0;
        while self.at < self.tokens.len() {
            if self.is(0, "{") {
                depth += 1;
            } else if self.is(0, "}") {
                depth -= 1;
                if depth < 0 {
                    return;
                }
            }
            self.step(this, depth);
        }
    }

    fn step(&mut self, this: usize, depth: i32) {
        if self.are(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            self.skip_item();
        } else if self.is(0, "mod") && self.name(1).is_some() {
            self.module(this);
        } else if self.is(0, "use") && !self.is(1, "<") {
            self.import(this);
        } else if self.path_starts() {
            let (line, path) = (self.line(), self.path());
            self.modules[this].named.push(Named { path, line });
        } else {
            if depth == 0 {
                self.item(this);
            }
            self.at += 1;
        }
    }

    /// Passes over the item behind a `#[cfg(test)]`.
    fn skip_item(&mut self) {
        self.at += 7;
        let mut depth = 0;
        while self.at < self.tokens.len() {
            let (opens, closes) = (["{", "(", "["], ["}", ")", "]"]);
            if opens.iter().any(|sign| self.is(0, sign)) {
                depth += 1;
            } else if closes.iter().any(|sign| self.is(0, sign)) {
                depth -= 1;
            }
            let ends = self.is(0, ";") || self.is(0, "}") || self.is(0, ",");
            // The brace of the enclosing block stays where it is.
            if depth < 0 {
                return;
            }
            self.at += 1;
            if depth == 0 && ends {
                return;
            }
        }
    }

    fn module(&mut self, this: usize) {
        let name = self.name(1).expect("it was looked at");
        self.modules[this].children.insert(name.clone());
        let inline = self.is(2, "{");
        self.at += 3;
        if inline {
            let (mut path, file) = (self.modules[this].path.clone(), self.modules[this].file);
            path.push(name);
            self.enter(Module { path, file, ..Module::default() });
            self.at += 1;
        }
    }

    fn item(&mut self, this: usize) {
        if ITEMS.iter().any(|item| self.is(0, item)) {
            let name = if self.is(1, "!") { self.name(2) } else { self.name(1) };
            self.modules[this].items.extend(name);
        }
    }

    /// Whether a path of two names or more begins here.
    fn path_starts(&self) -> bool {
        let goes_on = self.at > 0 && self.tokens[self.at - 1].0 == Token::Path;
        !goes_on
            && self.name(0).is_some()
            && self.peek(1) == Some(&Token::Path)
            && self.name(2).is_some()
    }

    fn path(&mut self) -> Vec<String> {
        let mut path = Vec::from_iter(self.name(0));
        self.at += 1;
        while self.peek(0) == Some(&Token::Path) {
            let Some(name) = self.name(1) else { break };
            path.push(name);
            self.at += 2;
        }
        path
    }

    fn import(&mut self, this: usize) {
        self.at += 1;
        let mut leaves = Vec::new();
        self.tree(&[], &mut leaves);
        for (name, path, line) in leaves {
            let module = &mut self.modules[this];
            match name.as_str() {
                "*" => module.globs.push(path.clone()),
                "_" => {}
                _ => {
                    module.imports.insert(name, path.clone());
                }
            }
            module.named.push(Named { path, line });
        }
    }

    /// One tree of a `use`: a path, and then nothing, an `as`, a `*`, or trees in braces.
    fn tree(&mut self, above: &[String], leaves: &mut Vec<(String, Vec<String>, usize)>) {
        let mut path = above.to_vec();
        let line = self.line();
        if self.is(0, "::") {
            self.at += 1;
        }
        while let Some(name) = self.name(0) {
            path.push(name);
            self.at += 1;
            if !self.is(0, "::") {
                break;
            }
            self.at += 1;
        }
        if self.is(0, "*") {
            self.at += 1;
            leaves.push(("*".into(), path, line));
        } else if self.is(0, "{") {
            self.at += 1;
            while self.at < self.tokens.len() && !self.is(0, "}") {
                self.tree(&path, leaves);
                if self.is(0, ",") {
                    self.at += 1;
                }
            }
            self.at += 1;
        } else {
            if path.last().is_some_and(|name| name == "self") && path.len() > 1 {
                path.pop();
            }
            let mut name = path.last().cloned().unwrap_or_default();
            if self.is(0, "as") {
                name = self.name(1).unwrap_or_default();
                self.at += 2;
            }
            leaves.push((name, path, line));
        }
    }
}
