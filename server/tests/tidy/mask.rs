//! Rust code with its strings and comments blanked, so that rules see code only.

/// Replaces what stands in strings, characters and comments with spaces. Lines and columns stay.
pub(crate) fn mask(text: &str) -> String {
    let mut masked = Masked { chars: text.chars().collect(), at: 0, out: String::new() };
    while masked.at < masked.chars.len() {
        masked.step();
    }
    masked.out
}

struct Masked {
    chars: Vec<char>,
    at: usize,
    out: String,
}

impl Masked {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn keep(&mut self) {
        self.out.push(self.chars[self.at]);
        self.at += 1;
    }

    fn blank(&mut self) {
        let c = self.chars[self.at];
        self.out.push(if c == '\n' { '\n' } else { ' ' });
        self.at += 1;
    }

    fn blank_until(&mut self, end: usize) {
        while self.at < end.min(self.chars.len()) {
            self.blank();
        }
    }

    fn step(&mut self) {
        match (self.chars[self.at], self.peek(1)) {
            ('/', Some('/')) => self.line_comment(),
            ('/', Some('*')) => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.character(),
            ('r', Some('"' | '#')) if !self.after_name() => self.raw_string(),
            (c, _) if c.is_alphanumeric() || c == '_' => self.name(),
            _ => self.keep(),
        }
    }

    fn after_name(&self) -> bool {
        let before = self.at.checked_sub(1).map(|index| self.chars[index]);
        before.is_some_and(|c| (c.is_alphanumeric() && c != 'b') || c == '_')
    }

    /// A whole name at once, so that the `r` at its end begins no raw string.
    fn name(&mut self) {
        if self.chars[self.at] == 'b' && matches!(self.peek(1), Some('r' | '"' | '\'')) {
            return self.keep();
        }
        while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
            self.keep();
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.blank();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.chars[self.at], self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.blank();
                    continue;
                }
            }
            self.blank_until(self.at + 2);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.keep();
        while let Some(c) = self.peek(0) {
            match c {
                '\\' => self.blank_until(self.at + 2),
                '"' => return self.keep(),
                _ => self.blank(),
            }
        }
    }

    /// `r"…"` or `r#"…"#`; an `r#name` is a name.
    fn raw_string(&mut self) {
        self.keep();
        let mut hashes = 0;
        while self.peek(hashes) == Some('#') {
            hashes += 1;
        }
        if self.peek(hashes) != Some('"') {
            return;
        }
        (0..=hashes).for_each(|_| self.keep());
        while self.at < self.chars.len() {
            let closes = self.chars[self.at] == '"'
                && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if closes {
                (0..=hashes).for_each(|_| self.keep());
                return;
            }
            self.blank();
        }
    }

    /// A character, or the quote of a lifetime.
    fn character(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        if !escaped && self.peek(2) != Some('\'') {
            return self.keep();
        }
        self.keep();
        if escaped {
            self.blank_until(self.at + 2);
        }
        while self.peek(0).is_some_and(|c| c != '\'') {
            self.blank();
        }
        if self.at < self.chars.len() {
            self.keep();
        }
    }
}

#[test]
fn strings_and_comments_are_blanked() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("}\"{") + 1"#, r#"f("    ") + 1"#),
        ("r#\"a\"b\"# c", "r#\"   \"# c"),
        ("br\"{\" x", "br\" \" x"),
        ("'{' '\\'' '\\u{7d}' &'a str", "' ' '  ' '      ' &'a str"),
        ("b'{' r#fn for_r\"x\"", "b' ' r#fn for_r\" \""),
        ("\"a\nb\"", "\" \n \""),
    ] {
        assert_eq!(mask(text), code, "{text}");
    }
}
