//! A leader that is played: it orders what a learner forwards and what others write, and its link
//! loses what was under way whenever the test says so.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::log::Group;
use ringkeeper_engine::op::Write;
use ringkeeper_engine::sequencer::{Caller, Sequencer};
use ringkeeper_engine::txn::{Txn, TxnDigest};
use ringkeeper_engine::wire::Reader;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::peer::{LearnerPacket, PacketDecoder, PacketLimits};
use ringkeeper_engine::zookeeper::Entry;
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};
use ringkeeper_replication::LostRequests;
use ringkeeper_replication::leader::{Acknowledgement, LearnerEvent, ToLearners};
use ringkeeper_replication::node::LeaderPort;
use ringkeeper_replication::{
    Divergence, LeaderEvent, LeaderFault, LogSpace, SessionAttachment, SessionLife,
};

use crate::random::Random;
use crate::server::{HASH_SEED, empty_database, op_settings};

/// The two directions of a link, and what its learner has complained of; and where the server
/// leads, what it has to do with its learners.
#[derive(Default)]
pub(crate) struct Wire {
    /// What has arrived at the learner.
    pub(crate) events: VecDeque<LeaderEvent>,
    /// What the learner has sent.
    pub(crate) to_leader: Vec<u8>,
    /// What is durable at the learner.
    pub(crate) flushed: Zxid,
    /// What the leader did wrong.
    pub(crate) faults: Vec<LeaderFault>,
    /// Where the states differ.
    pub(crate) divergence: Option<Divergence>,
    /// The sessions that connections here own, as the leader hears of them.
    pub(crate) attached: BTreeSet<SessionId>,
    /// What learners of this server have sent.
    pub(crate) learner_events: VecDeque<LearnerEvent>,
    /// What voters have acknowledged.
    pub(crate) acks: VecDeque<Acknowledgement>,
    /// The last transaction that was proposed.
    pub(crate) proposed: Option<Zxid>,
    /// What learners were told, in order.
    pub(crate) said: Vec<ToLearners>,
}

/// Events of learners that are one step.
const LEARNER_EVENTS_MAX: usize = 3;

/// The learner's end of a [`Wire`], or the leader's.
#[derive(Clone, Default)]
pub(crate) struct MemoryLeader(pub(crate) Rc<RefCell<Wire>>);

impl LeaderPort for MemoryLeader {
    fn receive(&mut self) -> Option<LeaderEvent> {
        self.0.borrow_mut().events.pop_front()
    }

    fn has_events(&self) -> bool {
        !self.0.borrow().events.is_empty()
    }

    fn send(&mut self, packets: &mut Vec<u8>) {
        self.0.borrow_mut().to_leader.append(packets);
    }

    fn sessions(&mut self, changes: &mut Vec<SessionAttachment>) {
        let attached = &mut self.0.borrow_mut().attached;
        for change in changes.drain(..) {
            match change {
                SessionAttachment::Attached(session, ..) => attached.insert(session),
                SessionAttachment::Ended(session) => attached.remove(&session),
            };
        }
    }

    fn flushed(&mut self, durable: Zxid) {
        self.0.borrow_mut().flushed = durable;
    }

    fn space(&mut self, _: LogSpace) {}

    fn fault(&mut self, fault: LeaderFault, _: Zxid) {
        self.0.borrow_mut().faults.push(fault);
    }

    fn diverged(&mut self, divergence: Divergence) {
        self.0.borrow_mut().divergence.get_or_insert(divergence);
    }

    fn applied(&mut self, _: Zxid, _: u64) {}

    fn learner_events(&mut self, out: &mut Vec<LearnerEvent>) {
        let events = &mut self.0.borrow_mut().learner_events;
        let count = events.len().min(LEARNER_EVENTS_MAX);
        out.extend(events.drain(..count));
    }

    fn has_learner_events(&self) -> bool {
        !self.0.borrow().learner_events.is_empty()
    }

    fn next_ack(&mut self) -> Option<Acknowledgement> {
        self.0.borrow_mut().acks.pop_front()
    }

    fn has_acks(&self) -> bool {
        !self.0.borrow().acks.is_empty()
    }

    fn has_capacity(&self) -> bool {
        true
    }

    /// Each transaction is proposed once, in the order of their zxids.
    fn proposed(&mut self, group: &Group) {
        let mut wire = self.0.borrow_mut();
        let last = group.last().expect("there is something in it");
        let before = match wire.proposed {
            Some(before) if before.epoch() == last.epoch() => before.counter(),
            Some(_) | None => 0,
        };
        assert_eq!(last.counter(), before + group.records(), "behind {:?}", wire.proposed);
        wire.proposed = Some(last);
    }

    fn to_learners(&mut self, out: &mut Vec<ToLearners>) {
        let mut wire = self.0.borrow_mut();
        for said in out.drain(..) {
            if let ToLearners::Committed(zxid) = said {
                assert!(wire.proposed >= Some(zxid), "{zxid} was not proposed");
            }
            wire.said.push(said);
        }
    }
}

