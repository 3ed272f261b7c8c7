//! What the names of `sasl` and `x509` must look like to stand in a list.

/// `service[/host]@REALM`, or any name without an `@` (a digest user, for example).
pub(super) fn is_kerberos_name(name: &str) -> bool {
    let Some((service, realm)) = name.split_once('@') else { return true };
    !realm.contains(['/', '@']) && service.split('/').count() <= 2
}

/// A distinguished name (RFC 2253): attributes with known keywords or object identifiers.
pub(super) fn is_distinguished_name(name: &str) -> bool {
    if name.is_empty() {
        return true;
    }
    let Some(attributes) = split_attributes(name) else { return false };
    attributes.into_iter().all(is_attribute)
}

/// Cuts at `,`, `;` and `+` that are neither quoted nor escaped; `None` if a quote or an escape
/// is left open.
fn split_attributes(name: &str) -> Option<Vec<&str>> {
    let mut attributes = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in name.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' | ';' | '+' if !quoted => {
                attributes.push(&name[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    attributes.push(&name[start..]);
    (!quoted && !escaped).then_some(attributes)
}

fn is_attribute(attribute: &str) -> bool {
    let Some((key, value)) = attribute.split_once('=') else { return false };
    let key = key.trim().to_ascii_uppercase();
    (KEYWORDS.contains(&key.as_str()) || is_object_identifier(&key)) && is_value(value.trim())
}

fn is_object_identifier(key: &str) -> bool {
    let numbers = key.strip_prefix("OID.").unwrap_or(key).split('.');
    let numbers =
        numbers.map(|number| number.parse::<u128>().ok().filter(|_| !number.starts_with('+')));
    let Some(numbers) = numbers.collect::<Option<Vec<u128>>>() else { return false };
    match numbers[..] {
        [0 | 1, second, ..] => second < 40,
        [2, _, ..] => true,
        _ => false,
    }
}

/// A quoted text, the hexadecimal bytes of a DER value, or a text without special characters.
fn is_value(value: &str) -> bool {
    if let Some(hex) = value.strip_prefix('#') {
        return is_der_value(hex);
    }
    let (text, quoted) = match value.strip_prefix('"') {
        None => (value, false),
        Some(rest) => match rest.strip_suffix('"') {
            None => return false,
            Some(text) => (text, true),
        },
    };
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let is_fine = match c {
            '\\' => is_escape(&mut chars),
            '"' => false,
            '<' | '>' => quoted,
            _ => true,
        };
        if !is_fine {
            return false;
        }
    }
    true
}

/// What follows a backslash: a special character, or the two digits of a byte.
fn is_escape(chars: &mut std::str::Chars<'_>) -> bool {
    match chars.next() {
        Some(',' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' | '=' | ' ') => true,
        Some(high) if high.is_ascii_hexdigit() => {
            chars.next().is_some_and(|low| low.is_ascii_hexdigit())
        }
        _ => false,
    }
}

/// Tag, length, and as many bytes as that says (up to 127: names are short).
fn is_der_value(hex: &str) -> bool {
    let length = hex.get(2..4).and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let is_hex = hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex && length.is_some_and(|length| length < 128 && hex.len() == 4 + 2 * length)
}

/// The attributes that Java knows by name.
const KEYWORDS: [&str; 21] = [
    "CN",
    "C",
    "L",
    "S",
    "ST",
    "O",
    "OU",
    "T",
    "IP",
    "STREET",
    "DC",
    "DNQUALIFIER",
    "DNQ",
    "SURNAME",
    "GIVENNAME",
    "INITIALS",
    "GENERATION",
    "EMAIL",
    "EMAILADDRESS",
    "UID",
    "SERIALNUMBER",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kerberos_names() {
        let good =
            ["", "bob", "a/b/c", "bob@R", "zk/host@R", "@", "a/@R", "/x@R", "a/b@", "a\nb@R"];
        for name in good {
            assert!(is_kerberos_name(name), "{name:?}");
        }
        for bad in ["a@b@c", "a/b/c@R", "a@R/x"] {
            assert!(!is_kerberos_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn distinguished_names_as_java_reads_them() {
        let good = [
            "",
            "CN=a",
            "cn=a, OU=b;O=\"x,y\"+L=z",
            "CN=a\\,b",
            "1.2.3=x",
            "OID.1.2=x",
            "oid.1.2.3=y",
            "1.2=x",
            "2.100=x",
            "CN=",
            "CN = a",
            "CN=a=b",
            "CN=a;O=b",
            "S=1",
            "IP=1",
            "DNQ=1",
            "EMAIL=a@b",
            "SERIALNUMBER=1",
            "CN=a#b",
            "CN=\\41",
            "CN=a\nO=b",
        ];
        for name in good {
            assert!(is_distinguished_name(name), "{name:?}");
        }
        let bad = [
            "a",
            "  ",
            "FOO=a",
            "E=a",
            "TITLE=x",
            "CN=a,",
            "CN=\"a",
            "CN=a\\",
            "1.=x",
            "1=x",
            ",CN=a",
            "3.2.3=x",
            "1.40.3=x",
            "CN",
            "=x",
            "CN=a,,O=b",
            "CN=a+",
            "C N=a",
            "CN=#0403",
            "CN=#zz",
            "CN= #",
            "CN=a\\zzb",
            "CN=\"a\" b",
            "CN=<a>",
        ];
        for name in bad {
            assert!(!is_distinguished_name(name), "{name:?}");
        }
    }
}
