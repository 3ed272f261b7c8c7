//! New session ids.

use super::SessionTable;
use crate::txn::NodeKind;
use crate::{Millis, SessionId};

/// The part below the server's number.
const LOW_BITS: u64 = (1 << 56) - 1;
/// The end of the low parts that mark a TTL under the server number 255.
const TTL_LOW_END: u64 = 1 << 40;

/// Gives out session ids: the server's number in the top byte, then a clock, then a count.
///
/// The clock only has to be past where an earlier run of the same server can have counted to, at
/// 65,536 ids per millisecond. ZooKeeper takes the time since boot, which a reboot sets back; the
/// wall clock is the better choice, and [`SessionIdSource::next_free`] guards the rest.
#[derive(Clone, Debug)]
pub struct SessionIdSource {
    server: u8,
    next_low: u64,
}

impl SessionIdSource {
    /// Begins at the place that belongs to a clock.
    pub const fn new(server: u8, clock: Millis) -> SessionIdSource {
        SessionIdSource { server, next_low: ((clock.0 as u64) << 24) >> 8 }
    }

    /// Goes on from a later time: sessions that begin from now on are known from those before.
    pub fn advance(&mut self, clock: Millis) {
        let later = SessionIdSource::new(self.server, clock).next_low;
        self.next_low = self.next_low.max(later);
    }

    /// The next id. None is ever 0 ("no session") or one of the values that, as the owner of a
    /// node, mean a container or a TTL.
    #[allow(clippy::should_implement_trait, reason = "it never ends, so it is no iterator")]
    pub fn next(&mut self) -> SessionId {
        loop {
            let id = SessionId((u64::from(self.server) << 56 | self.next_low) as i64);
            match NodeKind::from_owner(id.0) {
                NodeKind::Ephemeral(_) => {
                    self.next_low = (self.next_low + 1) & LOW_BITS;
                    return id;
                }
                NodeKind::Persistent | NodeKind::Container => self.next_low += 1,
                NodeKind::Ttl(_) => self.next_low = TTL_LOW_END,
            }
        }
    }

    /// The next id that no session of the table has.
    pub fn next_free(&mut self, table: &SessionTable) -> SessionId {
        loop {
            let id = self.next();
            if table.get(id).is_none() {
                return id;
            }
        }
    }
}

/// Whether a session began before this time, by the clock in its id.
pub(super) fn began(session: SessionId, before: Millis) -> bool {
    let clock = |low: u64| (low & LOW_BITS) >> 16;
    before != Millis(0) && clock(session.0 as u64) < clock((before.0 as u64) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_server_then_clock_then_count() {
        let mut ids = SessionIdSource::new(1, Millis(0x16c_9f70));
        assert_eq!(ids.next(), SessionId(0x100_016c_9f70_0000));
        assert_eq!(ids.next(), SessionId(0x100_016c_9f70_0001));
        let mut ids = SessionIdSource::new(0xfe, Millis(i64::MAX));
        assert_eq!(ids.next(), SessionId(0xfeff_ffff_ffff_0000_u64 as i64));
    }

    #[test]
    fn values_with_a_meaning_are_left_out() {
        assert_eq!(SessionIdSource::new(0, Millis(0)).next(), SessionId(1));
        assert_eq!(SessionIdSource::new(0x80, Millis(0)).next(), SessionId(i64::MIN + 1));
        let ttl = SessionIdSource::new(0xff, Millis(1_000)).next();
        assert_eq!(ttl, SessionId(0xff00_0100_0000_0000_u64 as i64));
        for server in [0, 1, 0x7f, 0x80, 0xfe, 0xff] {
            let mut ids = SessionIdSource::new(server, Millis(0));
            for _ in 0..1_000 {
                let id = ids.next();
                assert_eq!(NodeKind::from_owner(id.0), NodeKind::Ephemeral(id));
            }
        }
    }

    #[test]
    fn the_count_never_reaches_into_another_servers_range() {
        let mut ids = SessionIdSource { server: 3, next_low: LOW_BITS };
        assert_eq!(ids.next(), SessionId(0x3ff_ffff_ffff_ffff));
        assert_eq!(ids.next(), SessionId(0x300_0000_0000_0000));
    }

    #[test]
    fn ids_of_living_sessions_are_left_out() {
        let mut table = SessionTable::new(2_000, 4_000, 40_000);
        let mut ids = SessionIdSource::new(1, Millis(5));
        let first = ids.clone().next();
        table.open(first, 4_000, Millis(0));
        assert_eq!(ids.next_free(&table), SessionId(first.0 + 1));
    }
}
