//! PEM: sections of base64 between lines of dashes, and any text around them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use zeroize::Zeroizing;

use super::encrypted_key::decrypted;
use super::entry::KeyEntry;
use super::error::StoreError;

/// A section: what its first line says it is, and its bytes.
struct Section {
    label: Vec<u8>,
    /// In the old form of OpenSSL, where a header says so.
    is_encrypted: bool,
    der: Zeroizing<Vec<u8>>,
}

/// The first private key, and all certificates in their order.
pub(super) fn key_entry(bytes: &[u8], password: Option<&str>) -> Result<KeyEntry, StoreError> {
    let sections = sections(bytes)?;
    let mut keys = sections.iter().filter_map(|section| key(section, password));
    let key = keys.next().ok_or(StoreError::NoKey)??;
    Ok(KeyEntry { alias: None, chain: certificates(&sections), key })
}

/// All certificates in their order.
pub(super) fn trusted(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    Ok(certificates(&sections(bytes)?))
}

fn certificates(sections: &[Section]) -> Vec<CertificateDer<'static>> {
    let labels: [&[u8]; 2] = [b"CERTIFICATE", b"X509 CERTIFICATE"];
    let is_certificate = |section: &&Section| labels.contains(&section.label.as_slice());
    let der = |section: &Section| CertificateDer::from(section.der.to_vec());
    sections.iter().filter(is_certificate).map(der).collect()
}

/// The private key of a section, if it is one.
fn key(
    section: &Section,
    password: Option<&str>,
) -> Option<Result<PrivateKeyDer<'static>, StoreError>> {
    let der = || section.der.to_vec();
    let key = match section.label.as_slice() {
        b"PRIVATE KEY" => PrivatePkcs8KeyDer::from(der()).into(),
        b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" if section.is_encrypted => {
            return Some(Err(StoreError::Unsupported(
                "its private key is encrypted in the old form of OpenSSL; convert it with: openssl \
                 pkcs8 -topk8 -v2 aes-256-cbc -in OLD.pem -out NEW.pem",
            )));
        }
        b"RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der()).into(),
        b"EC PRIVATE KEY" => PrivateSec1KeyDer::from(der()).into(),
        b"ENCRYPTED PRIVATE KEY" => return Some(decrypted(&section.der, password)),
        _ => return None,
    };
    Some(Ok(key))
}

fn malformed(reason: &'static str) -> StoreError {
    StoreError::Malformed { kind: "PEM", reason }
}

/// Every section. Text outside of them is skipped.
fn sections(bytes: &[u8]) -> Result<Vec<Section>, StoreError> {
    let mut found = Vec::new();
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    while let Some(line) = lines.next() {
        if let Some(label) = boundary(line, b"-----BEGIN ") {
            found.push(section(label, &mut lines)?);
        }
    }
    Ok(found)
}

/// The section whose first line was read, up to its last line.
fn section<'a>(
    label: &[u8],
    lines: &mut impl Iterator<Item = &'a [u8]>,
) -> Result<Section, StoreError> {
    let mut base64 = Zeroizing::new(Vec::new());
    let mut is_encrypted = false;
    for line in lines {
        if line.starts_with(b"-----") {
            if boundary(line, b"-----END ") != Some(label) {
                return Err(malformed("a section ends with the last line of another"));
            }
            let der = STANDARD.decode(&*base64);
            let der = der.map_err(|_| malformed("a section is not base64"))?;
            return Ok(Section { label: label.to_vec(), is_encrypted, der: Zeroizing::new(der) });
        }
        if line.contains(&b':') {
            is_encrypted |= line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
        } else {
            base64.extend_from_slice(line);
        }
    }
    Err(malformed("a section has no last line"))
}

/// The label in the first or last line of a section.
fn boundary<'a>(line: &'a [u8], begin: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(begin)?.strip_suffix(b"-----")
}
