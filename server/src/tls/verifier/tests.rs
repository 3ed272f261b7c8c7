//! What passes and what does not: the verdicts of ZooKeeper's Java, and attacks.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SignatureAlgorithm,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::{ClientAuth, client_verifier};

type Issuer = CertifiedIssuer<'static, KeyPair>;
type Certificate = CertificateDer<'static>;

macro_rules! fixture {
    ($name:literal) => {
        CertificateDer::from(include_bytes!(concat!("../store/fixtures/", $name)).as_slice())
    };
}

/// The first of January 2027, when the certificates that were made before are valid.
fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_798_761_600))
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority_params(name: &str, path: BasicConstraints) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(path);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("there is randomness")
}

fn authority(name: &str) -> Issuer {
    let params = authority_params(name, BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key()).expect("it can be signed")
}

fn signed(params: &CertificateParams, issuer: &Issuer) -> Certificate {
    params.signed_by(&key(), issuer).expect("it can be signed").der().clone()
}

fn self_signed(params: &CertificateParams) -> Certificate {
    params.self_signed(&key()).expect("it can be signed").der().clone()
}

/// The verdict on a chain, under some trusted certificates.
fn verdict(anchors: &[&Certificate], chain: &[&Certificate]) -> Result<(), String> {
    let anchors = anchors.iter().map(|anchor| (*anchor).clone()).collect();
    let verifier = client_verifier(anchors, ClientAuth::Need, Arc::new(default_provider()));
    let verifier = verifier.expect("they can be read");
    let others: Vec<Certificate> = chain[1..].iter().map(|other| (*other).clone()).collect();
    let verified = verifier.verify_client_cert(chain[0], &others, now());
    verified.map(|_| ()).map_err(|error| error.to_string())
}

#[track_caller]
fn passes(anchors: &[&Certificate], chain: &[&Certificate]) {
    assert_eq!(verdict(anchors, chain), Ok(()));
}

#[track_caller]
fn refused(anchors: &[&Certificate], chain: &[&Certificate], reason: &str) {
    let error = verdict(anchors, chain).expect_err("it must not pass");
    assert!(error.contains(reason), "{error}");
}

fn with_usage(usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = params("svc");
    params.extended_key_usages = vec![usage];
    params
}

fn with_key_usage(usage: KeyUsagePurpose) -> CertificateParams {
    let mut params = params("svc");
    params.key_usages = vec![usage];
    params
}

#[test]
fn certificates_of_the_authority_pass_with_and_without_a_usage() {
    let root = authority("root");
    passes(&[root.der()], &[&signed(&params("svc"), &root)]);
    let for_clients = signed(&with_usage(ExtendedKeyUsagePurpose::ClientAuth), &root);
    passes(&[root.der()], &[&for_clients]);
    let signs = signed(&with_key_usage(KeyUsagePurpose::DigitalSignature), &root);
    passes(&[root.der()], &[&signs]);
    let other = authority("other");
    passes(&[other.der(), root.der()], &[&for_clients]);
}

#[test]
fn certificates_on_the_large_curves_pass() {
    let curves: [&SignatureAlgorithm; 2] =
        [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P521_SHA512];
    let root = authority("root");
    for curve in curves {
        // The algorithms are constants of the library.
        let key = KeyPair::generate_for(static_algorithm(curve)).expect("there is randomness");
        let leaf = params("svc").signed_by(&key, &root).expect("it can be signed");
        passes(&[root.der()], &[leaf.der()]);
    }
}

fn static_algorithm(curve: &SignatureAlgorithm) -> &'static SignatureAlgorithm {
    if *curve == rcgen::PKCS_ECDSA_P384_SHA384 {
        &rcgen::PKCS_ECDSA_P384_SHA384
    } else {
        &rcgen::PKCS_ECDSA_P521_SHA512
    }
}

#[test]
fn an_intermediate_has_to_be_sent() {
    let root = authority("root");
    let middle = authority_params("middle", BasicConstraints::Constrained(0));
    let middle = CertifiedIssuer::signed_by(middle, key(), &root).expect("it can be signed");
    let leaf = signed(&params("svc"), &middle);
    passes(&[root.der()], &[&leaf, middle.der()]);
    refused(&[root.der()], &[&leaf], "UnknownIssuer");
}

