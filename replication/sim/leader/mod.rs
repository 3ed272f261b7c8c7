//! An ensemble that is played, one leader after the other, each behind the bytes of a connection to
//! every member that is looked at. What is committed stays; what a leader has not committed may go
//! with it. Other members are not there: the script says when a quorum has what.

mod expiry;
mod link;
mod orders;
mod synchronize;
mod wrong;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ringkeeper_engine::client::Request;
use ringkeeper_engine::database::{Database, Interest};
use ringkeeper_engine::op::Write;
use ringkeeper_engine::sequencer::{Caller, Sequencer};
use ringkeeper_engine::txn::{DeleteCause, Txn, TxnBody, TxnDigest};
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::peer::{LeaderPacket, LearnerPacket, PacketDecoder};
use ringkeeper_engine::wire::{Id, Reader};
use ringkeeper_engine::zookeeper::Entry;
use ringkeeper_engine::{Code, Millis, SessionId, Zxid};
use ringkeeper_replication::learner::LearnerKind;

pub(crate) use self::link::{LeaderLink, Stage};
use self::orders::write_of;
pub(crate) use self::wrong::Wrong;
use super::check::recovery::MemberRecord;
use super::member::MemberId;
use super::random::Random;
use super::server::{HASH_SEED, empty_database, op_settings};

/// The configuration that every leader has.
const CONFIG: &[u8] = b"server.2=a\nversion=0";
/// The session of a client of another server.
const OTHER_SESSION: SessionId = SessionId(0x7f00_0000_0000_0001);

/// What was met.
#[derive(Clone, Default, Debug)]
pub(crate) struct Seen {
    pub(crate) diffs: usize,
    pub(crate) cuts: usize,
    pub(crate) snaps: usize,
    pub(crate) served: usize,
    pub(crate) pings: usize,
    pub(crate) revalidations: usize,
    pub(crate) syncs: usize,
    pub(crate) moved: usize,
    /// Sessions that were not heard of for too long.
    pub(crate) expired: usize,
    /// Multis that were refused behind something that was prepared.
    pub(crate) refused_multis: usize,
    /// What the leader did wrong.
    pub(crate) wrongs: usize,
    /// The sessions that answers to pings have named.
    pub(crate) touched: Vec<SessionId>,
}

/// The newest leader, and what is committed for good.
pub(crate) struct Ensemble {
    /// Everything that is committed.
    pub(crate) truth: Vec<Rc<Txn>>,
    /// The digest behind each of these.
    pub(crate) truth_digests: Vec<u64>,
    /// What the leader has ordered or taken over.
    pub(crate) history: Vec<Rc<Txn>>,
    digests: Vec<TxnDigest>,
    /// How much of that it has committed.
    committed: usize,
    is_established: bool,
    pub(crate) epoch: u32,
    /// The state behind the history.
    pub(crate) db: Database,
    sequencer: Sequencer,
    /// Which member has a session's client.
    owners: BTreeMap<SessionId, MemberId>,
    /// When this leader has heard of a session last.
    heard: BTreeMap<SessionId, Millis>,
    /// Sessions of other servers' clients that were ever opened.
    others_opened: i64,
    /// What was prepared of multis that were refused, with the refusals.
    prepared: BTreeMap<Zxid, TxnBody>,
    pub(crate) links: BTreeMap<MemberId, LeaderLink>,
    /// Bytes of links that are lost, which the same leader may come to yet.
    lingering: Vec<(MemberId, PacketDecoder, Vec<u8>)>,
    /// What it does wrong next.
    pub(crate) wrong: Option<Wrong>,
    /// How often of a hundred times the whole state is sent without need.
    pub(crate) states: usize,
    /// As [`super::swarm::Swarm::lags`].
    pub(crate) lags: usize,
    /// So many transactions are committed that the leader has not applied itself, as far as the
    /// next learner hears of it.
    pub(crate) lag: usize,
    /// No learner gets the whole state.
    pub(crate) never_sends_state: bool,
    /// Every learner gets the whole state.
    pub(crate) always_sends_state: bool,
    pub(crate) seen: Seen,
}

