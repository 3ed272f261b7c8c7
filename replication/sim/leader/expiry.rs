//! When sessions expire: a leader hears of them through the requests and the answers to pings of
//! the members that have their clients.

use std::sync::Arc;

use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::{Millis, SessionId};

use super::Ensemble;

impl Ensemble {
    /// A session was heard of.
    pub(super) fn touch(&mut self, session: SessionId, now: Millis) {
        self.heard.insert(session, now);
    }

    /// Sessions that were not heard of for as long as their timeouts expire. One that this leader
    /// has never heard of counts from now on.
    pub(crate) fn expire_silent(&mut self, now: Millis) {
        if !self.is_established {
            return;
        }
        let all: Vec<(SessionId, i32)> = self.db.sessions().collect();
        for (session, timeout_ms) in all {
            let heard = *self.heard.entry(session).or_insert(now);
            if now.0 - heard.0 >= i64::from(timeout_ms) {
                self.seen.expired += 1;
                self.close(session, now);
            }
        }
    }

    pub(super) fn close(&mut self, session: SessionId, now: Millis) {
        let caller = Caller { session, cxid: 0, ids: Arc::from([]) };
        let txn = self.sequencer.order_close(&self.db, &caller, now);
        self.order(txn);
    }
}
