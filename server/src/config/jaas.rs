//! The format of JAAS login files, as Java's `ConfigFile` reads it.
//!
//! A file is sections `Name { Class flag key="value" ...; };`. A value may be a password, so that no
//! error repeats what a file says. Two things are refused that Java takes: a quoted value that ends
//! with its line instead of a quote, and a property in `${}`, which Java would expand.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// A section of a file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) modules: Vec<LoginModule>,
}

/// An entry of a section. Its options are not shown: they may hold passwords.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct LoginModule {
    pub(super) class: String,
    /// The line of its class, counted from one.
    pub(super) line: usize,
    pub(super) options: Vec<(String, String)>,
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadFile {
    pub(super) line: usize,
    /// What is wrong and what to do.
    pub(super) text: String,
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Result<Vec<Section>, BadFile> {
    let mut tokens = Tokens { letters: text.chars().peekable(), line: 1 };
    let mut sections: Vec<Section> = Vec::new();
    while let Some(token) = tokens.next()? {
        let (Token::Word(name) | Token::Quoted(name)) = token else {
            return Err(tokens.bad("the name of a section is expected, such as Server"));
        };
        if sections.iter().any(|section| section.name == name) {
            return Err(tokens.bad(&format!("section {name} is there twice; remove one of them")));
        }
        tokens.symbol('{', "behind the name of a section")?;
        let mut modules = Vec::new();
        while let Some(module) = tokens.module()? {
            modules.push(module);
        }
        tokens.symbol(';', "behind the } of a section")?;
        sections.push(Section { name, modules });
    }
    Ok(sections)
}

#[derive(Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Symbol(char),
}

const FLAGS: [&str; 4] = ["required", "requisite", "sufficient", "optional"];

struct Tokens<'t> {
    letters: Peekable<Chars<'t>>,
    line: usize,
}

