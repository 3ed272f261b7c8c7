//! What is expected: frames with placeholders, and lines of text with fields that vary.

use std::collections::HashMap;

use crate::script::Token;

/// The fields a script has bound so far.
pub(crate) type Bound = HashMap<String, Vec<u8>>;

/// A part of a line of text.
#[derive(Clone, Debug)]
enum Piece {
    Literal(Vec<u8>),
    /// Digits, perhaps with a sign.
    Int,
    /// Digits and dots.
    Num,
    /// Whatever comes up to the end of the line.
    Rest,
    /// A bound field of eight bytes as hex without leading zeros.
    Hex(String),
}

/// One expected line of text.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
    pub(crate) source: String,
}

/// The bytes of a frame to send.
pub(crate) fn render(tokens: &[Token], bound: &Bound) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for token in tokens {
        match token {
            Token::Bytes(part) => bytes.extend_from_slice(part),
            Token::Name(name, _) => {
                bytes.extend_from_slice(bound.get(name).ok_or(format!("<{name}> is not bound"))?);
            }
            Token::AnyOrder(_) => return Err("a sent frame has one order".into()),
        }
    }
    Ok(bytes)
}

/// Compares a received frame with what is expected and binds new placeholders.
pub(crate) fn compare(tokens: &[Token], data: &[u8], bound: &mut Bound) -> Result<(), usize> {
    let mut trial = bound.clone();
    let end = advance(tokens, data, 0, &mut trial)?;
    if end < data.len() {
        return Err(end);
    }
    *bound = trial;
    Ok(())
}

/// Matches tokens from a position on; gives the position behind them, or where they fail.
fn advance(tokens: &[Token], data: &[u8], at: usize, bound: &mut Bound) -> Result<usize, usize> {
    let mut at = at;
    for token in tokens {
        at = match token {
            Token::Bytes(part) => literal(part, data, at)?,
            Token::Name(name, size) => named(name, *size, data, at, bound)?,
            Token::AnyOrder(members) => any_order(members, data, at, bound)?,
        };
    }
    Ok(at)
}

fn literal(part: &[u8], data: &[u8], at: usize) -> Result<usize, usize> {
    let same = part.iter().zip(&data[at..]).take_while(|(a, b)| a == b).count();
    if same == part.len() { Ok(at + same) } else { Err(at + same) }
}

fn named(
    name: &str,
    size: usize,
    data: &[u8],
    at: usize,
    bound: &mut Bound,
) -> Result<usize, usize> {
    let field = data.get(at..at + size).ok_or(at)?;
    let known = bound.entry(name.into()).or_insert_with(|| field.to_vec());
    if known == field { Ok(at + size) } else { Err(at) }
}

/// Members start with their length, so at most one of them fits at a position.
fn any_order(
    members: &[Vec<Token>],
    data: &[u8],
    at: usize,
    bound: &mut Bound,
) -> Result<usize, usize> {
    let mut left: Vec<&Vec<Token>> = members.iter().collect();
    let mut at = at;
    while !left.is_empty() {
        let fits = left.iter().position(|m| advance(m, data, at, &mut bound.clone()).is_ok());
        let member = left.remove(fits.ok_or(at)?);
        at = advance(member, data, at, bound)?;
    }
    Ok(at)
}

impl Pattern {
    pub(crate) fn parse(quoted: &str) -> Result<Self, String> {
        let inner = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"'));
        let mut chars = inner.ok_or("a text that is not quoted")?.chars();
        let mut pieces = vec![Piece::Literal(Vec::new())];
        while let Some(next) = chars.next() {
            match next {
                '\\' => push(&mut pieces, escape(&mut chars)?),
                '{' => pieces.push(placeholder(chars.by_ref().take_while(|c| *c != '}'))?),
                plain => push(&mut pieces, plain as u8),
            }
        }
        Ok(Self { pieces, source: quoted.into() })
    }

    /// The length of the match at the start of the text.
    pub(crate) fn matches(&self, text: &[u8], bound: &Bound) -> Option<usize> {
        let mut at = 0;
        for piece in &self.pieces {
            at += piece.matches(&text[at..], bound)?;
        }
        Some(at)
    }
}

