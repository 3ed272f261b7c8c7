//! A process of a member: one turn of its thread after the other, each in steps between which it
//! may end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use ringkeeper_engine::device::{DirectoryId, MemoryDisk};
use ringkeeper_engine::log::Purger;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::shard::Phase;
use ringkeeper_engine::snapshot::SnapshotKind;
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_engine::{Millis, Zxid};
use ringkeeper_replication::leader::LinkId;
use ringkeeper_replication::learner::{FollowEnd, follow};
use ringkeeper_replication::member::{MemberAction, MemberEvent, take_turn};
use ringkeeper_replication::node::ClockPort;

use super::super::check::committed::ComparedUpto;
use super::super::check::expiry::HeardSessions;
use super::super::check::promises::SentPackets;
use super::super::check::recovery::MemberRecord;
use super::super::device_log::DeviceLog;
use super::super::member::{Arrival, Ended, take_snapshot};
use super::super::server::Server;
use super::super::states::DeviceStates;
use super::feeds::Feeds;
use super::incoming::ReceivedPackets;
use super::port::{MemberPort, Side};
use super::sockets::{LeaderSocket, Socket};

/// Bytes of a connection that are read at once.
const READ_BYTES: usize = 4_096;
/// Times that connections are read, with a turn of the member behind each, in one turn of the node.
const READS: usize = 2;

/// What has reached a process, in order.
#[derive(Debug)]
pub(crate) enum Arrived {
    PeerOpened(ServerId),
    PeerClosed(ServerId),
    Notified(ServerId, Vec<u8>),
    /// A learner has connected.
    Accepted(u64),
    /// The connection to a leader is there.
    Dialed(ServerId, u64),
    NotDialed(ServerId),
}

/// What a process does, in order.
#[derive(Debug)]
pub(crate) enum Done {
    /// Bytes leave over a connection between a learner and its leader.
    Sent(u64, Vec<u8>),
    /// It closes one.
    Closed(u64),
    Notify(ServerId, Vec<u8>),
    Dial(ServerId),
}

/// A process.
pub(crate) struct Process {
    pub(crate) server: Server<MemberPort, DeviceLog>,
    pub(crate) states: DeviceStates,
    pub(crate) feeds: Feeds,
    pub(crate) purger: Purger<MemoryDisk>,
    pub(crate) directory: DirectoryId,
    pub(crate) disk: MemoryDisk,
    pub(crate) record: Rc<RefCell<MemberRecord>>,
    pub(crate) compared: ComparedUpto,
    pub(crate) arrived: VecDeque<Arrived>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) learners: BTreeMap<u64, Socket>,
    pub(crate) leader: Option<LeaderSocket>,
    /// Connections to a leader that have ended before the process has heard that they are there.
    pub(crate) early_ends: BTreeSet<u64>,
    pub(crate) done: Vec<Done>,
    pub(crate) events: Vec<MemberEvent>,
    pub(crate) ends: Vec<FollowEnd>,
    /// When the next turn is.
    pub(crate) turn_us: Option<u64>,
    /// Steps until it ends.
    pub(crate) steps_left: Option<usize>,
    /// The connections of clients that are open, also those whose client is gone.
    pub(crate) connections: BTreeSet<(usize, ConnId)>,
    /// A test has changed the digest of the state, until another state is installed.
    pub(crate) is_tampered: bool,
    installs: usize,
    /// Of its last turn.
    pub(super) now: Millis,
}

impl Process {
    pub(super) fn new(
        server: Server<MemberPort, DeviceLog>,
        (states, feeds): (DeviceStates, Feeds),
        record: Rc<RefCell<MemberRecord>>,
        (purger, directory, disk): (Purger<MemoryDisk>, DirectoryId, MemoryDisk),
    ) -> Process {
        let (installs, now) = (record.borrow().installs(), server.now.mono);
        Process {
            server,
            states,
            feeds,
            purger,
            directory,
            disk,
            record,
            compared: ComparedUpto::default(),
            arrived: VecDeque::new(),
            arrivals: Vec::new(),
            learners: BTreeMap::new(),
            leader: None,
            early_ends: BTreeSet::new(),
            done: Vec::new(),
            events: Vec::new(),
            ends: Vec::new(),
            turn_us: None,
            steps_left: None,
            connections: BTreeSet::new(),
            is_tampered: false,
            installs,
            now,
        }
    }

