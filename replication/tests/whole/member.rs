//! A member between its clients and an ensemble, everything in memory and in any order.

use std::cell::RefCell;
use std::rc::Rc;

use ringkeeper_engine::op::Write;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::shard::Phase;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Put, Reader};
use ringkeeper_engine::{Millis, Now, SessionId, Zxid};
use ringkeeper_replication::learner::{
    FollowEnd, FollowLimits, FollowedLeader, Learner, LearnerKind, LearnerOffer, LearnerPosition,
    LinkEnd, follow,
};

use ringkeeper_replication::{Divergence, WriteAdmission};

use crate::client::Client;
use crate::disk::{MemberDisk, MemoryStates, RecordedLeader};
use crate::ensemble::Ensemble;
use crate::random::Random;
use crate::server::{NOW, Server, ServerSettings};

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) settings: ServerSettings,
    pub(crate) kind: LearnerKind,
    pub(crate) limits: FollowLimits,
    pub(crate) disk: Rc<RefCell<MemberDisk>>,
    pub(crate) states: MemoryStates,
    pub(crate) server: Server<RecordedLeader>,
    pub(crate) ensemble: Ensemble,
    pub(crate) clients: Vec<Client>,
    /// How much of the server's history was compared.
    pub(crate) compared: usize,
    /// How often of a hundred times a leader commits something.
    pub(crate) commits: usize,
    /// How often of a hundred times a quorum is found to have a leader's history.
    pub(crate) quorums: usize,
    /// How often a link is lost.
    pub(crate) losses: usize,
    /// Whether leaders send digests that are not true and answers to nothing, and disks fill.
    pub(crate) has_accidents: bool,
    /// Connections were closed because the state is not the leader's.
    is_cut_off: bool,
    /// How often shards have closed their connections, as far as the reason is known.
    resets_met: usize,
    pub(crate) met: Met,
}

/// What was met.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Met {
    pub(crate) replies: usize,
    pub(crate) events: usize,
    pub(crate) losses: usize,
    pub(crate) crashes: usize,
    pub(crate) installs: usize,
    pub(crate) reloads: usize,
    pub(crate) diverged: usize,
    pub(crate) faults: usize,
    pub(crate) too_far: usize,
    pub(crate) holes: usize,
    pub(crate) not_installed: usize,
    pub(crate) full: usize,
    pub(crate) withheld: usize,
    pub(crate) behind: usize,
    pub(crate) last_end: Option<FollowEnd>,
    pub(crate) diffs: usize,
    pub(crate) cuts: usize,
    pub(crate) snaps: usize,
    pub(crate) pings: usize,
    pub(crate) revalidations: usize,
    pub(crate) syncs: usize,
    pub(crate) touched: usize,
    /// States that were installed before they were committed.
    pub(crate) ahead: usize,
}

