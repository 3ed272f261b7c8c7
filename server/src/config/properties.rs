//! The file format of `zoo.cfg`: Java properties, read the way `java.util.Properties` reads them.
//!
//! Two things are kept that Java throws away: the number of each line, and keys given twice.
//! Text is taken as UTF-8 where it is UTF-8, and as ISO-8859-1, which is what Java assumes,
//! where it is not.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// One property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key, without escapes.
    pub key: String,
    /// The value, without escapes and as Java keeps it, that is with spaces at its end.
    pub value: String,
    /// The line the property begins on, counted from one.
    pub line: usize,
}

/// A key that is given again later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The property without effect.
    pub shadowed: Property,
    /// The line that has the last word.
    pub line: usize,
}

/// A `\u` that is not followed by four hexadecimal digits; Java refuses the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape {
    /// The line the property begins on, counted from one.
    pub line: usize,
}

/// A file of properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// The properties in effect, in the order of the file.
    pub properties: Vec<Property>,
    /// The properties that a later line replaces.
    pub duplicates: Vec<Duplicate>,
    /// The lines that cannot be read.
    pub bad: Vec<BadEscape>,
}

/// Reads properties from any bytes.
pub fn read(bytes: &[u8]) -> Properties {
    let text = decode(bytes);
    let mut all = Vec::new();
    let mut bad = Vec::new();
    for (line, logical) in logical_lines(&text) {
        let (key, value) = split(&logical);
        match (unescape(key), unescape(value)) {
            (Some(key), Some(value)) => all.push(Property { key, value, line }),
            (_, _) => bad.push(BadEscape { line }),
        }
    }
    let last: BTreeMap<String, usize> = all.iter().map(|p| (p.key.clone(), p.line)).collect();
    let (properties, shadowed): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|property| last[&property.key] == property.line);
    let duplicates = shadowed
        .into_iter()
        .map(|shadowed| Duplicate { line: last[&shadowed.key], shadowed })
        .collect();
    Properties { properties, duplicates, bad }
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// Joins continued lines and drops comments and blank lines. A comment is not continued, and a
/// line that continues another is never a comment, unless there is nothing yet to continue.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, natural) in natural_lines(text).enumerate() {
        let content = natural.trim_start_matches(is_space);
        let begun = open.take().filter(|(_, logical)| !logical.is_empty());
        if begun.is_none() && (content.is_empty() || content.starts_with(['#', '!'])) {
            continue;
        }
        // A backslash at the end continues the line only if it is not itself escaped.
        let backslashes = content.chars().rev().take_while(|c| *c == '\\').count();
        let continued = backslashes % 2 == 1;
        let (line, mut logical) = begun.unwrap_or((at + 1, String::new()));
        logical.push_str(&content[..content.len() - usize::from(continued)]);
        if continued {
            open = Some((line, logical));
        } else {
            lines.push((line, logical));
        }
    }
    // Java may make an empty key of a last line that is nothing but a backslash; nobody means that.
    lines.extend(open.filter(|(_, logical)| !logical.is_empty()));
    lines
}

/// Splits after `\n`, `\r` and `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest.filter(|rest| !rest.is_empty())?;
        let Some(end) = current.find(['\n', '\r']) else {
            rest = None;
            return Some(current);
        };
        let width = if current[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&current[end + width..]);
        Some(&current[..end])
    })
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// The key ends at the first `=`, `:` or space that is not escaped; spaces and one separator
/// around them belong to neither side.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (is_space(c) || c == '=' || c == ':');
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some(end) = end else { return (line, "") };
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_space);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_space))
}

/// Resolves escapes; nothing for a `\u` without its four digits.
fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut letters = text.chars();
    let mut buffer = [0; 2];
    while let Some(letter) = letters.next() {
        let plain = if letter == '\\' { letters.next() } else { Some(letter) };
        match plain {
            Some('u') if letter == '\\' => units.push(four_digits(&mut letters)?),
            Some('t') if letter == '\\' => units.push(u16::from(b'\t')),
            Some('n') if letter == '\\' => units.push(u16::from(b'\n')),
            Some('r') if letter == '\\' => units.push(u16::from(b'\r')),
            Some('f') if letter == '\\' => units.push(0x0c),
            Some(other) => units.extend_from_slice(other.encode_utf16(&mut buffer)),
            None => {}
        }
    }
    Some(String::from_utf16_lossy(&units))
}

