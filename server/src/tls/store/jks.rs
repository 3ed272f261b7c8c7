//! JKS, Java's own type of store: keys under a cipher made of SHA-1, and a digest over all.
//!
//! Numbers are big-endian. `FEEDFEED`, version, count of entries; an entry is a tag, an alias, a
//! time and a key with its chain (1) or a certificate (2). The last 20 bytes are a digest of the
//! password and all before.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::entry::KeyEntry;
use super::error::StoreError;
use crate::tls::der::{inside, tag};

const MAGIC: u32 = 0xfeed_feed;
/// The magic number of JCEKS, which also holds secret keys.
const MAGIC_JCEKS: u32 = 0xcece_cece;
const KEY: u32 = 1;
const CERTIFICATE: u32 = 2;
/// Bytes of a SHA-1 digest.
const DIGEST_BYTES: usize = 20;
/// What Java puts into the digest between the password and the store.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// The content of the OID of the cipher of keys, 1.3.6.1.4.1.42.2.17.1.1.
const KEY_PROTECTOR: &[u8] = &[0x2b, 6, 1, 4, 1, 0x2a, 2, 0x11, 1, 1];
const OBJECT_IDENTIFIER: u8 = 0x06;

/// An entry; a key is still encrypted.
enum Entry<'a> {
    Key { alias: String, encrypted: &'a [u8], chain: Vec<CertificateDer<'static>> },
    Certificate(CertificateDer<'static>),
}

/// The first key with its chain.
pub(super) fn key_entry(bytes: &[u8], password: Option<&str>) -> Result<KeyEntry, StoreError> {
    let password = utf16(password.ok_or(StoreError::PasswordMissing)?);
    for entry in entries(bytes, Some(&password))? {
        match entry {
            Entry::Key { alias, encrypted, chain } => {
                let key = decrypted(encrypted, &password)?;
                return Ok(KeyEntry { alias: Some(alias), chain, key });
            }
            Entry::Certificate(_) => {}
        }
    }
    Err(StoreError::NoKey)
}

/// All certificates that stand on their own; without a password the digest is not verified.
pub(super) fn trusted(
    bytes: &[u8],
    password: Option<&str>,
) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let password = password.map(utf16);
    let entries = entries(bytes, password.as_ref().map(|password| password.as_slice()))?;
    let certificate = |entry| match entry {
        Entry::Certificate(certificate) => Some(certificate),
        Entry::Key { .. } => None,
    };
    Ok(entries.into_iter().filter_map(certificate).collect())
}

fn malformed(reason: &'static str) -> StoreError {
    StoreError::Malformed { kind: "JKS", reason }
}

/// A password as Java hashes it.
fn utf16(password: &str) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(password.len() * 2));
    bytes.extend(password.encode_utf16().flat_map(u16::to_be_bytes));
    bytes
}

fn entries<'a>(bytes: &'a [u8], password: Option<&[u8]>) -> Result<Vec<Entry<'a>>, StoreError> {
    let cut = || malformed("it is cut short");
    let end = bytes.len().checked_sub(DIGEST_BYTES).ok_or_else(cut)?;
    let (store, digest) = bytes.split_at(end);
    let mut reader = Reader { rest: store };
    match reader.number().ok_or_else(cut)? {
        MAGIC => {}
        MAGIC_JCEKS => {
            return Err(StoreError::Unsupported(
                "a JCEKS store is not read; convert it with: keytool -importkeystore -srcstoretype \
                 JCEKS -srckeystore OLD -deststoretype PKCS12 -destkeystore NEW.p12",
            ));
        }
        _ => return Err(malformed("it does not begin as one")),
    }
    if let Some(password) = password {
        let found = Sha1::new().chain_update(password).chain_update(WHITENER);
        let found = found.chain_update(store).finalize();
        if !bool::from(found.as_slice().ct_eq(digest)) {
            return Err(StoreError::WrongPassword);
        }
    }
    let version = reader.number().ok_or_else(cut)?;
    if !(1..=2).contains(&version) {
        return Err(malformed("its version is neither 1 nor 2"));
    }
    let count = reader.number().ok_or_else(cut)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(reader.entry(version)?);
    }
    if !reader.rest.is_empty() {
        return Err(malformed("it goes on after its last entry"));
    }
    Ok(entries)
}

