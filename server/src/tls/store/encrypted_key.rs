//! PKCS#8 keys that are encrypted with a password (PBES2).

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::pbes2::Kdf;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::error::StoreError;

/// Rounds of the derivation of a key from a password; a file with more would keep a core busy for
/// seconds. OpenSSL writes 2,048, Java 10,000.
const ROUNDS_MAX: u32 = 5_000_000;
/// Bytes of memory that scrypt may take. OpenSSL's default takes 16 MiB.
const SCRYPT_BYTES_MAX: u64 = 256 << 20;
const SCRYPT_PARALLELISM_MAX: u16 = 16;

/// The key in an `EncryptedPrivateKeyInfo`.
pub(super) fn decrypted(
    der: &[u8],
    password: Option<&str>,
) -> Result<PrivateKeyDer<'static>, StoreError> {
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|_| StoreError::Unsupported("its private key is encrypted in an unknown way"))?;
    let parameters = encrypted.encryption_algorithm.pbes2().ok_or(StoreError::Unsupported(
        "its private key is encrypted in an old way; convert it with: openssl pkcs8 -topk8 -v2 \
         aes-256-cbc -in OLD.pem -out NEW.pem",
    ))?;
    if !is_bounded(&parameters.kdf) {
        return Err(StoreError::Unsupported("its private key has too many rounds of derivation"));
    }
    let password = password.ok_or(StoreError::PasswordMissing)?;
    let key = encrypted.decrypt(password).map_err(|_| StoreError::WrongPassword)?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

fn is_bounded(kdf: &Kdf) -> bool {
    match kdf {
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= ROUNDS_MAX,
        Kdf::Scrypt(scrypt) => {
            let bytes = scrypt.cost_parameter.checked_mul(128 * u64::from(scrypt.block_size));
            scrypt.parallelization <= SCRYPT_PARALLELISM_MAX
                && bytes.is_some_and(|bytes| bytes <= SCRYPT_BYTES_MAX)
        }
        _ => false,
    }
}
