//! The server's side of an exchange. A connection has one, and one only: after a success or a
//! failure every further token is refused.

use subtle::ConstantTimeEq;

use super::directives::{BadDirectives, Directives};
use super::proof::{Agreed, Prover};
use super::{Credentials, DIGEST_URI, Nonce, NonceSource, PasswordHash, REALM};

/// A token of more bytes is refused unread.
pub(super) const TOKEN_BYTES_MAX: usize = 4_096;

/// The fields that may stand in a token once. Java calls the count by its long name only, and does
/// not look at the `nc` that clients send; the hash of both sides has the count 1.
const FIELDS: [&str; 13] = [
    "username",
    "realm",
    "nonce",
    "cnonce",
    "nonce-count",
    "qop",
    "digest-uri",
    "response",
    "maxbuf",
    "charset",
    "cipher",
    "authzid",
    "auth-param",
];

/// How far the exchange of a connection has come.
#[derive(Clone, Default, Debug)]
pub enum Exchange {
    /// No token has come.
    #[default]
    NotBegun,
    /// The client has this nonce, and its response is due.
    Challenged(Box<Nonce>),
    /// It has succeeded or failed.
    Ended,
}

/// What the server answers to a token that it does not refuse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A challenge; the exchange goes on.
    Challenge(Vec<u8>),
    /// The client has proven that it knows the password of this user.
    Proven {
        /// The user; never the name that the client requests beside it.
        user: String,
        /// The server's own proof, which is the last token.
        token: Vec<u8>,
    },
}

/// Why a token was refused. It holds nothing of the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The exchange of the connection has ended already.
    #[error("the connection has had its exchange")]
    Ended,
    /// The token has too many bytes.
    #[error("the token is too long")]
    TooLong,
    /// The response is no list of fields, or has one of them twice.
    #[error("the response is malformed")]
    Malformed,
    /// A field is missing or says something that this server does not offer.
    #[error("the field {0} is missing or not acceptable")]
    Field(&'static str),
    /// A field says what Java trips over; it closes the connection without an answer.
    #[error("the field {0} is not acceptable")]
    Unanswered(&'static str),
    /// The user does not exist, or the password is another one.
    #[error("the user or the password is wrong")]
    Proof,
}

impl From<BadDirectives> for Refusal {
    fn from(_: BadDirectives) -> Refusal {
        Refusal::Malformed
    }
}

impl Exchange {
    /// Takes a token of the client.
    pub fn step(
        &mut self,
        token: &[u8],
        credentials: &Credentials,
        nonces: &mut NonceSource,
    ) -> Result<Step, Refusal> {
        match std::mem::replace(self, Exchange::Ended) {
            Exchange::NotBegun | Exchange::Challenged(_) if token.len() > TOKEN_BYTES_MAX => {
                Err(Refusal::TooLong)
            }
            Exchange::NotBegun => {
                // What comes with the first token is not looked at.
                let nonce = nonces.fresh();
                *self = Exchange::Challenged(Box::new(nonce));
                Ok(Step::Challenge(challenge(&nonce)))
            }
            Exchange::Challenged(nonce) => {
                let no_user = PasswordHash::without_password(nonces.no_password());
                judge(token, &nonce, credentials, &no_user)
            }
            Exchange::Ended => Err(Refusal::Ended),
        }
    }
}

fn challenge(nonce: &Nonce) -> Vec<u8> {
    let nonce = std::str::from_utf8(nonce.as_bytes()).expect("base64 is ASCII");
    format!("realm=\"{REALM}\",nonce=\"{nonce}\",charset=utf-8,algorithm=md5-sess").into_bytes()
}

/// Judges a response. An unknown user costs what a known one costs.
fn judge(
    token: &[u8],
    nonce: &Nonce,
    credentials: &Credentials,
    no_user: &PasswordHash,
) -> Result<Step, Refusal> {
    let fields = Directives::parse(token)?;
    for field in FIELDS {
        fields.once(field)?;
    }
    check(&fields, "charset", |charset| charset.is_none_or(|charset| charset == b"utf-8"))?;
    let is_number = |text: &[u8]| number(text, 10).is_some();
    if !fields.first("maxbuf").is_none_or(is_number) {
        return Err(Refusal::Unanswered("maxbuf"));
    }
    let user = String::from_utf8_lossy(required(&fields, "username")?);
    check(&fields, "realm", |realm| realm == Some(REALM.as_bytes()))?;
    check(&fields, "nonce", |sent| sent == Some(nonce.as_bytes()))?;
    let cnonce = required(&fields, "cnonce")?;
    match fields.first("nonce-count").map(|count| number(count, 16)) {
        None | Some(Some(1)) => {}
        Some(Some(_)) => return Err(Refusal::Field("nonce-count")),
        Some(None) => return Err(Refusal::Unanswered("nonce-count")),
    }
    check(&fields, "qop", |qop| qop.is_none_or(|qop| qop == b"auth"))?;
    let is_here = |uri: &&[u8]| uri.eq_ignore_ascii_case(DIGEST_URI);
    let digest_uri = fields.first("digest-uri").filter(is_here);
    let digest_uri = digest_uri.ok_or(Refusal::Field("digest-uri"))?;
    let response = required(&fields, "response")?;
    if user.is_empty() {
        return Err(Refusal::Unanswered("username"));
    }
    let authzid = fields.first("authzid");
    let agreed = Agreed { nonce: nonce.as_bytes(), cnonce, authzid, digest_uri };
    let known = credentials.of_user(&user);
    let password = known.unwrap_or(no_user);
    let is_right = agreed.proof(password, Prover::Client).ct_eq(response);
    let own = agreed.proof(password, Prover::Server);
    if known.is_some() && bool::from(is_right) {
        let token = [b"rspauth=".as_slice(), &own].concat();
        Ok(Step::Proven { user: user.into_owned(), token })
    } else {
        Err(Refusal::Proof)
    }
}

fn required<'d>(fields: &'d Directives, key: &'static str) -> Result<&'d [u8], Refusal> {
    fields.first(key).ok_or(Refusal::Field(key))
}

fn check(
    fields: &Directives,
    key: &'static str,
    is_fine: impl FnOnce(Option<&[u8]>) -> bool,
) -> Result<(), Refusal> {
    if is_fine(fields.first(key)) { Ok(()) } else { Err(Refusal::Field(key)) }
}

fn number(text: &[u8], radix: u32) -> Option<i32> {
    i32::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()
}