/// What was not read yet.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u32> {
        self.bytes(4).map(|bytes| u32::from_be_bytes(bytes.try_into().expect("4 were read")))
    }

    /// Bytes behind their count.
    fn counted(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        self.bytes(count)
    }

    /// Text of Java: modified UTF-8, of which only NUL and pairs of surrogates differ from UTF-8.
    fn text(&mut self) -> Option<String> {
        let count = self.bytes(2)?.try_into().expect("2 were read");
        let bytes = self.bytes(usize::from(u16::from_be_bytes(count)))?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    fn entry(&mut self, version: u32) -> Result<Entry<'a>, StoreError> {
        let cut = || malformed("it is cut short");
        let tag = self.number().ok_or_else(cut)?;
        let alias = self.text().ok_or_else(cut)?;
        self.bytes(8).ok_or_else(cut)?;
        match tag {
            KEY => {
                let encrypted = self.counted().ok_or_else(cut)?;
                let count = self.number().ok_or_else(cut)?;
                let mut chain = Vec::new();
                for _ in 0..count {
                    chain.push(self.certificate(version)?);
                }
                Ok(Entry::Key { alias, encrypted, chain })
            }
            CERTIFICATE => Ok(Entry::Certificate(self.certificate(version)?)),
            3 => Err(StoreError::Unsupported("it holds a secret key, which a JKS store cannot")),
            _ => Err(malformed("it has an entry of an unknown sort")),
        }
    }

    fn certificate(&mut self, version: u32) -> Result<CertificateDer<'static>, StoreError> {
        let cut = || malformed("it is cut short");
        if version == 2 && self.text().ok_or_else(cut)? != "X.509" {
            return Err(malformed("it has a certificate that is not X.509"));
        }
        Ok(CertificateDer::from(self.counted().ok_or_else(cut)?.to_vec()))
    }
}

/// The key in an `EncryptedPrivateKeyInfo` of Java's own cipher.
fn decrypted(encrypted: &[u8], password: &[u8]) -> Result<PrivateKeyDer<'static>, StoreError> {
    let data = protected(encrypted).ok_or_else(|| malformed("it has a key of another cipher"))?;
    let bad = || malformed("it has a key that is cut short");
    let (salt, rest) = data.split_at_checked(DIGEST_BYTES).ok_or_else(bad)?;
    let end = rest.len().checked_sub(DIGEST_BYTES).ok_or_else(bad)?;
    let (cipher, check) = rest.split_at(end);
    let mut plain = Zeroizing::new(cipher.to_vec());
    let mut block = Zeroizing::new(salt.to_vec());
    for part in plain.chunks_mut(DIGEST_BYTES) {
        let next = Sha1::new().chain_update(password).chain_update(&*block).finalize();
        block.copy_from_slice(&next);
        part.iter_mut().zip(block.iter()).for_each(|(byte, key)| *byte ^= key);
    }
    let found = Sha1::new().chain_update(password).chain_update(&*plain).finalize();
    if !bool::from(found.as_slice().ct_eq(check)) {
        return Err(StoreError::WrongPassword);
    }
    Ok(PrivatePkcs8KeyDer::from(plain.to_vec()).into())
}

/// The salt, the encrypted key and its digest, if the cipher is Java's own.
fn protected(encrypted: &[u8]) -> Option<&[u8]> {
    let mut parts = inside(encrypted, tag::SEQUENCE)?;
    let algorithm = parts.take(tag::SEQUENCE)?.whole;
    let data = parts.take(tag::OCTET_STRING)?.content;
    let id = inside(algorithm, tag::SEQUENCE)?.take(OBJECT_IDENTIFIER)?.content;
    (parts.is_at_end() && id == KEY_PROTECTOR).then_some(data)
}
