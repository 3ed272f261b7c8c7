//! What stores hold.

use std::fmt;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize;

/// Bytes of the largest store that is read. Java's list of public authorities has 0.2 MiB.
pub const STORE_BYTES_MAX: usize = 16 << 20;

/// A private key with its certificates, the first of which is its own.
pub struct KeyEntry {
    /// What the store calls it.
    pub alias: Option<String>,
    /// The certificate of the key, and after it those of its issuers.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key, not encrypted. It is wiped when the entry is dropped.
    pub key: PrivateKeyDer<'static>,
}

impl Drop for KeyEntry {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("KeyEntry");
        out.field("alias", &self.alias).field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}