#[test]
fn two_authorities_of_one_name_are_both_kept() {
    let (first, second) = (authority("root"), authority("root"));
    for issuer in [&first, &second] {
        passes(&[first.der(), second.der()], &[&signed(&params("svc"), issuer)]);
    }
}

#[test]
fn expired_future_foreign_and_misused_certificates_are_refused() {
    let root = authority("root");
    let mut expired = params("svc");
    expired.not_after = rcgen::date_time_ymd(2026, 12, 30);
    refused(&[root.der()], &[&signed(&expired, &root)], "expired");
    let mut future = params("svc");
    future.not_before = rcgen::date_time_ymd(2027, 1, 2);
    refused(&[root.der()], &[&signed(&future, &root)], "not valid yet");
    let foreign = signed(&params("svc"), &authority("other"));
    refused(&[root.der()], &[&foreign], "UnknownIssuer");
    let for_servers = signed(&with_usage(ExtendedKeyUsagePurpose::ServerAuth), &root);
    refused(&[root.der()], &[&for_servers], "");
    let no_signatures = signed(&with_key_usage(KeyUsagePurpose::KeyEncipherment), &root);
    refused(&[root.der()], &[&no_signatures], "keyUsage does not allow");
    let mut critical = params("svc");
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    critical.custom_extensions = vec![extension];
    refused(&[root.der()], &[&signed(&critical, &root)], "");
}

#[test]
fn a_certificate_of_version_1_passes_if_a_trusted_authority_signed_it() {
    let root = fixture!("ca.der");
    passes(&[&root], &[&fixture!("v1.der")]);
    passes(&[authority("other").der(), &root], &[&fixture!("v1.der"), &root]);
}

#[test]
fn certificates_of_version_1_that_are_forged_foreign_expired_or_changed_are_refused() {
    let root = fixture!("ca.der");
    let version = "UnsupportedCertVersion";
    refused(&[&root], &[&fixture!("v1-forged.der")], version);
    refused(&[&root], &[&fixture!("v1-other.der")], version);
    refused(&[&root], &[&fixture!("v1-expired.der")], "expired");
    let whole = fixture!("v1.der");
    for at in 0..whole.len() {
        let mut changed = whole.to_vec();
        changed[at] ^= 1;
        refused(&[&root], &[&CertificateDer::from(changed)], "");
    }
}

#[test]
fn a_certificate_of_version_1_is_no_intermediate() {
    let key_of_version_1 = include_bytes!("../store/fixtures/v1-key.der");
    let key_of_version_1 = KeyPair::try_from(key_of_version_1.as_slice()).expect("it is a key");
    let mut issuer = params("unused");
    issuer.distinguished_name = DistinguishedName::new();
    // The subject of v1.der.
    for (kind, value) in [
        (DnType::CountryName, "US"),
        (DnType::OrganizationName, "Ringkeeper"),
        (DnType::CommonName, "version 1"),
    ] {
        issuer.distinguished_name.push(kind, value);
    }
    let issuer = rcgen::Issuer::new(issuer, key_of_version_1);
    let leaf = params("svc").signed_by(&key(), &issuer).expect("it can be signed");
    refused(&[&fixture!("ca.der")], &[leaf.der(), &fixture!("v1.der")], "");
}

#[test]
fn a_certificate_in_the_trust_store_passes_for_itself() {
    let mut authority = params("svc");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = self_signed(&authority);
    let plain = self_signed(&params("svc"));
    passes(&[&authority], &[&authority]);
    passes(&[&plain], &[&plain]);
    passes(&[&authority, &plain], &[&plain]);
    passes(&[&fixture!("v1-other.der")], &[&fixture!("v1-other.der")]);
}

