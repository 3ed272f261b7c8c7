//! A server that leads an ensemble, whose other members are played by the test.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ringkeeper_engine::client::Request;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::Id;
use ringkeeper_engine::{SessionId, Zxid};
use ringkeeper_replication::LeaderEvent;
use ringkeeper_replication::leader::{
    Acknowledgement, ForwardedRequest, LearnerEvent, LearnerEventKind, LinkId, ToLearners,
};

use crate::client::Client;
use crate::leader::{MemoryLeader, Wire};
use crate::server::{Server, ServerSettings};

/// How long clients wait for a leader.
pub(crate) const HOLD_MS: i64 = 5_000;
/// The other two voters.
pub(crate) const OTHERS: [ServerId; 2] = [ServerId(2), ServerId(3)];

/// A member, one client, and the other end of its links.
pub(crate) struct Ensemble {
    pub(crate) server: Server<MemoryLeader>,
    pub(crate) wire: Rc<RefCell<Wire>>,
    pub(crate) client: Client,
}

/// An identity that a learner names.
pub(crate) fn identities() -> Option<Arc<[Id]>> {
    Some(Arc::from([Id { scheme: "ip".into(), id: "::1".into() }]))
}

/// The voters of a leader with the number 1.
pub(crate) fn voters() -> Vec<ServerId> {
    vec![ServerId(1), OTHERS[0], OTHERS[1]]
}

impl Ensemble {
    /// A member that has no leader, and a client that is connected and waits for one.
    pub(crate) fn looking() -> Ensemble {
        let link = MemoryLeader::default();
        let wire = link.0.clone();
        let server = Server::learner(ServerSettings::default(), link, HOLD_MS);
        let mut ensemble = Ensemble { server, wire, client: Client::new() };
        ensemble.client.connect(&mut ensemble.server, 0);
        ensemble.turns();
        ensemble
    }

    /// One that leads the epoch 1, whose client has a session.
    pub(crate) fn leading() -> Ensemble {
        let mut ensemble = Ensemble::looking();
        ensemble.lead(1);
        ensemble.turns();
        ensemble.ack_all(0);
        ensemble.turns();
        assert!(ensemble.client.session().0 > 0 && ensemble.client.is_settled());
        ensemble.said();
        ensemble
    }

    /// Leads: everything that it has is committed.
    pub(crate) fn lead(&mut self, epoch: u32) {
        let last = self.server.last();
        self.wire.borrow_mut().events.push_back(LeaderEvent::Committed(last));
        self.turns();
        assert!(self.server.node_ref().is_caught_up());
        self.server.node().lead(epoch, voters());
    }

    /// Everything of this server moves until nothing is on its way any more.
    pub(crate) fn turns(&mut self) {
        for _ in 0..20 {
            let Some((shard, conn)) = self.client.at else { break };
            let bytes = std::mem::take(&mut self.client.to_server);
            self.server.serve(shard, std::iter::once((conn, &bytes[..])));
            self.server.order(usize::MAX);
            self.server.sync();
            self.server.release();
            self.server.serve(shard, std::iter::empty());
            let conn = self.server.shards[shard].shard.conn_mut(conn).expect("it is connected");
            let bytes = std::mem::take(&mut conn.out);
            self.client.receive(&bytes, &self.server.history);
        }
    }

    /// A voter has everything that is ordered.
    pub(crate) fn ack_all(&mut self, voter: usize) {
        let last = self.server.last();
        self.ack(voter, last);
    }

    pub(crate) fn ack(&mut self, voter: usize, upto: Zxid) {
        let ack = Acknowledgement::Durable(OTHERS[voter], upto);
        self.wire.borrow_mut().acks.push_back(ack);
    }

    pub(crate) fn confirm(&mut self, number: u64) {
        self.wire.borrow_mut().acks.push_back(Acknowledgement::Confirmed(number));
    }

    /// What learners were told since the last call.
    pub(crate) fn said(&mut self) -> Vec<ToLearners> {
        std::mem::take(&mut self.wire.borrow_mut().said)
    }

    pub(crate) fn event(&mut self, server: ServerId, kind: LearnerEventKind) {
        let link = LinkId(u64::from(server.0));
        self.wire.borrow_mut().learner_events.push_back(LearnerEvent { link, server, kind });
    }

    /// A learner sends a request on.
    pub(crate) fn forward(&mut self, server: ServerId, request: ForwardedRequest) {
        self.event(server, LearnerEventKind::Request(request));
    }

    /// A learner's client writes this to the root.
    pub(crate) fn forward_set(&mut self, server: ServerId, session: SessionId, cxid: i32) {
        let mut record = Vec::new();
        Request::SetData { path: "/", data: Some(b"f"), version: -1 }.write(&mut record);
        let (record, identities) = (record.into(), identities());
        let op = ringkeeper_engine::wire::opcode::op::SET_DATA;
        self.forward(server, ForwardedRequest { session, cxid, op, record, identities });
    }

    /// A learner's client begins a session.
    pub(crate) fn forward_open(&mut self, server: ServerId, session: SessionId) {
        let op = ringkeeper_engine::wire::opcode::op::CREATE_SESSION;
        let record = 6_000_i32.to_be_bytes().into();
        let request = ForwardedRequest { session, cxid: 0, op, record, identities: None };
        self.forward(server, request);
    }

    /// Everything is ordered, on all disks and applied.
    pub(crate) fn settle(&mut self) {
        for _ in 0..3 {
            self.turns();
            self.ack_all(0);
            self.turns();
        }
    }

    pub(crate) fn set(&mut self, data: &[u8]) {
        self.client.send(&Request::SetData { path: "/", data: Some(data), version: -1 });
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        let (shard, conn) = self.client.at.expect("it has connected");
        self.server.has_closed(shard, conn)
    }

    /// The last transaction that was applied.
    pub(crate) fn last_applied(&self) -> &Txn {
        self.server.history.last().expect("something was applied")
    }

    /// Applied writes of a session, by their numbers, in order.
    pub(crate) fn writes_of(&self, session: SessionId) -> Vec<i32> {
        let is_write = |txn: &&Rc<Txn>| {
            let opens = matches!(txn.body, TxnBody::CreateSession { .. });
            txn.session == session && !opens
        };
        self.server.history.iter().filter(is_write).map(|txn| txn.cxid).collect()
    }
}