fn four_digits(letters: &mut std::str::Chars<'_>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = letters.next()?.to_digit(16)?;
        unit = unit << 4 | u16::try_from(digit).expect("a hexadecimal digit is below 16");
    }
    Some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, usize)> {
        let read = read(text.as_bytes());
        assert_eq!(read.bad, []);
        read.properties.into_iter().map(|p| (p.key, p.value, p.line)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?} gave {all:?}");
        let (key, value, _) = all.remove(0);
        (key, value)
    }

    fn check(text: &str, key: &str, value: &str) {
        assert_eq!(one(text), (key.to_owned(), value.to_owned()), "{text:?}");
    }

    #[test]
    fn separators() {
        for text in ["a=b", "a:b", "a b", "a = b", "a : b", "a\t\x0cb", "  a=b", "a =b"] {
            check(text, "a", "b");
        }
        check("a==b", "a", "=b");
        check("a = = b", "a", "= b");
        check("a : =b", "a", "=b");
        check("a", "a", "");
        check("=b", "", "b");
        check("a=b ", "a", "b ");
        check("a\\ b\\=c=d", "a b=c", "d");
        check("a\\\\=b", "a\\", "b");
    }

    #[test]
    fn comments_and_blank_lines() {
        assert_eq!(pairs("# a=b\n ! c=d\n\n \t\n"), []);
        assert_eq!(pairs("#a\\\nb=c"), [("b".into(), "c".into(), 2)]);
        check("a=b # c", "a", "b # c");
    }

    #[test]
    fn continued_lines() {
        check("a=b\\\n   c", "a", "bc");
        check("a=b\\\r\n\tc\\\rd", "a", "bcd");
        check("a\\\n=b", "a", "b");
        check("a=b\\\n#c", "a", "b#c");
        check("a=b\\\\", "a", "b\\");
        check("a=b\\", "a", "b");
        assert_eq!(pairs("a=b\\\n\nc=d").len(), 2);
        assert_eq!(pairs("\\\n#a=b\n\\\n\nc=d"), [("c".into(), "d".into(), 5)]);
        check("a\\\n#b", "a#b", "");
        assert_eq!(pairs("\\"), []);
        assert_eq!(pairs("a\n\\\r\n").len(), 1);
        assert_eq!(
            pairs("x=1\r\r\ny=2"),
            [("x".into(), "1".into(), 1), ("y".into(), "2".into(), 3)]
        );
    }

    #[test]
    fn escapes() {
        check("a=\\t\\n\\r\\f\\q\\\"", "a", "\t\n\r\x0cq\"");
        check("\\u0061=\\u00e9\\uD83D\\uDE00", "a", "é😀");
        check("a=\\uD83D", "a", "\u{fffd}");
        assert_eq!(read(b"x=1\na=\\u12g4").bad, [BadEscape { line: 2 }]);
        assert_eq!(read(b"a=\\u12").bad, [BadEscape { line: 1 }]);
    }

    #[test]
    fn last_of_two_equal_settings_wins_and_a_warning_names_the_first() {
        let read = read(b"a=1\nb=2\na=3");
        let in_effect: Vec<_> = read.properties.iter().map(|p| (p.key.as_str(), p.line)).collect();
        assert_eq!(in_effect, [("b", 2), ("a", 3)]);
        assert_eq!((read.duplicates[0].shadowed.line, read.duplicates[0].line), (1, 3));
    }

    #[test]
    fn both_encodings() {
        assert_eq!(read("a=é".as_bytes()).properties[0].value, "é");
        assert_eq!(read(b"a=\xe9").properties[0].value, "é");
        assert_eq!(read(b"\xef\xbb\xbfa=1").properties[0].key, "a");
    }

    #[test]
    fn random_bytes_do_not_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let alphabet = b"a=: \\\n\r\t\x0c#!u0f9\xe9\xff\xc3";
        for _ in 0..20_000 {
            let len = random() % 40;
            let length = u64::try_from(alphabet.len()).expect("fits");
            let bytes: Vec<u8> = (0..len)
                .map(|_| alphabet[usize::try_from(random() % length).expect("fits")])
                .collect();
            let read = read(&bytes);
            assert!(read.properties.iter().all(|p| p.line >= 1 && p.line <= 41));
        }
    }
}
