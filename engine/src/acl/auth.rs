//! Proving an identity (operation 100), and what the proven ones amount to.

use std::net::IpAddr;

use super::ip::ip_identity;
use super::{AuthSettings, digest, same_secret, scheme};
use crate::limits::{CONN_IDENTITIES_MAX, CONN_IDENTITY_BYTES_MAX};
use crate::wire::Id;

/// Why an authentication failed. It is answered with -115, then the connection is closed (without
/// an answer where the client means another ensemble); the log says which it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthFailure {
    /// The scheme is unknown, switched off, or proven by other means than this operation.
    #[error("the scheme is not offered")]
    Scheme,
    /// The data that the scheme needs is not there.
    #[error("the authentication carries no data")]
    NoData,
    /// The connection has no certificate that could prove the identity.
    #[error("the connection has no client certificate")]
    NoCertificate,
    /// The client means another ensemble.
    #[error("the client means another ensemble")]
    WrongEnsemble,
    /// The connection holds as many identities, or as long ones, as it may.
    #[error("the connection holds too many identities")]
    TooMany,
}

/// Authenticates: what is proven is added to `ids`.
pub fn authenticate(
    settings: &AuthSettings,
    scheme: &str,
    auth: Option<&[u8]>,
    ids: &mut Vec<Id>,
    remote: IpAddr,
) -> Result<(), AuthFailure> {
    match scheme {
        scheme::DIGEST if settings.digest_enabled => authenticate_digest(settings, auth, ids),
        scheme::IP => add(ids, ip_identity(remote)),
        scheme::X509 if settings.x509_enabled => {
            // The handshake has added the identity already, if there is a certificate.
            let has_certificate = ids.iter().any(|id| id.scheme == scheme::X509);
            if has_certificate { Ok(()) } else { Err(AuthFailure::NoCertificate) }
        }
        scheme::ENSEMBLE if settings.ensemble_enabled => check_ensemble(settings, auth),
        _ => Err(AuthFailure::Scheme),
    }
}

/// Any user and password are accepted: an ACL names the hash of both.
fn authenticate_digest(
    settings: &AuthSettings,
    auth: Option<&[u8]>,
    ids: &mut Vec<Id>,
) -> Result<(), AuthFailure> {
    let user_password = String::from_utf8_lossy(auth.ok_or(AuthFailure::NoData)?);
    let id = settings.digest_alg.identity(&user_password);
    let super_digest = settings.super_digest.as_deref();
    if super_digest.is_some_and(|digest| same_secret(digest, &id)) {
        add(ids, Id { scheme: scheme::SUPER.into(), id: String::new() })?;
    }
    add(ids, Id { scheme: scheme::DIGEST.into(), id })
}

/// Proves nothing; refuses clients that mean another ensemble. Who names none is let through.
fn check_ensemble(settings: &AuthSettings, auth: Option<&[u8]>) -> Result<(), AuthFailure> {
    let name = String::from_utf8_lossy(auth.unwrap_or_default());
    let names = &settings.ensemble_names;
    if name.is_empty() || names.is_empty() || names.iter().any(|known| *known == name) {
        Ok(())
    } else {
        Err(AuthFailure::WrongEnsemble)
    }
}

/// Adds the identity that a SASL exchange has proven, and that of the superuser where the name is
/// one of `super_users` (`superUser`, `superUser.*`).
pub fn add_sasl_user(
    ids: &mut Vec<Id>,
    user: &str,
    super_users: &[String],
) -> Result<(), AuthFailure> {
    add(ids, Id { scheme: scheme::SASL.into(), id: user.to_owned() })?;
    if super_users.iter().any(|name| name == user) {
        add(ids, Id { scheme: scheme::SUPER.into(), id: String::new() })?;
    }
    Ok(())
}

/// Adds the identity that a certificate has proven, and that of the superuser before it where it is
/// that of `X509AuthenticationProvider.superUser`.
pub fn add_x509_subject(
    settings: &AuthSettings,
    ids: &mut Vec<Id>,
    subject: String,
) -> Result<(), AuthFailure> {
    if settings.x509_super_user.as_ref() == Some(&subject) {
        add(ids, Id { scheme: scheme::SUPER.into(), id: String::new() })?;
    }
    add(ids, Id { scheme: scheme::X509.into(), id: subject })
}

fn add(ids: &mut Vec<Id>, id: Id) -> Result<(), AuthFailure> {
    if ids.contains(&id) {
        return Ok(());
    }
    let bytes = ids.iter().map(|id| id.id.len()).sum::<usize>() + id.id.len();
    if ids.len() >= CONN_IDENTITIES_MAX || bytes > CONN_IDENTITY_BYTES_MAX {
        return Err(AuthFailure::TooMany);
    }
    ids.push(id);
    Ok(())
}

/// Whether a connection with these identities may send requests; if not, its request is
/// answered with -124 and the connection ends.
pub fn enforced_ok(settings: &AuthSettings, ids: &[Id]) -> bool {
    match &settings.enforce {
        None => true,
        Some(schemes) => ids.iter().any(|id| schemes.contains(&id.scheme)),
    }
}

/// Whether an identity of this scheme is one of those that connections need.
pub fn requires(settings: &AuthSettings, scheme: &str) -> bool {
    settings.enforce.as_ref().is_some_and(|schemes| schemes.iter().any(|name| name == scheme))
}

/// What `whoAmI` answers: scheme and user of every identity. Digests show their user only,
/// and schemes that are not offered show none.
pub fn who_am_i(settings: &AuthSettings, ids: &[Id]) -> Vec<(String, String)> {
    let user = |id: &Id| match id.scheme.as_str() {
        scheme::DIGEST => digest::user(&id.id).to_owned(),
        scheme::SUPER => String::new(),
        scheme::SASL if !settings.sasl_enabled => String::new(),
        _ => id.id.clone(),
    };
    ids.iter().map(|id| (id.scheme.clone(), user(id))).collect()
}
