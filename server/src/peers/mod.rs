//! The other servers of an ensemble: who leads, the link to it, and what this server is doing.

pub mod status;
