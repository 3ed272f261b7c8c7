//! A member that leads, stops, follows another leader and leads again, at random moments and with
//! requests of its clients and of learners in flight. Each write takes effect once and in its
//! session's order, or its connection is closed; what a quorum holds is never lost; learners get an
//! answer to each request.

use std::collections::BTreeMap;
use std::rc::Rc;

use ringkeeper_engine::client::Request;
use ringkeeper_engine::log::{LogCommand, LogEvent};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::{Code, SessionId, Zxid};
use ringkeeper_replication::LeaderEvent;
use ringkeeper_replication::leader::{
    Acknowledgement, ForwardedRequest, LearnerEvent, LearnerEventKind, LinkId, ToLearners,
};

use crate::client::Client;
use crate::ensemble::{OTHERS, identities, voters};
use crate::leader::{Leader, MemoryLeader};
use crate::random::Random;
use crate::server::{Server, ServerSettings};

const SEEDS: u64 = 300;
const STEPS: usize = 900;

/// What the member is doing.
enum Role {
    Looking,
    Following(Box<Leader>),
    Leading(Leadership),
}

/// What is known of a leadership from outside.
#[derive(Default)]
struct Leadership {
    /// What each of the others has.
    held: [Zxid; 2],
    /// Numbers to be confirmed.
    confirm: Option<u64>,
    /// Syncs and renewals that learners wait for, by link.
    waiting: BTreeMap<LinkId, usize>,
    /// Requests that learners have sent, and how often they were.
    forwarded: BTreeMap<(SessionId, i32), usize>,
}

struct World {
    random: Random,
    server: Server<MemoryLeader>,
    link: MemoryLeader,
    clients: Vec<Client>,
    role: Role,
    /// The last leader that was followed.
    before: Option<Box<Leader>>,
    epoch: u32,
    /// What a quorum holds: no leader loses it.
    safe: Zxid,
    next_cxid: i32,
    met: Met,
}

