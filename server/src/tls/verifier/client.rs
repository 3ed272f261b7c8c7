//! Certificates of clients.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::anchors::{Anchors, bounded};
use crate::tls::signatures;
use crate::tls::store::StoreError;

/// Whether a client has to show a certificate (`ssl.clientAuth`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// It has to.
    Need,
    /// It may; what it shows has to be good.
    Want,
}

/// Verifies certificates of clients: first by webpki, and where that refuses by two rules of Java.
#[derive(Debug)]
struct ClientVerifier {
    anchors: Anchors,
    /// Nothing where no trusted certificate may sign others.
    webpki: Option<Arc<dyn ClientCertVerifier>>,
    /// The subjects of all trusted certificates, for clients that choose by them.
    subjects: Vec<DistinguishedName>,
    demand: ClientAuth,
    provider: Arc<CryptoProvider>,
}

/// A verifier of certificates of clients.
///
/// What webpki accepts is accepted, and beside that, as in Java: (A) a certificate of version 1
/// that a trusted authority has signed itself, and (B) a certificate that is itself in the trust
/// store. Both have to be within their validity. A trusted certificate of version 3 that is no
/// authority is trusted for itself, and signs no others. A keyUsage without digitalSignature is
/// refused, and so are chains of more than 8 certificates or 32 KiB.
///
/// # Errors
/// For a trusted certificate that cannot be read, and for none at all.
pub fn client_verifier(
    anchors: Vec<CertificateDer<'static>>,
    demand: ClientAuth,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, StoreError> {
    if anchors.is_empty() {
        return Err(StoreError::NoCertificate);
    }
    let anchors = Anchors::new(anchors)?;
    let subjects = anchors.subjects();
    let webpki =
        if anchors.roots.is_empty() {
            None
        } else {
            let roots = Arc::new(anchors.roots.clone());
            let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
            let built = builder.build();
            Some(built.map_err(|error| StoreError::BadCertificate {
                number: 1,
                reason: error.to_string(),
            })?)
        };
    Ok(Arc::new(ClientVerifier { anchors, webpki, subjects, demand, provider }))
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        match self.demand {
            ClientAuth::Need => true,
            ClientAuth::Want => false,
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        bounded(leaf, others)?;
        let verdict = match &self.webpki {
            Some(webpki) => webpki.verify_client_cert(leaf, others, now).map(|_| ()),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        let supported = &self.provider.signature_verification_algorithms;
        self.anchors.decide(verdict, leaf, now, supported)?;
        Ok(ClientCertVerified::assertion())
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
