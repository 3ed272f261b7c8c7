//! Session passwords: they let only its own client re-attach a session.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::ids::began;
use crate::device::EnsembleIdentity;
use crate::wire::connect::{PASSWORD_BYTES, Password};
use crate::{Millis, SessionId};

/// How passwords follow from session ids. Equal on all servers of an ensemble.
#[derive(Clone)]
pub enum Passwords {
    /// A keyed hash: the password of a session cannot be computed without the secret.
    Keyed(PasswordSecret),
    /// ZooKeeper's own, which any client can compute. Only for an ensemble in which sessions move
    /// between ZooKeeper's servers and ours.
    Java,
}

/// The ensemble's secret, ready for use, and which sessions have ZooKeeper's passwords besides. It
/// is never printed.
#[derive(Clone)]
pub struct PasswordSecret {
    mac: Hmac<Sha256>,
    java_before: Millis,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Passwords::Keyed(_) => "Passwords::Keyed",
            Passwords::Java => "Passwords::Java",
        })
    }
}

impl std::fmt::Debug for PasswordSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordSecret")
    }
}

impl Passwords {
    /// Passwords under the ensemble's secret, which may be of any length (32 random bytes are
    /// right).
    pub fn keyed(secret: &[u8]) -> Passwords {
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of every length");
        Passwords::Keyed(PasswordSecret { mac, java_before: Millis(0) })
    }

    /// Those of an ensemble. Sessions that began before it had a secret may have ZooKeeper's, until
    /// their clients connect again.
    pub fn of_ensemble(ensemble: &EnsembleIdentity) -> Passwords {
        match Passwords::keyed(&ensemble.secret) {
            Passwords::Keyed(PasswordSecret { mac, .. }) => {
                Passwords::Keyed(PasswordSecret { mac, java_before: ensemble.java_before })
            }
            Passwords::Java => unreachable!("they have a key"),
        }
    }

    /// The password of a session.
    pub fn of(&self, session: SessionId) -> Password {
        match self {
            Passwords::Keyed(secret) => {
                let mac = secret.mac.clone().chain_update(session.0.to_be_bytes());
                let tag = mac.finalize().into_bytes();
                let (password, _) = tag.split_first_chunk().expect("a tag has 32 bytes");
                *password
            }
            Passwords::Java => java_password(session),
        }
    }

    /// Whether a client knows the password of a session; takes the same time for all wrong ones
    /// of the right length.
    pub fn verify(&self, session: SessionId, password: Option<&[u8]>) -> bool {
        let Some(password) = password else { return false };
        let is_right = bool::from(self.of(session).ct_eq(password));
        is_right || (self.may_be_java(session) && java_password(session).ct_eq(password).into())
    }

    /// Whether a session may have got its password before there was a secret.
    fn may_be_java(&self, session: SessionId) -> bool {
        match self {
            Passwords::Keyed(PasswordSecret { java_before, .. }) => began(session, *java_before),
            Passwords::Java => false,
        }
    }
}

/// Java's `Random`, seeded with the id and a constant of ZooKeeper.
fn java_password(session: SessionId) -> Password {
    const ZOOKEEPER: u64 = 0xb341_5c00;
    const MULTIPLIER: u64 = 0x5_deec_e66d;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = (session.0 as u64 ^ ZOOKEEPER ^ MULTIPLIER) & MASK;
    let mut password = [0; PASSWORD_BYTES];
    for word in password.as_chunks_mut().0 {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xb) & MASK;
        *word = ((state >> 16) as u32).to_le_bytes();
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{EnsembleId, Standing};
    use crate::session::SessionIdSource;

    #[test]
    fn java_passwords_equal_those_of_zookeeper() {
        let captured = [
            (0x100_0016_c9f7_0063, 0xb126_4881_e825_52b5_7299_9899_3e85_726b_u128),
            (0x100_0016_c9f7_0064, 0x11cc_2a81_08a0_ae0d_3ce8_9c72_6031_d96c),
            (0x100_0016_c9f7_0065, 0x24ed_2481_a8eb_8d52_322b_049e_34ba_ed39),
        ];
        for (session, password) in captured {
            assert_eq!(Passwords::Java.of(SessionId(session)), password.to_be_bytes());
        }
    }

    #[test]
    fn a_keyed_password_opens_its_own_session_only() {
        let passwords = Passwords::keyed(&[7; 32]);
        let (one, two) = (SessionId(0x100_0000_0000_0001), SessionId(0x100_0000_0000_0002));
        let password = passwords.of(one);
        assert!(passwords.verify(one, Some(&password)));
        assert!(!passwords.verify(two, Some(&password)));
        assert!(!passwords.verify(one, None));
        assert!(!passwords.verify(one, Some(&password[..15])));
        assert!(!passwords.verify(one, Some(&[0; 16])));
        assert!(!Passwords::keyed(&[8; 32]).verify(one, Some(&password)));
        let mut wrong = password;
        wrong[15] ^= 1;
        assert!(!passwords.verify(one, Some(&wrong)));
    }

    #[test]
    fn the_keyed_hash_is_hmac_sha256() {
        let mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
        let tag = mac.chain_update(5_i64.to_be_bytes()).finalize().into_bytes();
        assert_eq!(Passwords::keyed(b"key").of(SessionId(5)), tag[..16]);
    }

    /// The password that such a session gets when its client connects again is the secret's.
    #[test]
    fn session_from_before_the_secret_may_have_zookeepers_password() {
        let (id, secret) = (EnsembleId([1; 16]), [7; 32]);
        let (java_before, standing) = (Millis(1_790_000_000_000), Standing::Confirmed);
        let ensemble = EnsembleIdentity { id, secret, java_before, standing };
        let passwords = Passwords::of_ensemble(&ensemble);
        let began = |ms| SessionIdSource::new(3, Millis(java_before.0 + ms)).next();
        for (ms, is_java) in [(-100_000, true), (-1, true), (0, false), (1, false)] {
            let session = began(ms);
            let java = Passwords::Java.of(session);
            assert_eq!(passwords.verify(session, Some(&java)), is_java, "{ms}");
            let keyed = Passwords::keyed(&secret).of(session);
            assert!(passwords.verify(session, Some(&keyed)) && passwords.of(session) == keyed);
            assert!(!passwords.verify(session, Some(&[0; 16])));
        }
        let always = EnsembleIdentity { java_before: Millis(0), ..ensemble };
        let session = began(-1);
        let java = Passwords::Java.of(session);
        assert!(!Passwords::of_ensemble(&always).verify(session, Some(&java)));
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Passwords::keyed(b"secret")), "Passwords::Keyed");
    }
}