/// A leader, and everything that it has ordered.
pub(crate) struct Leader {
    db: Database,
    sequencer: Sequencer,
    sessions: BTreeSet<SessionId>,
    /// What it has ordered, in order.
    pub(crate) history: Vec<(Txn, TxnDigest)>,
    /// What is on its way to the learner.
    sent: VecDeque<LeaderEvent>,
    /// Syncs that wait until it is certain that it leads, or for what it commits next.
    syncs: usize,
    decoder: PacketDecoder,
    /// What came over links that are lost, and what the same leader may still order.
    lingering: Vec<(PacketDecoder, Vec<u8>)>,
    epoch: u32,
    wire: Rc<RefCell<Wire>>,
    /// Whether the learner is connected.
    pub(crate) is_linked: bool,
    /// Mutates the digest behind this transaction.
    pub(crate) wrong_digest: Option<usize>,
}

impl Leader {
    /// A leader that has ordered nothing, and whose learner is not connected.
    pub(crate) fn new(wire: Rc<RefCell<Wire>>) -> Leader {
        Leader {
            db: empty_database(),
            sequencer: Sequencer::new(Zxid::ZERO, op_settings(), HASH_SEED),
            sessions: BTreeSet::new(),
            history: Vec::new(),
            sent: VecDeque::new(),
            syncs: 0,
            decoder: PacketDecoder::new(PacketLimits::default()),
            lingering: Vec::new(),
            epoch: 1,
            wire,
            is_linked: false,
            wrong_digest: None,
        }
    }

    /// The leader of an epoch behind what is committed, whose learner is not connected.
    pub(crate) fn after(wire: Rc<RefCell<Wire>>, history: &[Rc<Txn>], epoch: u32) -> Leader {
        let mut leader = Leader::new(wire);
        for txn in history {
            leader.db.apply(txn, Interest::None);
            let digest = leader.db.tree.digest();
            let digest = TxnDigest { version: TxnDigest::VERSION, digest };
            leader.history.push((Txn::clone(txn), digest));
        }
        leader.sessions = leader.db.sessions().map(|(session, _)| session).collect();
        leader.sequencer = Sequencer::new(leader.db.applied(), op_settings(), HASH_SEED);
        leader.sequencer.begin_epoch(epoch);
        leader.epoch = epoch;
        leader
    }

    /// The next epoch begins: what the leader before had not ordered is dropped.
    pub(crate) fn begin_epoch(&mut self) {
        assert!(!self.is_linked, "its links are lost with a leader");
        self.epoch += 1;
        self.lingering.clear();
    }

    /// The learner connects, with everything up to `last`: it gets what it lacks, and is served.
    pub(crate) fn connect(&mut self, last: Zxid) {
        assert!(!self.is_linked, "it is connected");
        self.is_linked = true;
        self.sent.push_back(LeaderEvent::Committed(last));
        let first = self.history.iter().take_while(|(txn, _)| txn.zxid <= last).count();
        for index in first..self.history.len() {
            self.propose(index);
            self.commit(index);
        }
        self.sent.push_back(LeaderEvent::Serving(self.epoch, LostRequests::Unknown));
    }

    /// The link is lost, with everything that is on its way in both directions.
    pub(crate) fn disconnect(&mut self) {
        assert!(self.is_linked, "it is not connected");
        self.is_linked = false;
        self.sent.clear();
        self.syncs = 0;
        let new = PacketDecoder::new(PacketLimits::default());
        let decoder = std::mem::replace(&mut self.decoder, new);
        let mut wire = self.wire.borrow_mut();
        self.lingering.push((decoder, std::mem::take(&mut wire.to_leader)));
        wire.events.clear();
        wire.events.push_back(LeaderEvent::Lost);
    }

    /// Takes some bytes of what the learner has sent, and answers.
    pub(crate) fn take(&mut self, bytes: usize, now: Millis) {
        let taken: Vec<u8> = {
            let mut wire = self.wire.borrow_mut();
            let count = bytes.min(wire.to_leader.len());
            wire.to_leader.drain(..count).collect()
        };
        if !self.is_linked {
            assert!(taken.is_empty(), "a learner without a leader has sent something");
            return;
        }
        let mut decoder =
            std::mem::replace(&mut self.decoder, PacketDecoder::new(PacketLimits::default()));
        decoder.push(&taken);
        while let Some(packet) = decoder.decode().expect("the learner's bytes make sense") {
            self.on_packet(LearnerPacket::read(packet).expect("and its packets"), now);
        }
        self.decoder = decoder;
    }

    /// The leader comes to requests of a link that is lost meanwhile. It has got some of them.
    pub(crate) fn linger(&mut self, random: &mut Random, now: Millis) {
        let Some((mut decoder, bytes)) = self.lingering.pop() else { return };
        decoder.push(&bytes[..random.below(bytes.len() + 1)]);
        while let Some(packet) = decoder.decode().expect("the learner's bytes make sense") {
            let packet = LearnerPacket::read(packet).expect("and its packets");
            if let LearnerPacket::Request { op: op_code, .. } = packet
                && op_code != op::SYNC
            {
                self.on_packet(packet, now);
            }
        }
    }