#[test]
fn a_trusted_certificate_that_is_expired_or_misused_is_refused() {
    let mut expired = params("svc");
    expired.not_after = rcgen::date_time_ymd(2026, 12, 30);
    let mut future = params("svc");
    future.not_before = rcgen::date_time_ymd(2027, 1, 2);
    let mut critical = params("svc");
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    critical.custom_extensions = vec![extension];
    let cases = [
        (expired, "expired"),
        (future, "not valid yet"),
        (critical, "critical extension"),
        (with_usage(ExtendedKeyUsagePurpose::ServerAuth), "extendedKeyUsage does not allow"),
        (with_key_usage(KeyUsagePurpose::KeyEncipherment), "keyUsage does not allow"),
    ];
    for (params, reason) in cases {
        let certificate = self_signed(&params);
        refused(&[&certificate], &[&certificate], reason);
    }
    let expired = fixture!("v1-expired.der");
    refused(&[&expired], &[&expired], "expired");
}

#[test]
fn a_look_alike_of_a_trusted_certificate_is_refused() {
    for params in [params("svc"), authority_params("svc", BasicConstraints::Unconstrained)] {
        let (trusted, look_alike) = (self_signed(&params), self_signed(&params));
        refused(&[&trusted], &[&look_alike], "");
    }
}

#[test]
fn a_certificate_that_is_no_authority_signs_no_other() {
    let root = authority("root");
    let leaf = CertifiedIssuer::signed_by(params("leaf"), key(), &root).expect("it can be signed");
    let forged = signed(&params("super"), &leaf);
    refused(&[root.der()], &[&forged, leaf.der()], "");
    let trusted = CertifiedIssuer::self_signed(params("leaf"), key()).expect("it can be signed");
    let forged = signed(&params("super"), &trusted);
    refused(&[trusted.der()], &[&forged], "UnknownIssuer");
    refused(&[trusted.der(), root.der()], &[&forged], "UnknownIssuer");
    let mut without_right = authority_params("leaf", BasicConstraints::Unconstrained);
    without_right.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let trusted = CertifiedIssuer::self_signed(without_right, key()).expect("it can be signed");
    refused(&[trusted.der()], &[&signed(&params("super"), &trusted)], "UnknownIssuer");
}

#[test]
fn more_intermediates_than_one_allows_are_refused() {
    let root = authority("root");
    let by = |name: &str, path, issuer: &Issuer| {
        let made = CertifiedIssuer::signed_by(authority_params(name, path), key(), issuer);
        made.expect("it can be signed")
    };
    let first = by("first", BasicConstraints::Constrained(0), &root);
    let second = by("second", BasicConstraints::Unconstrained, &first);
    let leaf = signed(&params("svc"), &second);
    refused(&[root.der()], &[&leaf, second.der(), first.der()], "");
    let first = by("first", BasicConstraints::Constrained(1), &root);
    let second = by("second", BasicConstraints::Unconstrained, &first);
    let leaf = signed(&params("svc"), &second);
    passes(&[root.der()], &[&leaf, second.der(), first.der()]);
}

#[test]
fn long_chains_are_refused_before_they_are_searched() {
    let root = authority("root");
    let leaf = signed(&params("svc"), &root);
    let chain = |count: usize| {
        let mut chain = vec![&leaf];
        chain.resize(count, root.der());
        chain
    };
    passes(&[root.der()], &chain(8));
    refused(&[root.der()], &chain(9), "has 9 certificates");
    refused(&[root.der()], &chain(100), "has 100 certificates");
    let mut large = params("svc");
    large.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3], vec![4; 65_536])];
    refused(&[root.der()], &[&signed(&large, &root)], "bytes, 32768 are allowed");
}

#[test]
fn a_certificate_without_a_subject_has_no_id_and_nul_is_written_as_such() {
    let root = authority("root");
    let mut empty = params("unused");
    empty.distinguished_name = DistinguishedName::new();
    let empty = signed(&empty, &root);
    assert_eq!(crate::tls::subject::subject_id(&empty), None);
    let nul = signed(&params("super\0.evil"), &root);
    let id = crate::tls::subject::subject_id(&nul);
    assert_eq!(id.as_deref(), Some("CN=super\\00.evil"));
}

#[test]
fn damaged_certificates_are_refused_without_a_panic() {
    let root = authority("root");
    let leaf = signed(&params("svc"), &root);
    for at in 0..leaf.len() {
        let mut changed = leaf.to_vec();
        changed[at] ^= 0x81;
        refused(&[root.der()], &[&CertificateDer::from(changed)], "");
        refused(&[root.der()], &[&CertificateDer::from(leaf[..at].to_vec())], "");
    }
}

