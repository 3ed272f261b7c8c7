//! Requests of an established connection: each is read once, classified once, dispatched once.

use super::arrival::{Arrival, Reply};
use super::client_end::ClientEnd;
use super::conn::{Awaited, Conn, Phase, ReplyKind, Slot};
use super::prefetch::prefetch;
use super::throttled::HeldKind;
use super::{Shard, Turn, work};
use crate::acl;
use crate::audit::{Audited, Client};
use crate::op::listing::reply_bytes;
use crate::op::{OpClass, Operation, Read, ReplyShape, Write};
use crate::request::{Request, RequestKind};
use crate::sequencer::Caller;
use crate::watch::ConnId;
use crate::wire::Malformed;
use crate::wire::opcode::op;
use crate::{Code, Zxid};

impl Shard {
    /// Takes whole frames off `bytes` while bounds allow; returns how many bytes were used.
    pub(super) fn consume(&mut self, turn: &mut Turn<'_>, bytes: &[u8]) -> usize {
        // Reads behind a write of their session are answered elsewhere.
        if turn.conn.phase == Phase::Established && turn.conn.in_flight == 0 {
            prefetch(bytes, &turn.moment.db.tree);
        }
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            used += match turn.conn.phase {
                Phase::First => match self.parse_first_bytes(turn, rest) {
                    Some(more) => more,
                    None => return used,
                },
                Phase::Established if self.may_take(turn.conn) => {
                    let Some((payload, more)) = self.frame(turn.conn, rest) else { return used };
                    turn.conn.awaited = self.awaited(turn, payload);
                    let may_serve = turn.conn.has_work_left(&self.work);
                    if turn.conn.awaited != Awaited::Nothing || !may_serve {
                        self.stall(turn.id, turn.conn);
                        return used;
                    }
                    self.request(turn, payload);
                    more
                }
                Phase::Established => {
                    self.stall(turn.id, turn.conn);
                    return used;
                }
                Phase::Opening => {
                    if !rest.is_empty() {
                        self.stall(turn.id, turn.conn);
                    }
                    return used;
                }
                // What follows closeSession is never answered.
                Phase::Leaving => return bytes.len(),
                Phase::Word | Phase::Closing | Phase::Lost => return used,
            };
        }
    }

    /// Notes that input waits for something else than more bytes.
    pub(super) fn stall(&mut self, id: ConnId, conn: &mut Conn) {
        if !conn.stalled {
            conn.stalled = true;
            self.stalled.push_back(id);
        }
    }

    /// The payload of the first whole frame. A length that cannot be closes the connection.
    pub(super) fn frame<'b>(
        &mut self,
        conn: &mut Conn,
        bytes: &'b [u8],
    ) -> Option<(&'b [u8], usize)> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > self.settings.frame_bytes_max {
            conn.abort_for(ClientEnd::FrameLength(length));
            return None;
        }
        // The body of a large request is not even waited for where it would be refused.
        if !self.settings.requests.admits_bytes(length) {
            self.counters.throttle.large_rejected += 1;
            conn.abort_for(ClientEnd::LargeRequest(length));
            return None;
        }
        let payload = rest.get(..length)?;
        Some((payload, 4 + length))
    }

    fn request(&mut self, turn: &mut Turn<'_>, payload: &[u8]) {
        self.counters.received += 1;
        turn.conn.stats.received += 1;
        if let Some(attached) = &turn.conn.attached {
            attached.last_heard.touch(turn.moment.now.mono);
        }
        let Ok(arrival) = Arrival::read(payload, turn.moment.now_us) else {
            return turn.conn.abort_for(ClientEnd::Malformed);
        };
        let ids = turn.conn.ids.len();
        self.charge(turn.conn, work::of_request(arrival.header.op, payload.len(), ids));
        self.counters.ops.note(arrival.header.op);
        if arrival.spec.class == OpClass::Auth {
            return self.authenticate(turn, arrival);
        }
        if !acl::enforced_ok(&self.settings.ops.auth, &turn.conn.ids) {
            let reply = arrival.reply(Zxid::ZERO, Code::SessionClosedRequireSaslAuth);
            self.reply(turn, reply, |_| {});
            return turn.conn.close_for(ClientEnd::AuthRequired);
        }
        if !self.settings.requests.take_bytes(payload.len()) {
            self.counters.throttle.large_rejected += 1;
            return turn.conn.abort_for(ClientEnd::LargeRequest(payload.len()));
        }
        if self.settings.requests.holds() {
            let request = HeldKind::Request(arrival.to_waiting());
            return self.hold(turn.id, turn.conn, request, turn.moment.now_us);
        }
        self.dispatch(turn, arrival);
    }

    /// Begins with a request: it goes to the sequencer, or is answered here, now or in its turn.
    pub(super) fn dispatch(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        match arrival.spec.class {
            OpClass::Read if turn.conn.in_flight > 0 => self.order_read(turn, arrival),
            OpClass::Read | OpClass::Local => self.serve_in_turn(turn, arrival),
            OpClass::Write(shape, operation) => {
                if self.order_write(turn, arrival, (shape, operation)).is_err() {
                    self.refuse(turn, arrival, Code::MarshallingError);
                }
            }
            OpClass::Ordered if arrival.header.op == op::CLOSE_SESSION => {
                self.order_close(turn, arrival);
            }
            OpClass::Ordered => {
                if self.order_sync(turn, arrival).is_err() {
                    self.refuse(turn, arrival, Code::MarshallingError);
                }
            }
            OpClass::Auth => self.authenticate(turn, arrival),
            OpClass::Internal => self.refuse(turn, arrival, Code::Unimplemented),
        }
    }

    /// A read behind a request of its own session that is at the sequencer is answered between two
    /// transactions.
    fn order_read(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        // Registering a watch is promised before the answer comes back.
        self.watches_in_flight += 1;
        let (op, conn) = (arrival.header.op, &mut *turn.conn);
        // What is ordered before it may be what it reads.
        let bytes =
            reply_bytes(op, arrival.record, &turn.moment.db.tree).max(conn.largest_requested);
        let read = Read { op, record: arrival.record.into(), backlog: conn.promise(bytes) };
        self.order(turn, arrival, (RequestKind::Read(Box::new(read)), ReplyKind::Read), None);
    }

    /// Sends a change to the sequencer, if it can be decoded.
    pub(super) fn order_write(
        &mut self,
        turn: &mut Turn<'_>,
        arrival: Arrival<'_>,
        (shape, operation): (ReplyShape, Operation),
    ) -> Result<(), Malformed> {
        let write = Write::decode(arrival.header.op, &mut arrival.reader())?;
        let conn = &turn.conn;
        let audited = self.settings.audits.then(|| {
            let client = Client { ids: conn.ids.clone(), ip: conn.peer.ip().to_canonical() };
            Box::new(Audited::new(conn.session(), client, operation, &write))
        });
        let kinds = (RequestKind::Write(write), ReplyKind::Write(shape));
        self.order(turn, arrival, kinds, audited);
        Ok(())
    }

    fn order_sync(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) -> Result<(), Malformed> {
        let path = arrival.reader().ustring()?;
        turn.conn.syncs.push_back(path.map(|path| path.into_owned().into()));
        self.order(turn, arrival, (RequestKind::Sync, ReplyKind::Sync), None);
        Ok(())
    }

    pub(super) fn order_close(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        if turn.conn.phase != Phase::Lost {
            turn.conn.phase = Phase::Leaving;
        }
        self.order(turn, arrival, (RequestKind::Close, ReplyKind::Close), None);
    }

    /// Sends a request to the sequencer.
    fn order(
        &mut self,
        turn: &mut Turn<'_>,
        arrival: Arrival<'_>,
        (kind, reply): (RequestKind, ReplyKind),
        audited: Option<Box<Audited>>,
    ) {
        let conn = &mut *turn.conn;
        let Arrival { header, since_us, .. } = arrival;
        let caller = Caller { session: conn.session(), cxid: header.xid, ids: conn.ids.clone() };
        let origin = self.origin(turn.id);
        self.outputs.requests.push(Request { origin, caller, kind });
        let bytes = u32::try_from(arrival.bytes()).expect("a frame is shorter than 4 GiB");
        if conn.in_flight == 0 {
            conn.largest_requested = 0;
        }
        conn.largest_requested = conn.largest_requested.max(bytes as usize);
        conn.pipeline.push_back(Slot::InFlight { header, reply, bytes, since_us, audited });
        conn.in_flight += 1;
        self.begin();
    }

    /// Answers a request here, now or in its turn.
    fn serve_in_turn(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        if turn.conn.pipeline.is_empty() {
            self.serve(turn, arrival, turn.moment.db.tree.reply_zxid());
            return self.settings.requests.free_bytes(arrival.bytes());
        }
        self.in_turn(turn.conn, Slot::Local(arrival.to_waiting()));
    }

    /// Refuses a request without serving it, now or in its turn.
    pub(super) fn refuse(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>, code: Code) {
        self.settings.requests.free_bytes(arrival.bytes());
        let Arrival { header, since_us, .. } = arrival;
        if turn.conn.pipeline.is_empty() {
            return self.reply_refusal(turn, arrival.reply(turn.moment.db.tree.reply_zxid(), code));
        }
        self.in_turn(turn.conn, Slot::Refused { header, code, since_us });
    }

    /// An operation that does not exist ends the connection, and its reply has no zxid.
    pub(super) fn reply_refusal(&mut self, turn: &mut Turn<'_>, mut reply: Reply) {
        let closes = reply.code == Code::Unimplemented;
        if closes {
            reply.zxid = Zxid(u64::MAX);
        }
        self.reply(turn, reply, |_| {});
        if closes {
            turn.conn.close_for(ClientEnd::UnknownOperation);
        }
    }

    /// Puts something that needs nothing but its turn into the pipeline.
    fn in_turn(&mut self, conn: &mut Conn, slot: Slot) {
        conn.pipeline.push_back(slot);
        self.begin();
        self.locals_waiting += 1;
    }
}
