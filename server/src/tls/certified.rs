//! A key and its certificates, ready for handshakes.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SigningKey};

use super::certificate::{CertificateParts, PublicKeyParts};
use super::signatures::{algorithms_of, is_good};
use super::store::{KeyEntry, StoreError};

/// What is signed to see whether a key and a certificate belong together.
const PROBE: &[u8] = b"ringkeeper: does this key belong to this certificate?";

/// Makes the key of a store usable for handshakes, and tests that it is that of its certificate.
///
/// Certificates of version 1 are accepted, as in ZooKeeper.
///
/// # Errors
/// For a key of a form or size that is not supported, a first certificate that cannot be read, and
/// a key that is not that of the first certificate.
pub fn certified_key(
    mut entry: KeyEntry,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, StoreError> {
    let chain = std::mem::take(&mut entry.chain);
    let first = chain.first().ok_or(StoreError::NoCertificate)?;
    let parts = CertificateParts::of(first).ok_or_else(|| StoreError::BadCertificate {
        number: 1,
        reason: "it is no X.509 certificate".to_owned(),
    })?;
    let key = provider.key_provider.load_private_key(entry.key.clone_key());
    let key = key.map_err(|error| StoreError::BadKey(error.to_string()))?;
    if !belongs(&*key, parts.key, provider) {
        return Err(StoreError::KeyMismatch);
    }
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// Whether what a private key signs is good for a public one.
fn belongs(key: &dyn SigningKey, public: PublicKeyParts<'_>, provider: &CryptoProvider) -> bool {
    let supported = &provider.signature_verification_algorithms;
    let Some(signer) = key.choose_scheme(&supported.supported_schemes()) else {
        return false;
    };
    let (Ok(signature), Some(algorithms)) =
        (signer.sign(PROBE), algorithms_of(signer.scheme(), supported))
    else {
        return false;
    };
    is_good(public, algorithms, PROBE, &signature)
}
