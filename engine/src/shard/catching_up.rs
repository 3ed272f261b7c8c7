//! Clients that have seen a later state than this server has.
//!
//! A server on its own has everything that any client can have seen. One that has a leader may be a
//! few milliseconds behind the server that the client comes from, or just catch up after a start.
//! Then its connection waits a while before it is closed, so that the client does not have to look
//! for another server. ZooKeeper closes it at once.

use super::client_end::ClientEnd;
use super::conn::Phase;
use super::{Moment, Shard, Turn, Urgency};
use crate::watch::ConnId;
use crate::wire::connect::ConnectRequest;
use crate::{SessionId, Zxid};

/// How often it is looked whether the state has come, milliseconds.
const LOOK_MS: i64 = 5;

/// A connection that waits for the state that its client has seen.
#[derive(Debug)]
pub(super) struct CatchingUp {
    conn: ConnId,
    request: ConnectRequest,
    /// Monotonic milliseconds after which it is closed.
    until_ms: i64,
}

impl Shard {
    /// Serves a connect request as soon as the state is as late as its client has seen.
    pub(super) fn connect_caught_up(&mut self, turn: &mut Turn<'_>, request: ConnectRequest) {
        let (id, moment) = (turn.id, turn.moment);
        turn.conn.requested = SessionId(request.session);
        if is_reached(&request, moment) {
            return self.open_session(turn, request);
        }
        if self.settings.catch_up_ms == 0 {
            return turn.conn.abort_for(ClientEnd::Ahead(seen(&request)));
        }
        turn.conn.phase = Phase::Opening;
        let until_ms = moment.now.mono.0 + self.settings.catch_up_ms;
        self.catching_up.push_back(CatchingUp { conn: id, request, until_ms });
    }

    /// Goes on with those that need not wait any more.
    pub(super) fn resume_caught_up(&mut self, moment: Moment<'_>) {
        for _ in 0..self.catching_up.len() {
            let Some(waiting) = self.catching_up.pop_front() else { return };
            let is_late = moment.now.mono.0 >= waiting.until_ms;
            let is_reached = is_reached(&waiting.request, moment);
            if !is_reached && !is_late {
                self.catching_up.push_back(waiting);
                continue;
            }
            self.with_turn(waiting.conn, Urgency::Answered, moment, |shard, turn| {
                match turn.conn.phase {
                    Phase::Opening if is_reached => shard.open_session(turn, waiting.request),
                    Phase::Opening => {
                        turn.conn.abort_for(ClientEnd::Ahead(seen(&waiting.request)));
                    }
                    // It was closed meanwhile.
                    Phase::First | Phase::Word | Phase::Established => {}
                    Phase::Leaving | Phase::Closing | Phase::Lost => {}
                }
            });
        }
    }

    /// The connection is gone, and its id may be used again.
    pub(super) fn forget_catching_up(&mut self, conn: ConnId) {
        self.catching_up.retain(|waiting| waiting.conn != conn);
    }

    /// Milliseconds after which [`Shard::resume_caught_up`] has to look again.
    pub(super) fn catching_up_ms(&self) -> Option<i64> {
        (!self.catching_up.is_empty()).then_some(LOOK_MS)
    }
}

/// A server must not show a client a state older than one that it has already seen.
fn is_reached(request: &ConnectRequest, moment: Moment<'_>) -> bool {
    seen(request) <= moment.db.applied()
}

fn seen(request: &ConnectRequest) -> Zxid {
    Zxid::from_wire(request.last_zxid_seen.max(0))
}
