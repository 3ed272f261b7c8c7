//! Connections whose bytes are encrypted: what the layer below tells the shard of them.

use super::Shard;
use super::client_end::ClientEnd;
use super::conn::Conn;
use super::port::Port;
use super::ready::Urgency;
use crate::acl::scheme;
use crate::watch::ConnId;
use crate::wire::Id;

impl Shard {
    /// The handshake of a connection is over, and its client has proven that it is `subject`, the
    /// subject of its certificate as RFC 2253 writes it. Call it before the first byte behind the
    /// handshake is given to [`Shard::received`]. A superuser gets the scheme `super` as well.
    pub fn identified(&mut self, id: ConnId, subject: String) {
        let auth = &self.settings.ops.auth;
        if !auth.x509_enabled {
            return;
        }
        let is_super = auth.x509_super_user.as_deref() == Some(subject.as_str());
        let Some(conn) = self.conn_mut(id) else { return };
        let mut ids = conn.ids.to_vec();
        if is_super {
            ids.push(Id { scheme: scheme::SUPER.into(), id: String::new() });
        }
        ids.push(Id { scheme: scheme::X509.into(), id: subject });
        conn.ids = ids.into();
    }

    /// The layer below has something for the socket of a connection, or wants to read on.
    pub fn mark_ready(&mut self, id: ConnId) {
        self.with_conn(id, Urgency::Served, |_, _| {});
    }

    /// Ends a connection without a word: the layer below has counted why.
    pub fn close_quietly(&mut self, id: ConnId) {
        self.with_conn(id, Urgency::Served, |_, conn| conn.abort());
    }

    /// The handshake of a connection has failed, which counts as an authentication that failed. The
    /// layer below says why.
    pub fn handshake_failed(&mut self, id: ConnId) {
        self.counters.auth_failed += 1;
        self.with_conn(id, Urgency::Served, |_, conn| conn.abort());
    }

    /// A record of a connection cannot be decrypted, or breaks the rules of TLS.
    pub fn record_failed(&mut self, id: ConnId) {
        self.with_conn(id, Urgency::Served, |_, conn| conn.abort_for(ClientEnd::Record));
    }
}

impl Conn {
    /// Whether the client has come through the secure port.
    pub fn is_secure(&self) -> bool {
        match self.port {
            Port::Client => false,
            Port::Secure => true,
        }
    }
}