impl Tokens<'_> {
    fn bad(&self, text: &str) -> BadFile {
        BadFile { line: self.line, text: text.to_owned() }
    }

    fn letter(&mut self) -> Option<char> {
        let letter = self.letters.next();
        self.line += usize::from(letter == Some('\n'));
        letter
    }

    /// The next token; none at the end of the file.
    fn next(&mut self) -> Result<Option<Token>, BadFile> {
        self.skip_spaces_and_comments();
        let Some(first) = self.letter() else { return Ok(None) };
        Ok(Some(match first {
            '"' => Token::Quoted(self.quoted()?),
            first if begins_word(first) => {
                let mut word = String::from(first);
                while let Some(letter) = self.letters.next_if(|letter| continues_word(*letter)) {
                    word.push(letter);
                }
                Token::Word(word)
            }
            symbol => Token::Symbol(symbol),
        }))
    }

    /// A single slash begins a comment, too.
    fn skip_spaces_and_comments(&mut self) {
        while let Some(letter) = self.letters.peek().copied() {
            match letter {
                '/' => self.skip_comment(),
                letter if letter <= ' ' => drop(self.letter()),
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        self.letter();
        if self.letters.next_if_eq(&'*').is_none() {
            while self.letters.next_if(|letter| !matches!(letter, '\n' | '\r')).is_some() {}
            return;
        }
        while let Some(letter) = self.letter() {
            if letter == '*' && self.letters.next_if_eq(&'/').is_some() {
                return;
            }
        }
    }

    /// The rest of a quoted value, without its escapes.
    fn quoted(&mut self) -> Result<String, BadFile> {
        let mut text = String::new();
        loop {
            match self.letters.peek().copied() {
                None | Some('\n' | '\r') => {
                    return Err(
                        self.bad("a quoted value has no end on its line; write \" behind it")
                    );
                }
                Some('"') => {
                    self.letter();
                    break;
                }
                Some('\\') => {
                    self.letter();
                    text.push(self.escaped()?);
                }
                Some(letter) => {
                    self.letter();
                    text.push(letter);
                }
            }
        }
        if text.split_once("${").is_some_and(|(_, rest)| rest.contains('}')) {
            return Err(self.bad("a property in ${} is not expanded here; write its value"));
        }
        Ok(text)
    }

    fn escaped(&mut self) -> Result<char, BadFile> {
        let Some(letter) = self.letters.next_if(|letter| !matches!(letter, '\n' | '\r')) else {
            return Err(self.bad("a quoted value ends in a backslash; write \\\\ for one"));
        };
        Ok(match letter {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '0'..='7' => self.octal(letter),
            other => other,
        })
    }

    /// Three digits at most, and two where three would be more than a byte.
    fn octal(&mut self, first: char) -> char {
        let more = if first <= '3' { 2 } else { 1 };
        let mut byte = digit(first);
        for _ in 0..more {
            let Some(next) = self.letters.next_if(|next| matches!(next, '0'..='7')) else { break };
            byte = byte * 8 + digit(next);
        }
        char::from(byte)
    }

    fn symbol(&mut self, symbol: char, place: &str) -> Result<(), BadFile> {
        match self.next()? {
            Some(Token::Symbol(found)) if found == symbol => Ok(()),
            Some(_) | None => Err(self.bad(&format!("{symbol} is missing {place}"))),
        }
    }

    /// An entry of a section; none at the end of the section.
    fn module(&mut self) -> Result<Option<LoginModule>, BadFile> {
        let class = match self.next()? {
            Some(Token::Symbol('}')) => return Ok(None),
            Some(Token::Word(class) | Token::Quoted(class)) => class,
            Some(Token::Symbol(_)) => {
                return Err(self.bad("the class of a login module, or }, is expected"));
            }
            None => return Err(self.bad("} is missing at the end of a section")),
        };
        let line = self.line;
        let flag = self.next()?;
        let is_flag = |word: &String| FLAGS.iter().any(|flag| flag.eq_ignore_ascii_case(word));
        if !matches!(&flag, Some(Token::Word(word) | Token::Quoted(word)) if is_flag(word)) {
            let flags = FLAGS.join(", ");
            return Err(self.bad(&format!("behind the class one of {flags} is expected")));
        }
        let mut options = Vec::new();
        while let Some(option) = self.option()? {
            options.push(option);
        }
        Ok(Some(LoginModule { class, line, options }))
    }

    /// An option of an entry; none at the end of the entry.
    fn option(&mut self) -> Result<Option<(String, String)>, BadFile> {
        let key = match self.next()? {
            Some(Token::Symbol(';')) => return Ok(None),
            Some(Token::Word(key) | Token::Quoted(key)) => key,
            Some(Token::Symbol(_)) | None => {
                return Err(self.bad(
                    "an option key=\"value\" is expected, or ; behind the last; a key of other \
                     characters than letters, digits and _ . - $ needs quotes",
                ));
            }
        };
        self.symbol('=', "between the key and the value of an option")?;
        match self.next()? {
            Some(Token::Quoted(value) | Token::Word(value)) => Ok(Some((key, value))),
            Some(Token::Symbol(_)) | None => {
                Err(self.bad("the value of an option is missing or has no quotes; write \"value\""))
            }
        }
    }
}

fn digit(letter: char) -> u8 {
    u8::try_from(letter.to_digit(8).expect("an octal digit")).expect("below 8")
}

/// As Java's `StreamTokenizer`: what begins with a digit, a dot or a hyphen is a number there.
fn begins_word(letter: char) -> bool {
    letter.is_ascii_alphabetic() || matches!(letter, '_' | '$' | '*') || letter >= '\u{a0}'
}

fn continues_word(letter: char) -> bool {
    begins_word(letter) || letter.is_ascii_digit() || matches!(letter, '.' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: &str = "org.apache.zookeeper.server.auth.DigestLoginModule";

    /// The options of the only entry of the only section.
    fn options(options: &str) -> Result<Vec<(String, String)>, BadFile> {
        let sections = parse(&format!("Server {{ {CLASS} required {options}; }};"))?;
        Ok(sections[0].modules[0].options.clone())
    }

    fn value(text: &str) -> String {
        options(&format!("k={text}")).expect(text).remove(0).1
    }

    #[test]
    fn file_of_several_sections_is_read_with_its_comments() {
        let text = "/* users\n of the service */\nServer { // here\n\
                    org.apache.zookeeper.server.auth.DigestLoginModule REQUIRED\n\
                    / a single slash\n\
                    user_super=\"adminsecret\"\n user_bob=bobsecret;\n\
                    a.Second optional; };\nClient{x.Y sufficient username=\"bob\" password=\"p\";};";
        let sections = parse(text).expect("it is good");
        let names: Vec<&str> = sections.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(names, ["Server", "Client"]);
        let [digest, second] = &sections[0].modules[..] else { panic!("two entries") };
        assert_eq!((digest.class.as_str(), digest.line), (CLASS, 4));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            digest.options,
            [pair("user_super", "adminsecret"), pair("user_bob", "bobsecret")]
        );
        assert_eq!((second.class.as_str(), second.options.len()), ("a.Second", 0));
        for empty in ["", " \n", "// nothing", "/* no end"] {
            assert_eq!(parse(empty), Ok(Vec::new()), "{empty:?}");
        }
    }

    #[test]
    fn values_are_quoted_texts_with_escapes_or_bare_words() {
        let expected = [
            ("\"a b\"", "a b"),
            ("\"\"", ""),
            (r#""a\"b\\c""#, "a\"b\\c"),
            (r#""\t\n\101\1019\400\q""#, "\t\nAA9 0q"),
            ("\"// no comment; }\"", "// no comment; }"),
            ("\"ü€\"", "ü€"),
            ("bare_word-1.x$", "bare_word-1.x$"),
            ("ü", "ü"),
        ];
        for (text, read) in expected {
            assert_eq!(value(text), read, "{text}");
        }
        let quoted = parse("\"Server\" { \"a.B\" \"Required\" \"user_a/b c\" = \"x\"; };");
        let module = quoted.expect("it is good").remove(0).modules.remove(0);
        assert_eq!((module.class.as_str(), module.options[0].0.as_str()), ("a.B", "user_a/b c"));
        assert_eq!(options("user_*a=\"${\"").expect("a key")[0].1, "${");
        assert_eq!(options("user_é.a-b$=\"x\"").expect("a key")[0].0, "user_é.a-b$");
    }

    #[test]
    fn bad_file_is_refused_with_the_line_and_without_what_it_says() {
        let in_section = |inner: &str| format!("Server {{\n{inner}\n}};");
        let entry = |options: &str| in_section(&format!("{CLASS} required\n{options};"));
        let cases = [
            ("# comment".to_owned(), 1, "the name of a section"),
            ("Server".to_owned(), 1, "{ is missing"),
            ("= {};".to_owned(), 1, "the name of a section"),
            ("Server {\n".to_owned(), 2, "} is missing"),
            ("Server {}\n".to_owned(), 2, "; is missing"),
            ("Server {};\nServer {};".to_owned(), 2, "section Server is there twice"),
            (in_section("a.B\nk=\"marker\";"), 3, "one of required"),
            (in_section("a.B sometimes k=\"marker\";"), 2, "one of required"),
            (in_section("a.B required k=\"marker\""), 3, "an option key"),
            (entry("=\"marker\""), 3, "an option key"),
            (entry("k\"marker\""), 3, "= is missing"),
            (entry("k="), 3, "the value of an option"),
            (entry("k=123456"), 3, "the value of an option"),
            (entry("k=-marker"), 3, "the value of an option"),
            (entry("k='marker'"), 3, "the value of an option"),
            (entry("user_a@b=\"marker\""), 3, "= is missing"),
            (entry("user_a/b=\"marker\""), 4, "= is missing"),
            (entry("k=\"marker"), 3, "has no end"),
            (entry("k=\"marker\\\n"), 3, "in a backslash"),
            (entry("k=\"${marker}\""), 3, "is not expanded"),
            (entry("k=marker word"), 3, "= is missing"),
        ];
        for (text, line, why) in cases {
            let bad = parse(&text).expect_err(&text);
            assert_eq!(bad.line, line, "{text}\n{}", bad.text);
            assert!(bad.text.contains(why), "{text}\n{}", bad.text);
            assert!(!bad.text.contains("marker") && !bad.text.contains("123456"), "{}", bad.text);
        }
    }

    #[test]
    fn random_files_do_not_panic_and_name_a_line_that_is_there() {
        let pieces = [
            "Server",
            "{",
            "}",
            ";",
            "=",
            "\"",
            "\\",
            "/",
            "*",
            "a.B",
            " required ",
            "\n",
            "user_x",
            "\"v\"",
            "1",
            "é",
            "${",
            "'",
            "\r",
            "#",
            "\\101",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).expect("small")
        };
        for _ in 0..20_000 {
            let count = random(30);
            let text: String = (0..count).map(|_| pieces[random(pieces.len())]).collect();
            if let Err(bad) = parse(&text) {
                let lines = text.matches('\n').count() + 1;
                assert!((1..=lines).contains(&bad.line), "{text:?}: {bad:?}");
            }
        }
    }
}
