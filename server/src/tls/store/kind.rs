//! Which type a store has.

use super::entry::STORE_BYTES_MAX;
use super::error::StoreError;

/// The types of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Java's own.
    Jks,
    /// PKCS#12, also called PFX.
    Pkcs12,
    /// Keys and certificates as text.
    Pem,
}

/// What the name of a file or a setting says.
enum Declared {
    Kind(StoreKind),
    Bcfks,
}

/// The type of a store: as it was declared, or by the end of its name, or by its content.
///
/// As in Java, a store that is said to be JKS or PKCS12 may be either of both: keytool writes
/// PKCS12 into files that are called `.jks`.
///
/// # Errors
/// For a size that no store has, a type that is not known, BCFKS, and for a content that is neither
/// of the types if nothing else tells it.
pub fn kind_of(
    file_name: &str,
    declared: Option<&str>,
    bytes: &[u8],
) -> Result<StoreKind, StoreError> {
    if bytes.is_empty() || bytes.len() > STORE_BYTES_MAX {
        return Err(StoreError::Size { bytes: bytes.len() });
    }
    let declared = match declared.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => {
            let known = by_word(&text.to_ascii_lowercase());
            Some(known.ok_or_else(|| StoreError::UnknownType(text.to_owned()))?)
        }
        None => file_name.rsplit_once('.').and_then(|(_, end)| by_word(end)),
    };
    match declared {
        Some(Declared::Bcfks) => Err(StoreError::Bcfks),
        Some(Declared::Kind(StoreKind::Pem)) => Ok(StoreKind::Pem),
        Some(Declared::Kind(kind @ (StoreKind::Jks | StoreKind::Pkcs12))) => {
            Ok(by_content(bytes).filter(|found| *found != StoreKind::Pem).unwrap_or(kind))
        }
        None => by_content(bytes).ok_or(StoreError::UnknownKind),
    }
}

fn by_word(word: &str) -> Option<Declared> {
    match word {
        "jks" => Some(Declared::Kind(StoreKind::Jks)),
        "p12" | "pkcs12" => Some(Declared::Kind(StoreKind::Pkcs12)),
        "pem" => Some(Declared::Kind(StoreKind::Pem)),
        "bcfks" => Some(Declared::Bcfks),
        _ => None,
    }
}

/// JKS and JCEKS have a magic number, PKCS12 is a SEQUENCE, PEM has a line of dashes.
fn by_content(bytes: &[u8]) -> Option<StoreKind> {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Some(StoreKind::Jks),
        [0x30, 0x80..=0x84, ..] => Some(StoreKind::Pkcs12),
        _ => {
            let is_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
            is_pem.then_some(StoreKind::Pem)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JKS: &[u8] = &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];
    const PKCS12: &[u8] = &[0x30, 0x82, 1, 2];
    const PEM: &[u8] = b"Bag Attributes\n-----BEGIN CERTIFICATE-----\n";

    #[test]
    fn a_declared_type_wins_over_the_name_and_the_content() {
        let kinds =
            [("PEM", StoreKind::Pem), ("jks", StoreKind::Jks), ("Pkcs12", StoreKind::Pkcs12)];
        for (declared, kind) in kinds {
            assert_eq!(kind_of("a.pem", Some(declared), b"?"), Ok(kind), "{declared}");
        }
        let unknown = kind_of("a.pem", Some("JCEKS"), PEM);
        assert_eq!(unknown, Err(StoreError::UnknownType("JCEKS".to_owned())));
    }

    #[test]
    fn the_name_tells_where_no_type_is_declared() {
        for (name, kind) in [
            ("a.jks", StoreKind::Jks),
            ("dir.pem/a.p12", StoreKind::Pkcs12),
            ("a.b.pem", StoreKind::Pem),
        ] {
            assert_eq!(kind_of(name, None, b"?"), Ok(kind), "{name}");
            assert_eq!(kind_of(name, Some(" "), b"?"), Ok(kind), "{name}");
        }
    }

    #[test]
    fn the_content_tells_where_the_name_does_not() {
        for (bytes, kind) in
            [(JKS, StoreKind::Jks), (PKCS12, StoreKind::Pkcs12), (PEM, StoreKind::Pem)]
        {
            assert_eq!(kind_of("keystore", None, bytes), Ok(kind));
        }
        assert_eq!(kind_of("keystore", None, b"hello"), Err(StoreError::UnknownKind));
    }

    #[test]
    fn the_two_types_of_java_may_be_called_by_each_others_name() {
        assert_eq!(kind_of("a.jks", None, PKCS12), Ok(StoreKind::Pkcs12));
        assert_eq!(kind_of("a", Some("PKCS12"), JKS), Ok(StoreKind::Jks));
    }

    #[test]
    fn bcfks_is_refused_with_the_line_that_converts_it() {
        for refused in [kind_of("a.bcfks", None, PEM), kind_of("a", Some("BCFKS"), PEM)] {
            let error = refused.expect_err("it is not supported");
            assert!(error.to_string().contains("keytool -importkeystore"), "{error}");
        }
    }

    #[test]
    fn sizes_that_no_store_has_are_refused() {
        assert_eq!(kind_of("a.pem", None, b""), Err(StoreError::Size { bytes: 0 }));
        let large = vec![b' '; STORE_BYTES_MAX + 1];
        assert_eq!(kind_of("a.pem", None, &large), Err(StoreError::Size { bytes: large.len() }));
    }
}
