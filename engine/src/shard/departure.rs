//! How a server that stops parts with its clients.
//!
//! A client takes every request that it has sent and that is not answered when its connection ends
//! for failed. So a connection ends at a moment at which its client waits for nothing: right behind
//! a reply, when nothing has arrived after it. A client that sends nothing for a while has no such
//! moment and is left when it has been quiet.

use super::conn::{Conn, Departure, Phase};
use super::{Shard, Urgency};
use crate::Millis;
use crate::watch::ConnId;

impl Conn {
    /// Whether the client is to be left now: it waits for nothing but what is in the output.
    pub fn departs(&self) -> bool {
        let served = self.phase == Phase::Established && !self.is_new && !self.dropped;
        self.departure == Departure::Now && served && self.is_idle() && self.input.is_empty()
    }

    pub(super) fn replied(&mut self) {
        if self.departure == Departure::Due {
            self.departure = Departure::Now;
        }
    }

    pub(super) fn heard(&mut self) {
        if self.departure == Departure::Now {
            self.departure = Departure::Due;
        }
    }
}

impl Shard {
    /// The server stops. Whoever has no session yet is not let in; the others depart one by one.
    pub fn begin_departure(&mut self) {
        for slot in 0..self.conn_slots() {
            self.with_conn(ConnId(slot), Urgency::Later, |_, conn| match conn.phase {
                Phase::First | Phase::Opening => conn.abort(),
                Phase::Word => conn.input_ended = true,
                Phase::Established => conn.departure = Departure::Due,
                Phase::Leaving | Phase::Closing | Phase::Lost => {}
            });
        }
    }

    /// Leaves the clients that wait for nothing and have got no reply since `since`, monotonic
    /// clock.
    pub fn depart_quiet(&mut self, since: Millis) {
        for slot in 0..self.conn_slots() {
            let id = ConnId(slot);
            let is_quiet = self.conn(id).is_some_and(|conn| {
                let quiet = conn.is_settled() && conn.stats.last_response <= since.0;
                conn.departure == Departure::Due && conn.input.is_empty() && quiet
            });
            if is_quiet {
                self.with_conn(id, Urgency::Later, |_, conn| conn.departure = Departure::Now);
            }
        }
    }

    /// Reads nothing more of anybody: what was read is answered, then the connections end.
    pub fn depart_all(&mut self) {
        (0..self.conn_slots()).for_each(|slot| self.end_input(ConnId(slot)));
    }
}
