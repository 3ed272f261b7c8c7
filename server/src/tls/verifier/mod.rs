//! What is verified of a peer's certificates.

mod anchors;
mod client;
mod refusal;
mod server;

pub use client::{ClientAuth, client_verifier};
pub use server::{HostNames, server_verifier};

#[cfg(test)]
mod tests;
