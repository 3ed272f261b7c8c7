//! Requests of an established connection.

use std::sync::Arc;

use super::conn::{Conn, Phase, Replied, ReplyKind, Slot};
use super::hold::What;
use super::{Moment, ReplyBytes, Shard};
use crate::acl;
use crate::audit::{Audited, Client};
use crate::op::set_watches::SetWatches;
use crate::op::{Read, Reading, ReplyShape, Write, is_read, read, watches, who_am_i};
use crate::request::{Request, RequestKind};
use crate::sequencer::Caller;
use crate::watch::ConnId;
use crate::wire::header::{ReplyFrame, RequestHeader};
use crate::wire::opcode::{op, xid};
use crate::wire::{Malformed, Put, Reader};
use crate::{Code, Millis, Zxid};

impl Shard {
    /// Takes whole frames off `bytes` while bounds allow; returns how many bytes were used.
    pub(super) fn consume(
        &mut self,
        id: ConnId,
        conn: &mut Conn,
        bytes: &[u8],
        moment: Moment<'_>,
    ) -> usize {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            used += match conn.phase {
                Phase::First => match self.first_bytes(id, conn, rest, moment) {
                    Some(more) => more,
                    None => return used,
                },
                Phase::Established if self.may_take(conn) => match self.frame(conn, rest) {
                    Some((payload, more)) => {
                        self.request(id, conn, payload, moment);
                        more
                    }
                    None => return used,
                },
                Phase::Established => {
                    self.stall(id, conn);
                    return used;
                }
                Phase::Opening => {
                    if !rest.is_empty() {
                        self.stall(id, conn);
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
            self.stalled.push(id);
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
            conn.abort();
            return None;
        }
        // The body of a large request is not even waited for where there is no room for it.
        if !self.settings.requests.has_room_for(length) {
            self.counters.throttle.large_rejected += 1;
            conn.abort();
            return None;
        }
        let payload = rest.get(..length)?;
        Some((payload, 4 + length))
    }

    fn request(&mut self, id: ConnId, conn: &mut Conn, payload: &[u8], moment: Moment<'_>) {
        self.counters.received += 1;
        conn.stats.received += 1;
        if let Some(attached) = &conn.attached {
            attached.last_heard.touch(moment.now.mono);
        }
        let mut reader = Reader::new(payload);
        let Ok(header) = RequestHeader::read(&mut reader) else { return conn.abort() };
        *self.counters.ops.entry(op::counted_as(header.op)).or_default() += 1;
        match header.op {
            op::AUTH => return self.auth(conn, header, &mut reader, moment),
            op::SASL => return self.sasl(conn, header, &mut reader, moment),
            _ => {}
        }
        if !acl::enforced_ok(&self.settings.ops.auth, &conn.ids) {
            let done = Done { header, since_us: moment.now_us };
            self.reply(conn, done, Zxid::ZERO, Code::SessionClosedRequireSaslAuth, moment, |_| {});
            return conn.close();
        }
        if !self.settings.requests.take_bytes(payload.len()) {
            self.counters.throttle.large_rejected += 1;
            return conn.abort();
        }
        if self.settings.requests.holds() {
            return self.hold(id, conn, What::Request(payload.into()), moment.now_us);
        }
        let arrival = Arrival { header, payload, since_us: moment.now_us };
        self.take_up(id, conn, arrival, moment);
    }

    /// Begins with a request: it goes to the sequencer, or is served here, now or in its turn.
    pub(super) fn take_up(
        &mut self,
        id: ConnId,
        conn: &mut Conn,
        arrival: Arrival<'_>,
        moment: Moment<'_>,
    ) {
        if !self.ask(id, conn, arrival) {
            self.local(id, conn, arrival, moment);
        }
    }

    /// Sends what needs the order to the sequencer. `false`: the request is served here.
    pub(super) fn ask(&mut self, id: ConnId, conn: &mut Conn, arrival: Arrival<'_>) -> bool {
        let Arrival { header, payload, since_us } = arrival;
        let mut reader = Reader::new(payload);
        RequestHeader::read(&mut reader).expect("the header was read before");
        let mut audited = None;
        let (kind, shape) = match header.op {
            op::CLOSE_SESSION => {
                if conn.phase != Phase::Lost {
                    conn.phase = Phase::Leaving;
                }
                (RequestKind::Close, ReplyKind::Close)
            }
            op::SYNC => match reader.ustring() {
                Ok(path) => {
                    conn.syncs.push_back(path.map(|path| path.into_owned().into()));
                    (RequestKind::Sync, ReplyKind::Sync)
                }
                Err(_) => return false,
            },
            code if is_read(code) => {
                if conn.in_flight == 0 {
                    return false;
                }
                // Registering a watch is promised before the answer comes back.
                self.watches_in_flight += 1;
                let record = reader.rest().into();
                (RequestKind::Read(Box::new(Read { op: code, record })), ReplyKind::Read)
            }
            code => {
                let Some(shape) = ReplyShape::of(code) else { return false };
                let Ok(write) = Write::decode(code, &mut reader) else { return false };
                if self.settings.audits {
                    let ip = conn.peer.ip().to_canonical();
                    let client = Client { ids: conn.ids.clone(), ip };
                    let noted = Audited::new(conn.session(), client, code, &write);
                    audited = Some(Box::new(noted));
                }
                (RequestKind::Write(write), ReplyKind::Write(shape))
            }
        };
        let caller = Caller { session: conn.session(), cxid: header.xid, ids: conn.ids.clone() };
        self.requests.push(Request { origin: self.origin(id), caller, kind, audited });
        conn.pipeline.push_back(Slot::InFlight {
            xid: header.xid,
            op: header.op,
            shape,
            bytes: u32::try_from(payload.len()).expect("a frame is shorter than 4 GiB"),
            since_us,
        });
        conn.in_flight += 1;
        self.begin();
        true
    }

    /// Serves a request here, now or in its turn.
    fn local(&mut self, id: ConnId, conn: &mut Conn, arrival: Arrival<'_>, moment: Moment<'_>) {
        let Arrival { payload, since_us, .. } = arrival;
        if conn.pipeline.is_empty() {
            let due = Due { since_us, zxid: moment.db.applied() };
            self.serve(id, conn, payload, due, moment);
            return self.settings.requests.free_bytes(payload.len());
        }
        self.in_turn(conn, Slot::Local { payload: payload.into(), since_us });
    }

    /// Puts something that needs nothing but its turn into the pipeline.
    pub(super) fn in_turn(&mut self, conn: &mut Conn, slot: Slot) {
        conn.pipeline.push_back(slot);
        self.begin();
        self.locals_waiting += 1;
    }

    /// Answers a request that needs nothing but its turn and, for reads, the state of the moment.
    pub(super) fn serve(
        &mut self,
        id: ConnId,
        conn: &mut Conn,
        payload: &[u8],
        due: Due,
        moment: Moment<'_>,
    ) {
        let mut reader = Reader::new(payload);
        let header = RequestHeader::read(&mut reader).expect("the header was read before");
        let Due { since_us, zxid } = due;
        let done = Done { header, since_us };
        match header.op {
            op::PING => {
                let header = RequestHeader { xid: xid::PING, op: op::PING };
                let done = Done { header, since_us };
                self.reply(conn, done, zxid, Code::Ok, moment, |_| {});
            }
            code if is_read(code) => self.serve_read(id, conn, done, &mut reader, moment),
            op::SET_WATCHES | op::SET_WATCHES2 => {
                self.set_watches(id, conn, done, &mut reader, zxid, moment);
            }
            op::ADD_WATCH | op::CHECK_WATCHES | op::REMOVE_WATCHES => {
                let result = self.change_watches(id, header.op, &mut reader);
                let code = result.err().unwrap_or(Code::Ok);
                let body = |out: &mut Vec<u8>| {
                    if header.op == op::ADD_WATCH && code == Code::Ok {
                        watches::reply_added(out);
                    }
                };
                self.reply(conn, done, zxid, code, moment, body);
            }
            op::WHO_AM_I => {
                let ids = conn.ids.clone();
                let body = |out: &mut Vec<u8>| who_am_i::reply(&ids, out);
                self.reply(conn, done, zxid, Code::Ok, moment, body);
            }
            // A write or a sync that could not be decoded.
            code if ReplyShape::of(code).is_some() || code == op::SYNC => {
                let code = Code::MarshallingError;
                self.reply(conn, done, zxid, code, moment, |_| {});
            }
            _ => {
                let code = Code::Unimplemented;
                self.reply(conn, done, Zxid(u64::MAX), code, moment, |_| {});
                conn.close();
            }
        }
    }

    fn serve_read(
        &mut self,
        id: ConnId,
        conn: &mut Conn,
        done: Done,
        reader: &mut Reader<'_>,
        moment: Moment<'_>,
    ) {
        let reading = Reading {
            tree: &moment.db.tree,
            settings: &self.settings.ops,
            ids: &conn.ids,
            session: conn.session(),
        };
        let start = conn.out.len();
        let frame = ReplyFrame::begin(&mut conn.out, done.header.xid, reading.zxid(), Code::Ok);
        let answer = read(done.header.op, reader, reading, &mut conn.out);
        if let Some((path, kind)) = answer.watch {
            self.watches.add_one_shot(id, &path, kind);
        }
        conn.out[start + 16..start + 20].copy_from_slice(&answer.code.to_wire().to_be_bytes());
        frame.finish(&mut conn.out);
        self.note_reply(conn, done, moment.db.applied(), answer.code, start, moment);
    }

    fn set_watches(
        &mut self,
        id: ConnId,
        conn: &mut Conn,
        done: Done,
        reader: &mut Reader<'_>,
        zxid: Zxid,
        moment: Moment<'_>,
    ) {
        match SetWatches::decode(done.header.op, reader) {
            Ok(request) => {
                request.catch_up(id, &moment.db.tree, &mut self.watches, &mut conn.out);
                self.reply(conn, done, zxid, Code::Ok, moment, |_| {});
            }
            Err(_) => self.reply(conn, done, zxid, Code::MarshallingError, moment, |_| {}),
        }
    }

    fn change_watches(
        &mut self,
        id: ConnId,
        op_code: i32,
        reader: &mut Reader<'_>,
    ) -> Result<(), Code> {
        let malformed = |_: Malformed| Code::MarshallingError;
        if op_code == op::ADD_WATCH {
            let (path, mode) = watches::decode_add(reader).map_err(malformed)?;
            if let Some(path) = path {
                self.watches.add(id, &path, mode);
            }
            return Ok(());
        }
        let (path, kind) = watches::decode_which(reader).map_err(malformed)?;
        let found = if op_code == op::REMOVE_WATCHES {
            self.watches.remove(id, &path, kind)
        } else {
            self.watches.contains(id, &path, kind)
        };
        if found { Ok(()) } else { Err(Code::NoWatcher) }
    }

    /// Auth packets are carried out when they are read, not behind outstanding requests.
    fn auth(
        &mut self,
        conn: &mut Conn,
        header: RequestHeader,
        reader: &mut Reader<'_>,
        moment: Moment<'_>,
    ) {
        let Ok((scheme, auth)) = auth_packet(reader) else { return conn.abort() };
        let mut ids = conn.ids.to_vec();
        let settings = &self.settings.ops.auth;
        let ip = conn.peer.ip();
        let result = acl::authenticate(settings, &scheme, auth.as_deref(), &mut ids, ip);
        if result == Err(acl::AuthFailure::WrongEnsemble) {
            // This client is at the wrong door: ZooKeeper does not even answer.
            self.counters.auth_failed += 1;
            return conn.abort();
        }
        let done = Done { header, since_us: moment.now_us };
        let code = if result.is_ok() { Code::Ok } else { Code::AuthFailed };
        self.reply(conn, done, Zxid::ZERO, code, moment, |_| {});
        if result.is_ok() {
            conn.ids = Arc::from(ids);
        } else {
            self.counters.auth_failed += 1;
            conn.close();
        }
    }

    /// No mechanism is configured: an empty token says so.
    fn sasl(
        &mut self,
        conn: &mut Conn,
        header: RequestHeader,
        reader: &mut Reader<'_>,
        moment: Moment<'_>,
    ) {
        if !matches!(reader.buffer(), Ok(Some(_))) {
            return conn.abort();
        }
        let done = Done { header, since_us: moment.now_us };
        self.reply(conn, done, Zxid::ZERO, Code::Ok, moment, |out| out.put_buffer(None));
    }

    /// Appends a reply and notes it in the counters.
    pub(super) fn reply(
        &mut self,
        conn: &mut Conn,
        done: Done,
        zxid: Zxid,
        code: Code,
        moment: Moment<'_>,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = conn.out.len();
        let frame = ReplyFrame::begin(&mut conn.out, done.header.xid, zxid, code);
        body(&mut conn.out);
        frame.finish(&mut conn.out);
        self.note_reply(conn, done, zxid, code, start, moment);
    }

    fn note_reply(
        &mut self,
        conn: &mut Conn,
        done: Done,
        zxid: Zxid,
        code: Code,
        start: usize,
        moment: Moment<'_>,
    ) {
        self.note_latency(conn, done, zxid, code, moment);
        self.count_reply_bytes((conn.out.len() - start - 4) as u64);
        self.count_sent(conn);
    }

    pub(super) fn note_latency(
        &mut self,
        conn: &mut Conn,
        done: Done,
        zxid: Zxid,
        code: Code,
        moment: Moment<'_>,
    ) {
        let replied = Replied {
            op: done.header.op,
            xid: done.header.xid,
            zxid: zxid.to_wire(),
            code,
            since_us: done.since_us,
            latency_us: moment.now_us.saturating_sub(done.since_us),
            at: Millis(moment.now.mono.0),
        };
        conn.stats.replied(replied);
        self.replied.push(replied);
    }

    pub(super) fn count_sent(&mut self, conn: &mut Conn) {
        conn.stats.sent += 1;
        self.counters.sent += 1;
    }

    fn count_reply_bytes(&mut self, bytes: u64) {
        self.counters.reply_bytes_sum += bytes;
        let seen = self.counters.reply_bytes.get_or_insert(ReplyBytes {
            last: bytes,
            min: bytes,
            max: bytes,
        });
        seen.last = bytes;
        seen.min = seen.min.min(bytes);
        seen.max = seen.max.max(bytes);
    }
}

/// A request that has arrived.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    /// Its header.
    pub header: RequestHeader,
    /// All of it.
    pub payload: &'a [u8],
    /// When it arrived.
    pub since_us: u64,
}

/// When a request arrived, and the state that its reply belongs to: that of its place in the
/// order, which may be older than the moment in which it is served.
#[derive(Clone, Copy)]
pub(super) struct Due {
    /// When it arrived.
    pub since_us: u64,
    /// The last zxid before its place in the order.
    pub zxid: Zxid,
}

/// The request that a reply belongs to.
#[derive(Clone, Copy)]
pub(super) struct Done {
    /// Its header.
    pub header: RequestHeader,
    /// When it arrived.
    pub since_us: u64,
}

type AuthPacket = (String, Option<Vec<u8>>);

fn auth_packet(reader: &mut Reader<'_>) -> Result<AuthPacket, Malformed> {
    reader.int()?;
    let scheme = reader.ustring()?.unwrap_or_default().into_owned();
    let auth = reader.buffer()?.map(<[u8]>::to_vec);
    Ok((scheme, auth))
}
