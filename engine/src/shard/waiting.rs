//! What keeps a connection's next request from being taken in.

use super::arrival::Arrival;
use super::conn::{Awaited, Conn};
use super::{Shard, Turn};
use crate::limits;
use crate::op::listing::{reply_bytes, takes_long};
use crate::watch::ConnId;

impl Shard {
    /// Whether the next request of a connection may be taken in, as far as bounds go.
    pub(super) fn may_take(&self, conn: &Conn) -> bool {
        let shard_full = self.outstanding + self.held.len() >= self.settings.outstanding_max;
        let awaits = match conn.awaited {
            Awaited::Nothing => false,
            Awaited::AuditLog => self.audit_is_behind(),
            Awaited::Answers => !conn.is_idle(),
            Awaited::Output => self.has_full_output(),
        };
        let unsent = conn.unsent() > 0 && self.has_full_output();
        conn.accepts_frame() && !awaits && !unsent && (!shard_full || conn.is_idle())
    }

    /// What the request has to wait for, if it must not be taken in now.
    pub(super) fn awaited(&self, turn: &Turn<'_>, payload: &[u8]) -> Awaited {
        let (is_behind, is_full) = (self.audit_is_behind(), self.has_full_output());
        if !is_behind && !is_full && turn.conn.in_flight == 0 {
            return Awaited::Nothing;
        }
        let Ok(arrival) = Arrival::read(payload, 0) else { return Awaited::Nothing };
        let (code, record, conn) = (arrival.header.op, arrival.record, &turn.conn);
        let tree = &turn.moment.db.tree;
        match () {
            () if is_behind && arrival.spec.is_write() => Awaited::AuditLog,
            () if !arrival.spec.is_read() => Awaited::Nothing,
            // Between two transactions it would hold up everybody.
            () if conn.in_flight > 0 && takes_long(code, record, tree, conn.session()) => {
                Awaited::Answers
            }
            () if is_full && takes_long(code, record, tree, conn.session()) => Awaited::Output,
            () if is_full && reply_bytes(code, record, tree) > limits::LARGE_REPLY_BYTES => {
                Awaited::Output
            }
            () => Awaited::Nothing,
        }
    }

    /// Whether as much waits to be sent on all shards as may.
    fn has_full_output(&self) -> bool {
        self.settings.requests.unsent_bytes() >= limits::OUT_BYTES_MAX
    }

    /// Whether a connection that has to send so much may get no more: notifications cannot wait.
    /// Beyond what all connections may have together, less is too much.
    pub(super) fn is_over(&self, unsent: usize) -> bool {
        let not_noted = self.unsent.saturating_sub(self.unsent_noted);
        let all = self.settings.requests.unsent_bytes() + not_noted;
        unsent > limits::CONN_OUT_BYTES_HARD || all >= 2 * limits::OUT_BYTES_MAX
    }

    /// Counts what a connection has to send.
    pub(super) fn count_unsent(&mut self, conn: &mut Conn) {
        let unsent = conn.unsent();
        self.unsent = self.unsent + unsent - conn.unsent_counted;
        conn.unsent_counted = unsent;
    }

    /// As `Shard::count_unsent`, after a connection's socket has taken something.
    pub fn recount(&mut self, id: ConnId) {
        let Some(mut conn) = self.conns.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        self.count_unsent(&mut conn);
        self.conns[id.0 as usize] = Some(conn);
    }

    /// Tells all shards how much this one has to send.
    pub(super) fn note_unsent(&mut self) {
        if self.unsent != self.unsent_noted {
            self.settings.requests.note_unsent(self.unsent_noted, self.unsent);
            self.unsent_noted = self.unsent;
        }
    }

    /// Bytes that wait to be sent on this shard.
    pub fn unsent(&self) -> usize {
        self.unsent
    }
}
