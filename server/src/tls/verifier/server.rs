//! Certificates of servers, as a client verifies them.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::anchors::{Anchors, Usage, bounded};
use crate::tls::names::names_host;
use crate::tls::signatures;
use crate::tls::store::StoreError;

/// Whether the certificate of a server has to name its host (`ssl.hostnameVerification`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostNames {
    /// It has to.
    Verified,
    /// Any certificate of a trusted authority will do. Each holder of one can be any server then.
    Ignored,
}

#[derive(Debug)]
struct ServerVerifier {
    anchors: Anchors,
    names: HostNames,
    provider: Arc<CryptoProvider>,
}

/// A verifier of certificates of servers, by the rules of
/// [`client_verifier`](super::client_verifier).
///
/// # Errors
/// For a trusted certificate that cannot be read, and for none at all.
pub fn server_verifier(
    anchors: Vec<CertificateDer<'static>>,
    names: HostNames,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, StoreError> {
    if anchors.is_empty() {
        return Err(StoreError::NoCertificate);
    }
    Ok(Arc::new(ServerVerifier { anchors: Anchors::new(anchors)?, names, provider }))
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        bounded(leaf, others)?;
        let supported = &self.provider.signature_verification_algorithms;
        let verdict = ParsedCertificate::try_from(leaf).and_then(|parsed| {
            let roots = &self.anchors.roots;
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, others, now, supported.all)
        });
        self.anchors.decide(verdict, leaf, (Usage::Server, now), supported)?;
        match self.names {
            HostNames::Verified if !names_host(leaf, host) => {
                Err(Error::InvalidCertificate(CertificateError::NotValidForName))
            }
            HostNames::Verified | HostNames::Ignored => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let supported = &self.provider.signature_verification_algorithms;
        signatures::verify_tls12(message, leaf, signed, supported)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let supported = &self.provider.signature_verification_algorithms;
        signatures::verify_tls13(message, leaf, signed, supported)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
