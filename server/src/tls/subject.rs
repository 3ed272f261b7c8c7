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
const GENERAL_STRING: u8 = 0x1b;

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

/// The text of a value, if it is of a type that Java writes as text.
///
/// Java reads all of these as UTF-8 and puts U+FFFD where they are not; here such a value is no
/// text, so that two certificates do not get the same id.
fn text(value: Element<'_>) -> Option<String> {
    match value.tag {
        UTF8_STRING | PRINTABLE_STRING | TELETEX_STRING | IA5_STRING | GENERAL_STRING => {
            String::from_utf8(value.content.to_vec()).ok()
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut der = vec![tag, 0x82];
        der.extend(u16::try_from(content.len()).expect("it is short").to_be_bytes());
        if content.len() < 0x80 {
            der.truncate(1);
            der.push(content.len() as u8);
        } else if content.len() < 0x100 {
            der.truncate(1);
            der.extend([0x81, content.len() as u8]);
        }
        der.extend(content);
        der
    }

    /// A certificate of version 1 with this subject, whose signature is of no use.
    fn certificate(subject: &[u8]) -> CertificateDer<'static> {
        let empty = element(tag::SEQUENCE, &[]);
        let key = element(tag::SEQUENCE, &[&empty[..], &[tag::BIT_STRING, 1, 0]].concat());
        let subject = element(tag::SEQUENCE, subject);
        let parts = [&[tag::INTEGER, 1, 1], &empty[..], &empty, &empty, &subject, &key];
        let signed = element(tag::SEQUENCE, &parts.concat());
        let whole = [&signed[..], &empty, &[tag::BIT_STRING, 1, 0]].concat();
        CertificateDer::from(element(tag::SEQUENCE, &whole))
    }

    const DC: &[u8] = NAMES[8].0;
    const UID: &[u8] = NAMES[7].0;
    const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];

    fn oid(name: &str) -> Vec<u8> {
        let known = NAMES.iter().find(|(_, known)| *known == name);
        known.expect("it has a name").0.to_vec()
    }

    fn attribute(kind: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        let parts = [element(OBJECT_IDENTIFIER, kind), element(tag, value)].concat();
        element(super::tag::SEQUENCE, &parts)
    }

    fn relative(attributes: &[Vec<u8>]) -> Vec<u8> {
        element(tag::SET, &attributes.concat())
    }

    fn id(relative: &[Vec<u8>]) -> Option<String> {
        subject_id(&certificate(&relative.concat()))
    }

    fn one(kind: &[u8], tag: u8, value: &[u8]) -> Option<String> {
        id(&[relative(&[attribute(kind, tag, value)])])
    }

    fn utf8(name: &str, value: &str) -> Vec<u8> {
        attribute(&oid(name), UTF8_STRING, value.as_bytes())
    }

    #[test]
    fn names_are_written_from_the_last_to_the_first_as_java_does() {
        let single = |list: &[(&str, &str)]| {
            let names = list.iter().map(|(name, value)| relative(&[utf8(name, value)]));
            id(&names.collect::<Vec<_>>()).expect("it has an id")
        };
        assert_eq!(single(&[("C", "US"), ("O", "Acme"), ("CN", "svc")]), "CN=svc,O=Acme,C=US");
        assert_eq!(single(&[("CN", "a"), ("CN", "b")]), "CN=b,CN=a");
        assert_eq!(single(&[("O", "Kit, Inc.")]), "O=Kit\\, Inc.");
        assert_eq!(single(&[("ST", "x"), ("L", "y"), ("STREET", "z")]), "STREET=z,L=y,ST=x");
        let multi = [utf8("OU", "x"), utf8("CN", "svc"), utf8("UID", "u1")];
        assert_eq!(id(&[relative(&multi)]).as_deref(), Some("OU=x+CN=svc+UID=u1"));
        let domain = |value: &str| relative(&[attribute(DC, IA5_STRING, value.as_bytes())]);
        let user = relative(&[attribute(UID, UTF8_STRING, b"u1")]);
        let written = id(&[domain("com"), domain("acme"), user]);
        assert_eq!(written.as_deref(), Some("UID=u1,DC=acme,DC=com"));
    }

    #[test]
    fn types_without_a_name_are_written_as_numbers_and_hexadecimal() {
        let email = one(EMAIL, IA5_STRING, b"a@b.c");
        assert_eq!(email.as_deref(), Some("1.2.840.113549.1.9.1=#16056140622e63"));
        let serial = one(&[0x55, 4, 5], PRINTABLE_STRING, b"123");
        assert_eq!(serial.as_deref(), Some("2.5.4.5=#1303313233"));
        for (last, name) in [(4, "2.5.4.4"), (12, "2.5.4.12"), (42, "2.5.4.42"), (46, "2.5.4.46")] {
            let written = one(&[0x55, 4, last], UTF8_STRING, b"a");
            assert_eq!(written, Some(format!("{name}=#0c0161")));
        }
        assert_eq!(one(&[0x88, 0x37], UTF8_STRING, b"a").as_deref(), Some("2.999=#0c0161"));
    }

    #[test]
    fn values_are_escaped_as_java_does() {
        let golden = [
            (" a,b+c\"d\\e<f>g;h=i#j ", "\\ a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h\\=i\\#j\\ "),
            ("a\0b", "a\\00b"),
            ("  \ra \r", "\\ \\ \\\ra\\ \\\r"),
            ("a  b", "a  b"),
            ("\u{e9}\u{1}\u{7f}", "\u{e9}\u{1}\u{7f}"),
            ("", ""),
            (" ", "\\ "),
            ("a\\ ", "a\\\\\\ "),
            ("A*@", "A*@"),
        ];
        for (value, written) in golden {
            let id = one(&oid("CN"), UTF8_STRING, value.as_bytes());
            assert_eq!(id, Some(format!("CN={written}")), "{value:?}");
        }
    }

    #[test]
    fn all_types_that_java_reads_as_text_are_text() {
        let texts = [UTF8_STRING, PRINTABLE_STRING, TELETEX_STRING, IA5_STRING, GENERAL_STRING];
        for tag in texts {
            assert_eq!(one(&oid("CN"), tag, b"a").as_deref(), Some("CN=a"), "{tag}");
        }
        for (tag, value, written) in [
            (0x12, &b"1"[..], "CN=#120131"),
            (0x1c, &[0, 0, 0, 0x61], "CN=#1c0400000061"),
            (0x1e, &[0, 0x61], "CN=#1e020061"),
            (0x04, b"a", "CN=#040161"),
            (UTF8_STRING, &[0xff], "CN=#0c01ff"),
        ] {
            assert_eq!(one(&oid("CN"), tag, value).as_deref(), Some(written));
        }
    }

    #[test]
    fn an_empty_subject_and_what_is_no_certificate_give_no_id() {
        assert_eq!(id(&[]), None);
        assert_eq!(id(&[element(tag::SET, &[])]), None);
        assert_eq!(one(&[0x55, 0x84], UTF8_STRING, b"a"), None);
        assert_eq!(one(&[0xff; 12], UTF8_STRING, b"a"), None);
        assert_eq!(subject_id(&CertificateDer::from(vec![0x30, 0])), None);
    }

    #[test]
    fn a_certificate_of_openssl_has_the_id_that_java_gives_it() {
        let certificate = include_bytes!("store/fixtures/v1.der").as_slice();
        let id = subject_id(&CertificateDer::from(certificate));
        assert_eq!(id.as_deref(), Some("CN=version 1,O=Ringkeeper,C=US"));
    }

    /// Reads a written value back: the opposite of `escaped`.
    fn unescaped(written: &str) -> Option<String> {
        let (mut text, mut chars) = (String::new(), written.chars());
        while let Some(c) = chars.next() {
            match (c, c == '\\') {
                (_, true) => match chars.next()? {
                    '0' => {
                        chars.next().filter(|c| *c == '0')?;
                        text.push('\0');
                    }
                    c => text.push(c),
                },
                (',' | '+' | '"' | '<' | '>' | ';' | '=' | '#', false) => return None,
                (c, false) => text.push(c),
            }
        }
        Some(text)
    }

    proptest! {
        #[test]
        fn a_value_is_read_back_as_it_was(value in any::<String>()) {
            let id = one(&oid("CN"), UTF8_STRING, value.as_bytes()).expect("it has an id");
            let written = id.strip_prefix("CN=").expect("it begins so");
            prop_assert_eq!(unescaped(written), Some(value));
        }

        #[test]
        fn arbitrary_subjects_and_certificates_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
        ) {
            let _ = subject_id(&certificate(&bytes));
            let _ = id(&[relative(&[element(tag::SEQUENCE, &bytes)])]);
            let mut damaged = include_bytes!("store/fixtures/ca.der").to_vec();
            let at = at.index(damaged.len());
            damaged[at] = bytes.first().copied().unwrap_or(0xff);
            let _ = subject_id(&CertificateDer::from(damaged));
        }
    }
}