    pub(crate) fn port(&mut self) -> &mut MemberPort {
        &mut self.server.node().world_mut().leader
    }

    pub(crate) fn port_ref(&self) -> &MemberPort {
        &self.server.node_ref().world().leader
    }

    pub(crate) fn log(&mut self) -> &mut DeviceLog {
        &mut self.server.node().world_mut().log
    }

    /// Whether its node orders.
    pub(crate) fn is_leading(&self) -> bool {
        self.port_ref().heard.is_some()
    }

    /// One step is over: whether the process ends here.
    fn step_ends(&mut self) -> Result<(), Ended> {
        if self.log().failed().is_some() || self.states.has_failed() {
            return Err(Ended::Disk);
        }
        match &mut self.steps_left {
            Some(0) => Err(Ended::AtStep),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Everything moves once.
    pub(crate) fn turn(&mut self, now: Millis) -> Result<(), Ended> {
        self.now = now;
        let wall = self.server.node_ref().world().clock.now().wall;
        (self.port().now, self.port().wall) = (now, wall);
        self.server.release();
        self.step_ends()?;
        while let Some(arrived) = self.arrived.pop_front() {
            self.on_arrived(arrived);
            self.step_ends()?;
        }
        for _ in 0..READS {
            self.read();
            self.step_ends()?;
            self.move_on();
            self.step_ends()?;
        }
        for arrival in std::mem::take(&mut self.arrivals) {
            self.serve(arrival);
            self.step_ends()?;
        }
        self.serve_all();
        self.step_ends()?;
        self.server.order(usize::MAX);
        self.step_ends()?;
        self.send()?;
        self.act()?;
        self.serve_all();
        self.step_ends()
    }

    fn on_arrived(&mut self, arrived: Arrived) {
        let now = self.now;
        match arrived {
            Arrived::PeerOpened(peer) => match &mut self.port().side {
                Side::Voter(member) => member.peer_opened(peer, now),
                Side::Observer(observer) => observer.peer_opened(peer),
            },
            Arrived::PeerClosed(peer) => match &mut self.port().side {
                Side::Voter(member) => member.peer_closed(peer, now),
                Side::Observer(_) => {}
            },
            Arrived::Notified(peer, bytes) => match &mut self.port().side {
                Side::Voter(member) => {
                    member.notified(peer, &bytes, now).expect("members send notifications");
                }
                Side::Observer(observer) => observer.notified(peer, &bytes),
            },
            Arrived::Accepted(link) => {
                self.learners.entry(link).or_default();
                match &mut self.port().side {
                    Side::Voter(member) => member.accepted(LinkId(link), now),
                    Side::Observer(_) => panic!("nobody connects to an observer"),
                }
            }
            Arrived::Dialed(leader, link) => self.on_dialed(leader, link),
            Arrived::NotDialed(leader) => match &mut self.port().side {
                Side::Voter(member) => member.dialed(leader, false, now),
                Side::Observer(observer) => observer.dialed(leader, false, now),
            },
        }
        self.take_member_events();
    }

    fn on_dialed(&mut self, leader: ServerId, link: u64) {
        let now = self.now;
        if let Some(before) = self.leader.take() {
            self.done.push(Done::Closed(before.link));
        }
        self.leader = Some(LeaderSocket {
            link,
            socket: Socket { has_ended: self.early_ends.remove(&link), ..Socket::default() },
            sent: SentPackets::new(),
            received: ReceivedPackets::new(),
        });
        self.record.borrow_mut().history_ends(Zxid::ZERO);
        match &mut self.port().side {
            Side::Voter(member) => member.dialed(leader, true, now),
            Side::Observer(observer) => observer.dialed(leader, true, now),
        }
    }

    /// Reads what is wanted of what has arrived.
    fn read(&mut self) {
        self.read_leader();
        let mut next = 0;
        while let Some(link) = self.learner_from(next) {
            self.read_learner(link);
            next = link + 1;
        }
    }

    /// The first learner's connection from this one on.
    fn learner_from(&self, link: u64) -> Option<u64> {
        self.learners.range(link..).next().map(|(link, _)| *link)
    }

    fn read_leader(&mut self) {
        let (now, record) = (self.now, self.record.clone());
        let port = &mut self.server.node().world_mut().leader;
        let Some(leader) = &mut self.leader else { return };
        let wanted = port.followed().wants_bytes();
        if wanted && !leader.socket.arrived.is_empty() {
            let count = leader.socket.arrived.len().min(READ_BYTES);
            let bytes: Vec<u8> = leader.socket.arrived.drain(..count).collect();
            leader.received.look(&bytes, &mut record.borrow_mut());
            match &mut port.side {
                Side::Voter(member) => member.leader_received(&bytes, now),
                Side::Observer(observer) => observer.received(&bytes, now),
            }
        } else if leader.socket.has_ended && leader.socket.arrived.is_empty() {
            self.leader = None;
            match &mut port.side {
                Side::Voter(member) => member.leader_closed(now),
                Side::Observer(observer) => observer.followed.disconnect(),
            }
        }
    }

    fn read_learner(&mut self, link: u64) {
        let now = self.now;
        let port = &mut self.server.node().world_mut().leader;
        let Side::Voter(member) = &mut port.side else { return };
        let Some(socket) = self.learners.get_mut(&link) else { return };
        let wanted = member.wants_learner_bytes(LinkId(link));
        if wanted && !socket.arrived.is_empty() {
            let count = socket.arrived.len().min(READ_BYTES);
            let bytes: Vec<u8> = socket.arrived.drain(..count).collect();
            member.learner_received(LinkId(link), &bytes, now);
        } else if socket.has_ended && (socket.arrived.is_empty() || !wanted) {
            self.learners.remove(&link);
            member.learner_closed(LinkId(link), now);
        }
    }

    /// What lies between node, log, leader and learners moves on.
    fn move_on(&mut self) {
        let (reloads, installs) = (self.states.reloads, self.record.borrow().installs());
        let now = self.now;
        let is_voter = matches!(self.port().side, Side::Voter(_));
        if is_voter {
            take_turn(self.server.node(), &mut self.states, &mut self.feeds, now);
        } else {
            follow(self.server.node(), &mut self.states);
            if let Side::Observer(observer) = &mut self.port().side {
                observer.on_turn(now);
            }
        }
        let is_replaced = installs > self.installs || self.states.reloads > reloads;
        self.installs = installs;
        if is_replaced {
            self.on_replaced();
        }
        self.take_member_events();
    }

    fn take_member_events(&mut self) {
        let now = self.now;
        let port = &mut self.server.node().world_mut().leader;
        match &mut port.side {
            Side::Voter(member) => {
                while let Some(event) = member.next_event() {
                    match &event {
                        MemberEvent::Established { .. } => {
                            port.heard = Some(HeardSessions::new(now));
                        }
                        MemberEvent::SteppedDown(_) => port.heard = None,
                        MemberEvent::Elected { .. } => {
                            self.record.borrow_mut().history_ends(Zxid::ZERO);
                        }
                        MemberEvent::FollowEnded(_, end) => self.ends.push(*end),
                        _ => {}
                    }
                    self.events.push(event);
                }
            }
            Side::Observer(observer) => self.ends.append(&mut observer.ends),
        }
    }

    /// The node has another state.
    fn on_replaced(&mut self) {
        let applied = self.server.db().applied();
        self.server.history = self.record.borrow().txns_until(applied);
        self.compared = ComparedUpto::default();
        self.is_tampered = false;
        self.serve_all();
    }

    /// The state becomes another one than that of the others, without anybody's noticing.
    pub(crate) fn tamper(&mut self) {
        let database = &self.server.node().world().database;
        let mut db = database.0.borrow_mut();
        let digest = db.tree.digest();
        db.tree.keep_digest(Digest::Off);
        db.tree.keep_counted_digest(digest ^ 1);
        self.is_tampered = true;
    }

    /// Takes what is to be sent, and looks at it.
    fn send(&mut self) -> Result<(), Ended> {
        if let Some(leader) = &mut self.leader {
            let port = &mut self.server.node().world_mut().leader;
            let bytes = port.followed().outgoing().to_vec();
            if !bytes.is_empty() {
                match &mut port.side {
                    Side::Voter(member) => member.leader_sent(bytes.len()),
                    Side::Observer(observer) => observer.followed.sent(bytes.len()),
                }
                let mut record = self.record.borrow_mut();
                let durable = record.durable();
                leader.sent.look(&bytes, &mut record.promises, durable);
                self.done.push(Done::Sent(leader.link, bytes));
            }
        }
        self.step_ends()?;
        let mut next = 0;
        while let Some(link) = self.learner_from(next) {
            self.send_to_learner(link);
            self.step_ends()?;
            next = link + 1;
        }
        Ok(())
    }

    fn send_to_learner(&mut self, link: u64) {
        let now = self.now;
        let socket = self.learners.get_mut(&link).expect("it was there a moment ago");
        let port = &mut self.server.node().world_mut().leader;
        let Side::Voter(member) = &mut port.side else { return };
        let mut bytes = Vec::new();
        for piece in member.learner_outgoing(LinkId(link)) {
            let count = piece.len().min(socket.space - bytes.len());
            bytes.extend_from_slice(&piece[..count]);
        }
        if !bytes.is_empty() {
            socket.space -= bytes.len();
            socket.sent.look(&bytes, &self.record.borrow());
            member.learner_sent(LinkId(link), bytes.len(), now);
            self.done.push(Done::Sent(link, bytes));
        }
        socket.is_full = member.has_learner_outgoing(LinkId(link));
    }

    /// Does what the member wants done.
    fn act(&mut self) -> Result<(), Ended> {
        while let Some(action) = self.port().next_action() {
            match action {
                MemberAction::Notify(peer, bytes) => self.done.push(Done::Notify(peer, bytes)),
                MemberAction::Dial(leader) => self.done.push(Done::Dial(leader)),
                MemberAction::HangUp => {
                    if let Some(leader) = self.leader.take() {
                        self.done.push(Done::Closed(leader.link));
                    }
                }
                MemberAction::Close(LinkId(link)) => {
                    if self.learners.remove(&link).is_some() {
                        self.done.push(Done::Closed(link));
                    }
                }
            }
            self.step_ends()?;
        }
        Ok(())
    }

    /// The server is about to end: see [`ringkeeper_replication::member::Member::leave`].
    pub(crate) fn leave(&mut self) {
        match &mut self.port().side {
            Side::Voter(member) => member.leave(),
            Side::Observer(_) => {}
        }
    }

    /// Takes a snapshot where that is allowed: see [`take_snapshot`].
    pub(crate) fn snapshot(&mut self, kind: SnapshotKind, keep: usize) -> bool {
        let on = (&self.disk, self.directory);
        take_snapshot(&mut self.server, on, &mut self.purger, (kind, keep))
    }

    fn serve(&mut self, arrival: Arrival) {
        let Arrival { shard, conn, bytes } = arrival;
        if !self.connections.contains(&(shard, conn)) {
            return;
        }
        match bytes {
            Some(bytes) => {
                let before = self.unread(shard, conn);
                self.server.serve(shard, std::iter::once((conn, &bytes[..])));
                // A part of a request is not heard, nor what waits behind other requests.
                if self.unread(shard, conn) < before + bytes.len() {
                    self.hear(shard, conn);
                }
            }
            None => {
                self.connections.remove(&(shard, conn));
                self.server.shards[shard].shard.lost(conn);
            }
        }
    }

    /// Bytes of a client that its shard has not read.
    fn unread(&self, shard: usize, conn: ConnId) -> usize {
        self.server.shards[shard].shard.conn(conn).map_or(0, |conn| conn.input.len())
    }

    /// A leader has heard of a client over a connection of its own.
    fn hear(&mut self, shard: usize, conn: ConnId) {
        let conn = self.server.shards[shard].shard.conn(conn);
        let conn = conn.filter(|it| !matches!(it.phase, Phase::Closing | Phase::Lost));
        let (session, now, wall) = (conn.map(|it| it.session()), self.now, self.port_ref().wall);
        if let (Some(session), Some(heard)) = (session, &mut self.port().heard) {
            heard.heard_at(session, "its own connection", (now, wall));
        }
    }

    fn serve_all(&mut self) {
        let waiting = |process: &Process| -> Vec<(usize, ConnId, usize)> {
            let all = process.connections.iter().map(|(shard, conn)| (*shard, *conn));
            let unread = all.map(|(shard, conn)| (shard, conn, process.unread(shard, conn)));
            unread.filter(|(.., unread)| *unread > 0).collect()
        };
        let before = if self.is_leading() { waiting(self) } else { Vec::new() };
        self.serve_shards();
        for (shard, conn, unread) in before {
            if self.unread(shard, conn) < unread {
                self.hear(shard, conn);
            }
        }
    }

    fn serve_shards(&mut self) {
        (0..self.server.shards.len())
            .for_each(|shard| self.server.serve(shard, std::iter::empty()));
    }
}
