//! Does no client go back in time? Over all of its connections, to whichever server.

use ringkeeper_engine::SessionId;

/// The newest zxid that one client has seen.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct SeenZxid {
    session: SessionId,
    reply: i64,
    event: i64,
}

impl SeenZxid {
    /// A reply shows the state at this zxid.
    pub(crate) fn reply(&mut self, session: SessionId, zxid: i64) {
        self.of(session);
        assert!(zxid >= self.reply, "{session} goes back from {:#x} to {zxid:#x}", self.reply);
        self.reply = zxid;
    }

    /// An event shows a change at this zxid, before any reply does.
    pub(crate) fn event(&mut self, session: SessionId, zxid: i64) {
        self.of(session);
        if zxid > 0 {
            assert!(zxid > self.reply, "an event at {zxid:#x} comes behind {:#x}", self.reply);
            assert!(zxid >= self.event, "an event at {zxid:#x} comes behind {:#x}", self.event);
            self.event = zxid;
        }
    }

    /// Another session begins anew.
    fn of(&mut self, session: SessionId) {
        if self.session != session {
            *self = SeenZxid { session, ..SeenZxid::default() };
        }
    }
}
