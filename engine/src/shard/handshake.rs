//! The first frame of a connection, and the answer to it.

use super::conn::{Attached, Conn, Phase};
use super::hold::What;
use super::serve::Done;
use super::{Moment, Shard, Touch, Word};
use crate::request::{Attachment, Request, RequestKind};
use crate::sequencer::Caller;
use crate::watch::ConnId;
use crate::wire::connect::{ConnectRequest, ConnectResponse};
use crate::wire::header::RequestHeader;
use crate::wire::opcode::op;
use crate::{Code, SessionId, Zxid, limits};

impl Shard {
    /// Takes the first bytes of a connection in. Thousands may come at once, and each may ask for a
    /// session: they wait for their turn behind those who are here.
    pub(super) fn greet(&mut self, id: ConnId, conn: &mut Conn, bytes: &[u8]) {
        conn.input.extend_from_slice(bytes);
        if !std::mem::replace(&mut conn.newcomer, true) {
            self.newcomers.push_back(id);
        }
    }

    /// Serves the first bytes of some of those who came.
    pub(super) fn admit(&mut self, moment: Moment<'_>) {
        for _ in 0..limits::NEWCOMERS_MAX.min(self.newcomers.len()) {
            let id = self.newcomers.pop_front().expect("there are that many");
            self.with_conn(id, Touch::Answered, |shard, conn| {
                // It may be gone, and its id in use again.
                if std::mem::take(&mut conn.newcomer) && conn.phase == Phase::First {
                    shard.consume_input(id, conn, moment);
                }
            });
        }
    }

    /// Looks at the first bytes: a four-letter word, or the length of a connect request. Returns
    /// the bytes used, or `None` where more are needed.
    pub(super) fn first_bytes(
        &mut self,
        id: ConnId,
        conn: &mut Conn,
        bytes: &[u8],
        moment: Moment<'_>,
    ) -> Option<usize> {
        match Word::recognise(bytes) {
            Some(None) if self.settings.stmk_allowed => None,
            Some(None) => Some(self.word(id, conn, Word::Stmk(0), bytes.len())),
            Some(Some(Word::TelnetClose)) => {
                conn.abort();
                Some(bytes.len())
            }
            Some(Some(word)) => Some(self.word(id, conn, word, bytes.len())),
            None => {
                let (payload, used) = self.frame(conn, bytes)?;
                self.connect(id, conn, payload, moment);
                Some(used)
            }
        }
    }

    /// Notes a word. Whatever arrived with it is used up.
    fn word(&mut self, id: ConnId, conn: &mut Conn, word: Word, used: usize) -> usize {
        conn.phase = Phase::Word;
        conn.in_flight += 1;
        conn.stats.received += 1;
        self.counters.received += 1;
        self.words.push((id, word));
        used
    }

    fn connect(&mut self, id: ConnId, conn: &mut Conn, payload: &[u8], moment: Moment<'_>) {
        self.counters.received += 1;
        conn.stats.received += 1;
        self.counters.connection_requests += 1;
        let Ok(request) = ConnectRequest::read(payload) else { return conn.abort() };
        // A server must not show a client a state older than one that it has already seen.
        if request.last_zxid_seen > 0
            && Zxid::from_wire(request.last_zxid_seen) > moment.db.applied()
        {
            return conn.abort();
        }
        conn.read_only = request.read_only;
        conn.phase = Phase::Opening;
        let timeout_ms = request.timeout_ms;
        if request.session == 0 {
            conn.opening_us = Some(moment.now_us);
            if self.settings.requests.holds() {
                return self.hold(id, conn, What::Open { timeout_ms }, moment.now_us);
            }
            return self.request_session(id, conn, RequestKind::Open { timeout_ms });
        }
        self.counters.revalidations += 1;
        let password = request.password.as_deref().and_then(|bytes| bytes.try_into().ok());
        let session = SessionId(request.session);
        self.request_session(id, conn, RequestKind::Attach { session, password, timeout_ms });
    }

    /// Asks the sequencer for the session of a connection.
    pub(super) fn request_session(&mut self, id: ConnId, conn: &mut Conn, kind: RequestKind) {
        conn.in_flight += 1;
        self.begin();
        let caller = Caller { session: SessionId::NONE, cxid: 0, ids: conn.ids.clone() };
        self.requests.push(Request { origin: self.origin(id), caller, kind, audited: None });
    }

    /// The session is set up: the client may go on.
    pub(super) fn granted(
        &mut self,
        conn: &mut Conn,
        attachment: Attachment,
        zxid: Zxid,
        moment: Moment<'_>,
    ) {
        let Attachment { grant, last_heard } = attachment;
        let response = ConnectResponse {
            timeout_ms: grant.timeout_ms,
            session: grant.session.0,
            password: grant.password,
            read_only: conn.read_only.map(|_| false),
        };
        response.write_frame(&mut conn.out);
        if let Some(since_us) = conn.opening_us {
            let header = RequestHeader { xid: 0, op: op::CREATE_SESSION };
            self.note_latency(conn, Done { header, since_us }, zxid, Code::Ok, moment);
        }
        self.count_sent(conn);
        conn.attached =
            Some(Attached { session: grant.session, timeout_ms: grant.timeout_ms, last_heard });
        conn.phase = Phase::Established;
    }

    /// The session is gone, or never was: zeros tell the client so.
    pub(super) fn refused(&mut self, conn: &mut Conn) {
        ConnectResponse::expired(conn.read_only.map(|_| false)).write_frame(&mut conn.out);
        self.count_sent(conn);
        conn.close();
    }
}
