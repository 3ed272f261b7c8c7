//! The subject of a certificate as an x509 id: what Java's `X500Principal.getName()` writes, RFC 2253.

use rustls::pki_types::CertificateDer;

use super::certificate::CertificateParts;
use super::der::{Element, Elements, inside, tag};

/// Types of attributes that have a name, by the content of their OID. Others are written as OIDs.
const NAMES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const NUMERIC_STRING: u8 = 0x12;

/// The id of a certificate's owner, such as `CN=svc,O=Acme,C=US`.
///
/// Java's order, names and escapes: relative names from the last to the first, without blanks. A
/// value that is no text, such as a BMPString, is written as `#` and the hexadecimal digits of its
/// DER. Nothing for an empty subject and for what is no certificate.
pub fn subject_id(certificate: &CertificateDer<'_>) -> Option<String> {
    let parts = CertificateParts::of(certificate)?;
    let mut names = inside(parts.subject, tag::SEQUENCE)?;
    let mut relative = Vec::new();
    while !names.is_at_end() {
        relative.push(relative_name(names.take(tag::SET)?)?);
    }
    relative.reverse();
    (!relative.is_empty()).then(|| relative.join(","))
}

/// Attributes in the order of the certificate, with `+` between them.
fn relative_name(set: Element<'_>) -> Option<String> {
    let mut attributes = Elements::of(set.content);
    let mut written = Vec::new();
    while !attributes.is_at_end() {
        let mut attribute = Elements::of(attributes.take(tag::SEQUENCE)?.content);
        let kind = attribute.take(OBJECT_IDENTIFIER)?.content;
        let value = attribute.take_any()?;
        if !attribute.is_at_end() {
            return None;
        }
        let name = NAMES.iter().find(|(oid, _)| *oid == kind);
        written.push(match (name, text(value)) {
            (Some((_, name)), Some(text)) => format!("{name}={}", escaped(&text)),
            (Some((_, name)), None) => format!("{name}=#{}", hex(value.whole)),
            (None, _) => format!("{}=#{}", dotted(kind)?, hex(value.whole)),
        });
    }
    (!written.is_empty()).then(|| written.join("+"))
}

/// The text of a value. T61 strings are read as Latin-1, as Java does.
fn text(value: Element<'_>) -> Option<String> {
    match value.tag {
        UTF8_STRING | PRINTABLE_STRING | IA5_STRING | NUMERIC_STRING => {
            String::from_utf8(value.content.to_vec()).ok()
        }
        TELETEX_STRING => Some(value.content.iter().copied().map(char::from).collect()),
        _ => None,
    }
}

/// Escapes what RFC 2253 escapes, and blanks at both ends.
fn escaped(text: &str) -> String {
    let is_blank = |c: char| matches!(c, ' ' | '\r');
    let inner = text.trim_start_matches(is_blank);
    let leading = text.len() - inner.len();
    let trailing = leading + inner.trim_end_matches(is_blank).len();
    let mut written = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        match c {
            '\0' => written.push_str("\\00"),
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => {
                written.push('\\');
                written.push(c);
            }
            ' ' | '\r' if at < leading || at >= trailing => {
                written.push('\\');
                written.push(c);
            }
            c => written.push(c),
        }
    }
    written
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An OID as numbers with dots; nothing if it is cut short or has a number beyond 64 bits.
fn dotted(content: &[u8]) -> Option<String> {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for &octet in content {
        number = number.checked_mul(128)? | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    let (&last, &first) = (content.last()?, numbers.first()?);
    if last & 0x80 != 0 {
        return None;
    }
    let root = (first / 40).min(2);
    let rest = numbers[1..].iter().map(|number| format!(".{number}")).collect::<String>();
    Some(format!("{root}.{}{rest}", first - root * 40))
}
