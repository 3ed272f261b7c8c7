//! What the names of `sasl` and `x509` must look like to stand in a list.

/// `service[/host]@REALM`, or any name without an `@` (a digest user, for example).
pub(super) fn is_kerberos_name(name: &str) -> bool {
    let Some((service, realm)) = name.split_once('@') else { return true };
    !realm.contains(['/', '@']) && service.split('/').count() <= 2
}

/// A distinguished name (RFC 2253): attributes with known keywords or object identifiers.
pub(super) fn is_distinguished_name(name: &str) -> bool {
    if name.trim().is_empty() {
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
    let Some((key, _)) = attribute.split_once('=') else { return false };
    let key = key.trim().to_ascii_uppercase();
    KEYWORDS.contains(&key.as_str()) || is_object_identifier(&key)
}

fn is_object_identifier(key: &str) -> bool {
    let digits = key.strip_prefix("OID.").unwrap_or(key);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits.contains('.') && digits.split('.').all(is_number)
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
        for good in ["", "bob", "a/b/c", "bob@R", "zk/host@R", "@", "a/@R"] {
            assert!(is_kerberos_name(good), "{good:?}");
        }
        for bad in ["a@b@c", "a/b/c@R", "a@R/x"] {
            assert!(!is_kerberos_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn distinguished_names() {
        let good = ["", "CN=a", "cn=a, OU=b;O=\"x,y\"+L=z", "CN=a\\,b", "1.2.3=x", "OID.1.2=x"];
        for name in good {
            assert!(is_distinguished_name(name), "{name:?}");
        }
        for bad in ["a", "FOO=a", "CN=a,", "CN=\"a", "CN=a\\", "1.=x", ",CN=a"] {
            assert!(!is_distinguished_name(bad), "{bad:?}");
        }
    }
}
