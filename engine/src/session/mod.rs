//! Sessions: ids, timeouts, owners and expiry.
//!
//! The table is replicated state (ids and timeouts, changed by transactions only) plus what one
//! server knows about it: which connection owns a session, and when its client sent something
//! last. Only the server that leads lets sessions expire.

mod entry;
mod ids;
mod map;
mod password;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub use entry::Session;
pub use ids::SessionIdSource;
pub use password::{PasswordSecret, Passwords};
pub use table::{Attached, SessionTable};

use crate::Millis;
use crate::origin::Origin;

/// When the client of a session sent something last (monotonic clock). The shard that has its
/// connection writes it, and the table reads it when the session may be due.
///
/// A plain store is enough: one shard at a time writes, and a table that misses the very last
/// touch sees it a tick later at the latest.
#[derive(Clone, Debug)]
pub struct LastHeard(Arc<AtomicI64>);

impl LastHeard {
    fn new(now: Millis) -> LastHeard {
        LastHeard(Arc::new(AtomicI64::new(now.0)))
    }

    /// The client sent something, be it a ping.
    #[inline]
    pub fn touch(&self, now: Millis) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    /// Whether anybody but the table has it: the connection that the session was attached to, or
    /// an answer on its way there.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// When the client sent something last.
    #[inline]
    pub fn get(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }
}

/// The number of a server in its ensemble: `myid`, which ZooKeeper also calls sid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServerId(pub u8);

/// Who may write for a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A connection of this server, the last one that attached the session.
    Connection(Origin),
    /// Another server. Which of its connections has the session is known there only.
    Server(ServerId),
}

#[cfg(test)]
mod tests;
