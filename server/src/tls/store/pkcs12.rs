//! PKCS12, the type that keytool and OpenSSL write today.
//!
//! The library bounds the rounds of key derivation at 1,000,000 and the memory of scrypt.

use p12_keystore::error::Error;
use p12_keystore::{CertificateBag, Pkcs12Archive, PrivateKeyBag};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::entry::KeyEntry;
use super::error::StoreError;
use crate::tls::certificate::CertificateParts;

/// Certificates behind a key; a circle of issuers ends there at the latest.
const CHAIN_MAX: usize = 8;

/// The first key, its certificate, and those of its issuers that the store has.
pub(super) fn key_entry(bytes: &[u8], password: Option<&str>) -> Result<KeyEntry, StoreError> {
    let archive = archive(bytes, password)?;
    let bag = archive.keys.first().ok_or(StoreError::NoKey)?;
    let chain = chain(own(bag, &archive).ok_or(StoreError::NoCertificate)?, &archive.certs);
    let key = PrivatePkcs8KeyDer::from(bag.key.as_der().to_vec()).into();
    Ok(KeyEntry { alias: bag.friendly_name.clone(), chain, key })
}

/// The certificates that belong to no key. Java reads only those it has marked as trusted; OpenSSL
/// marks none, so that all are taken where none is marked.
pub(super) fn trusted(
    bytes: &[u8],
    password: Option<&str>,
) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let archive = archive(bytes, password)?;
    let has_marks = archive.certs.iter().any(|bag| bag.trusted);
    let is_trusted = |bag: &&CertificateBag| {
        if has_marks { bag.trusted } else { archive.keys.is_empty() }
    };
    Ok(archive.certs.iter().filter(is_trusted).map(der).collect())
}

fn der(bag: &CertificateBag) -> CertificateDer<'static> {
    CertificateDer::from(bag.cert.as_der().to_vec())
}

/// The certificate with the id of a key; without ids the only possible one, which is the first.
fn own<'a>(key: &PrivateKeyBag, archive: &'a Pkcs12Archive) -> Option<&'a CertificateBag> {
    let Some(id) = &key.local_key_id else { return archive.certs.first() };
    let has_id = |bag: &&CertificateBag| {
        bag.local_key_id.as_ref().is_some_and(|other| other.as_slice() == id.as_ref())
    };
    archive.certs.iter().find(has_id)
}

/// A certificate and its issuers, one after the other.
fn chain(own: &CertificateBag, all: &[CertificateBag]) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![der(own)];
    while chain.len() < CHAIN_MAX {
        let last = chain.last().expect("it begins with one");
        let Some(parts) = CertificateParts::of(last) else { break };
        let is_next = |bag: &&CertificateBag| {
            let issuer = CertificateParts::of(bag.cert.as_der());
            issuer.is_some_and(|issuer| issuer.subject == parts.issuer)
                && chain.iter().all(|known| known.as_ref() != bag.cert.as_der())
        };
        let next = all.iter().find(is_next).map(der);
        match next {
            Some(next) => chain.push(next),
            None => break,
        }
    }
    chain
}

fn archive(bytes: &[u8], password: Option<&str>) -> Result<Pkcs12Archive, StoreError> {
    Pkcs12Archive::from_pkcs12(bytes, password.unwrap_or_default()).map_err(|error| match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => StoreError::WrongPassword,
        Error::UnsupportedContentType
        | Error::UnsupportedCertificateType
        | Error::UnsupportedEncryptionScheme
        | Error::UnsupportedMacAlgorithm => {
            StoreError::Unsupported("it uses a cipher or a kind of entry that is not supported")
        }
        Error::InvalidParameters => {
            StoreError::Unsupported("it has too many rounds of derivation, or bad parameters")
        }
        Error::IoError(_)
        | Error::DerError(_)
        | Error::InvalidVersion
        | Error::X509Error(_)
        | Error::InvalidLength
        | Error::InvalidData
        | Error::InvalidPrivateKey => {
            StoreError::Malformed { kind: "PKCS12", reason: "its content is not as it should be" }
        }
    })
}