impl Piece {
    fn matches(&self, text: &[u8], bound: &Bound) -> Option<usize> {
        let run = |fits: fn(&u8) -> bool| text.iter().take_while(|b| fits(b)).count();
        match self {
            Self::Literal(part) => text.starts_with(part).then_some(part.len()),
            Self::Int => Some(run(|b| b.is_ascii_digit() || *b == b'-')).filter(|n| *n > 0),
            Self::Num => Some(run(|b| b.is_ascii_digit() || b"-.E".contains(b))).filter(|n| *n > 0),
            Self::Rest => Some(run(|b| *b != b'\n')),
            Self::Hex(name) => {
                let bytes = <[u8; 8]>::try_from(bound.get(name)?.as_slice()).ok()?;
                let shown = format!("{:x}", u64::from_be_bytes(bytes));
                text.starts_with(shown.as_bytes()).then_some(shown.len())
            }
        }
    }
}

fn push(pieces: &mut Vec<Piece>, byte: u8) {
    match pieces.last_mut() {
        Some(Piece::Literal(part)) => part.push(byte),
        Some(_) | None => pieces.push(Piece::Literal(vec![byte])),
    }
}

fn escape(chars: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match chars.next().ok_or("a text ends in a backslash")? {
        'n' => Ok(b'\n'),
        't' => Ok(b'\t'),
        'x' => {
            let digits: String = chars.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16).map_err(|_| format!("`\\x{digits}` is no byte"))
        }
        plain => Ok(plain as u8),
    }
}

fn placeholder(chars: impl Iterator<Item = char>) -> Result<Piece, String> {
    let name: String = chars.collect();
    Ok(match name.as_str() {
        "int" => Piece::Int,
        "num" => Piece::Num,
        "rest" => Piece::Rest,
        other => Piece::Hex(other.strip_suffix(":hex").ok_or("an unknown placeholder")?.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Script, Side, Step};

    fn expected(line: &str) -> Vec<Token> {
        let script = Script::parse(&format!("A< {line}"), Side::Apache).expect("it parses");
        match script.lines.into_iter().next().expect("one line").step {
            Step::Expect(tokens) => tokens,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_wrong_byte_is_found() {
        let mut bound = Bound::new();
        assert_eq!(compare(&expected("0001 02"), &[0, 1, 2], &mut bound), Ok(()));
        assert_eq!(compare(&expected("0001 02"), &[0, 1, 3], &mut bound), Err(2));
        assert_eq!(compare(&expected("0001 02"), &[0, 1], &mut bound), Err(2));
        assert_eq!(compare(&expected("0001"), &[0, 1, 2], &mut bound), Err(2));
    }

    #[test]
    fn a_placeholder_keeps_its_first_value() {
        let mut bound = Bound::new();
        assert_eq!(compare(&expected("<a:2> 07 <a:2>"), &[1, 2, 7, 1, 2], &mut bound), Ok(()));
        assert_eq!(compare(&expected("<a:2>"), &[1, 3], &mut bound), Err(0));
        assert_eq!(bound["a"], [1, 2]);
    }

    #[test]
    fn members_match_in_any_order_if_all_are_there() {
        let mut bound = Bound::new();
        let three = expected("{ 01aa | 01bb | 01bb }");
        assert_eq!(compare(&three, &[1, 0xbb, 1, 0xaa, 1, 0xbb], &mut bound), Ok(()));
        assert_eq!(compare(&three, &[1, 0xaa, 1, 0xaa, 1, 0xbb], &mut bound), Err(2));
    }

    #[test]
    fn text_has_fields_that_vary() {
        let bound = Bound::from([("sid".to_string(), vec![0, 0, 0, 0, 0, 0, 1, 0x2f])]);
        let line =
            |p: &str, t: &str| Pattern::parse(p).expect("it parses").matches(t.as_bytes(), &bound);
        assert_eq!(line(r#""n={int} {rest}\n""#, "n=-5 all\n"), Some(9));
        assert_eq!(line(r#""n={int}\n""#, "n=x\n"), None);
        assert_eq!(line(r#""0x{sid:hex}""#, "0x12f"), Some(5));
        assert_eq!(line(r#""0x{sid:hex}""#, "0x130"), None);
    }
}
