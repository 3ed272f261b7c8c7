//! The fields of a DIGEST-MD5 token: `key=value` and `key="value"` between commas, as Java reads
//! them.

/// A token that is no list of fields, or has one of them twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BadDirectives;

/// The fields of a token, each with its key in lower case.
pub(super) struct Directives(Vec<(String, Vec<u8>)>);

impl Directives {
    /// Reads a token. Linear white space may stand around keys and values, and ends a value that is
    /// not quoted.
    pub(super) fn parse(token: &[u8]) -> Result<Directives, BadDirectives> {
        let mut fields = Vec::new();
        let mut rest = trim(token);
        while let Some(first) = rest.first() {
            if *first == b',' {
                rest = trim(&rest[1..]);
                continue;
            }
            let ends = |byte: &u8| matches!(byte, b'=' | b',') || is_space(*byte);
            let Some(end) = rest.iter().position(ends) else {
                // Java takes a last key without a value.
                fields.push((lower_case(rest), Vec::new()));
                break;
            };
            let (key, after) = key(rest, end)?;
            let (value, after) = value(after)?;
            fields.push((lower_case(key), value));
            rest = after;
        }
        Ok(Directives(fields))
    }

    /// A field, if it is there; refuses one that is there twice.
    pub(super) fn once(&self, key: &str) -> Result<Option<&[u8]>, BadDirectives> {
        let mut values = self.0.iter().filter(|(name, _)| name == key);
        let first = values.next().map(|(_, value)| value.as_slice());
        if values.next().is_some() { Err(BadDirectives) } else { Ok(first) }
    }

    /// The first field of this name.
    pub(super) fn first(&self, key: &str) -> Option<&[u8]> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_slice())
    }
}

fn lower_case(key: &[u8]) -> String {
    String::from_utf8_lossy(key).to_ascii_lowercase()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn trim(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().take_while(|byte| is_space(**byte)).count();
    &bytes[spaces..]
}

/// The key, and what follows its equals sign.
fn key(bytes: &[u8], end: usize) -> Result<(&[u8], &[u8]), BadDirectives> {
    let (key, rest) = bytes.split_at(end);
    let rest = trim(rest).strip_prefix(b"=").ok_or(BadDirectives)?;
    if key.is_empty() { Err(BadDirectives) } else { Ok((key, trim(rest))) }
}

/// The value, and what follows its separator.
fn value(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), BadDirectives> {
    let (value, rest) = match bytes.first() {
        None => return Err(BadDirectives),
        Some(b'"') => quoted(&bytes[1..])?,
        Some(_) => {
            let ends = |byte: &u8| *byte == b',' || is_space(*byte);
            let end = bytes.iter().position(ends).unwrap_or(bytes.len());
            (bytes[..end].to_vec(), &bytes[end..])
        }
    };
    match rest.split_first() {
        None => Ok((value, rest)),
        Some((separator, rest)) if *separator == b',' || is_space(*separator) => {
            Ok((value, trim(rest)))
        }
        Some(_) => Err(BadDirectives),
    }
}

/// What stands before the closing quote, without escapes, and what follows that.
fn quoted(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), BadDirectives> {
    let mut value = Vec::new();
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => return Ok((value, rest)),
            b'\\' => {
                let (escaped, after) = rest.split_first().ok_or(BadDirectives)?;
                value.push(*escaped);
                rest = after;
            }
            plain => value.push(*plain),
        }
    }
    Err(BadDirectives)
}

/// Appends a field whose value is quoted.
pub(super) fn put_quoted(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"=\"");
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(token: &str) -> Option<Vec<(String, String)>> {
        let Directives(fields) = Directives::parse(token.as_bytes()).ok()?;
        let text = |value: Vec<u8>| String::from_utf8(value).expect("UTF-8");
        Some(fields.into_iter().map(|(key, value)| (key, text(value))).collect())
    }

    fn check(token: &str, expected: &[(&str, &str)]) {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        assert_eq!(fields(token), Some(expected.iter().map(owned).collect()), "{token:?}");
    }

    #[test]
    fn fields_with_quotes_escapes_and_spaces_are_read() {
        check("", &[]);
        check("a=b", &[("a", "b")]);
        check(" A = \"b,c\" , d=e", &[("a", "b,c"), ("d", "e")]);
        check(r#"a="b\"c\\d\e""#, &[("a", r#"b"c\de"#)]);
        check("a=b c=d", &[("a", "b"), ("c", "d")]);
        check("a=\"\",b=c,", &[("a", ""), ("b", "c")]);
        check("a=b=c", &[("a", "b=c")]);
        check(",,a=,,b=c, ,d", &[("a", ""), ("b", "c"), ("d", "")]);
    }

    #[test]
    fn broken_syntax_is_refused() {
        for token in ["a,b=c", "a ", "=b", "a=", "a=\"b", "a=\"b\\", "a=\"b\"c", "a b=c"] {
            assert_eq!(fields(token), None, "{token:?}");
        }
    }

    #[test]
    fn quoted_value_comes_back_as_it_was() {
        let mut out = Vec::new();
        put_quoted(&mut out, "k", br#"a"b\c, d"#);
        check(std::str::from_utf8(&out).expect("UTF-8"), &[("k", r#"a"b\c, d"#)]);
    }
}