/// A setData of another server's client.
pub(crate) fn set_data(path: &str, data: &[u8]) -> Write {
    write_of(&Request::SetData { path, data: Some(data), version: -1 })
}

impl Ensemble {
    /// A leader of the first epoch that has ordered nothing.
    pub(crate) fn new() -> Ensemble {
        let mut ensemble = Ensemble {
            truth: Vec::new(),
            truth_digests: Vec::new(),
            history: Vec::new(),
            digests: Vec::new(),
            committed: 0,
            is_established: true,
            epoch: 0,
            db: empty_database(),
            sequencer: Sequencer::new(Zxid::ZERO, op_settings(), HASH_SEED),
            owners: BTreeMap::new(),
            heard: BTreeMap::new(),
            others_opened: 0,
            prepared: BTreeMap::new(),
            links: BTreeMap::new(),
            lingering: Vec::new(),
            wrong: None,
            states: 25,
            lags: 0,
            lag: 0,
            never_sends_state: false,
            always_sends_state: false,
            seen: Seen::default(),
        };
        ensemble.lead(1);
        ensemble.is_established = true;
        ensemble
    }

    fn lead(&mut self, epoch: u32) {
        assert!(self.links.is_empty(), "its links are lost with a leader");
        self.epoch = epoch;
        self.lingering.clear();
        self.owners.clear();
        self.heard.clear();
        (self.committed, self.is_established) = (self.history.len(), false);
        self.db = empty_database();
        self.digests.clear();
        for txn in &self.history {
            self.db.apply(txn, Interest::None);
            self.digests.push(digest(&self.db));
        }
        self.sequencer = Sequencer::new(self.db.applied(), op_settings(), HASH_SEED);
        self.sequencer.begin_epoch(epoch);
    }

    /// Another server leads, which may have some of what was not committed.
    pub(crate) fn change_leader(&mut self, random: &mut Random) {
        let (truth, all) = (self.truth.len(), self.history.len());
        let more = if random.percent(50) { 0 } else { all - truth };
        let kept = truth + random.below(more + 1);
        self.history.truncate(kept);
        self.lead(self.epoch + 1 + random.below(2) as u32);
    }

    /// A server leads that has lost so much of what is committed.
    pub(crate) fn forget_committed(&mut self, count: usize) {
        let kept = self.truth.len() - count;
        self.history.truncate(kept);
        self.truth.truncate(kept);
        self.truth_digests.truncate(kept);
        self.lead(self.epoch + 1);
    }

    /// A quorum has the leader's history.
    pub(crate) fn establish(&mut self) {
        if self.is_established {
            return;
        }
        self.is_established = true;
        assert!(self.history.starts_with(&self.truth), "what was committed is lost");
        (self.truth.len()..self.history.len()).for_each(|index| self.note_committed(index));
    }

    fn note_committed(&mut self, index: usize) {
        self.truth.push(self.history[index].clone());
        self.truth_digests.push(self.digests[index].digest);
    }

    /// Whether all that was ordered is committed and has been sent to so many members.
    pub(crate) fn is_quiet(&self, members: usize) -> bool {
        let mut links = self.links.values();
        let is_sent = links
            .all(|link| link.stage == Stage::Serving && link.bytes.is_empty() && link.pings == 0);
        let is_committed = self.is_established && self.truth.len() == self.history.len();
        is_committed && is_sent && self.links.len() == members && self.lingering.is_empty()
    }

    /// The leader comes to requests of a link that is lost.
    pub(crate) fn linger(&mut self, now: Millis) {
        let Some((member, mut decoder, bytes)) = self.lingering.pop() else { return };
        decoder.push(&bytes);
        while let Some(packet) = decoder.decode().expect("the learner's bytes make sense") {
            if let LearnerPacket::Request { session, cxid, op: op_code, record, identities } =
                LearnerPacket::read(packet).expect("and its packets")
                && op_code != op::SYNC
            {
                let ids: Arc<[_]> = identities.unwrap_or_default();
                self.on_request(member, &Caller { session, cxid, ids }, (op_code, record), now);
            }
        }
    }

    fn has_session(&self, session: SessionId) -> bool {
        self.db.sessions().any(|(id, _)| id == session)
    }

