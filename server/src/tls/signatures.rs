//! Signatures that are verified with the key of a certificate of any version.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};

use super::certificate::{CertificateParts, PublicKeyParts};

/// Whether one of some algorithms, with this key, finds a signature of a message good.
pub(super) fn is_good(
    key: PublicKeyParts<'_>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let mut of_key = algorithms.iter().filter(|algorithm| {
        let id = algorithm.public_key_alg_id();
        id.as_ref() == key.algorithm
    });
    of_key.any(|algorithm| algorithm.verify_signature(key.bits, message, signature).is_ok())
}

/// Verifies what the owner of a certificate has signed in a handshake of TLS 1.2.
///
/// # Errors
/// For a scheme that was not offered, a certificate that cannot be read, and a bad signature.
pub(super) fn verify_tls12(
    message: &[u8],
    certificate: &[u8],
    signed: &DigitallySignedStruct,
    supported: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = key_of(certificate)?;
    let algorithms = algorithms_of(signed.scheme, supported)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    if is_good(key, algorithms, message, signed.signature()) {
        return Ok(HandshakeSignatureValid::assertion());
    }
    Err(Error::InvalidCertificate(CertificateError::BadSignature))
}

/// The same for TLS 1.3, where a scheme also fixes the curve of the key.
///
/// # Errors
/// As for TLS 1.2.
pub(super) fn verify_tls13(
    message: &[u8],
    certificate: &[u8],
    signed: &DigitallySignedStruct,
    supported: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = SubjectPublicKeyInfoDer::from(key_of(certificate)?.whole);
    verify_tls13_signature_with_raw_key(message, &key, signed, supported)
}

/// The algorithms by which signatures of a scheme are verified.
pub(super) fn algorithms_of(
    scheme: SignatureScheme,
    supported: &WebPkiSupportedAlgorithms,
) -> Option<&'static [&'static dyn SignatureVerificationAlgorithm]> {
    let row = supported.mapping.iter().find(|(known, _)| *known == scheme);
    row.map(|(_, algorithms)| *algorithms)
}

fn key_of(certificate: &[u8]) -> Result<PublicKeyParts<'_>, Error> {
    let parts = CertificateParts::of(certificate);
    parts.map(|parts| parts.key).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}
