//! Stores that keytool and OpenSSL have written, and stores that nothing has written.

use proptest::prelude::*;
use rustls::crypto::aws_lc_rs::default_provider;
use sha1::{Digest, Sha1};

use super::*;
use crate::tls::certified::certified_key;

const PASSWORD: Option<&str> = Some("changeit");

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/", $name)).as_slice()
    };
}

/// A store of JKS with one entry, whose fields are given as bytes behind the alias and the time.
fn jks(magic: u32, version: u32, count: u32, entry: &[u8], password: &str) -> Vec<u8> {
    let mut store = Vec::new();
    for number in [magic, version, count] {
        store.extend(number.to_be_bytes());
    }
    store.extend(entry);
    let password: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let digest = Sha1::new().chain_update(password).chain_update("Mighty Aphrodite");
    let digest = digest.chain_update(&store).finalize();
    store.extend(digest);
    store
}

/// An entry up to what is behind its time.
fn head(tag: u32, alias: &str) -> Vec<u8> {
    let mut head = tag.to_be_bytes().to_vec();
    head.extend(u16::try_from(alias.len()).expect("it is short").to_be_bytes());
    head.extend(alias.as_bytes());
    head.extend([0; 8]);
    head
}

/// A certificate of version 2 of the format.
fn certificate(der: &[u8]) -> Vec<u8> {
    let mut entry = vec![0, 5];
    entry.extend(b"X.509");
    entry.extend(u32::try_from(der.len()).expect("it is short").to_be_bytes());
    entry.extend(der);
    entry
}

#[test]
fn key_stores_of_every_type_open_with_their_password_and_hold_a_matching_key() {
    let stores: [(&str, &[u8], Option<&str>, usize); 9] = [
        ("key.jks", fixture!("key.jks"), Some("my server"), 1),
        ("key.p12", fixture!("key.p12"), Some("my server"), 1),
        ("openssl.p12", fixture!("openssl.p12"), Some("one"), 2),
        ("openssl-legacy.p12", fixture!("openssl-legacy.p12"), Some("one"), 2),
        ("pkcs8.pem", fixture!("pkcs8.pem"), None, 1),
        ("sec1.pem", fixture!("sec1.pem"), None, 1),
        ("pkcs1.pem", fixture!("pkcs1.pem"), None, 1),
        ("encrypted.pem", fixture!("encrypted.pem"), None, 2),
        ("without an end", fixture!("pkcs8.pem"), None, 1),
    ];
    for (name, bytes, alias, certificates) in stores {
        let kind = kind_of(name, None, bytes).expect("its kind is known");
        let entry = key_entry(bytes, kind, PASSWORD).expect(name);
        assert_eq!(entry.alias.as_deref(), alias, "{name}");
        assert_eq!(entry.chain.len(), certificates, "{name}");
        let certified = certified_key(entry, &default_provider()).expect(name);
        assert_eq!(certified.cert.len(), certificates, "{name}");
    }
}

#[test]
fn a_wrong_password_opens_no_store() {
    let stores: [(&str, &[u8]); 5] = [
        ("key.jks", fixture!("key.jks")),
        ("key.p12", fixture!("key.p12")),
        ("openssl.p12", fixture!("openssl.p12")),
        ("openssl-legacy.p12", fixture!("openssl-legacy.p12")),
        ("encrypted.pem", fixture!("encrypted.pem")),
    ];
    for (name, bytes) in stores {
        let kind = kind_of(name, None, bytes).expect("its kind is known");
        for password in [Some("marker-wrong"), Some("")] {
            let error = key_entry(bytes, kind, password).expect_err(name);
            assert_eq!(error, StoreError::WrongPassword, "{name}");
        }
        assert!(key_entry(bytes, kind, None).is_err(), "{name}");
    }
    for (name, bytes) in
        [("trust.jks", fixture!("trust.jks")), ("trust.p12", fixture!("trust.p12"))]
    {
        let kind = kind_of(name, None, bytes).expect("its kind is known");
        let error = trusted(bytes, kind, Some("marker-wrong")).expect_err(name);
        assert_eq!(error, StoreError::WrongPassword, "{name}");
    }
}

