//! The hashes by which client and server prove that they know the password (RFC 2831, 2.1.2.1).

use md5::{Digest, Md5};

use super::PasswordHash;

/// What both sides hash beside the password.
pub(super) struct Agreed<'a> {
    pub(super) nonce: &'a [u8],
    pub(super) cnonce: &'a [u8],
    pub(super) authzid: Option<&'a [u8]>,
    pub(super) digest_uri: &'a [u8],
}

/// Whose proof it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Prover {
    Client,
    Server,
}

impl Agreed<'_> {
    /// The proof, in lower-case hexadecimal.
    pub(super) fn proof(&self, password: &PasswordHash, prover: Prover) -> [u8; 32] {
        let mut a1 = Md5::new();
        a1.update(password.bytes());
        a1.update(b":");
        a1.update(self.nonce);
        a1.update(b":");
        a1.update(self.cnonce);
        if let Some(authzid) = self.authzid {
            a1.update(b":");
            a1.update(authzid);
        }
        let mut a2 = Md5::new();
        match prover {
            Prover::Client => a2.update(b"AUTHENTICATE:"),
            Prover::Server => a2.update(b":"),
        }
        a2.update(self.digest_uri);
        let mut proof = Md5::new();
        proof.update(hexadecimal(a1.finalize().into()));
        proof.update(b":");
        proof.update(self.nonce);
        proof.update(b":00000001:");
        proof.update(self.cnonce);
        proof.update(b":auth:");
        proof.update(hexadecimal(a2.finalize().into()));
        hexadecimal(proof.finalize().into())
    }
}

fn hexadecimal(bytes: [u8; 16]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}
