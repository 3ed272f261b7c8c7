//! SASL with the mechanism DIGEST-MD5 (RFC 2831), as ZooKeeper's servers and clients speak it.
//!
//! Nothing here draws randomness or reads a clock: nonces come from a key that is given at the
//! start and a counter. The name that an exchange proves is the user whose password was used; the
//! name that a client requests beside it (`authzid`) is part of the hash and never believed.

mod client;
mod credentials;
mod directives;
mod exchange;
mod nonce;
mod proof;

use std::fmt;

pub use client::{ClientExchange, NoProof};
pub use credentials::{Credentials, PasswordHash};
pub use exchange::{Exchange, Refusal, Step};
pub use nonce::{Nonce, NonceSource};

/// The realm of ZooKeeper's servers, and the host of their `digest-uri`.
pub const REALM: &str = "zk-sasl-md5";

/// The `digest-uri` that clients and servers agree on.
const DIGEST_URI: &[u8] = b"zookeeper/zk-sasl-md5";

/// How a server authenticates clients with SASL.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslSettings {
    /// The users of the server's JAAS section; none where there is no such section, and then every
    /// token is answered with a null one.
    pub credentials: Option<Credentials>,
    /// `superUser` and `superUser.*`: names whose holders may do everything.
    pub super_users: Vec<String>,
    /// What becomes of a client whose exchange fails.
    pub after_failure: AfterFailure,
    /// The key of all nonces, random per process.
    pub nonce_key: [u8; 32],
}

/// What becomes of a client whose exchange fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterFailure {
    /// Its connection is closed.
    Close,
    /// `allowSaslFailedClients`: it goes on without an identity, unless one is required.
    GoOn,
}

impl SaslSettings {
    /// No mechanism is configured.
    pub fn none() -> SaslSettings {
        SaslSettings {
            credentials: None,
            super_users: Vec::new(),
            after_failure: AfterFailure::Close,
            nonce_key: [0; 32],
        }
    }
}

/// Nothing that is secret.
impl fmt::Debug for SaslSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslSettings")
            .field("credentials", &self.credentials)
            .field("super_users", &self.super_users)
            .field("after_failure", &self.after_failure)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
