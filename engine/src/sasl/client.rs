//! The client's side of an exchange.

use std::fmt;

use subtle::ConstantTimeEq;

use super::directives::{Directives, put_quoted};
use super::proof::{Agreed, Prover};
use super::{DIGEST_URI, PasswordHash};

/// A client that authenticates. The first token that it sends is empty.
#[derive(Clone)]
pub struct ClientExchange {
    user: String,
    password: String,
    cnonce: Vec<u8>,
    /// What the server has to answer, once the response is made.
    expected: Option<[u8; 32]>,
}

/// Why an exchange did not come to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoProof {
    /// The server offers no SASL: its token is null.
    #[error("the server offers no SASL")]
    NotOffered,
    /// The challenge cannot be read, or wants what this client does not have.
    #[error("the server's challenge is not one of DIGEST-MD5")]
    Challenge,
    /// The server has not proven that it knows the password.
    #[error("the server does not know the password either")]
    Server,
}

impl ClientExchange {
    /// An exchange for a user. The characters of `cnonce` must be random, visible ASCII.
    pub fn new(user: &str, password: &str, cnonce: &str) -> ClientExchange {
        ClientExchange {
            user: user.to_owned(),
            password: password.to_owned(),
            cnonce: cnonce.as_bytes().to_vec(),
            expected: None,
        }
    }

    /// Takes the server's token. The answer is the next token to send, or none at the end of a
    /// successful exchange.
    pub fn step(&mut self, token: Option<&[u8]>) -> Result<Option<Vec<u8>>, NoProof> {
        let token = token.ok_or(NoProof::NotOffered)?;
        match self.expected.take() {
            None => self.respond(token).map(Some),
            Some(expected) => {
                let fields = Directives::parse(token).map_err(|_| NoProof::Server)?;
                let proof = fields.first("rspauth").ok_or(NoProof::Server)?;
                if bool::from(proof.ct_eq(&expected)) { Ok(None) } else { Err(NoProof::Server) }
            }
        }
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, NoProof> {
        let fields = Directives::parse(challenge).map_err(|_| NoProof::Challenge)?;
        let field = |key| fields.first(key);
        let nonce = field("nonce").ok_or(NoProof::Challenge)?;
        let realm = std::str::from_utf8(field("realm").ok_or(NoProof::Challenge)?);
        let realm = realm.map_err(|_| NoProof::Challenge)?;
        let offers_auth = |list: &[u8]| list.split(|byte| *byte == b',').any(|qop| qop == b"auth");
        let is_known = field("algorithm") == Some(b"md5-sess");
        if !is_known || !field("qop").is_none_or(offers_auth) {
            return Err(NoProof::Challenge);
        }
        let password = PasswordHash::in_realm(&self.user, realm, &self.password);
        let cnonce = &self.cnonce;
        let agreed = Agreed { nonce, cnonce, authzid: None, digest_uri: DIGEST_URI };
        let mut token = b"charset=utf-8,qop=auth,nc=00000001,".to_vec();
        let quoted: [(&str, &[u8]); 5] = [
            ("username", self.user.as_bytes()),
            ("realm", realm.as_bytes()),
            ("nonce", nonce),
            ("cnonce", cnonce),
            ("digest-uri", DIGEST_URI),
        ];
        for (key, value) in quoted {
            put_quoted(&mut token, key, value);
            token.push(b',');
        }
        token.extend_from_slice(b"response=");
        token.extend_from_slice(&agreed.proof(&password, Prover::Client));
        self.expected = Some(agreed.proof(&password, Prover::Server));
        Ok(token)
    }
}

/// The user only.
impl fmt::Debug for ClientExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientExchange").field("user", &self.user).finish_non_exhaustive()
    }
}
