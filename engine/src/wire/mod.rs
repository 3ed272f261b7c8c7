//! Bytes and messages: ZooKeeper's jute encoding and its records.

pub mod connect;
pub mod event;
pub mod header;
pub mod jute;
pub mod opcode;
pub mod peer;
pub mod record;

pub use jute::{Malformed, Put, Reader};
pub use record::{Acl, Id, SentAcl, Stat};
