//! Rust code cut into the few tokens that imports are made of.

/// A token of blanked code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    Name(String),
    /// `::`
    Path,
    Sign(char),
}

/// A token and its line, from 1.
pub(crate) type Placed = (Token, usize);

/// Cuts blanked code. Strings are quotes around spaces there, and numbers count as names.
pub(crate) fn tokens(code: &str) -> Vec<Placed> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let (token, length) = if is_name(first) {
                let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                (Token::Name(rest[..length].into()), length)
            } else if rest.starts_with("::") {
                (Token::Path, 2)
            } else {
                (Token::Sign(first), first.len_utf8())
            };
            found.push((token, index + 1));
            rest = rest[length..].trim_start();
        }
    }
    found
}

impl Token {
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Token::Name(name) => Some(name),
            Token::Path | Token::Sign(_) => None,
        }
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        match self {
            Token::Name(name) => name == text,
            Token::Path => text == "::",
            Token::Sign(sign) => text.len() == sign.len_utf8() && text.starts_with(*sign),
        }
    }
}

#[test]
fn code_is_cut_into_names_paths_and_signs() {
    let found = tokens("use a::b;\n  x: &'c u8");
    let texts: Vec<String> = found
        .iter()
        .map(|(token, line)| match token {
            Token::Name(name) => format!("{line}{name}"),
            Token::Path => format!("{line}::"),
            Token::Sign(sign) => format!("{line}{sign}"),
        })
        .collect();
    assert_eq!(texts, ["1use", "1a", "1::", "1b", "1;", "2x", "2:", "2&", "2'", "2c", "2u8"]);
}