#[test]
fn trust_stores_give_every_certificate_in_order() {
    let authority = CertificateDer::from(fixture!("ca.der"));
    let jks = trusted(fixture!("trust.jks"), StoreKind::Jks, PASSWORD).expect("it opens");
    assert_eq!(jks.len(), 2);
    assert!(jks.contains(&authority));
    assert_eq!(trusted(fixture!("trust.jks"), StoreKind::Jks, None), Ok(jks.clone()));
    let pkcs12 = trusted(fixture!("trust.p12"), StoreKind::Pkcs12, PASSWORD).expect("it opens");
    assert_eq!(pkcs12.len(), 2);
    assert!(jks.iter().all(|certificate| pkcs12.contains(certificate)));
    let openssl = trusted(fixture!("openssl-trust.p12"), StoreKind::Pkcs12, PASSWORD);
    assert_eq!(openssl, Ok(vec![authority.clone()]));
    let pem = trusted(fixture!("encrypted.pem"), StoreKind::Pem, None).expect("it opens");
    assert_eq!(pem.last(), Some(&authority));
}

#[test]
fn stores_without_what_is_looked_for_are_refused() {
    let none = key_entry(fixture!("trust.jks"), StoreKind::Jks, PASSWORD).map(|_| ());
    assert_eq!(none, Err(StoreError::NoKey));
    let none = key_entry(fixture!("openssl-trust.p12"), StoreKind::Pkcs12, PASSWORD).map(|_| ());
    assert_eq!(none, Err(StoreError::NoKey));
    let none = key_entry(b"-----BEGIN X-----\n-----END X-----\n", StoreKind::Pem, None);
    assert_eq!(none.map(|_| ()), Err(StoreError::NoKey));
    for (bytes, kind) in
        [(fixture!("key.jks"), StoreKind::Jks), (fixture!("key.p12"), StoreKind::Pkcs12)]
    {
        assert_eq!(trusted(bytes, kind, PASSWORD), Err(StoreError::NoCertificate), "{kind:?}");
    }
    assert_eq!(trusted(b"hello", StoreKind::Pem, None), Err(StoreError::NoCertificate));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let mut entry = key_entry(fixture!("pkcs8.pem"), StoreKind::Pem, None).expect("it opens");
    entry.chain[0] = CertificateDer::from(fixture!("ca.der"));
    let refused = certified_key(entry, &default_provider()).map(|_| ());
    assert_eq!(refused, Err(StoreError::KeyMismatch));
    let mut entry = key_entry(fixture!("pkcs8.pem"), StoreKind::Pem, None).expect("it opens");
    let other = key_entry(fixture!("key.jks"), StoreKind::Jks, PASSWORD).expect("it opens");
    entry.chain[0] = other.chain[0].clone();
    let refused = certified_key(entry, &default_provider()).map(|_| ());
    assert_eq!(refused, Err(StoreError::KeyMismatch));
}

#[test]
fn keys_in_the_old_form_of_openssl_are_refused_with_the_line_that_converts_them() {
    let refused = key_entry(fixture!("old-encrypted.pem"), StoreKind::Pem, PASSWORD);
    let error = refused.expect_err("its cipher is not supported").to_string();
    assert!(error.contains("openssl pkcs8 -topk8"), "{error}");
}

#[test]
fn pem_that_is_cut_or_no_base64_is_refused() {
    let whole = fixture!("pkcs8.pem");
    let refused = key_entry(&whole[..whole.len() - 30], StoreKind::Pem, None);
    assert!(matches!(refused, Err(StoreError::Malformed { .. })));
    let bad = b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
    assert!(matches!(trusted(bad, StoreKind::Pem, None), Err(StoreError::Malformed { .. })));
    let mixed = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(trusted(mixed, StoreKind::Pem, None), Err(StoreError::Malformed { .. })));
}

