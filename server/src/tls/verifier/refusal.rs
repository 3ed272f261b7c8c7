//! Why certificates of a peer are refused, beyond what webpki says.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, Error, OtherError};

/// Reasons of this server's own.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the chain has {0} certificates, 8 are allowed")]
    TooManyCertificates(usize),
    #[error("the chain has {0} bytes, 32768 are allowed")]
    TooManyBytes(usize),
    #[error("the certificate's keyUsage does not allow digital signatures")]
    KeyUsage,
    #[error("the certificate's extendedKeyUsage does not allow this use")]
    ExtendedKeyUsage,
    #[error("the trusted certificate has a critical extension that is not known")]
    CriticalExtension,
}

/// The sentence: rustls writes the causes that it does not know in this form.
impl fmt::Debug for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let other = OtherError(Arc::new(refusal));
        Error::InvalidCertificate(CertificateError::Other(other))
    }
}
