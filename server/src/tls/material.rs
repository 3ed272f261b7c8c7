//! The keys and rules of TLS that are in force, and what is counted of its handshakes. All shards
//! share them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustls::ServerConfig;

use super::port_kind::PortKind;

/// What is counted of TLS, under the names of ZooKeeper's metrics.
#[derive(Default, Debug)]
pub struct TlsCounters {
    /// `outstanding_tls_handshake`: handshakes under way.
    pub outstanding: AtomicU64,
    /// `tls_handshake_exceeded`: connections closed since too many handshakes were under way.
    pub exceeded: AtomicU64,
    /// `unsuccessful_handshake`: handshakes that failed, or took too long.
    pub unsuccessful: AtomicU64,
    /// `non_mtls_local_conn_count`: connections of this host to a port that is not for TLS alone.
    pub plain_local: AtomicU64,
    /// `non_mtls_remote_conn_count`: those of other hosts.
    pub plain_remote: AtomicU64,
    /// How often changed files were taken over.
    pub reloads: AtomicU64,
    /// How often they could not be used.
    pub reloads_failed: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Default, Debug)]
pub struct HandshakeCounts {
    /// Under way.
    pub outstanding: u64,
    /// Not begun, since too many were under way.
    pub exceeded: u64,
    /// Failed, or too slow.
    pub unsuccessful: u64,
    /// Connections of this host to a port that is not for TLS alone.
    pub plain_local: u64,
    /// Those of other hosts.
    pub plain_remote: u64,
}

impl TlsCounters {
    /// What is counted of handshakes so far.
    pub fn counts(&self) -> HandshakeCounts {
        HandshakeCounts {
            outstanding: self.outstanding.load(Ordering::Relaxed),
            exceeded: self.exceeded.load(Ordering::Relaxed),
            unsuccessful: self.unsuccessful.load(Ordering::Relaxed),
            plain_local: self.plain_local.load(Ordering::Relaxed),
            plain_remote: self.plain_remote.load(Ordering::Relaxed),
        }
    }

    /// A connection was let in. As in ZooKeeper, those of a port for both count as plain ones.
    pub fn accepted(&self, ip: IpAddr, kind: PortKind) {
        match kind {
            PortKind::Secure => {}
            PortKind::Plain | PortKind::Either if ip.to_canonical().is_loopback() => {
                TlsCounters::count(&self.plain_local);
            }
            PortKind::Plain | PortKind::Either => TlsCounters::count(&self.plain_remote),
        }
    }

    /// One more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The configuration of TLS that new connections get.
pub struct TlsMaterial {
    config: RwLock<Arc<ServerConfig>>,
}

impl TlsMaterial {
    /// In force from the start.
    pub fn new(config: Arc<ServerConfig>) -> TlsMaterial {
        TlsMaterial { config: RwLock::new(config) }
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
