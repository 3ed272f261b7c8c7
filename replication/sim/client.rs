//! A client that pipelines random requests and checks everything that comes back.

use std::collections::VecDeque;
use std::rc::Rc;

use ringkeeper_engine::SessionId;
use ringkeeper_engine::client::{Core, Message, Options, Phase, Request};
use ringkeeper_engine::database::Database;
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_replication::node::{LeaderPort, LogPort};

use super::check::replies::{Checked, Model};
use super::check::syncs::check_sync;
use super::check::watches::SeenEvent;
use super::check::zxids::SeenZxid;
use super::random::Random;
use super::requests::{USER, draw};
use super::server::Server;

/// One client, its connection, and what it knows.
pub(crate) struct Client {
    /// Where it is connected: shard and connection.
    pub(crate) at: Option<(usize, ConnId)>,
    /// Bytes that it has sent and that have not arrived.
    pub(crate) to_server: Vec<u8>,
    core: Core<Vec<u8>>,
    session_ms: i32,
    /// It has authenticated, and does so again on every connection.
    is_user: bool,
    from_server: Vec<u8>,
    model: Model,
    seen: Vec<SeenEvent>,
    zxids: SeenZxid,
    /// The server may cut it off while its session lives: closeSession was refused because the disk
    /// is full, or a connection that it has left takes the session up behind its back.
    pub(crate) may_be_cut_off: bool,
    /// Writes that were answered, with session, number and zxid, until the caller takes them.
    pub(crate) written: Vec<(SessionId, i32, i64)>,
    /// The last write that anybody was answered, as of now, and as of each sync under way.
    pub(crate) acknowledged: i64,
    syncs: VecDeque<i64>,
    /// Replies that were checked, for statistics.
    pub(crate) replies: usize,
    /// Events that arrived.
    pub(crate) events: usize,
}

impl Client {
    /// A client that has never been connected.
    pub(crate) fn new() -> Client {
        Client::with_timeout(6_000)
    }

    /// As that; its sessions have this timeout, where the server grants it.
    pub(crate) fn with_timeout(session_ms: i32) -> Client {
        Client {
            session_ms,
            is_user: false,
            at: None,
            to_server: Vec::new(),
            core: Core::new(Options { timeout_ms: session_ms, ..Options::default() }),
            from_server: Vec::new(),
            model: Model::new(),
            seen: Vec::new(),
            zxids: SeenZxid::default(),
            written: Vec::new(),
            may_be_cut_off: false,
            acknowledged: 0,
            syncs: VecDeque::new(),
            replies: 0,
            events: 0,
        }
    }

    /// Connects, and sets again what it watched before.
    pub(crate) fn connect<L: LeaderPort, G: LogPort>(
        &mut self,
        server: &mut Server<L, G>,
        shard: usize,
    ) {
        if matches!(self.core.phase(), Phase::Expired | Phase::Closed) {
            self.begin_anew();
        }
        self.to_server.clear();
        self.from_server.clear();
        self.at = Some((shard, server.open(shard)));
        self.core.connect(server.now.mono, &mut self.to_server);
        if self.is_user {
            self.authenticate();
        }
        let last = self.core.session().last_zxid;
        let held = self.model.reconnect();
        if !held.is_empty() {
            let (op, record) = held.request(last);
            let request = Request::Raw { op, body: &record };
            self.core.request(&request, record.clone(), &mut self.to_server);
        }
    }

    /// A client that has never been connected, and that goes on counting.
    fn begin_anew(&mut self) {
        let (replies, events) = (self.replies, self.events);
        let mut model = std::mem::replace(&mut self.model, Model::new());
        model.begin_anew();
        *self = Client { replies, events, model, ..Client::with_timeout(self.session_ms) };
    }

    /// The connection is gone.
    pub(crate) fn disconnect(&mut self) {
        self.model.leave(std::mem::take(&mut self.seen));
        self.syncs.clear();
        self.core.disconnect();
        self.at = None;
    }

    /// Whether requests make sense now.
    pub(crate) fn is_open(&self) -> bool {
        self.at.is_some() && matches!(self.core.phase(), Phase::Open | Phase::Connecting)
    }