#[test]
fn a_store_of_jks_is_read_in_both_versions() {
    let der = [0x30, 0];
    let mut second = head(2, "a");
    second.extend(certificate(&der));
    let mut first = head(2, "a");
    first.extend([0, 0, 0, 2, 0x30, 0]);
    for (version, entry) in [(1, first), (2, second)] {
        let store = jks(0xfeed_feed, version, 1, &entry, "pä");
        let read = trusted(&store, StoreKind::Jks, Some("pä"));
        assert_eq!(read, Ok(vec![CertificateDer::from(der.to_vec())]), "{version}");
    }
}

#[test]
fn bad_stores_of_jks_are_refused_before_anything_is_allocated() {
    let mut good = head(2, "a");
    good.extend(certificate(&[0x30, 0]));
    let mut long = head(2, "a");
    long.extend([0, 5]);
    long.extend(b"X.509\xff\xff\xff\xff");
    let mut huge_chain = head(1, "a");
    huge_chain.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    let mut other_type = head(2, "a");
    other_type.extend([0, 3]);
    other_type.extend(b"PGP");
    let stores = [
        jks(0xfeed_feed, 3, 1, &good, "p"),
        jks(0xfeed_fee0, 2, 1, &good, "p"),
        jks(0xfeed_feed, 2, u32::MAX, &good, "p"),
        jks(0xfeed_feed, 2, 0, &good, "p"),
        jks(0xfeed_feed, 2, 1, &long, "p"),
        jks(0xfeed_feed, 2, 1, &huge_chain, "p"),
        jks(0xfeed_feed, 2, 1, &other_type, "p"),
        jks(0xfeed_feed, 2, 1, &head(4, "a"), "p"),
        vec![0xfe, 0xed, 0xfe, 0xed],
    ];
    for (index, store) in stores.iter().enumerate() {
        let refused = trusted(store, StoreKind::Jks, Some("p"));
        assert!(matches!(refused, Err(StoreError::Malformed { .. })), "{index}: {refused:?}");
    }
    for store in [jks(0xfeed_feed, 2, 1, &head(3, "a"), "p"), jks(0xcece_cece, 2, 1, &good, "p")] {
        let refused = trusted(&store, StoreKind::Jks, Some("p"));
        assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{refused:?}");
    }
}

#[test]
fn a_store_with_any_byte_changed_is_refused_under_its_password() {
    let store = fixture!("key.jks");
    for at in 0..store.len() {
        let mut damaged = store.to_vec();
        damaged[at] ^= 1;
        assert!(key_entry(&damaged, StoreKind::Jks, PASSWORD).is_err(), "byte {at}");
    }
}

#[test]
fn neither_errors_nor_entries_show_a_key_or_a_password() {
    let entry = key_entry(fixture!("pkcs8.pem"), StoreKind::Pem, PASSWORD).expect("it opens");
    let shown = format!("{entry:?}");
    assert_eq!(shown, "KeyEntry { alias: None, chain: 1, .. }");
    let error = key_entry(fixture!("key.jks"), StoreKind::Jks, Some("marker-wrong"));
    let shown = format!("{:?}", error.expect_err("the password is wrong"));
    assert!(!shown.contains("marker"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_are_refused_or_read_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        version in 0_u32..4,
        count in 0_u32..4,
        tag in 0_u32..4,
    ) {
        for kind in [StoreKind::Jks, StoreKind::Pkcs12, StoreKind::Pem] {
            prop_assert!(key_entry(&bytes, kind, Some("p")).is_err());
            let _ = trusted(&bytes, kind, Some("p"));
        }
        let mut entry = head(tag, "a");
        entry.extend(&bytes);
        let store = jks(0xfeed_feed, version, count, &entry, "p");
        let _ = trusted(&store, StoreKind::Jks, Some("p"));
        let _ = key_entry(&store, StoreKind::Jks, Some("p"));
    }

    #[test]
    fn damaged_stores_never_panic(at in 0_usize..1066, byte in any::<u8>()) {
        for (bytes, kind) in [
            (fixture!("key.p12"), StoreKind::Pkcs12),
            (fixture!("pkcs8.pem"), StoreKind::Pem),
        ] {
            let mut damaged = bytes.to_vec();
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = trusted(&damaged, kind, None);
            let _ = trusted(&damaged[..at], kind, None);
        }
    }
}
