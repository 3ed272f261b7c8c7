//! Requests that are held back while too many others are in process, and what becomes of those
//! that grew stale meanwhile.
//!
//! Nothing is in here unless a limit is set (`request_throttle_max_requests`).

use super::conn::{Conn, Phase, Slot};
use super::serve::{Arrival, Done};
use super::{Moment, Shard, Touch};
use crate::Code;
use crate::op::ReplyShape;
use crate::request::RequestKind;
use crate::watch::ConnId;
use crate::wire::Reader;
use crate::wire::header::RequestHeader;
use crate::wire::opcode::op;

/// Something that waits until fewer requests are in process.
#[derive(Debug)]
pub(super) struct Held {
    conn: ConnId,
    what: What,
    since_us: u64,
}

/// What is held back.
#[derive(Debug)]
pub(super) enum What {
    /// A request of an established connection, header included.
    Request(Box<[u8]>),
    /// A new session.
    Open {
        /// Milliseconds asked for.
        timeout_ms: i32,
    },
}

/// What becomes of the first in the queue.
enum Fate {
    /// Too many are in process.
    Wait,
    /// Its connection has lost a request already, so this one goes as well.
    Gone,
    /// Nobody waits for it any more.
    Drop,
    /// It is its turn.
    Pass,
}

impl Held {
    /// The operation; opening a session is none of a request's.
    fn op(&self) -> i32 {
        match &self.what {
            What::Request(payload) => header(payload).op,
            What::Open { .. } => op::CREATE_SESSION,
        }
    }
}

fn header(payload: &[u8]) -> RequestHeader {
    RequestHeader::read(&mut Reader::new(payload)).expect("the header was read before")
}

impl Shard {
    /// Puts something at the end of the queue. The end of the moment looks at it.
    pub(super) fn hold(&mut self, conn_id: ConnId, conn: &mut Conn, what: What, since_us: u64) {
        conn.held += 1;
        self.held.push_back(Held { conn: conn_id, what, since_us });
    }

    /// Milliseconds after which held requests have to be looked at again, since another shard may
    /// have made room.
    pub fn held_ms(&self) -> Option<i64> {
        (!self.held.is_empty()).then_some(self.settings.requests.stall_ms)
    }

    /// Requests that are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether [`Shard::release_held`] would go on.
    pub(super) fn can_release(&self) -> bool {
        !self.held.is_empty() && self.settings.requests.has_room()
    }

    /// Goes on with what is held back, as far as the limit allows.
    pub(super) fn release_held(&mut self, moment: Moment<'_>) {
        while let Some(first) = self.held.front() {
            let fate = self.fate(first, moment);
            if matches!(fate, Fate::Wait) {
                self.counters.throttle.waits += 1;
                return;
            }
            let held = self.held.pop_front().expect("the front was looked at");
            let id = held.conn;
            self.with_conn(id, Touch::Answered, |shard, conn| {
                conn.held -= 1;
                match fate {
                    Fate::Pass => shard.pass(id, conn, held, moment),
                    Fate::Gone | Fate::Wait => shard.discard(&held.what),
                    Fate::Drop => {
                        shard.counters.throttle.stale_dropped += 1;
                        conn.dropped = true;
                        conn.abort();
                        shard.discard(&held.what);
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
        if limits.has_room() { Fate::Pass } else { Fate::Wait }
    }

    /// A request to close the session outlives its connection, to clean up behind it.
    fn is_stale(&self, held: &Held, conn: &Conn, moment: Moment<'_>) -> bool {
        let limits = &self.settings.requests;
        if held.op() == op::CLOSE_SESSION {
            return false;
        }
        let gone = conn.input_ended || matches!(conn.phase, Phase::Closing | Phase::Lost);
        let waited_ms = moment.now_us.saturating_sub(held.since_us) / 1_000;
        let timeout_ms = conn.attached.as_ref().map_or(0, |attached| attached.timeout_ms);
        let late = conn.attached.is_some() && i128::from(waited_ms) > i128::from(timeout_ms);
        (limits.stale_by_connection && gone) || (limits.stale_by_latency && late)
    }

    fn discard(&mut self, what: &What) {
        if let What::Request(payload) = what {
            self.settings.requests.free_bytes(payload.len());
        }
    }

    /// It is the turn of something that was held back.
    fn pass(&mut self, id: ConnId, conn: &mut Conn, held: Held, moment: Moment<'_>) {
        if self.is_stale(&held, conn, moment) {
            self.counters.throttle.stale += 1;
        }
        let waited_us = moment.now_us.saturating_sub(held.since_us);
        self.waited_us.push(waited_us);
        let too_long = self.settings.requests.wait_us_max.is_some_and(|max| waited_us > max);
        match held.what {
            What::Open { timeout_ms } => match conn.phase {
                Phase::Opening => self.request_session(id, conn, RequestKind::Open { timeout_ms }),
                Phase::First | Phase::Word | Phase::Established => {}
                Phase::Leaving | Phase::Closing | Phase::Lost => {}
            },
            What::Request(payload) => {
                let header = header(&payload);
                let arrival = Arrival { header, payload: &payload, since_us: held.since_us };
                if too_long && !matches!(header.op, op::PING | op::CLOSE_SESSION) {
                    self.throttled(conn, arrival, moment);
                } else {
                    self.pass_request(id, conn, arrival, moment);
                }
            }
        }
    }

    fn pass_request(
        &mut self,
        id: ConnId,
        conn: &mut Conn,
        arrival: Arrival<'_>,
        moment: Moment<'_>,
    ) {
        let changes = ReplyShape::of(arrival.header.op).is_some();
        let closes = arrival.header.op == op::CLOSE_SESSION;
        let taken = match conn.phase {
            Phase::Established => {
                self.take_up(id, conn, arrival, moment);
                true
            }
            // Nobody reads an answer, but what was asked for is done.
            Phase::Closing | Phase::Lost if changes || closes => self.ask(id, conn, arrival),
            // What follows closeSession is never answered.
            Phase::Closing | Phase::Lost | Phase::Leaving => false,
            Phase::First | Phase::Word | Phase::Opening => false,
        };
        if !taken {
            self.settings.requests.free_bytes(arrival.payload.len());
        }
    }

    /// Refuses a request that was held for too long, in its turn.
    fn throttled(&mut self, conn: &mut Conn, arrival: Arrival<'_>, moment: Moment<'_>) {
        self.counters.throttle.throttled += 1;
        self.settings.requests.free_bytes(arrival.payload.len());
        if conn.phase != Phase::Established {
            return;
        }
        let Arrival { header, since_us, .. } = arrival;
        if conn.pipeline.is_empty() {
            let (done, zxid) = (Done { header, since_us }, moment.db.applied());
            return self.reply(conn, done, zxid, Code::ThrottledOp, moment, |_| {});
        }
        self.in_turn(conn, Slot::Throttled { xid: header.xid, op: header.op, since_us });
    }
}