#[test]
fn a_trust_store_without_certificates_or_with_junk_makes_no_verifier() {
    for anchors in [Vec::new(), vec![CertificateDer::from(vec![0x30, 0])]] {
        let provider = Arc::new(default_provider());
        assert!(client_verifier(anchors, ClientAuth::Need, provider).is_err());
    }
}

#[test]
fn whether_a_certificate_is_needed_is_as_it_was_set() {
    let root = authority("root");
    for (demand, is_needed) in [(ClientAuth::Need, true), (ClientAuth::Want, false)] {
        let provider = Arc::new(default_provider());
        let verifier = client_verifier(vec![root.der().clone()], demand, provider);
        let verifier: Arc<dyn ClientCertVerifier> = verifier.expect("it can be read");
        assert_eq!(verifier.client_auth_mandatory(), is_needed);
        assert_eq!(verifier.root_hint_subjects().len(), 1);
    }
}

/// A client that trusts every server: what is tested is the other side.
#[derive(Debug)]
struct AnyServer(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug)]
struct Fixed;

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(now())
    }
}

/// A handshake in memory in which both sides show the same certificate, and the server verifies it.
fn handshake(
    certified: &Arc<CertifiedKey>,
    anchors: &[Certificate],
    version: &'static rustls::SupportedProtocolVersion,
) -> Result<(), rustls::Error> {
    let provider = Arc::new(default_provider());
    let anchors = anchors.to_vec();
    let clients = client_verifier(anchors, ClientAuth::Need, provider.clone());
    let servers = Arc::new(AnyServer(provider.clone()));
    let resolver = Arc::new(SingleCertAndKey::from(certified.clone()));
    let server = ServerConfig::builder_with_details(provider.clone(), Arc::new(Fixed))
        .with_protocol_versions(&[version])?
        .with_client_cert_verifier(clients.expect("they can be read"))
        .with_cert_resolver(resolver.clone());
    let client = ClientConfig::builder_with_details(provider, Arc::new(Fixed))
        .with_protocol_versions(&[version])?
        .dangerous()
        .with_custom_certificate_verifier(servers)
        .with_client_cert_resolver(resolver);
    let mut server = ServerConnection::new(Arc::new(server))?;
    let host = ServerName::try_from("zk.test").expect("it is a host");
    let mut client = ClientConnection::new(Arc::new(client), host)?;
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory takes all");
        }
        server.read_tls(&mut &wire[..]).expect("memory gives all");
        server.process_new_packets()?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory takes all");
        }
        client.read_tls(&mut &wire[..]).expect("memory gives all");
        client.process_new_packets()?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    assert!(server.peer_certificates().is_some());
    Ok(())
}

fn certified(chain: Vec<Certificate>, key: &[u8]) -> Arc<CertifiedKey> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
    let key = default_provider().key_provider.load_private_key(key).expect("it is a key");
    Arc::new(CertifiedKey::new(chain, key))
}

#[test]
fn handshakes_succeed_in_both_versions_with_each_sort_of_certificate() {
    let key_of_version_1 = include_bytes!("../store/fixtures/v1-key.der");
    let own = key();
    let authority = authority_params("svc", BasicConstraints::Unconstrained);
    let mut authority = authority;
    authority.key_usages.push(KeyUsagePurpose::DigitalSignature);
    let authority = authority.self_signed(&own).expect("it can be signed").der().clone();
    let cases = [
        (vec![fixture!("v1.der")], fixture!("ca.der"), key_of_version_1.to_vec()),
        (vec![authority.clone()], authority, own.serialize_der()),
    ];
    for (chain, anchor, key) in cases {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let certified = certified(chain.clone(), &key);
            let done = handshake(&certified, std::slice::from_ref(&anchor), version);
            assert_eq!(done, Ok(()), "{version:?}");
        }
    }
}

#[test]
fn a_handshake_with_the_key_of_another_fails_in_both_versions() {
    let stolen = certified(vec![fixture!("v1.der")], &key().serialize_der());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let done = handshake(&stolen, &[fixture!("ca.der")], version);
        assert!(matches!(done, Err(rustls::Error::InvalidCertificate(_))), "{done:?}");
    }
}
