//! TLS: stores of keys and certificates, what is verified of a peer, and its identity.

mod certificate;
pub mod certified;
pub mod channel;
pub mod channels;
mod der;
pub mod material;
pub mod port_kind;
pub mod reload;
pub mod settings;
mod signatures;
pub mod store;
pub mod subject;
pub mod verifier;
