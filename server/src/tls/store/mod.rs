//! Stores of keys and certificates, read from bytes: JKS, PKCS12 and PEM.

mod encrypted_key;
mod entry;
mod error;
mod jks;
mod kind;
mod pem;
mod pkcs12;

use rustls::pki_types::CertificateDer;

pub use entry::{KeyEntry, STORE_BYTES_MAX};
pub use error::StoreError;
pub use kind::{StoreKind, kind_of};

/// The private key of a key store, with its certificates. Of several it is the first.
///
/// The password opens the store and the key, as in ZooKeeper.
///
/// # Errors
/// For a store that cannot be read, a wrong password, and a store without a key and certificate.
pub fn key_entry(
    bytes: &[u8],
    kind: StoreKind,
    password: Option<&str>,
) -> Result<KeyEntry, StoreError> {
    let entry = match kind {
        StoreKind::Jks => jks::key_entry(bytes, password)?,
        StoreKind::Pkcs12 => pkcs12::key_entry(bytes, password)?,
        StoreKind::Pem => pem::key_entry(bytes, password)?,
    };
    if entry.chain.is_empty() {
        return Err(StoreError::NoCertificate);
    }
    Ok(entry)
}

/// The certificates of a trust store, in its order; at least one.
///
/// A JKS store is opened without a password as well; what it holds is not authenticated then.
///
/// # Errors
/// For a store that cannot be read, a wrong password, and a store without a certificate.
pub fn trusted(
    bytes: &[u8],
    kind: StoreKind,
    password: Option<&str>,
) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let certificates = match kind {
        StoreKind::Jks => jks::trusted(bytes, password)?,
        StoreKind::Pkcs12 => pkcs12::trusted(bytes, password)?,
        StoreKind::Pem => pem::trusted(bytes)?,
    };
    if certificates.is_empty() {
        return Err(StoreError::NoCertificate);
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests;
