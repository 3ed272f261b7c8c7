//! The first frame of a connection, and the answer to it.

use super::arrival::Reply;
use super::client_end::ClientEnd;
use super::conn::{Attached, Conn, Phase};
use super::throttled::HeldKind;
use super::word::FirstBytes;
use super::{Moment, Shard, Turn, Urgency};
use crate::request::{Attachment, Request, RequestKind};
use crate::sequencer::Caller;
use crate::watch::ConnId;
use crate::wire::connect::{ConnectRequest, ConnectResponse};
use crate::wire::header::RequestHeader;
use crate::wire::opcode::op;
use crate::{Code, SessionId, Zxid, limits};

impl Shard {
    /// Takes the first bytes of a connection in. Thousands may arrive at once, and each may request
    /// a session: they are served in portions, behind established connections.
    pub(super) fn on_first_bytes(&mut self, turn: &mut Turn<'_>, bytes: &[u8]) {
        turn.conn.input.extend_from_slice(bytes);
        if !std::mem::replace(&mut turn.conn.is_new, true) {
            self.new_connections.push_back(turn.id);
        }
    }

    /// Serves the first bytes of a bounded number of new connections.
    pub(super) fn serve_new_connections(&mut self, moment: Moment<'_>) {
        for _ in 0..limits::NEW_CONNECTIONS_MAX.min(self.new_connections.len()) {
            let id = self.new_connections.pop_front().expect("there are that many");
            self.with_turn(id, Urgency::Answered, moment, |shard, turn| {
                // It may be gone, and its id in use again.
                if std::mem::take(&mut turn.conn.is_new) && turn.conn.phase == Phase::First {
                    shard.consume_input(turn);
                }
            });
        }
    }

    /// Parses the first bytes: a four-letter word, or the length of a connect request. Returns
    /// the bytes used, or `None` where more are needed.
    pub(super) fn parse_first_bytes(&mut self, turn: &mut Turn<'_>, bytes: &[u8]) -> Option<usize> {
        match FirstBytes::of(bytes, &self.settings.words) {
            FirstBytes::ArgumentMissing => None,
            FirstBytes::TelnetClose => {
                turn.conn.abort();
                Some(bytes.len())
            }
            FirstBytes::Word(word) => {
                self.note_word(turn, word);
                Some(bytes.len())
            }
            FirstBytes::Frame => {
                let (payload, used) = self.frame(turn.conn, bytes)?;
                self.connect(turn, payload);
                Some(used)
            }
        }
    }

    fn connect(&mut self, turn: &mut Turn<'_>, payload: &[u8]) {
        self.counters.received += 1;
        turn.conn.stats.received += 1;
        self.counters.connection_requests += 1;
        match ConnectRequest::read(payload) {
            Ok(request) => self.connect_caught_up(turn, request),
            Err(_) => turn.conn.abort_for(ClientEnd::Malformed),
        }
    }

    /// Requests the session that a client wants.
    pub(super) fn open_session(&mut self, turn: &mut Turn<'_>, request: ConnectRequest) {
        let Turn { id, moment, .. } = *turn;
        let conn = &mut *turn.conn;
        conn.seen = Zxid::from_wire(request.last_zxid_seen.max(0));
        conn.read_only = request.read_only;
        conn.phase = Phase::Opening;
        let timeout_ms = request.timeout_ms;
        if request.session == 0 {
            conn.opening_us = Some(moment.now_us);
            if self.settings.requests.holds() {
                return self.hold(id, conn, HeldKind::Open { timeout_ms }, moment.now_us);
            }
            return self.request_session(id, conn, RequestKind::Open { timeout_ms });
        }
        self.counters.revalidations += 1;
        let password = request.password.as_deref().and_then(|bytes| bytes.try_into().ok());
        let session = SessionId(request.session);
        self.request_session(id, conn, RequestKind::Attach { session, password, timeout_ms });
    }

    /// Requests the session of a connection from the sequencer.
    pub(super) fn request_session(&mut self, id: ConnId, conn: &mut Conn, kind: RequestKind) {
        conn.in_flight += 1;
        self.begin();
        let caller = Caller { session: SessionId::NONE, cxid: 0, ids: conn.ids.clone() };
        self.outputs.requests.push(Request { origin: self.origin(id), caller, kind });
    }

    /// The session is set up: the client may go on.
    pub(super) fn granted(&mut self, turn: &mut Turn<'_>, attachment: Attachment, zxid: Zxid) {
        let Attachment { grant, last_heard } = attachment;
        let conn = &mut *turn.conn;
        let response = ConnectResponse {
            timeout_ms: grant.timeout_ms,
            session: grant.session.0,
            password: grant.password,
            read_only: conn.read_only.map(|_| false),
        };
        response.write_frame(&mut conn.out);
        if let Some(since_us) = conn.opening_us {
            let header = RequestHeader { xid: 0, op: op::CREATE_SESSION };
            let reply = Reply { header, since_us, zxid, code: Code::Ok };
            self.note_latency(conn, reply, turn.moment);
        }
        self.count_sent(conn);
        conn.attached =
            Some(Attached { session: grant.session, timeout_ms: grant.timeout_ms, last_heard });
        conn.phase = Phase::Established;
    }

    /// The session is gone, or never was: zeros say so to the client.
    pub(super) fn refuse_session(&mut self, turn: &mut Turn<'_>) {
        let conn = &mut *turn.conn;
        let lives = turn.moment.db.has_session(conn.requested);
        let end = if lives { ClientEnd::WrongPassword } else { ClientEnd::SessionGone };
        ConnectResponse::expired(conn.read_only.map(|_| false)).write_frame(&mut conn.out);
        self.count_sent(conn);
        conn.close_for(end);
    }
}