/// What was met.
#[derive(Default, Debug)]
struct Met {
    replies: usize,
    leaderships: usize,
    cuts: usize,
    followed: usize,
    forwarded: usize,
    answers: usize,
    closed: usize,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let settings = ServerSettings {
            shards: 1 + random.below(3) as u16,
            apply_batch: 1 + random.below(6),
            outstanding_max: *random.pick(&[2, 10, 1_000]),
            ..ServerSettings::default()
        };
        let link = MemoryLeader::default();
        let hold_ms = *random.pick(&[400, 100_000]);
        let server = Server::learner(settings, link.clone(), hold_ms);
        let clients = (0..2 + random.below(4)).map(|_| Client::new()).collect();
        let (role, met) = (Role::Looking, Met::default());
        let (epoch, safe, next_cxid) = (0, Zxid::ZERO, 1);
        let before = None;
        World { random, server, link, clients, role, before, epoch, safe, next_cxid, met }
    }

    fn step(&mut self) {
        let client = self.random.below(self.clients.len());
        match self.random.below(100) {
            0..=24 => self.request(client),
            25..=42 => self.upload(client),
            43..=57 => self.download(client),
            58..=65 => self.server.release(),
            66..=72 => self.server.order(1 + self.random.below(4)),
            73..=78 => self.server.sync(),
            79..=90 => self.others(),
            91 => self.server.pass(self.random.below(60) as i64),
            92 => self.change_role(),
            93 => self.leave(client),
            _ => self.serve_all(),
        }
        self.note_safe();
    }

    /// What the other members do.
    fn others(&mut self) {
        let World { random, server, link, role, met, next_cxid, epoch, .. } = self;
        let wall = server.now.wall;
        let mut wire = link.0.borrow_mut();
        match role {
            Role::Looking => {}
            Role::Following(leader) => {
                drop(wire);
                match random.below(10) {
                    0..=4 => leader.take(random.below(300), wall),
                    5..=8 => leader.deliver(1 + random.below(6)),
                    _ if random.percent(20) => leader.expire(random, wall),
                    _ => {}
                }
            }
            Role::Leading(leadership) => match random.below(10) {
                0..=3 => {
                    let voter = random.below(2);
                    let proposed = wire.proposed.filter(|zxid| zxid.epoch() == *epoch);
                    let most = proposed.unwrap_or(Zxid::ZERO).counter() as usize;
                    let upto = Zxid::new(*epoch, random.below(most + 1) as u32);
                    if random.percent(5) {
                        // Of an older epoch, which counts for nothing.
                        let old = Zxid::new(*epoch - 1, random.below(40) as u32);
                        wire.acks.push_back(Acknowledgement::Durable(OTHERS[voter], old));
                    }
                    // Less than before is another link of the same voter.
                    let held = &mut leadership.held[voter];
                    if most > 0 && (upto > *held || random.percent(10)) {
                        *held = (*held).max(upto);
                        wire.acks.push_back(Acknowledgement::Durable(OTHERS[voter], upto));
                    }
                }
                4..=6 => {
                    if let Some(number) = leadership.confirm.take() {
                        wire.acks.push_back(Acknowledgement::Confirmed(number));
                    }
                }
                _ => {
                    met.forwarded += 1;
                    let event = learner_event(random, leadership, &self.clients, next_cxid);
                    wire.learner_events.push_back(event);
                }
            },
        }
    }

    /// What a quorum holds by now.
    fn note_safe(&mut self) {
        let World { role, link, safe, met, .. } = self;
        let mut wire = link.0.borrow_mut();
        if let Role::Leading(leadership) = role {
            let mut held = [wire.flushed, leadership.held[0], leadership.held[1]];
            held.sort_unstable();
            // The beginning of an epoch is no transaction.
            if held[1].counter() > 0 {
                *safe = (*safe).max(held[1]);
            }
            for said in wire.said.drain(..) {
                match said {
                    ToLearners::Committed(zxid) => {
                        assert!(zxid <= *safe, "{zxid} is committed, {safe} is on a quorum");
                    }
                    ToLearners::Confirm(number) => {
                        assert!(Some(number) > leadership.confirm, "numbers grow");
                        leadership.confirm = Some(number);
                    }
                    ToLearners::SessionMoved { from, to, .. } => assert_ne!(from, Some(to)),
                    ToLearners::Synced(link) | ToLearners::Revalidated(link, ..) => {
                        let waiting = leadership.waiting.get_mut(&link).expect("it has asked");
                        *waiting -= 1;
                        met.answers += 1;
                    }
                }
            }
        }
        if let Role::Following(leader) = role {
            *safe = leader.history.last().map_or(*safe, |(txn, _)| txn.zxid);
        }
        assert!(self.server.db().applied() <= self.safe, "what is applied is on a quorum");
    }

    fn change_role(&mut self) {
        match std::mem::replace(&mut self.role, Role::Looking) {
            Role::Looking if self.random.percent(60) => self.lead(),
            Role::Looking => self.follow(),
            Role::Following(mut leader) => {
                leader.disconnect();
                self.met.followed += 1;
                self.before = Some(leader);
            }
            Role::Leading(_) => {
                self.server.node().stop_leading();
                let mut wire = self.link.0.borrow_mut();
                wire.acks.clear();
                wire.learner_events.clear();
                wire.said.clear();
            }
        }
    }

    /// The next leader is found: it has everything that a quorum holds, and perhaps more. Both are
    /// applied here.
    fn agree(&mut self) {
        if let Some(leader) = self.before.take() {
            let missing = leader.entries_after(self.server.last()).into_iter();
            let missing = missing.map(|entry| LeaderEvent::Learned(Box::new(entry)));
            self.link.0.borrow_mut().events.extend(missing);
        }
        for _ in 0..3 {
            self.server.order(0);
            self.server.sync();
            self.server.release();
        }
        let last = self.server.last();
        if self.random.percent(50) && last > self.safe {
            let (after, committed) = (self.safe, self.server.node_ref().replica().committed());
            self.server.command(LogCommand::Cut { after, committed });
            (0..3).for_each(|_| self.server.sync());
            self.server.release();
            let event = self.server.log_event();
            assert_eq!(event, Some(LogEvent::Cut(after)));
            self.link.0.borrow_mut().events.push_back(LeaderEvent::Cut(after));
            self.met.cuts += 1;
        } else {
            self.safe = last;
        }
        let committed = LeaderEvent::Committed(self.safe);
        self.link.0.borrow_mut().events.push_back(committed);
        for _ in 0..200 {
            self.server.order(0);
            self.server.sync();
            self.server.release();
            if self.server.node_ref().is_caught_up() {
                return;
            }
        }
        let (replica, db) = (self.server.node_ref().replica(), self.server.db());
        let ends = (db.applied(), replica.committed(), replica.last());
        panic!("{ends:?} does not get to {}", self.safe);
    }

    fn lead(&mut self) {
        self.agree();
        self.epoch += 1;
        self.link.0.borrow_mut().flushed = self.server.last();
        self.server.node().lead(self.epoch, voters());
        self.role = Role::Leading(Leadership::default());
        self.met.leaderships += 1;
    }

    fn follow(&mut self) {
        self.agree();
        self.epoch += 1;
        let wire = self.link.0.clone();
        let mut leader = Leader::after(wire, &self.server.history, self.epoch);
        leader.connect(self.server.last());
        self.role = Role::Following(Box::new(leader));
    }

    fn request(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if client.at.is_none() {
            let shard = self.random.below(self.server.shards.len());
            return client.connect(&mut self.server, shard);
        }
        if client.is_open() {
            (0..1 + self.random.below(4)).for_each(|_| client.request(&mut self.random));
        }
    }

    fn upload(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, conn)) = client.at else { return };
        let bytes = std::mem::take(&mut client.to_server);
        self.server.serve(shard, std::iter::once((conn, &bytes[..])));
    }

    fn download(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, at)) = client.at else { return };
        let conn = self.server.shards[shard].shard.conn_mut(at).expect("the client is connected");
        let bytes = std::mem::take(&mut conn.out);
        client.receive(&bytes, &self.server.history);
        if self.server.has_closed(shard, at) {
            client.disconnect();
            self.server.shards[shard].shard.lost(at);
            self.met.closed += 1;
        }
    }

    fn leave(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, conn)) = client.at else { return };
        client.to_server.clear();
        client.disconnect();
        self.server.shards[shard].shard.lost(conn);
    }

    fn serve_all(&mut self) {
        (0..self.server.shards.len())
            .for_each(|shard| self.server.serve(shard, std::iter::empty()));
    }

    /// Everything comes to rest with this member as the leader.
    fn finish(&mut self) {
        if let Role::Following(mut leader) = std::mem::replace(&mut self.role, Role::Looking) {
            leader.disconnect();
            self.before = Some(leader);
        } else if self.server.node_ref().replica().leads_ensemble() {
            self.server.node().stop_leading();
        }
        {
            let mut wire = self.link.0.borrow_mut();
            wire.acks.clear();
            wire.learner_events.clear();
            wire.said.clear();
        }
        self.lead();
        for _ in 0..40 {
            self.others();
        }
        let mut rounds = 0;
        while !self.is_at_rest() {
            rounds += 1;
            assert!(rounds < 10_000, "something waits for ever");
            (0..self.clients.len()).for_each(|client| self.upload(client));
            self.server.release();
            self.server.order(usize::MAX);
            self.server.sync();
            self.acknowledge();
            self.serve_all();
            self.note_safe();
            (0..self.clients.len()).for_each(|client| self.download(client));
        }
        let Role::Leading(leadership) = &self.role else { panic!("it leads") };
        assert!(leadership.waiting.values().all(|waiting| *waiting == 0), "an answer is missing");
        self.check_history(leadership);
        let (db, history) = (self.server.db(), &self.server.history);
        self.clients.iter_mut().for_each(|client| client.finish(&db, history, true));
        drop(db);
        self.met.replies = self.clients.iter().map(|client| client.replies).sum();
    }

    /// A voter has what is proposed, and confirms what is to be confirmed.
    fn acknowledge(&mut self) {
        let Role::Leading(leadership) = &mut self.role else { return };
        let mut wire = self.link.0.borrow_mut();
        if let Some(upto) = wire.proposed {
            leadership.held[0] = leadership.held[0].max(upto);
            wire.acks.push_back(Acknowledgement::Durable(OTHERS[0], upto));
        }
        if let Some(number) = leadership.confirm.take() {
            wire.acks.push_back(Acknowledgement::Confirmed(number));
        }
    }

    fn is_at_rest(&self) -> bool {
        let has_acks = !self.link.0.borrow().learner_events.is_empty();
        !has_acks
            && self.server.is_quiet()
            && self.clients.iter().all(|client| {
                let Some((shard, at)) = client.at else { return true };
                let conn = self.server.shards[shard].shard.conn(at);
                let sent = conn.is_none_or(|conn| conn.out.is_empty() && conn.input.is_empty());
                sent && client.to_server.is_empty() && client.is_settled()
            })
    }

    /// Each write took effect once, those of a session in their order; and each request of a
    /// learner in this epoch is a transaction.
    fn check_history(&self, leadership: &Leadership) {
        let history = &self.server.history;
        assert!(history.windows(2).all(|two| two[1].zxid.may_follow(two[0].zxid)));
        let mut last: BTreeMap<SessionId, i32> = BTreeMap::new();
        let mut ordered: BTreeMap<(SessionId, i32), usize> = BTreeMap::new();
        for txn in history {
            if txn.zxid.epoch() == self.epoch {
                *ordered.entry((txn.session, txn.cxid)).or_default() += 1;
            }
            if txn.cxid > 0 && txn.session.0 >> 56 == 1 && !is_close(txn) && txn.cxid < THEIRS {
                let before = last.insert(txn.session, txn.cxid);
                assert!(before < Some(txn.cxid), "{before:?} stands before {txn:?}");
            }
        }
        for (request, count) in &leadership.forwarded {
            assert_eq!(ordered.get(request), Some(count), "{request:?}");
        }
    }
}

