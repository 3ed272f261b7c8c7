//! The items that code defines, by name.

use crate::files::Source;
use crate::tokens::{Placed, Token, tokens};

/// What an item is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Type,
    Function,
    /// A function that is a test: its name is a sentence.
    Test,
    /// An inline module; that of a file has the file's name.
    Module,
    Constant,
    Field,
    Variant,
}

/// A definition.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Whether it is `pub`, `pub(crate)` not included.
    pub(crate) public: bool,
}

const KEYWORDS: &[(&str, Kind)] = &[
    ("struct", Kind::Type),
    ("enum", Kind::Type),
    ("trait", Kind::Type),
    ("union", Kind::Type),
    ("type", Kind::Type),
    ("fn", Kind::Function),
    ("mod", Kind::Module),
    ("const", Kind::Constant),
    ("static", Kind::Constant),
];

/// Every definition of a file, tests included.
pub(crate) fn items(source: &Source) -> Vec<Item> {
    let tokens = tokens(&source.code);
    let mut items = Vec::new();
    for (at, (token, line)) in tokens.iter().enumerate() {
        let Some((keyword, kind)) = KEYWORDS.iter().find(|(keyword, _)| token.is(keyword)) else {
            continue;
        };
        // `*const T` and `const { … }` define nothing, and neither does `const fn`.
        let name = tokens.get(at + 1).and_then(|(token, _)| token.name());
        let defines = name.is_some_and(|name| name != "fn" && name != "mut" && name != "unsafe");
        let pointer = at > 0 && tokens[at - 1].0.is("*");
        let Some(name) = name.filter(|_| defines && !pointer) else { continue };
        let kind = match kind {
            Kind::Function if is_test(&tokens[..at]) => Kind::Test,
            Kind::Module if !tokens.get(at + 2).is_some_and(|(token, _)| token.is("{")) => continue,
            kind => *kind,
        };
        let public = at > 0 && tokens[at - 1].0.is("pub");
        items.push(Item { kind, name: name.to_owned(), line: *line, public });
        match *keyword {
            "struct" | "union" => members(&tokens, at + 2, Kind::Field, &mut items),
            "enum" => members(&tokens, at + 2, Kind::Variant, &mut items),
            _ => {}
        }
    }
    items
}

/// Whether the tokens before a function end with `#[test]`.
fn is_test(before: &[Placed]) -> bool {
    let test = ["#", "[", "test", "]"];
    before.len() >= test.len()
        && before[before.len() - test.len()..].iter().zip(test).all(|((t, _), text)| t.is(text))
}

/// The fields or variants in the braces that follow; a tuple and a unit have none.
fn members(tokens: &[Placed], from: usize, kind: Kind, items: &mut Vec<Item>) {
    let begins = |(token, _): &Placed| ["{", ";", "("].iter().any(|sign| token.is(sign));
    let Some(open) = tokens[from..].iter().position(begins).map(|ahead| from + ahead) else {
        return;
    };
    if !tokens[open].0.is("{") {
        return;
    }
    let mut depth = 0;
    let mut fresh = false;
    for (at, (token, line)) in tokens.iter().enumerate().skip(open) {
        let opens = ["{", "(", "[", "<"].iter().any(|sign| token.is(sign));
        let arrow = token.is(">") && at > 0 && tokens[at - 1].0.is("-");
        let closes = ["}", ")", "]", ">"].iter().any(|sign| token.is(sign)) && !arrow;
        let next = tokens.get(at + 1).map(|(token, _)| token);
        match token {
            Token::Name(name) if depth == 1 && fresh => {
                let field = next.is_some_and(|token| token.is(":"));
                if name == "pub" || (kind == Kind::Field && !field) {
                    continue;
                }
                let public = at > 0 && tokens[at - 1].0.is("pub");
                items.push(Item { kind, name: name.clone(), line: *line, public });
                fresh = false;
            }
            // An attribute comes before the name, and so does `(crate)`.
            _ if opens => depth += 1,
            _ if closes => depth -= 1,
            _ => {}
        }
        fresh |= depth == 1 && (token.is(",") || token.is("{"));
        if depth == 0 {
            return;
        }
    }
}

/// The words of a name, in lower case: `SessionTable` and `session_table` are the same.
pub(crate) fn parts(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in name.chars() {
        let last = words.last_mut().expect("it is never empty");
        if c == '_' || (c.is_uppercase() && !before.is_uppercase() && !last.is_empty()) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("it is never empty").extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn names_are_cut_into_words() {
    assert_eq!(parts("SessionTable"), ["session", "table"]);
    assert_eq!(parts("read_all"), ["read", "all"]);
    assert_eq!(parts("FILE_LINES_MAX"), ["file", "lines", "max"]);
    assert_eq!(parts("_unused"), ["unused"]);
}

#[test]
fn items_fields_and_variants_are_found() {
    let text = "pub struct A<T: Into<u8>> {\n  pub x: Vec<(u8, T)>,\n  #[serde(y)]\n  \
                pub(crate) z: fn(u8) -> u8,\n  w: [u8; 3],\n}\n\
                enum E { A, B(u8), C { d: u8 } }\nstruct U(pub u8);\nconst fn f() {}\n\
                const K: u8 = 1;\nmod m;\nlet p: *const u8;\n\
                mod n { #[test]\nfn t() {} }\n";
    let found = items(&Source::new("a.rs", text));
    let names: Vec<&str> = found.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["A", "x", "z", "w", "E", "A", "B", "C", "U", "f", "K", "n", "t"]);
    let public: Vec<&str> =
        found.iter().filter(|item| item.public).map(|item| item.name.as_str()).collect();
    assert_eq!(public, ["A", "x"]);
    assert_eq!((found[6].kind, found[12].kind), (Kind::Variant, Kind::Test));
    assert_eq!((found[2].kind, found[2].line), (Kind::Field, 4));
}
