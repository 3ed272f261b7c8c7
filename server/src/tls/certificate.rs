//! The parts of a certificate as bytes, of any version.

use super::der::{Elements, inside, octets_of_bits, tag};

/// What a certificate consists of, as it stands in its DER.
pub(crate) struct CertificateParts<'a> {
    /// 1, 2 or 3.
    pub(crate) version: u8,
    /// What is signed.
    pub(crate) signed: &'a [u8],
    /// The algorithm of the signature, as the signed part names it: without its SEQUENCE.
    pub(crate) inner_algorithm: &'a [u8],
    /// The same, as it stands beside the signature.
    pub(crate) outer_algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// The issuer's name: a whole SEQUENCE.
    pub(crate) issuer: &'a [u8],
    /// The subject's name: a whole SEQUENCE.
    pub(crate) subject: &'a [u8],
    pub(crate) key: PublicKeyParts<'a>,
}

/// A public key as it stands in a certificate.
#[derive(Clone, Copy)]
pub(crate) struct PublicKeyParts<'a> {
    /// The whole SubjectPublicKeyInfo.
    pub(crate) whole: &'a [u8],
    /// Its algorithm, without its SEQUENCE.
    pub(crate) algorithm: &'a [u8],
    pub(crate) bits: &'a [u8],
}

impl<'a> CertificateParts<'a> {
    /// Takes a certificate apart; nothing if it is not one of version 1 to 3.
    pub(crate) fn of(der: &'a [u8]) -> Option<CertificateParts<'a>> {
        let mut outer = inside(der, tag::SEQUENCE)?;
        let signed = outer.take(tag::SEQUENCE)?;
        let outer_algorithm = outer.take(tag::SEQUENCE)?.content;
        let signature = octets_of_bits(outer.take(tag::BIT_STRING)?.content)?;
        if !outer.is_at_end() {
            return None;
        }
        let mut parts = Elements::of(signed.content);
        let version = match parts.take(tag::VERSION) {
            None => 1,
            Some(explicit) => match inside(explicit.content, tag::INTEGER)?.remaining() {
                [number @ 0..=2] => number + 1,
                _ => return None,
            },
        };
        parts.take(tag::INTEGER)?;
        let inner_algorithm = parts.take(tag::SEQUENCE)?.content;
        let issuer = parts.take(tag::SEQUENCE)?.whole;
        parts.take(tag::SEQUENCE)?;
        let subject = parts.take(tag::SEQUENCE)?.whole;
        let key = PublicKeyParts::of(parts.take(tag::SEQUENCE)?.whole)?;
        if version == 1 && !parts.is_at_end() {
            return None;
        }
        Some(CertificateParts {
            version,
            signed: signed.whole,
            inner_algorithm,
            outer_algorithm,
            signature,
            issuer,
            subject,
            key,
        })
    }
}

impl<'a> PublicKeyParts<'a> {
    fn of(whole: &'a [u8]) -> Option<PublicKeyParts<'a>> {
        let mut parts = inside(whole, tag::SEQUENCE)?;
        let algorithm = parts.take(tag::SEQUENCE)?.content;
        let bits = octets_of_bits(parts.take(tag::BIT_STRING)?.content)?;
        parts.is_at_end().then_some(PublicKeyParts { whole, algorithm, bits })
    }
}
