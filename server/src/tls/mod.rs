//! TLS: stores of keys and certificates, what is verified of a peer, and its identity.

mod certificate;
pub mod certified;
mod der;
pub mod names;
mod signatures;
pub mod store;
pub mod subject;
pub mod verifier;
