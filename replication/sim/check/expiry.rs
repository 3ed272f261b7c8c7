//! Does no session expire before a full timeout? Counted from when its leader last heard of its
//! client, over a connection of its own or from another member, and at least from when it began to
//! lead.

use std::collections::BTreeMap;

use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Millis, SessionId};

/// When one leader has heard of sessions.
#[derive(Debug)]
pub(crate) struct HeardSessions {
    armed: Millis,
    heard: BTreeMap<SessionId, (Millis, &'static str)>,
    /// What its wall clock showed then: an expiry that was decided before may leave later, with a
    /// group that had to wait.
    walls: BTreeMap<SessionId, Millis>,
}

impl HeardSessions {
    /// It leads from now on.
    pub(crate) fn new(now: Millis) -> HeardSessions {
        HeardSessions { armed: now, heard: BTreeMap::new(), walls: BTreeMap::new() }
    }

    /// It has heard of a session's client, in this way.
    pub(crate) fn heard(&mut self, session: SessionId, how: &'static str, now: Millis) {
        self.heard.insert(session, (now, how));
        self.walls.remove(&session);
    }

    /// As [`HeardSessions::heard`], while its wall clock shows this.
    pub(crate) fn heard_at(
        &mut self,
        session: SessionId,
        how: &'static str,
        (now, wall): (Millis, Millis),
    ) {
        self.heard(session, how, now);
        self.walls.insert(session, wall);
    }

    /// It orders a transaction. What no client has requested, and ends a session, is its expiry.
    pub(crate) fn ordered(&mut self, txn: &Txn, timeout_ms: impl Fn() -> i32, now: Millis) -> bool {
        let (session, is_close) = (txn.session, matches!(txn.body, TxnBody::CloseSession { .. }));
        if !is_close || txn.cxid != 0 {
            // A request may have waited since its client was heard of. A session's beginning is
            // heard of when it is ordered, which is before it leaves with its group.
            if let TxnBody::CreateSession { .. } = txn.body {
                self.heard_at(session, "its beginning", (now, txn.time));
            }
            return false;
        }
        let (since, how) = *self.heard.get(&session).unwrap_or(&(self.armed, "the beginning"));
        let (silent_ms, timeout_ms) = (now.0 - since.0, i64::from(timeout_ms()));
        let by_wall = |wall: &Millis| txn.time <= *wall || txn.time.0 - wall.0 >= timeout_ms;
        let was_decided = self.walls.get(&session).is_some_and(by_wall);
        assert!(
            silent_ms >= timeout_ms || was_decided,
            "{session} expires {silent_ms} of {timeout_ms} ms behind {how}"
        );
        true
    }
}
