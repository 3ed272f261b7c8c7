//! A node that votes: what moves between the sockets of its member, the election's connections,
//! whole states, what learners are fed with, and the node. It runs on the node's thread and never
//! blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::iter;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use ringkeeper_engine::Millis;
use ringkeeper_engine::session::ServerId;
use ringkeeper_replication::Node;
use ringkeeper_replication::leader::LinkId;
use ringkeeper_replication::learner::{ConfigEvent, FollowedLeader};
use ringkeeper_replication::member::{self, Member, MemberAction};
use ringkeeper_replication::node::Ports;

use super::configuration::Configuration;
use super::feeds::FeedThreads;
use super::member_log::MemberLog;
use super::mesh::MeshEvent;
use super::peer_socket::Received;
use super::socket_set::SocketSet;
use super::states::StateThread;
use super::voting_ports::VotingPorts;
use crate::node::clock::Clock;
use crate::node::view::View;

/// Bytes of all other servers that one turn takes in.
const TURN_BYTES: usize = 1 << 20;
/// The number of the connection to the leader among the sockets.
const LEADER: u64 = 0;

/// What a voting member works with beside its node.
pub(crate) struct MemberParts {
    /// Nothing once this server has given its leadership up to end.
    pub(crate) ports: Option<VotingPorts>,
    pub(crate) states: StateThread,
    pub(crate) feeds: FeedThreads,
    pub(crate) configuration: Configuration,
    pub(crate) log: MemberLog,
    pub(crate) view: Arc<View>,
    pub(crate) clock: Clock,
}

/// The member of a node, from its sockets' side.
pub(crate) struct MemberDriver {
    parts: MemberParts,
    sockets: SocketSet,
    /// The number of the next connection.
    next: u64,
    /// Whom a connection is being opened to.
    dialing: Option<ServerId>,
    /// Where learners have connected from.
    learners: BTreeMap<LinkId, SocketAddr>,
    /// As that, of connections that this side has closed in this turn.
    closed: BTreeMap<LinkId, SocketAddr>,
    /// The epoch whose configuration the database shows, of a leadership.
    shown: Option<u32>,
    is_serving: bool,
    /// Voters whose election connections are open.
    linked: BTreeSet<ServerId>,
}

impl MemberDriver {
    pub(crate) fn new(parts: MemberParts) -> io::Result<MemberDriver> {
        Ok(MemberDriver {
            parts,
            sockets: SocketSet::new()?,
            next: LEADER + 1,
            dialing: None,
            learners: BTreeMap::new(),
            closed: BTreeMap::new(),
            shown: None,
            is_serving: false,
            linked: BTreeSet::new(),
        })
    }

    /// The sockets, behind one descriptor.
    pub(crate) fn sockets(&self) -> &SocketSet {
        &self.sockets
    }

    /// The descriptor has become readable.
    pub(crate) fn note_events(&mut self) {
        self.sockets.note_events();
    }

    /// Takes in what has come of other servers. Before [`Node::release`], so that what they have
    /// acknowledged counts in the same turn.
    pub(crate) fn receive<P>(&mut self, node: &mut Node<P>)
    where
        P: Ports,
        P::Leader: AsMut<Member>,
    {
        let now = self.now();
        let member = node.world_mut().leader.as_mut();
        self.take_connections(member, now);
        self.read(member, now);
    }

    /// The server ends, and has no clients any more: a leader hands over. Returns whether that is
    /// done. Its followers hear that it is gone before it is.
    pub(crate) fn leave(&mut self, member: &mut Member) -> bool {
        member.leave();
        member.has_left()
    }

    /// Moves the member on. Between the two halves of the node's turn.
    pub(crate) fn turn<P>(&mut self, node: &mut Node<P>)
    where
        P: Ports,
        P::Leader: AsMut<Member> + AsMut<FollowedLeader>,
    {
        let now = self.now();
        member::take_turn(node, &mut self.parts.states, &mut self.parts.feeds, now);
        let member = node.world_mut().leader.as_mut();
        self.act(member);
        self.take_config(member);
        let MemberDriver { learners, closed, .. } = self;
        let from = |link| learners.get(&link).or_else(|| closed.get(&link)).copied();
        self.parts.log.take(member, &from, now);
        self.closed.clear();
    }

