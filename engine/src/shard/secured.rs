//! Connections whose bytes are encrypted: what the layer below tells the shard of them.

use super::Shard;
use super::client_end::ClientEnd;
use super::ready::Urgency;
use crate::acl;
use crate::watch::ConnId;

impl Shard {
    /// The handshake of a connection is over, and its client has proven that it is `subject`, the
    /// subject of its certificate as RFC 2253 writes it. Call it before the first byte behind the
    /// handshake is given to [`Shard::received`]. A superuser gets the scheme `super` as well.
    pub fn identified(&mut self, id: ConnId, subject: String) {
        if !self.settings.ops.auth.x509_enabled {
            return;
        }
        let settings = self.settings.clone();
        self.with_conn(id, Urgency::Served, |_, conn| {
            let mut ids = conn.ids.to_vec();
            match acl::add_x509_subject(&settings.ops.auth, &mut ids, subject) {
                Ok(()) => conn.ids = ids.into(),
                Err(_) => conn.abort_for(ClientEnd::AuthFailed),
            }
        });
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

    /// The keys of a connection are used up: replies were lost.
    pub fn keys_used_up(&mut self, id: ConnId) {
        self.with_conn(id, Urgency::Served, |_, conn| conn.abort_for(ClientEnd::KeysUsedUp));
    }
}
