//! Trusted certificates, and the two rules that Java has beside those of webpki.

use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::refusal::Refusal;
use crate::tls::certificate::CertificateParts;
use crate::tls::signatures::is_good;
use crate::tls::store::StoreError;

/// Certificates that a peer may send: its own and those of its issuers.
const CHAIN_CERTIFICATES_MAX: usize = 8;
/// Bytes of all of them. webpki's search through a long chain would keep a shard busy for long.
const CHAIN_BYTES_MAX: usize = 32 << 10;

/// The trusted certificates.
#[derive(Debug)]
pub(super) struct Anchors {
    all: Vec<CertificateDer<'static>>,
    /// Those that may sign others, by their position in `all`. As in Java, a certificate of version 3
    /// that does not say it is an authority is trusted for itself only.
    authorities: Vec<usize>,
    /// The same for webpki.
    pub(super) roots: RootCertStore,
}

impl Anchors {
    /// # Errors
    /// For a certificate that cannot be read.
    pub(super) fn new(all: Vec<CertificateDer<'static>>) -> Result<Anchors, StoreError> {
        let mut anchors = Anchors { all, authorities: Vec::new(), roots: RootCertStore::empty() };
        for (index, certificate) in anchors.all.iter().enumerate() {
            let bad = |reason: String| StoreError::BadCertificate { number: index + 1, reason };
            let unreadable = || bad("it is no X.509 certificate".to_owned());
            let parts = CertificateParts::of(certificate).ok_or_else(unreadable)?;
            if parts.version == 3 && !is_authority(&parsed(certificate).ok_or_else(unreadable)?) {
                continue;
            }
            anchors.authorities.push(index);
            let added = anchors.roots.add(certificate.clone());
            added.map_err(|error| bad(error.to_string()))?;
        }
        Ok(anchors)
    }

    /// The subject of each trusted certificate.
    pub(super) fn subjects(&self) -> Vec<DistinguishedName> {
        let subject = |certificate: &CertificateDer<'static>| {
            CertificateParts::of(certificate).map(|parts| parts.subject.to_vec().into())
        };
        self.all.iter().filter_map(subject).collect()
    }

    /// Decides on a certificate that webpki has accepted or refused.
    ///
    /// # Errors
    /// The verdict of webpki where neither rule applies; else what else is wrong.
    pub(super) fn decide(
        &self,
        verdict: Result<(), Error>,
        leaf: &CertificateDer<'_>,
        now: UnixTime,
        supported: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Error> {
        let unreadable = Error::InvalidCertificate(CertificateError::BadEncoding);
        let Some(certificate) = parsed(leaf) else {
            return verdict.and(Err(unreadable));
        };
        if let Err(error) = verdict {
            if !self.is_anchor(leaf) && !self.is_version_1_of_anchor(leaf, supported) {
                return Err(error);
            }
            within_validity(&certificate, now)?;
            no_unknown_critical_extension(&certificate)?;
            extended_key_usage_allows(&certificate)?;
        }
        signatures_are_allowed(&certificate)
    }

    /// Rule B: the certificate itself is in the trust store.
    fn is_anchor(&self, leaf: &CertificateDer<'_>) -> bool {
        self.all.iter().any(|anchor| anchor == leaf)
    }

    /// Rule A: a certificate of version 1 that an authority of the trust store has signed.
    ///
    /// Never over an intermediate: certificates of version 1 do not say what they may sign.
    fn is_version_1_of_anchor(
        &self,
        leaf: &CertificateDer<'_>,
        supported: &WebPkiSupportedAlgorithms,
    ) -> bool {
        let Some(parts) = CertificateParts::of(leaf) else { return false };
        if parts.version != 1 || parts.inner_algorithm != parts.outer_algorithm {
            return false;
        }
        let of_signature = |algorithm: &&&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
            algorithm.signature_alg_id().as_ref() == parts.outer_algorithm
        };
        let algorithms: Vec<_> = supported.all.iter().filter(of_signature).copied().collect();
        let mut issuers = self.authorities.iter().filter_map(|index| {
            let anchor = CertificateParts::of(&self.all[*index])?;
            (anchor.subject == parts.issuer).then_some(anchor.key)
        });
        issuers.any(|key| is_good(key, &algorithms, parts.signed, parts.signature))
    }
}

/// Bounds what webpki has to search through.
///
/// # Errors
/// For a chain that has too many certificates or bytes.
pub(super) fn bounded(
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> Result<(), Error> {
    let count = others.len() + 1;
    if count > CHAIN_CERTIFICATES_MAX {
        return Err(Refusal::TooManyCertificates(count).into());
    }
    let bytes = leaf.len() + others.iter().map(|other| other.len()).sum::<usize>();
    if bytes > CHAIN_BYTES_MAX {
        return Err(Refusal::TooManyBytes(bytes).into());
    }
    Ok(())
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

/// Whether a certificate of version 3 says that it may sign others.
fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let constraints = certificate.basic_constraints();
    let says_so = matches!(constraints, Ok(Some(constraints)) if constraints.value.ca);
    let may_sign = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => false,
    };
    says_so && may_sign
}

fn within_validity(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let at = |timestamp: i64| {
        UnixTime::since_unix_epoch(Duration::from_secs(timestamp.try_into().unwrap_or(0)))
    };
    let not_before = at(certificate.validity().not_before.timestamp());
    let not_after = at(certificate.validity().not_after.timestamp());
    let error = if now < not_before {
        CertificateError::NotValidYetContext { time: now, not_before }
    } else if now > not_after {
        CertificateError::ExpiredContext { time: now, not_after }
    } else {
        return Ok(());
    };
    Err(Error::InvalidCertificate(error))
}

/// The extensions that are looked at here, and those that only concern what it signs.
fn no_unknown_critical_extension(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    use x509_parser::extensions::ParsedExtension::{
        BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAlternativeName,
    };
    let is_known = |extension: &x509_parser::extensions::X509Extension<'_>| {
        matches!(
            extension.parsed_extension(),
            BasicConstraints(_)
                | ExtendedKeyUsage(_)
                | KeyUsage(_)
                | NameConstraints(_)
                | SubjectAlternativeName(_)
        )
    };
    let mut critical = certificate.extensions().iter().filter(|extension| extension.critical);
    if critical.all(is_known) { Ok(()) } else { Err(Refusal::CriticalExtension.into()) }
}

/// Where there is an extendedKeyUsage, it has to allow the use. webpki has seen to that for the
/// certificates that it accepts.
fn extended_key_usage_allows(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    let allowed = match certificate.extended_key_usage() {
        Ok(None) => true,
        Ok(Some(extension)) => extension.value.client_auth || extension.value.any,
        Err(_) => false,
    };
    if allowed { Ok(()) } else { Err(Refusal::ExtendedKeyUsage.into()) }
}

/// Where there is a keyUsage, it has to allow what a handshake does.
fn signatures_are_allowed(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    let allowed = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.digital_signature()),
        Err(_) => false,
    };
    if allowed { Ok(()) } else { Err(Refusal::KeyUsage.into()) }
}