    fn on_packet(&mut self, packet: LearnerPacket<'_>, now: Millis) {
        match packet {
            LearnerPacket::Revalidate { session, .. } => {
                let lives = self.sessions.contains(&session);
                let life = if lives { SessionLife::Lives } else { SessionLife::Ended };
                // It does not wait for what is ordered.
                let first = self.sent.len().min(1);
                self.sent.insert(first, LeaderEvent::Revalidated(session, life));
            }
            LearnerPacket::Request { session, cxid, op, record, identities } => {
                let ids: Arc<[_]> = identities.unwrap_or_default();
                let caller = Caller { session, cxid, ids };
                self.on_request(&caller, op, record, now);
            }
            other => panic!("a learner that is served has sent {other:?}"),
        }
    }

    fn on_request(&mut self, caller: &Caller, op_code: i32, record: &[u8], now: Millis) {
        let mut reader = Reader::new(record);
        let txn = match op_code {
            op::CREATE_SESSION => {
                let timeout_ms = reader.int().expect("a timeout");
                self.sessions.insert(caller.session);
                self.sequencer.order_open(caller.session, timeout_ms, now)
            }
            op::SYNC => return self.syncs += 1,
            _ if !self.sessions.contains(&caller.session) => {
                self.sequencer.order_refusal(caller, Code::SessionExpired, now)
            }
            op::CLOSE_SESSION => return self.close(caller, now),
            _ => {
                let write = Write::decode(op_code, &mut reader).expect("what is forwarded parses");
                assert!(reader.rest().is_empty(), "there is nothing behind a request");
                self.sequencer.order(&self.db, caller, write, now)
            }
        };
        self.order(txn);
    }

    fn close(&mut self, caller: &Caller, now: Millis) {
        self.sessions.remove(&caller.session);
        let txn = self.sequencer.order_close(&self.db, caller, now);
        self.order(txn);
    }

    /// Another server's client writes.
    pub(crate) fn write(&mut self, write: Write, now: Millis) {
        let ids = vec![ringkeeper_engine::wire::Id { scheme: "ip".into(), id: "::1".into() }];
        let caller = Caller { session: SessionId(0x0200_0000_0000_0001), cxid: 1, ids: ids.into() };
        let txn = self.sequencer.order(&self.db, &caller, write, now);
        self.order(txn);
    }

    /// A session expires.
    pub(crate) fn expire(&mut self, random: &mut Random, now: Millis) {
        let all: Vec<SessionId> = self.sessions.iter().copied().collect();
        if all.is_empty() {
            return;
        }
        let caller = Caller { session: *random.pick(&all), cxid: 0, ids: Arc::from([]) };
        self.close(&caller, now);
    }

    /// Some of what is on its way arrives.
    pub(crate) fn deliver(&mut self, count: usize) {
        if self.sent.is_empty() {
            self.answer_syncs();
        }
        let count = count.min(self.sent.len());
        self.wire.borrow_mut().events.extend(self.sent.drain(..count));
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        let wire = self.wire.borrow();
        self.sent.is_empty()
            && self.syncs == 0
            && wire.events.is_empty()
            && wire.to_leader.is_empty()
    }

    fn order(&mut self, txn: Txn) {
        self.db.apply(&txn, Interest::None);
        self.sequencer.applied(txn.zxid);
        let digest = TxnDigest { version: TxnDigest::VERSION, digest: self.db.tree.digest() };
        self.history.push((txn, digest));
        if self.is_linked {
            self.propose(self.history.len() - 1);
            self.answer_syncs();
            self.commit(self.history.len() - 1);
        }
    }

    fn answer_syncs(&mut self) {
        (0..self.syncs).for_each(|_| self.sent.push_back(LeaderEvent::Synced));
        self.syncs = 0;
    }

    /// What it has ordered behind this transaction.
    pub(crate) fn entries_after(&self, last: Zxid) -> Vec<Entry> {
        let behind = self.history.iter().filter(|(txn, _)| txn.zxid > last);
        let entry = |(txn, digest): &(Txn, TxnDigest)| Entry {
            txn: txn.clone(),
            lists_paths: true,
            digest: Some(*digest),
        };
        behind.map(entry).collect()
    }

    fn propose(&mut self, index: usize) {
        let (txn, mut digest) = self.history[index].clone();
        if self.wrong_digest == Some(index) {
            digest.digest ^= 1;
        }
        let entry = Entry { txn, lists_paths: true, digest: Some(digest) };
        self.sent.push_back(LeaderEvent::Learned(Box::new(entry)));
    }

    fn commit(&mut self, index: usize) {
        self.sent.push_back(LeaderEvent::Committed(self.history[index].0.zxid));
    }
}