    /// Sends what the node and the member have for other servers. After the turn.
    pub(crate) fn send<P>(&mut self, node: &mut Node<P>)
    where
        P: Ports,
        P::Leader: AsMut<Member>,
    {
        let now = self.now();
        let member = node.world_mut().leader.as_mut();
        self.act(member);
        let writable = self.sockets.all_writable();
        let due: Vec<u64> = writable.filter(|number| has_outgoing(member, *number)).collect();
        for number in due {
            match number {
                LEADER => self.send_to_leader(member, now),
                number => self.send_to_learner(member, number, now),
            }
        }
    }

    /// The last turn: see [`crate::node::driver::NodeDriver::finish`].
    pub(crate) fn finish<P>(&mut self, node: &mut Node<P>)
    where
        P: Ports,
        P::Leader: AsMut<Member> + AsMut<FollowedLeader>,
    {
        let member: &mut Member = node.world_mut().leader.as_mut();
        member.leave();
        self.turn(node);
        self.parts.ports = None;
    }

    /// Whether a turn would find something to do.
    pub(crate) fn has_work<P>(&self, node: &Node<P>) -> bool
    where
        P: Ports,
        P::Leader: AsRef<Member>,
    {
        let member = node.world().leader.as_ref();
        let MemberParts { ports, states, feeds, .. } = &self.parts;
        let connections = ports.as_ref().is_some_and(|ports| {
            ports.mesh.has_events() || ports.accepted.has_accepted() || ports.leader.is_done()
        });
        connections
            || states.is_done()
            || feeds.is_ready()
            || self.sockets.all_readable().any(|number| is_wanted(member, number))
            || self.sockets.all_writable().any(|number| has_outgoing(member, number))
            || member::has_work(node, self.now())
    }

    /// Milliseconds that the thread may sleep where there is no work.
    pub(crate) fn wait_ms<P>(&self, node: &Node<P>) -> i64
    where
        P: Ports,
        P::Leader: AsRef<Member>,
    {
        member::wait_ms(node, self.now())
    }

    /// Takes what has happened between voters, learners that have connected, and the connection
    /// to the leader.
    fn take_connections(&mut self, member: &mut Member, now: Millis) {
        while let Some(event) = self.parts.ports.as_mut().and_then(|it| it.mesh.poll()) {
            match event {
                MeshEvent::Opened(peer) => {
                    if member.settings().leader.voters.contains(&peer) {
                        self.linked.insert(peer);
                        self.parts.log.linked(self.linked.len());
                    }
                    member.peer_opened(peer, now);
                }
                MeshEvent::Closed(peer) => {
                    self.linked.remove(&peer);
                    self.parts.log.linked(self.linked.len());
                    member.peer_closed(peer, now);
                }
                MeshEvent::Note(from, bytes) => {
                    if let Err(bad) = member.notified(from, &bytes, now) {
                        self.parts.log.bad_notification(from, &bad);
                    }
                }
            }
        }
        while let Some((stream, from)) = self.parts.ports.as_ref().and_then(|it| it.accepted.poll())
        {
            self.accept(member, stream, from, now);
        }
        if let Some(dialed) = self.parts.ports.as_mut().and_then(|it| it.leader.poll()) {
            self.dialed(member, dialed, now);
        }
    }

    fn accept(&mut self, member: &mut Member, stream: TcpStream, from: SocketAddr, now: Millis) {
        let link = LinkId(self.next);
        self.next += 1;
        match self.sockets.open(link.0, stream) {
            Ok(()) => {
                self.learners.insert(link, from);
                member.accepted(link, now);
            }
            Err(error) => self.parts.log.unusable(from, &error),
        }
    }

    fn dialed(&mut self, member: &mut Member, dialed: io::Result<TcpStream>, now: Millis) {
        let Some(leader) = self.dialing.take() else { return };
        let opened = dialed.and_then(|stream| {
            let address = stream.peer_addr().ok();
            self.sockets.open(LEADER, stream)?;
            Ok(address)
        });
        match &opened {
            Ok(address) => self.parts.log.connected(leader, *address),
            Err(error) => self.parts.log.not_reached(leader, error),
        }
        member.dialed(leader, opened.is_ok(), now);
    }

    /// Reads every connection whose bytes are wanted, one after the other, as long as they have
    /// some and the turn has space.
    fn read(&mut self, member: &mut Member, now: Millis) {
        let mut bytes = 0;
        loop {
            let before = bytes;
            for number in self.sockets.readable() {
                if is_wanted(member, number) && bytes < TURN_BYTES {
                    bytes += self.read_once(member, number, now);
                }
            }
            if bytes == before || bytes >= TURN_BYTES {
                return;
            }
        }
    }