/// A setData of another server's client.
pub(crate) fn set_data(path: &str, data: &[u8]) -> Write {
    let mut record = Vec::new();
    record.put_string(path);
    record.put_buffer(Some(data));
    record.put_int(-1);
    Write::decode(op::SET_DATA, &mut Reader::new(&record)).expect("it is a request")
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let settings = ServerSettings {
            shards: 1 + random.below(3) as u16,
            apply_batch: 1 + random.below(6),
            outstanding_max: *random.pick(&[2, 10, 1_000]),
            ..ServerSettings::default()
        };
        let kind = *random.pick(&[LearnerKind::Observer, LearnerKind::Follower]);
        let event_bytes_max = *random.pick(&[200, 1_000, 1 << 20]);
        let limits = FollowLimits { event_bytes_max, ..FollowLimits::default() };
        let disk: Rc<RefCell<MemberDisk>> = Rc::default();
        let mut ensemble = Ensemble::new(kind, disk.clone());
        let writes = 1 + random.below(5);
        (0..writes).for_each(|n| ensemble.write(set_data("/", &[n as u8]), NOW.wall));
        ensemble.commit(writes);
        let states = MemoryStates::new(disk.clone(), ensemble.history.clone());
        let server = start(&disk, &settings, limits, NOW);
        let clients = (0..2 + random.below(4)).map(|_| Client::new()).collect();
        let has_accidents = random.percent(30);
        let losses = *random.pick(&[3, 10, 30]);
        let quorums = *random.pick(&[15, 100]);
        let commits = *random.pick(&[2, 10, 100]);
        let (compared, met) = (0, Met::default());
        World {
            random,
            settings,
            kind,
            limits,
            disk,
            states,
            server,
            ensemble,
            clients,
            compared,
            commits,
            quorums,
            losses,
            has_accidents,
            is_cut_off: false,
            resets_met: 0,
            met,
        }
    }

    /// A member without chance: a leader sends its state only where it must.
    pub(crate) fn of(kind: LearnerKind) -> World {
        let is_wanted = |world: &World| world.kind == kind && world.limits.event_bytes_max < 2_000;
        let mut world = (0..).map(World::new).find(is_wanted).expect("there are enough seeds");
        world.ensemble.states = 0;
        world.ensemble.always_sends_state = true;
        world.connect();
        world.take_all();
        world.deliver_all();
        for _ in 0..20 {
            world.take_all();
            world.server.release();
            world.follow();
            world.server.sync();
        }
        world.ensemble.always_sends_state = false;
        world.has_accidents = false;
        world
    }

    /// A member of an ensemble that has ordered nothing.
    pub(crate) fn of_empty(kind: LearnerKind) -> World {
        let is_wanted = |world: &World| world.kind == kind;
        let mut world = (0..).map(World::new).find(is_wanted).expect("there are enough seeds");
        world.ensemble = Ensemble::new(kind, world.disk.clone());
        world.ensemble.states = 0;
        world.states = MemoryStates::new(world.disk.clone(), world.ensemble.history.clone());
        world.has_accidents = false;
        world.clients.clear();
        world
    }

    /// The leader gets all bytes that are on their way.
    pub(crate) fn take_all(&mut self) {
        self.disk.borrow_mut().durable = self.server.durable();
        let bytes = self.leader().outgoing().to_vec();
        if !bytes.is_empty() {
            self.leader().sent(bytes.len());
            self.ensemble.receive(&bytes, &mut self.random, self.server.now.wall);
        }
    }

    /// The member gets all bytes that it wants, a few at a time.
    pub(crate) fn deliver_all(&mut self) {
        while let Some(link) = &mut self.ensemble.link
            && !link.bytes.is_empty()
            && self.server.node().world().leader.leader.wants_bytes()
        {
            let count = link.bytes.len().min(50);
            let bytes: Vec<u8> = link.bytes.drain(..count).collect();
            self.leader().received(&bytes);
        }
    }

    /// Every client has a session.
    pub(crate) fn connect_clients(&mut self) {
        for client in &mut self.clients {
            client.connect(&mut self.server, 0);
        }
    }

    /// The sessions of all clients.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        let mut all: Vec<SessionId> = self.clients.iter().map(Client::session).collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn leader(&mut self) -> &mut FollowedLeader {
        &mut self.server.node().world_mut().leader.leader
    }

    pub(crate) fn step(&mut self) {
        let client = self.random.below(self.clients.len());
        let wall = self.server.now.wall;
        match self.random.below(100) {
            0..=15 => self.request(client),
            16..=27 => self.upload(client),
            28..=38 => self.download(client),
            39..=44 => self.server.release(),
            45..=49 => self.server.order(1 + self.random.below(4)),
            50..=55 => self.server.sync(),
            56..=62 => self.take(300),
            63..=70 => self.deliver(600),
            71..=76 => self.follow(),
            77..=78 => self.states.work(),
            79..=83 if self.random.percent(self.commits) => {
                self.ensemble.commit(1 + self.random.below(3));
            }
            84 if self.random.percent(self.quorums) => self.ensemble.establish(),
            85..=86 => self.ensemble.serve(),
            87 => self.ensemble.write(set_data("/a", &[self.random.below(9) as u8]), wall),
            88 if self.random.percent(10) => self.ensemble.expire(&mut self.random, wall),
            88 if self.random.percent(20) => self.ensemble.linger(wall),
            88 => self.server.pass(self.random.below(60) as i64),
            89 => self.ensemble.ping(),
            90..=91 => self.connect(),
            92 if self.random.percent(self.losses) => self.lose(),
            93 if self.random.percent(self.losses) => self.change_leader(),
            94 if self.random.percent(self.losses / 3) => {
                if self.random.percent(50) {
                    self.change_leader();
                }
                self.crash();
            }
            95 if self.has_accidents => self.accident(),
            96 => self.leave(client),
            _ => self.serve_all(),
        }
        self.check();
    }

    /// What the node has applied is committed, in its order.
    pub(crate) fn check(&mut self) {
        let history = &self.server.history;
        for (at, txn) in history.iter().enumerate().skip(self.compared) {
            let committed = self.ensemble.truth.get(at);
            assert_eq!(Some(txn), committed, "{} is applied before it is committed", txn.zxid);
        }
        self.compared = history.len();
        self.close_diverged();
    }

    /// Connections are closed where the state is not the leader's, and for no other reason but that
    /// it was replaced.
    fn close_diverged(&mut self) {
        if self.server.has_lost_changes() {
            let offer = self.leader().position().offer;
            assert_eq!(offer, LearnerOffer::Nothing, "connections are closed without a reason");
            self.close_all();
            self.is_cut_off = true;
        }
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

    pub(crate) fn upload(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, conn)) = client.at else { return };
        let bytes = std::mem::take(&mut client.to_server);
        self.server.serve(shard, std::iter::once((conn, &bytes[..])));
    }

    pub(crate) fn download(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, at)) = client.at else { return };
        let conn = self.server.shards[shard].shard.conn_mut(at).expect("the client is connected");
        let bytes = std::mem::take(&mut conn.out);
        client.receive(&bytes, &self.ensemble.truth);
        if self.server.has_closed(shard, at) {
            client.disconnect(&self.ensemble.truth);
            self.server.shards[shard].shard.lost(at);
        }
    }

    fn leave(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let Some((shard, conn)) = client.at else { return };
        client.to_server.clear();
        client.disconnect(&self.ensemble.truth);
        self.server.shards[shard].shard.lost(conn);
    }

    pub(crate) fn serve_all(&mut self) {
        (0..self.server.shards.len())
            .for_each(|shard| self.server.serve(shard, std::iter::empty()));
    }

    /// The leader gets some bytes.
    pub(crate) fn take(&mut self, most: usize) {
        self.disk.borrow_mut().durable = self.server.durable();
        let waiting = self.leader().outgoing().len();
        let count = self.random.below(most.min(waiting) + 1);
        if count > 0 {
            let bytes = self.leader().outgoing()[..count].to_vec();
            self.leader().sent(count);
            self.ensemble.receive(&bytes, &mut self.random, self.server.now.wall);
        }
    }

    /// The member gets some bytes.
    pub(crate) fn deliver(&mut self, most: usize) {
        let Some(link) = &mut self.ensemble.link else { return };
        let count = self.random.below(most.min(link.bytes.len()) + 1);
        let leader = &mut self.server.node().world_mut().leader.leader;
        if leader.wants_bytes() && count > 0 {
            let bytes: Vec<u8> = link.bytes.drain(..count).collect();
            leader.received(&bytes);
        }
        self.take_end();
    }

    pub(crate) fn follow(&mut self) {
        let before = self.server.has_lost_changes();
        follow(self.server.node(), &mut self.states);
        let is_replaced = self.server.has_lost_changes() && !before;
        self.met.reloads += std::mem::take(&mut self.states.reloads);
        if is_replaced {
            self.on_replaced();
        }
        self.take_end();
    }

    /// The node has another state. Every connection of before is closed.
    fn on_replaced(&mut self) {
        self.met.installs += 1;
        let applied = self.server.db().applied();
        let disk = self.disk.borrow();
        let count = disk.txns.partition_point(|txn| txn.zxid <= applied);
        self.server.history = disk.txns[..count].to_vec();
        drop(disk);
        self.compared = self.server.history.len();
        self.met.ahead += usize::from(self.compared > self.ensemble.truth.len());
        self.close_all();
    }

    /// Every connection of before closes.
    fn close_all(&mut self) {
        let open: Vec<(usize, ConnId)> = self.clients.iter().filter_map(|c| c.at).collect();
        self.serve_all();
        for (shard, conn) in open {
            let conn = self.server.shards[shard].shard.conn(conn).expect("it was not lost");
            let is_closed = matches!(conn.phase, Phase::Closing | Phase::Lost);
            assert!(is_closed, "a connection outlives its state");
        }
        self.resets_met = self.resets();
    }

    /// How often shards have closed their connections.
    fn resets(&self) -> usize {
        self.server.shards.iter().map(|thread| thread.resets).sum()
    }

    /// The member has given its link up.
    fn take_end(&mut self) {
        let Some(end) = self.leader().take_end() else { return };
        self.met.last_end = Some(end);
        match end {
            FollowEnd::Disconnected => {}
            FollowEnd::Diverged(divergence) if self.has_accidents => {
                if let Divergence::Misfit(zxid, _) = divergence {
                    let last = self.server.history.pop().map(|txn| txn.zxid);
                    assert_eq!(last, Some(zxid), "something was applied behind it");
                    self.compared = self.compared.min(self.server.history.len());
                }
                self.close_diverged();
                let is_cut_off = std::mem::take(&mut self.is_cut_off);
                assert!(
                    is_cut_off || self.resets() > self.resets_met,
                    "clients read a state that is not the leader's"
                );
                self.met.diverged += 1;
            }
            FollowEnd::Fault(_) if self.has_accidents => self.met.faults += 1,
            FollowEnd::Full if self.has_accidents => self.met.full += 1,
            FollowEnd::NoState(_) => self.met.withheld += 1,
            FollowEnd::Link(LinkEnd::NotInstalled) if self.has_accidents => {
                self.met.not_installed += 1;
            }
            FollowEnd::Link(LinkEnd::OtherHistory { .. }) => self.met.holes += 1,
            FollowEnd::Link(LinkEnd::CutTooFar(_)) => self.met.too_far += 1,
            FollowEnd::Link(LinkEnd::LeaderBehind { .. }) if self.has_accidents => {
                self.met.behind += 1;
                self.ensemble.lag = 0;
            }
            FollowEnd::Link(_) | FollowEnd::Fault(_) | FollowEnd::Diverged(_) => {
                panic!("an honest leader is left: {end}")
            }
            FollowEnd::Full => panic!("without a reason: {end}"),
        }
        self.ensemble.disconnect(&[]);
    }

    pub(crate) fn connect(&mut self) {
        if self.ensemble.link.is_none() && self.leader().can_connect() {
            let (kind, server, config_version) = (self.kind, ServerId(1), 0);
            self.leader().connect(Learner { kind, server, config_version });
            self.ensemble.connect();
        }
    }

    pub(crate) fn lose(&mut self) {
        if self.ensemble.link.is_some() {
            if self.random.percent(50) {
                (0..self.clients.len()).for_each(|client| self.upload(client));
                self.server.order(usize::MAX);
            }
            let outgoing = self.leader().outgoing();
            let bytes = outgoing.to_vec();
            self.leader().disconnect();
            let got = self.random.below(bytes.len() + 1);
            self.ensemble.disconnect(&bytes[..got]);
            self.met.losses += 1;
        }
    }

    pub(crate) fn change_leader(&mut self) {
        self.lose();
        self.ensemble.change_leader(&mut self.random);
    }

    /// What is not durable is lost, and all connections.
    pub(crate) fn crash(&mut self) {
        self.met.crashes += 1;
        (0..self.clients.len()).for_each(|client| self.leave(client));
        self.ensemble.disconnect(&[]);
        self.disk.borrow_mut().crash(self.server.durable());
        self.states = MemoryStates::new(self.disk.clone(), self.ensemble.history.clone());
        let Now { wall, mono } = self.server.now;
        let now = Now { wall: Millis(wall.0 + 1_000), mono: Millis(mono.0 + 1_000) };
        self.server = start(&self.disk, &self.settings, self.limits, now);
        self.compared = self.server.history.len();
        (self.is_cut_off, self.resets_met) = (false, 0);
    }

    fn accident(&mut self) {
        match self.random.below(20) {
            0 => self.ensemble.spoils_digest = true,
            1 => self.states.is_full = true,
            2 => self.disk.borrow_mut().spoils_install = true,
            3..=6 => self.ensemble.answer_nothing(),
            7 => self.states.breaks_load = true,
            8..=9 => self.server.set_admission(WriteAdmission::CloseOnly),
            10..=12 => self.server.set_admission(WriteAdmission::All),
            13 => self.ensemble.lag = self.random.below(3),
            _ => {}
        }
    }

    pub(crate) fn server_leader(&self) -> &RecordedLeader {
        &self.server.node_ref().world().leader
    }
}

fn start(
    disk: &Rc<RefCell<MemberDisk>>,
    settings: &ServerSettings,
    limits: FollowLimits,
    now: Now,
) -> Server<RecordedLeader> {
    let (last, saved) = (disk.borrow().last(), disk.borrow().epochs);
    let offer = match disk.borrow().diverged {
        None => LearnerOffer::Log,
        Some(_) => LearnerOffer::Nothing,
    };
    let committed = Zxid::ZERO;
    let leader = FollowedLeader::new(LearnerPosition { last, offer, committed, saved }, limits);
    Server::member(disk, settings.clone(), RecordedLeader::new(leader, disk.clone()), now)
}