    /// Whether its handshake is not answered yet.
    pub(crate) fn is_connecting(&self) -> bool {
        self.core.phase() == Phase::Connecting
    }

    /// Requests that are not answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.core.in_flight()
    }

    /// Whether everything is answered.
    pub(crate) fn is_settled(&self) -> bool {
        self.core.in_flight() == 0 && self.from_server.is_empty()
    }

    /// The session, if there is one.
    pub(crate) fn session(&self) -> SessionId {
        self.core.session().id
    }

    /// Appends one random request.
    pub(crate) fn request(&mut self, random: &mut Random) {
        if !self.is_user && random.percent(1) && self.in_flight() == 0 {
            self.is_user = true;
            self.model.authenticate();
            return self.authenticate();
        }
        draw(random, |request| self.send(request));
    }

    /// It is done when it is read: before what is sent behind it.
    fn authenticate(&mut self) {
        let (scheme, auth) = USER;
        let request = Request::Auth { scheme, auth };
        self.core.request(&request, Vec::new(), &mut self.to_server);
    }

    /// Appends a request and keeps its record for the check of its reply.
    pub(crate) fn send(&mut self, request: &Request<'_>) {
        let mut record = Vec::new();
        request.write(&mut record);
        if let Request::Sync { .. } = request {
            self.syncs.push_back(self.acknowledged);
        }
        self.core.request(request, record, &mut self.to_server);
    }

    /// Takes bytes of the server, and checks the messages that are complete.
    pub(crate) fn receive(&mut self, bytes: &[u8], history: &[Rc<Txn>]) {
        self.from_server.extend_from_slice(bytes);
        let received = std::mem::take(&mut self.from_server);
        let mut rest = &received[..];
        while let Some(message) = self.core.receive(&mut rest).expect("the bytes make sense") {
            match message {
                Message::Reply(reply) => {
                    self.replies += 1;
                    self.may_be_cut_off |= reply.op == op::CLOSE_SESSION;
                    assert!(reply.op != op::AUTH || reply.err == 0, "any user may authenticate");
                    if reply.op == op::SYNC {
                        let before = self.syncs.pop_front().expect("a sync was requested");
                        check_sync(&reply, before);
                    }
                    if reply.zxid > 0 {
                        let asked = reply.tag.clone();
                        let session = self.core.session().id;
                        self.zxids.reply(session, reply.zxid);
                        self.model.advance(reply.zxid, history);
                        let checked = self.model.check(session, &asked, &reply, history);
                        if checked == Checked::Write {
                            self.written.push((session, reply.xid, reply.zxid));
                        }
                        self.compare_events(reply.zxid);
                    }
                }
                Message::Event(event) => {
                    self.events += 1;
                    self.zxids.event(self.core.session().id, event.zxid);
                    self.model.watches().note_event(event.kind, &event.path);
                    self.seen.push((event.zxid, event.kind, event.path.into_owned()));
                }
                Message::Stray(header) => panic!("a reply to nothing: {header:?}"),
                Message::Connected(_) | Message::Expired | Message::Pong => {}
            }
            let violations = self.core.take_violations();
            assert!(violations.is_empty(), "{violations:?}");
        }
        self.from_server = rest.to_vec();
    }

    /// By a reply at a zxid exactly the events up to it have arrived, in their order.
    fn compare_events(&mut self, zxid: i64) {
        let expected = self.model.take_expected();
        assert_eq!(self.seen, expected, "events by the reply at {zxid:#x}");
        self.seen.clear();
    }

    /// Nothing is under way any more: all events have arrived where the client is connected, and
    /// the state is the server's.
    pub(crate) fn finish(&mut self, db: &Database, history: &[Rc<Txn>], is_connected: bool) {
        self.model.advance(db.applied().to_wire(), history);
        assert_eq!(self.model.digest(), db.tree.digest(), "the log gives another tree");
        if is_connected && self.core.phase() == Phase::Open {
            self.compare_events(db.applied().to_wire());
        }
    }
}
