//! Requests that are held back while too many others are in process, and what becomes of those
//! that grew stale meanwhile.
//!
//! Nothing is in here unless a limit is set (`request_throttle_max_requests`).

use super::arrival::{Arrival, WaitingRequest};
use super::client_end::ClientEnd;
use super::conn::{Conn, Phase};
use super::{Moment, Shard, Turn, Urgency};
use crate::Code;
use crate::op::OpClass;
use crate::request::RequestKind;
use crate::watch::ConnId;
use crate::wire::opcode::op;

/// Something that waits until fewer requests are in process.
#[derive(Debug)]
pub(super) struct Held {
    conn: ConnId,
    kind: HeldKind,
    since_us: u64,
}

/// The kinds of what is held back.
#[derive(Debug)]
pub(super) enum HeldKind {
    /// A request of an established connection.
    Request(WaitingRequest),
    /// A new session.
    Open {
        /// The timeout requested, milliseconds.
        timeout_ms: i32,
    },
}

/// What becomes of the first in the queue.
enum Fate {
    /// Too many are in process.
    Wait,
    /// Its connection has lost a request already, so this one goes as well.
    Gone,
    /// It is stale, and its connection is closed.
    Drop,
    /// It is its turn.
    Pass,
}

impl Held {
    /// A request to close the session outlives its connection, to clean up behind it.
    fn outlives_connection(&self) -> bool {
        match &self.kind {
            HeldKind::Request(request) => request.header.op == op::CLOSE_SESSION,
            HeldKind::Open { .. } => false,
        }
    }
}

impl Shard {
    /// Puts something at the end of the queue; [`Shard::resume_stalled`] goes on with it.
    pub(super) fn hold(&mut self, conn_id: ConnId, conn: &mut Conn, kind: HeldKind, since_us: u64) {
        conn.held += 1;
        self.held.push_back(Held { conn: conn_id, kind, since_us });
    }

    /// Milliseconds after which what is held back has to be tried again: requests, since those of
    /// another shard may have ended, and clients that have seen a later state.
    pub fn held_ms(&self) -> Option<i64> {
        let requests = (!self.held.is_empty()).then_some(self.settings.requests.stall_ms);
        requests.into_iter().chain(self.catching_up_ms()).min()
    }

    /// Requests that are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether [`Shard::release_held`] would go on.
    pub(super) fn can_release(&self) -> bool {
        !self.held.is_empty() && self.settings.requests.admits_request()
    }

    /// Goes on with what is held back, as far as the limit allows.
    pub(super) fn release_held(&mut self, moment: Moment<'_>) {
        while let Some(first) = self.held.front() {
            let fate = self.fate(first, moment);
            if matches!(fate, Fate::Wait) {
                self.counters.throttle.waits += 1;
                return;
            }
            let held = self.held.pop_front().expect("the front is there");
            let id = held.conn;
            self.with_turn(id, Urgency::Answered, moment, |shard, turn| {
                turn.conn.held -= 1;
                match fate {
                    Fate::Pass => shard.pass(turn, held),
                    Fate::Gone | Fate::Wait => shard.discard(&held.kind),
                    Fate::Drop => {
                        shard.counters.throttle.stale_dropped += 1;
                        turn.conn.dropped = true;
                        turn.conn.abort_for(ClientEnd::Stale);
                        shard.discard(&held.kind);
                    }
                }
            });
            self.forget_if_done(id);
        }
    }

    fn fate(&self, held: &Held, moment: Moment<'_>) -> Fate {
        let conn = self.conn(held.conn).expect("its id stays while something of it is held");
        let limits = &self.settings.requests;
        if conn.dropped {
            return Fate::Gone;
        }
        if limits.drop_stale && self.is_stale(held, conn, moment) {
            return Fate::Drop;
        }
        if limits.admits_request() { Fate::Pass } else { Fate::Wait }
    }

    fn is_stale(&self, held: &Held, conn: &Conn, moment: Moment<'_>) -> bool {
        let limits = &self.settings.requests;
        if held.outlives_connection() {
            return false;
        }
        let gone = conn.input_ended || matches!(conn.phase, Phase::Closing | Phase::Lost);
        let waited_ms = moment.now_us.saturating_sub(held.since_us) / 1_000;
        let timeout_ms = conn.attached.as_ref().map_or(0, |attached| attached.timeout_ms);
        let late = conn.attached.is_some() && i128::from(waited_ms) > i128::from(timeout_ms);
        (limits.stale_by_connection && gone) || (limits.stale_by_latency && late)
    }

    fn discard(&mut self, kind: &HeldKind) {
        if let HeldKind::Request(request) = kind {
            self.settings.requests.free_bytes(request.bytes());
        }
    }

    /// It is the turn of something that was held back.
    fn pass(&mut self, turn: &mut Turn<'_>, held: Held) {
        if self.is_stale(&held, turn.conn, turn.moment) {
            self.counters.throttle.stale += 1;
        }
        let waited_us = turn.moment.now_us.saturating_sub(held.since_us);
        self.outputs.waited_us.push(waited_us);
        let too_long = self.settings.requests.wait_us_max.is_some_and(|max| waited_us > max);
        match held.kind {
            HeldKind::Open { timeout_ms } => match turn.conn.phase {
                Phase::Opening => {
                    self.request_session(turn.id, turn.conn, RequestKind::Open { timeout_ms });
                }
                Phase::First | Phase::Word | Phase::Established => {}
                Phase::Leaving | Phase::Closing | Phase::Lost => {}
            },
            HeldKind::Request(request) => {
                let arrival = request.arrival();
                if too_long && !matches!(arrival.header.op, op::PING | op::CLOSE_SESSION) {
                    self.throttled(turn, arrival);
                } else {
                    self.pass_request(turn, arrival);
                }
            }
        }
    }

    fn pass_request(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        let ordered = match turn.conn.phase {
            Phase::Established => {
                self.dispatch(turn, arrival);
                true
            }
            // No client reads an answer, but what was requested is done.
            Phase::Closing | Phase::Lost => self.order_orphan(turn, arrival),
            // What follows closeSession is never answered.
            Phase::First | Phase::Word | Phase::Opening | Phase::Leaving => false,
        };
        if !ordered {
            self.settings.requests.free_bytes(arrival.bytes());
        }
    }

    /// Orders a request whose connection is gone, if it changes something. Says whether it does.
    fn order_orphan(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) -> bool {
        match arrival.spec.class {
            OpClass::Write(shape, operation) => {
                self.order_write(turn, arrival, (shape, operation)).is_ok()
            }
            OpClass::Ordered if arrival.header.op == op::CLOSE_SESSION => {
                self.order_close(turn, arrival);
                true
            }
            OpClass::Ordered
            | OpClass::Read
            | OpClass::Local
            | OpClass::Auth
            | OpClass::Internal => false,
        }
    }

    /// Refuses a request that was held for too long, in its turn.
    fn throttled(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        self.counters.throttle.throttled += 1;
        if turn.conn.phase == Phase::Established {
            self.refuse(turn, arrival, Code::ThrottledOp);
        } else {
            self.settings.requests.free_bytes(arrival.bytes());
        }
    }
}
