//! The keys and rules of TLS that are in force, and what is counted of its handshakes. All shards
//! share them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustls::ServerConfig;

/// What is counted of TLS, under the names of ZooKeeper's metrics.
#[derive(Default, Debug)]
pub struct TlsCounters {
    /// `outstanding_tls_handshake`: handshakes under way.
    pub outstanding: AtomicU64,
    /// `tls_handshake_exceeded`: connections closed since too many handshakes were under way.
    pub exceeded: AtomicU64,
    /// `unsuccessful_handshake`: handshakes that failed, or took too long.
    pub unsuccessful: AtomicU64,
    /// How often changed files were taken over.
    pub reloads: AtomicU64,
    /// How often they could not be used.
    pub reloads_failed: AtomicU64,
}

impl TlsCounters {
    /// One more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The configuration of TLS that new connections get.
pub struct TlsMaterial {
    config: RwLock<Arc<ServerConfig>>,
    /// What is counted.
    pub counters: TlsCounters,
}

impl TlsMaterial {
    /// In force from the start.
    pub fn new(config: Arc<ServerConfig>) -> TlsMaterial {
        TlsMaterial { config: RwLock::new(config), counters: TlsCounters::default() }
    }

    /// What holds for a connection that begins now.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.read().clone()
    }

    /// Connections from now on get this; those that are open keep what they have.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.config.write() = config;
    }
}