/// Numbers of requests that learners send, from here on.
const THEIRS: i32 = 1 << 20;

/// A close that is sent twice is refused the second time.
fn is_close(txn: &Txn) -> bool {
    matches!(txn.body, TxnBody::CloseSession { .. } | TxnBody::Error(Code::SessionExpired))
}

/// Something that a learner sends.
fn learner_event(
    random: &mut Random,
    leadership: &mut Leadership,
    clients: &[Client],
    next_cxid: &mut i32,
) -> LearnerEvent {
    let server: ServerId = *random.pick(&OTHERS);
    let link = LinkId(u64::from(server.0));
    let own = SessionId((i64::from(server.0) << 56) + 1 + random.below(3) as i64);
    let of_client = random.pick(clients).session();
    let session = if random.percent(15) { of_client } else { own };
    *next_cxid += 1;
    let cxid = THEIRS + *next_cxid;
    let mut record = Vec::new();
    let (code, cxid) = match random.below(12) {
        0..=1 => {
            record.extend_from_slice(&6_000_i32.to_be_bytes());
            (op::CREATE_SESSION, 0)
        }
        2..=6 => {
            let data = Some(&b"forwarded"[..]);
            Request::SetData { path: "/a", data, version: -1 }.write(&mut record);
            (op::SET_DATA, cxid)
        }
        7 => (*random.pick(&[op::CREATE, op::MULTI, op::GET_ACL, 77]), cxid),
        8 => (op::CLOSE_SESSION, cxid),
        9 => (op::SYNC, cxid),
        10 => {
            *leadership.waiting.entry(link).or_default() += 1;
            let kind = LearnerEventKind::Revalidate { session, timeout_ms: 6_000 };
            return LearnerEvent { link, server, kind };
        }
        _ => {
            let kind = LearnerEventKind::Touched(vec![(session, 6_000)]);
            return LearnerEvent { link, server, kind };
        }
    };
    match code {
        op::SYNC => *leadership.waiting.entry(link).or_default() += 1,
        op::CREATE_SESSION => {}
        _ => *leadership.forwarded.entry((session, cxid)).or_default() += 1,
    }
    let (record, identities) = (record.into(), identities());
    let request = ForwardedRequest { session, cxid, op: code, record, identities };
    LearnerEvent { link, server, kind: LearnerEventKind::Request(request) }
}

fn seed(seed: u64) -> Met {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
        let wire = world.link.0.borrow();
        assert_eq!((&wire.faults[..], wire.divergence), (&[][..], None));
    }
    world.finish();
    assert!(Rc::strong_count(&world.link.0) > 1);
    world.met
}

#[test]
fn clients_of_a_member_whose_role_changes_see_one_order() {
    let mut all = Met::default();
    for number in 0..SEEDS {
        let met = std::panic::catch_unwind(|| seed(number));
        let met = met.unwrap_or_else(|_| panic!("seed {number} fails"));
        all.replies += met.replies;
        all.leaderships += met.leaderships;
        all.cuts += met.cuts;
        all.followed += met.followed;
        all.forwarded += met.forwarded;
        all.answers += met.answers;
        all.closed += met.closed;
    }
    let often = [all.leaderships, all.cuts, all.followed, all.forwarded, all.answers, all.closed];
    assert!(all.replies > 10_000 && often.iter().all(|count| *count > 100), "{all:?}");
}