    fn read_once(&mut self, member: &mut Member, number: u64, now: Millis) -> usize {
        let link = LinkId(number);
        let received = match number {
            LEADER => self.sockets.receive(LEADER, |bytes| member.leader_received(bytes, now)),
            _ => self.sockets.receive(number, |bytes| member.learner_received(link, bytes, now)),
        };
        match received {
            Received::Nothing => 0,
            Received::Bytes(count) => {
                self.parts.log.received(number == LEADER, count);
                count
            }
            Received::End => {
                self.lost(member, number, "the other side has closed the connection", now);
                0
            }
            Received::Failed(error) => {
                self.lost(member, number, &format!("the connection has failed: {error}"), now);
                0
            }
        }
    }

    fn send_to_leader(&mut self, member: &mut Member, now: Millis) {
        while self.sockets.is_writable(LEADER) && !member.leader_outgoing().is_empty() {
            match self.sockets.send(LEADER, iter::once(member.leader_outgoing())) {
                Ok(count) => member.leader_sent(count),
                Err(error) => {
                    let why = format!("the connection has failed: {error}");
                    self.lost(member, LEADER, &why, now);
                }
            }
        }
    }

    fn send_to_learner(&mut self, member: &mut Member, number: u64, now: Millis) {
        let link = LinkId(number);
        while self.sockets.is_writable(number) && member.has_learner_outgoing(link) {
            match self.sockets.send(number, member.learner_outgoing(link)) {
                Ok(count) => member.learner_sent(link, count, now),
                Err(error) => {
                    let why = format!("the connection has failed: {error}");
                    self.lost(member, number, &why, now);
                }
            }
        }
    }

    /// A connection is gone.
    fn lost(&mut self, member: &mut Member, number: u64, why: &str, now: Millis) {
        self.sockets.close(number);
        if number == LEADER {
            self.parts.log.leader_lost(why);
            member.leader_closed(now);
            return;
        }
        let link = LinkId(number);
        if let Some(from) = self.learners.remove(&link) {
            self.parts.log.learner_lost(member, link, from, why);
        }
        member.learner_closed(link, now);
    }

    fn act(&mut self, member: &mut Member) {
        while let Some(action) = member.next_action() {
            match action {
                MemberAction::Notify(to, bytes) => {
                    if let Some(ports) = &self.parts.ports {
                        ports.mesh.send(to, bytes);
                    }
                }
                MemberAction::Dial(leader) => {
                    self.dialing = Some(leader);
                    self.parts.ports.iter_mut().for_each(|it| it.leader.dial_leader(leader));
                }
                MemberAction::HangUp => {
                    self.dialing = None;
                    self.parts.ports.iter_mut().for_each(|it| it.leader.cancel());
                    self.sockets.close(LEADER);
                }
                MemberAction::Close(link) => {
                    self.sockets.close(link.0);
                    if let Some(from) = self.learners.remove(&link) {
                        // What is to be said of it comes behind.
                        self.closed.insert(link, from);
                    }
                }
            }
        }
    }

    /// Shows clients the members: those of the leader that is followed, or of the own file.
    fn take_config(&mut self, member: &mut Member) {
        let MemberParts { configuration, view, .. } = &mut self.parts;
        while let Some(event) = member.next_config_event() {
            match event {
                // Who votes is what the file says: a change of the members is beyond this release.
                ConfigEvent::Config(text) => drop(configuration.adopt(text.as_deref(), view)),
                ConfigEvent::Activated(zxid, _) => configuration.changes_at(zxid),
            }
        }
        configuration.take_change(view);
        let leads = member.is_serving().then(|| member.leadership()).flatten();
        let epoch = leads.and_then(|leadership| leadership.epoch());
        if epoch.is_some() && epoch != self.shown {
            configuration.adopt(None, view);
        }
        self.shown = epoch;
        if member.is_serving() != std::mem::replace(&mut self.is_serving, member.is_serving()) {
            self.parts.ports.iter().for_each(|ports| ports.mesh.forget_failures());
        }
    }

    fn now(&self) -> Millis {
        self.parts.clock.now().mono
    }
}

fn is_wanted(member: &Member, number: u64) -> bool {
    match number {
        LEADER => member.wants_leader_bytes(),
        number => member.wants_learner_bytes(LinkId(number)),
    }
}

fn has_outgoing(member: &Member, number: u64) -> bool {
    match number {
        LEADER => !member.leader_outgoing().is_empty(),
        number => member.has_learner_outgoing(LinkId(number)),
    }
}
