//! What a turn may do, in units of work.
//!
//! A turn ends when its work is done or its budget is used up, whichever comes first: what arrived
//! from one connection must not make all others wait. Work is counted from what a request and its
//! reply are, never measured, so that equal requests are always cut at the same points.
//!
//! A connection that has used more than its share is in debt and waits: each turn pays back a
//! share. Whoever asks for little is never in debt, so its requests go first.

use super::conn::{Conn, Phase};
use super::{Moment, Shard, Urgency};
use crate::limits::{CONN_WORK, LISTING_PORTION, TURN_NAMES, TURN_WORK};
use crate::watch::ConnId;
use crate::wire::opcode::op;

/// Of any request and its reply.
const REQUEST: usize = 8;
/// Bytes of a request for one unit: they are copied, compared and hashed.
const REQUEST_BYTES: usize = 32;
/// Bytes of a reply for one unit: they are copied, and copied again into the socket.
const REPLY_BYTES: usize = 256;
/// Bytes of a list of names for one unit: each name is fetched from memory on its own.
const NAMES_BYTES: usize = 16;

/// Bytes of a multiRead for one unit: each of its reads has some 16.
const READ_BYTES: usize = 4;
/// Identities of the connection for which a look-up of a right takes about as long again.
const IDENTITIES: usize = 16;

/// Units of work of a request that has these bytes, on a connection with so many identities.
pub(super) fn of_request(op_code: i32, bytes: usize, identities: usize) -> usize {
    let unit = if op_code == op::MULTI_READ { READ_BYTES } else { REQUEST_BYTES };
    (REQUEST + bytes / unit) * (1 + identities / IDENTITIES)
}

/// Units of work of a reply that has these bytes.
pub(super) fn of_reply(op_code: i32, bytes: usize) -> usize {
    let unit = match op_code {
        op::GET_CHILDREN | op::GET_CHILDREN2 | op::GET_EPHEMERALS => NAMES_BYTES,
        // Half of it may be names.
        op::MULTI_READ => NAMES_BYTES * 4,
        _ => REPLY_BYTES,
    };
    bytes / unit
}

/// What is left of a turn.
#[derive(Debug)]
pub(super) struct TurnWork {
    /// The turns so far.
    turn: u64,
    /// Units for what arrives.
    pub(super) arrivals: usize,
    /// Units for input that has waited.
    resumed: usize,
    /// Names of long lists.
    names: usize,
}

impl Default for TurnWork {
    fn default() -> TurnWork {
        TurnWork { turn: 0, arrivals: TURN_WORK, resumed: TURN_WORK, names: TURN_NAMES }
    }
}

impl Conn {
    /// Whether its next request may be served in this turn. Each turn since its last request has
    /// paid back a share.
    pub(super) fn has_work_left(&mut self, work: &TurnWork) -> bool {
        self.settle(work);
        self.work < CONN_WORK
    }

    fn settle(&mut self, work: &TurnWork) {
        let turns = usize::try_from(work.turn - self.work_turn).unwrap_or(usize::MAX);
        self.work = self.work.saturating_sub(turns.saturating_mul(CONN_WORK));
        self.work_turn = work.turn;
    }
}

impl Shard {
    /// Notes work for a connection.
    pub(super) fn charge(&mut self, conn: &mut Conn, units: usize) {
        conn.settle(&self.work);
        conn.work += units;
        self.work.arrivals = self.work.arrivals.saturating_sub(units);
    }

    /// Goes on with connections whose input waits, each in its turn.
    pub(super) fn resume_input(&mut self, moment: Moment<'_>) {
        for _ in 0..self.stalled.len() {
            if self.work.resumed == 0 {
                return;
            }
            let id = self.stalled.pop_front().expect("there are that many");
            let may_resume = self.may_resume(id);
            let mut used = 0;
            self.with_turn(id, Urgency::Answered, moment, |shard, turn| {
                if !turn.conn.stalled {
                    return;
                }
                turn.conn.stalled = false;
                let is_served = may_resume && turn.conn.has_work_left(&shard.work);
                let before = turn.conn.work;
                match turn.conn.phase {
                    Phase::Established if is_served => shard.consume_input(turn),
                    Phase::Established | Phase::Opening => shard.stall(id, turn.conn),
                    Phase::First | Phase::Word => {}
                    Phase::Leaving | Phase::Closing | Phase::Lost => {}
                }
                used = turn.conn.work - before;
            });
            self.work.resumed = self.work.resumed.saturating_sub(used);
        }
    }

    /// Whether a connection whose input waits may go on, when its turn comes.
    pub(super) fn may_resume(&self, id: ConnId) -> bool {
        let established = |conn: &&Conn| conn.phase == Phase::Established;
        self.conn(id).filter(established).is_some_and(|conn| self.may_take(conn))
    }

    /// Goes on with long lists: a portion of each in its turn.
    pub(super) fn resume_listings(&mut self, moment: Moment<'_>) {
        for _ in 0..self.listings.len() {
            if self.work.names == 0 || !self.can_list() {
                return;
            }
            self.work.names = self.work.names.saturating_sub(LISTING_PORTION);
            let id = self.listings.pop_front().expect("there are that many");
            self.with_turn(id, Urgency::Answered, moment, |shard, turn| {
                shard.go_on_listing(turn, LISTING_PORTION);
            });
        }
    }

    /// Whether there are long replies to go on with. While all output is full they wait; what is of
    /// connections that are gone goes all the same.
    pub(super) fn can_list(&self) -> bool {
        !self.listings.is_empty() && !self.is_over(0)
    }

    /// The next turn begins.
    pub(super) fn end_turn_work(&mut self) {
        self.work = TurnWork { turn: self.work.turn + 1, ..TurnWork::default() };
    }
}
