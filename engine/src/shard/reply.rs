//! Replies: their bytes, and what is counted of each.

use super::arrival::Reply;
use super::conn::{Conn, Replied};
use super::{Moment, Shard, Turn, work};
use crate::wire::header::ReplyFrame;
use crate::{Millis, Zxid};

impl Shard {
    /// Appends a reply and counts it. Its zxid is not before what the client has seen elsewhere.
    pub(super) fn reply(
        &mut self,
        turn: &mut Turn<'_>,
        mut reply: Reply,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        // 0 says nothing of the state, and clients keep what they have seen.
        if reply.zxid != Zxid::ZERO {
            reply.zxid = reply.zxid.max(turn.conn.seen);
        }
        let out = &mut turn.conn.out;
        let start = out.len();
        let frame = ReplyFrame::begin(out, reply.header.xid, reply.zxid, reply.code);
        body(out);
        frame.finish(out);
        self.note_reply(turn, reply, start);
    }

    /// Counts a reply whose frame began at `start` of the output.
    pub(super) fn note_reply(&mut self, turn: &mut Turn<'_>, reply: Reply, start: usize) {
        self.note_latency(turn.conn, reply, turn.moment);
        let bytes = turn.conn.out.len() - start;
        self.charge(turn.conn, work::of_reply(reply.header.op, bytes));
        self.counters.count_reply_bytes((bytes - 4) as u64);
        self.count_sent(turn.conn);
        turn.conn.replied();
    }

    pub(super) fn note_latency(&mut self, conn: &mut Conn, reply: Reply, moment: Moment<'_>) {
        let replied = Replied {
            op: reply.header.op,
            xid: reply.header.xid,
            zxid: reply.zxid.to_wire(),
            code: reply.code,
            since_us: reply.since_us,
            latency_us: moment.now_us.saturating_sub(reply.since_us),
            at: Millis(moment.now.mono.0),
        };
        conn.stats.replied(replied);
        self.outputs.replied.push(replied);
    }

    pub(super) fn count_sent(&mut self, conn: &mut Conn) {
        conn.stats.sent += 1;
        self.counters.sent += 1;
    }
}