    fn on_request(
        &mut self,
        member: MemberId,
        caller: &Caller,
        (op_code, record): (i32, &[u8]),
        now: Millis,
    ) {
        let mut reader = Reader::new(record);
        self.touch(caller.session, now);
        let txn = match op_code {
            op::CREATE_SESSION => {
                let timeout_ms = reader.int().expect("a timeout");
                self.owners.insert(caller.session, member);
                self.sequencer.order_open(caller.session, timeout_ms, now)
            }
            op::SYNC => {
                self.seen.syncs += 1;
                // What is ordered comes before the answer.
                self.commit(usize::MAX);
                return self.send(member, LeaderPacket::Sync);
            }
            _ if !self.has_session(caller.session) => {
                self.sequencer.order_refusal(caller, Code::SessionExpired, now)
            }
            _ if *self.owners.entry(caller.session).or_insert(member) != member => {
                self.seen.moved += 1;
                self.sequencer.order_refusal(caller, Code::SessionMoved, now)
            }
            op::CLOSE_SESSION => self.sequencer.order_close(&self.db, caller, now),
            _ => {
                let write = Write::decode(op_code, &mut reader).expect("what is forwarded parses");
                return self.order_write(caller, write, now);
            }
        };
        self.order(txn);
    }

    /// Another server's client writes.
    pub(crate) fn write(&mut self, write: Write, now: Millis) {
        if self.is_established {
            let ids = Arc::from([Id { scheme: "ip".into(), id: "::1".into() }]);
            let caller = Caller { session: OTHER_SESSION, cxid: 1, ids };
            let txn = self.sequencer.order(&self.db, &caller, write, now);
            self.order(txn);
        }
    }

    /// A session expires.
    pub(crate) fn expire(&mut self, random: &mut Random, now: Millis) {
        let all: Vec<SessionId> = self.db.sessions().map(|(id, _)| id).collect();
        if !all.is_empty() && self.is_established {
            self.close(*random.pick(&all), now);
        }
    }

    fn order(&mut self, txn: Txn) {
        assert!(self.is_established, "a leader orders behind a quorum's history");
        self.db.apply(&txn, Interest::None);
        self.sequencer.applied(txn.zxid);
        self.digests.push(digest(&self.db));
        self.history.push(Rc::new(txn));
        self.propose_to_all(self.history.len() - 1);
    }

    /// Commits some of what is ordered.
    pub(crate) fn commit(&mut self, count: usize) {
        let end = self.committed.saturating_add(count).min(self.history.len());
        for index in self.committed..end {
            self.note_committed(index);
            self.committed = index + 1;
            self.commit_to_all(index);
        }
    }

    fn payload(&mut self, index: usize) -> Vec<u8> {
        let mut digest = self.digests[index];
        digest.digest ^= u64::from(self.does_wrong(Wrong::Digest));
        self.entry(self.as_sent(Txn::clone(&self.history[index])), digest)
    }

    /// As [`Ensemble::payload`], while a leader is followed: it may not fit the state there.
    fn broadcast(&mut self, member: MemberId, index: usize) -> Vec<u8> {
        if !self.does_wrong_to(member, Wrong::Misfit) {
            return self.payload(index);
        }
        let mut txn = Txn::clone(&self.history[index]);
        txn.body = TxnBody::Delete { path: "/none".into(), cause: DeleteCause::Client };
        self.entry(txn, self.digests[index])
    }

    fn entry(&self, txn: Txn, digest: TxnDigest) -> Vec<u8> {
        let mut bytes = Vec::new();
        Entry { txn, lists_paths: true, digest: Some(digest) }.write(&mut bytes);
        bytes
    }

    /// A member is connected, whose kind and record these are.
    pub(crate) fn connect(
        &mut self,
        member: MemberId,
        kind: LearnerKind,
        record: Rc<RefCell<MemberRecord>>,
    ) {
        let before = self.links.insert(member, LeaderLink::new(kind, record));
        assert!(before.is_none(), "it is connected");
    }
}

fn digest(db: &Database) -> TxnDigest {
    TxnDigest { version: TxnDigest::VERSION, digest: db.tree.digest() }
}
