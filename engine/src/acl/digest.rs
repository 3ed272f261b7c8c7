//! The `digest` scheme: `user:base64(hash("user:password"))`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;

/// The hash that turns a password into an identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[allow(missing_docs, reason = "the names are the algorithms' own and say it all")]
pub enum DigestAlg {
    #[default]
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512To224,
    Sha512To256,
    Sha3To224,
    Sha3To256,
    Sha3To384,
    Sha3To512,
    Md5,
}

impl DigestAlg {
    /// The algorithm of a JCA name, upper or lower case.
    pub fn from_name(name: &str) -> Option<DigestAlg> {
        Some(match name.to_ascii_uppercase().as_str() {
            "SHA" | "SHA1" | "SHA-1" => DigestAlg::Sha1,
            "SHA-224" | "SHA224" => DigestAlg::Sha224,
            "SHA-256" | "SHA256" => DigestAlg::Sha256,
            "SHA-384" | "SHA384" => DigestAlg::Sha384,
            "SHA-512" | "SHA512" => DigestAlg::Sha512,
            "SHA-512/224" | "SHA512/224" => DigestAlg::Sha512To224,
            "SHA-512/256" | "SHA512/256" => DigestAlg::Sha512To256,
            "SHA3-224" => DigestAlg::Sha3To224,
            "SHA3-256" => DigestAlg::Sha3To256,
            "SHA3-384" => DigestAlg::Sha3To384,
            "SHA3-512" => DigestAlg::Sha3To512,
            "MD5" => DigestAlg::Md5,
            _ => return None,
        })
    }

    /// The identity that `user:password` proves. Without a colon all of it is the user.
    pub fn identity(self, user_password: &str) -> String {
        let user = user_password.split(':').next().unwrap_or_default();
        let mut identity = String::with_capacity(user.len() + 1 + 88);
        identity.push_str(user);
        identity.push(':');
        STANDARD.encode_string(self.hash(user_password.as_bytes()), &mut identity);
        identity
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            DigestAlg::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
            DigestAlg::Sha224 => sha2::Sha224::digest(bytes).to_vec(),
            DigestAlg::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            DigestAlg::Sha384 => sha2::Sha384::digest(bytes).to_vec(),
            DigestAlg::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
            DigestAlg::Sha512To224 => sha2::Sha512_224::digest(bytes).to_vec(),
            DigestAlg::Sha512To256 => sha2::Sha512_256::digest(bytes).to_vec(),
            DigestAlg::Sha3To224 => sha3::Sha3_224::digest(bytes).to_vec(),
            DigestAlg::Sha3To256 => sha3::Sha3_256::digest(bytes).to_vec(),
            DigestAlg::Sha3To384 => sha3::Sha3_384::digest(bytes).to_vec(),
            DigestAlg::Sha3To512 => sha3::Sha3_512::digest(bytes).to_vec(),
            DigestAlg::Md5 => md5::Md5::digest(bytes).to_vec(),
        }
    }
}

/// Whether a list may hold this identity: two parts, where empty parts at the end do not count
/// (Java's `split` drops them).
pub(super) fn is_valid(id: &str) -> bool {
    let parts = id.trim_end_matches(':');
    !parts.is_empty() && parts.split(':').count() == 2
}

/// The user of an identity.
pub(super) fn user(id: &str) -> &str {
    id.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_as_zookeeper_computes_them() {
        let sha1 = DigestAlg::Sha1;
        assert_eq!(sha1.identity("super:admin"), "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=");
        assert_eq!(sha1.identity("bob:pw"), "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=");
        assert_eq!(sha1.identity("al:pw"), "al:E2WgW72KiEUG4R7vIVBkt6SPXyA=");
        assert_eq!(sha1.identity("o:p"), "o:Zefm/0MLHFA/9zMW2yC71yJ7zJg=");
    }

    #[test]
    fn every_algorithm_has_a_name_and_its_own_length() {
        let lengths = [
            ("sha1", 28),
            ("SHA-224", 40),
            ("sha-256", 44),
            ("SHA-384", 64),
            ("SHA-512", 88),
            ("SHA-512/224", 40),
            ("SHA-512/256", 44),
            ("SHA3-224", 40),
            ("SHA3-256", 44),
            ("SHA3-384", 64),
            ("SHA3-512", 88),
            ("MD5", 24),
        ];
        for (name, len) in lengths {
            let alg = DigestAlg::from_name(name).expect(name);
            assert_eq!(alg.identity("u:p").len(), 2 + len, "{name}");
        }
        assert_eq!(DigestAlg::from_name("ROT13"), None);
        let sha3 = "bob:W/mjsw4pvF0wVTGZI9EiUQDRnUt7BAezTWEy2LgNGUU=";
        assert_eq!(DigestAlg::Sha3To256.identity("bob:pw"), sha3);
        assert_eq!(DigestAlg::Md5.identity(""), ":1B2M2Y8AsgTpgAmY7PhCfg==");
    }

    #[test]
    fn what_a_list_may_hold_is_what_java_splits_in_two() {
        for good in ["a:b", ":b", "a:b:", "a:b::"] {
            assert!(is_valid(good), "{good:?}");
        }
        for bad in ["", "a", "a:", ":", "::", "a:b:c", "::b", "a::b"] {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }
}
