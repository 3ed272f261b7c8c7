//! Why a store cannot be used.

use thiserror::Error;

/// Why a store of keys or certificates cannot be used. No text holds a part of a key or password;
/// the caller says which file it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The file has no bytes, or more than a store may have.
    #[error("it has {bytes} bytes; a store has 1 to {} bytes", super::entry::STORE_BYTES_MAX)]
    Size {
        /// Of the file.
        bytes: usize,
    },
    /// A type that is not known was set.
    #[error("the type {0:?} is not known; JKS, PKCS12 and PEM are")]
    UnknownType(String),
    /// Neither the name nor the content tells what it is.
    #[error(
        "neither its name nor its content tells its type; set the type to JKS, PKCS12 or PEM, or \
         let the name end in .jks, .p12 or .pem"
    )]
    UnknownKind,
    /// A store of Bouncy Castle's FIPS provider.
    #[error(
        "a BCFKS store can only be read by Java; convert it with: keytool -importkeystore \
         -srcstoretype BCFKS -srckeystore OLD.bcfks -deststoretype PKCS12 -destkeystore NEW.p12 \
         -providerclass org.bouncycastle.jcajce.provider.BouncyCastleFipsProvider -providerpath \
         BC-FIPS.jar"
    )]
    Bcfks,
    /// It is not what its type says.
    #[error("it is no {kind} store that can be read: {reason}")]
    Malformed {
        /// Its type.
        kind: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It is well formed and uses what is not supported.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The password does not open it.
    #[error("the password is wrong, or the store is damaged")]
    WrongPassword,
    /// It needs a password and there is none.
    #[error("its key is encrypted and no password is set")]
    PasswordMissing,
    /// No private key in a key store.
    #[error("it holds no private key")]
    NoKey,
    /// A private key without a certificate, or a trust store without any.
    #[error("it holds no certificate")]
    NoCertificate,
    /// A private key of a form that is not supported.
    #[error("its private key cannot be used: {0}")]
    BadKey(String),
    /// A certificate that cannot be read.
    #[error("its certificate number {number} cannot be read: {reason}")]
    BadCertificate {
        /// From 1, in the order of the store.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is not that of the first certificate.
    #[error("its private key does not belong to its first certificate")]
    KeyMismatch,
}
