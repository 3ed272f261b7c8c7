//! How long functions, files and lines are.

use crate::Finding;
use crate::files::Source;
use crate::ratchet::{Known, Measured};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;
const LINE_COLUMNS_MAX: usize = 100;
/// Code of a line beside its strings and comments that is too much to blame them for its length.
const CODE_COLUMNS_MAX: usize = 70;

/// Functions of more than 70 lines. A number may only go down.
pub(crate) const LONG_FUNCTIONS: &[Known] = &[];

/// Files of more than 500 lines without their tests. A number may only go down.
pub(crate) const LONG_FILES: &[Known] = &[];

pub(crate) fn long_functions(source: &Source) -> Vec<Measured> {
    let long = functions(&source.code).into_iter().filter(|f| f.lines > FUNCTION_LINES_MAX);
    long.map(|function| Measured {
        line: function.line,
        size: function.lines,
        what: format!(
            "`{}` has {} lines, {FUNCTION_LINES_MAX} are allowed: split it",
            function.name, function.lines
        ),
        name: function.name,
    })
    .collect()
}

pub(crate) fn long_file(source: &Source) -> Vec<Measured> {
    let size = source.product_lines().count();
    if size <= FILE_LINES_MAX {
        return Vec::new();
    }
    let what = format!("the file has {size} lines, {FILE_LINES_MAX} are allowed: split it");
    vec![Measured { line: 1, name: String::new(), size, what }]
}

pub(crate) fn long_lines(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ((number, code), line) in source.lines().zip(source.text.lines()) {
        let columns = line.chars().count();
        let code = code.split_whitespace().map(|word| word.chars().count() + 1).sum::<usize>();
        // rustfmt does not break strings, and a command line in a comment is of one piece.
        let is_whole = code > CODE_COLUMNS_MAX || code == columns;
        let literal = line.contains('"') || line.contains('`') || line.contains("://");
        if columns > LINE_COLUMNS_MAX && (is_whole || !literal) {
            let what = format!("{columns} columns, {LINE_COLUMNS_MAX} are allowed: break the line");
            findings.push(Finding::new(&source.path, number, what));
        }
    }
    findings
}

/// A function with a body.
#[derive(PartialEq, Debug)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Every function in blanked code, nested ones too.
fn functions(code: &str) -> Vec<Function> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let is_word = at == 0 || !is_name(bytes[at - 1]);
        let name: String =
            code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(end) = body_end(bytes, at).filter(|_| is_word && !name.is_empty()) else {
            continue;
        };
        let line_of = |at: usize| code[..at].matches('\n').count() + 1;
        let line = line_of(at);
        found.push(Function { name, line, lines: line_of(end) - line + 1 });
    }
    found
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where the body of the function at `from` ends; nothing for a declaration.
fn body_end(code: &[u8], from: usize) -> Option<usize> {
    let mut round = 0;
    let mut curly = 0;
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b';' if curly == 0 && round == 0 => return None,
            b'{' => curly += 1,
            b'}' if curly == 1 => return Some(at),
            b'}' => curly -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn functions_are_measured() {
    let code = "trait T {\n    fn a(x: [u8; 3]);\n    fn b() {\n        fn c() {}\n    }\n}\n";
    let found = functions(code);
    let names: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
    assert_eq!(names, [("b", 3, 3), ("c", 4, 1)]);
    let long = format!("fn long() {{\n{}}}\n", "    f();\n".repeat(69));
    assert_eq!(long_functions(&Source::new("a.rs", &long))[0].size, 71);
    let short = format!("fn short() {{\n{}}}\n", "    f();\n".repeat(68));
    assert!(long_functions(&Source::new("a.rs", &short)).is_empty());
}

#[test]
fn files_are_measured_without_their_tests() {
    let mut text = "fn f() {}\n".repeat(500);
    text.push_str("#[cfg(test)]\nmod tests {\n}\n");
    assert!(long_file(&Source::new("engine/src/a.rs", &text)).is_empty());
    let text = "fn f() {}\n".repeat(501);
    assert_eq!(long_file(&Source::new("engine/src/a.rs", &text))[0].size, 501);
    assert!(long_file(&Source::new("engine/tests/a.rs", &text)).is_empty());
}

#[test]
fn lines_are_measured_but_for_strings() {
    let count = |text: &str| long_lines(&Source::new("a.rs", text)).len();
    assert_eq!(count(&format!("{}\n", "x".repeat(101))), 1);
    assert_eq!(count(&format!("{}\n", "x".repeat(100))), 0);
    assert_eq!(count(&format!("f(\"{}\")\n", "x".repeat(120))), 0);
    assert_eq!(count(&format!("// {}\n", "x ".repeat(60))), 1);
}
