//! Nonces: never the same twice, and not to be guessed without the key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a nonce before they are base64, as in Java.
const NONCE_BYTES: usize = 30;
/// Characters of a nonce.
const NONCE_CHARS: usize = 40;

/// A nonce, in base64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nonce([u8; NONCE_CHARS]);

impl Nonce {
    /// The characters.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A nonce that was recorded.
    #[cfg(test)]
    pub(super) fn recorded(text: &str) -> Nonce {
        Nonce(text.as_bytes().try_into().expect("40 characters"))
    }
}

/// Where the nonces of one shard come from: HMAC-SHA256 of the shard and a counter.
#[derive(Clone)]
pub struct NonceSource {
    key: [u8; 32],
    shard: u16,
    count: u64,
}

impl NonceSource {
    /// The source of a shard. The key is random per process and the same for all shards.
    pub fn new(key: [u8; 32], shard: u16) -> NonceSource {
        NonceSource { key, shard, count: 0 }
    }

    /// The next nonce.
    pub fn fresh(&mut self) -> Nonce {
        let bytes = self.mac(b"nonce", self.count);
        self.count += 1;
        let mut text = [0; NONCE_CHARS];
        let written = STANDARD.encode_slice(&bytes[..NONCE_BYTES], &mut text);
        assert_eq!(written, Ok(NONCE_CHARS), "30 bytes are 40 characters of base64");
        Nonce(text)
    }

    /// Bytes that stand for the password of a user who does not exist.
    pub(super) fn no_password(&self) -> [u8; 16] {
        let bytes = self.mac(b"no user", 0);
        *bytes.first_chunk().expect("32 bytes have 16")
    }

    fn mac(&self, purpose: &[u8], count: u64) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length will do");
        mac.update(purpose);
        mac.update(&self.shard.to_be_bytes());
        mac.update(&count.to_be_bytes());
        mac.finalize().into_bytes().into()
    }
}
