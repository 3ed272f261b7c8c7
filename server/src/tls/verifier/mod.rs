//! What is verified of a peer's certificates.

mod anchors;
mod client;
mod refusal;

pub use client::{ClientAuth, client_verifier};

#[cfg(test)]
mod tests;
