//! A client of the protocol: what tests, tools and the load driver speak to any server with.
//!
//! [`Core`] is one session without its socket: it numbers requests, cuts the server's bytes into
//! messages, pairs replies with requests and notices what a server must never do. [`request`] and
//! [`reply`] are the bytes of every operation. [`tcp`] is the edge: one blocking socket around a
//! core.

mod calls;
mod core;
pub mod reply;
pub mod request;
pub mod tcp;

pub use self::core::{
    Awaited, Broken, Core, Event, Message, Options, Phase, Pulse, Reply, Session, Violation,
};
pub use calls::Results;
pub use reply::{Body, MultiResult};
pub use request::{Create, CreateMode, Request, WatchMode, WatcherType, Watches};
pub use tcp::{Answer, Client, Error, four_letter_word};
