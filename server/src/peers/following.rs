//! A node that has a leader: what moves between the link's socket, the node, whole states and the
//! thread that dials. It runs on the node's thread and never blocks.

use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::Millis;
use ringkeeper_engine::database::CommitStatus;
use ringkeeper_replication::learner::{
    ConfigEvent, FollowEnd, FollowedLeader, Learner, LinkEnd, RetryDelay, StateProgress, SyncKind,
    follow,
};
use ringkeeper_replication::node::Ports;
use ringkeeper_replication::{Node, ZabState};

use super::configuration::Configuration;
use super::dialer::{Dialed, Dialer, SearchCause};
use super::peer_notices::PeerNotices;
use super::peer_socket::Received;
use super::socket::LeaderSocket;
use super::states::StateThread;
use super::status::{ClientService, LeaderAddress, MemberStatus};
use crate::node::clock::Clock;
use crate::node::view::View;

/// Bytes of the leader that one turn takes in.
const TURN_BYTES: usize = 1 << 20;
/// A link over which clients were served for so long went well, milliseconds.
const WENT_WELL_MS: i64 = 300_000;
/// As which failure in a row a full disk counts: it is looked at every few seconds.
const FAILURES_FULL: u32 = 20;

/// How a leader is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FollowingSettings {
    /// Who this server is.
    pub(crate) learner: Learner,
    /// How long the leader may be silent before clients are served.
    pub(crate) init_limit: Duration,
    /// And from then on.
    pub(crate) sync_limit: Duration,
    /// How long clients are served without a leader.
    pub(crate) hold: Duration,
}

/// What a node with a leader works with beside its ports.
pub(crate) struct FollowingParts {
    pub(crate) settings: FollowingSettings,
    pub(crate) dialer: Dialer,
    pub(crate) states: StateThread,
    pub(crate) configuration: Configuration,
    pub(crate) status: Arc<MemberStatus>,
    pub(crate) notices: PeerNotices,
    pub(crate) view: Arc<View>,
    pub(crate) clock: Clock,
}

/// The leader of a node, from the search to the link's end, and then anew.
pub(crate) struct Following {
    parts: FollowingParts,
    socket: LeaderSocket,
    leader: Option<LeaderAddress>,
    /// The dialer was given a search whose end it has not reported.
    is_searching: bool,
    /// What was published last.
    zab: ZabState,
    /// When the leader was heard of last.
    heard: Millis,
    /// When it has last taken something of what is to be sent, or all of it was sent.
    taken: Millis,
    /// When the link began.
    connected: Millis,
    /// When clients were served with it.
    served: Millis,
    /// When clients lost their leader; nothing while they have one, and before the first.
    lost: Option<Millis>,
    received_bytes: u64,
    /// Links in a row that have ended before clients were served.
    failures: u32,
    /// Links that have ended in a way that costs the leader a whole state, since one went well.
    setbacks: u32,
    /// Why the next leader is searched for.
    cause: SearchCause,
    /// Why this side has given the link up, if it has.
    given_up: Option<String>,
}

impl Following {
    /// Begins to look for a leader.
    pub(crate) fn new(parts: FollowingParts) -> std::io::Result<Following> {
        parts.dialer.search(SearchCause::Start);
        Ok(Following {
            parts,
            socket: LeaderSocket::new()?,
            leader: None,
            is_searching: true,
            zab: ZabState::Election,
            heard: Millis(0),
            taken: Millis(0),
            connected: Millis(0),
            served: Millis(0),
            lost: None,
            received_bytes: 0,
            failures: 0,
            setbacks: 0,
            cause: SearchCause::Start,
            given_up: None,
        })
    }

    /// The descriptor that is readable when the link's socket is ready for something.
    pub(crate) fn socket(&self) -> &LeaderSocket {
        &self.socket
    }

    /// As [`Following::socket`], to note that it is ready.
    pub(crate) fn socket_mut(&mut self) -> &mut LeaderSocket {
        &mut self.socket
    }

    /// Takes in what has come of the leader, its log and its states. Between the two halves of a
    /// turn of the node.
    pub(crate) fn receive<P>(&mut self, node: &mut Node<P>)
    where
        P: Ports,
        P::Leader: AsMut<FollowedLeader>,
    {
        follow(node, &mut self.parts.states);
        self.end(leader(node));
        self.connect(leader(node));
        if self.read(leader(node)) {
            follow(node, &mut self.parts.states);
        }
        self.watch_silence(leader(node));
        self.compare_settings(leader(node));
        self.end(leader(node));
        self.take_config(leader(node));
        self.publish(leader(node));
    }

    /// Sends what the node and the link have for the leader. After the turn. A leader that pings
    /// and reads nothing is given up: what waits for it would grow with each answer to a ping.
    pub(crate) fn send<P>(&mut self, node: &mut Node<P>)
    where
        P: Ports,
        P::Leader: AsMut<FollowedLeader>,
    {
        let leader = leader(node);
        if leader.outgoing().is_empty() {
            self.taken = self.now();
        }
        while !leader.outgoing().is_empty()
            && (self.socket.is_writable() || self.is_past(self.taken, leader))
        {
            match self.socket.send(leader.outgoing()) {
                // Behind a pause of this process, this was the first try.
                Ok(0) if self.is_past(self.taken, leader) => {
                    let stuck = self.now().0 - self.taken.0;
                    self.give_up(leader, format!("the leader has read nothing for {stuck} ms"));
                }
                Ok(0) => {}
                Ok(count) => {
                    leader.sent(count);
                    self.taken = self.now();
                }
                Err(error) => self.give_up(leader, format!("the connection has failed: {error}")),
            }
        }
        self.end(leader);
    }

    /// Whether a turn would find something to do.
    pub(crate) fn has_work<P>(&self, node: &Node<P>) -> bool
    where
        P: Ports,
        P::Leader: AsRef<FollowedLeader>,
    {
        let leader = node.world().leader.as_ref();
        let reads = self.socket.is_readable() && leader.wants_bytes();
        let writes = self.socket.is_writable() && !leader.outgoing().is_empty();
        let connects = self.parts.dialer.is_done() && leader.can_connect();
        reads || writes || connects || self.parts.states.is_done() || leader.has_work()
    }

    /// Begins a search, or the next link, where the last one has come to rest.
    fn connect(&mut self, leader: &mut FollowedLeader) {
        if leader.is_connected() || !leader.can_connect() {
            return;
        }
        if !self.is_searching {
            self.parts.dialer.search(self.cause);
            self.is_searching = true;
        }
        let Some(Dialed { stream, leader: address, search }) = self.parts.dialer.poll() else {
            return;
        };
        self.is_searching = false;
        let search_ms = i64::try_from(search.as_millis()).unwrap_or(i64::MAX);
        let LeaderAddress { id, epoch, address: at } = &address;
        if self.failures > 1 {
            tracing::debug!(epoch, search_ms, "server {} leads; connected to it at {at}", id.0);
        } else {
            tracing::info!(epoch, search_ms, "server {} leads; connected to it at {at}", id.0);
        }
        self.parts.status.update(|report| report.search_ms = Some(search_ms));
        if let Err(error) = self.socket.open(stream) {
            tracing::error!("the connection to the leader cannot be used: {error}");
            self.failures += 1;
            self.cause = SearchCause::Lost(self.failures);
            return;
        }
        self.leader = Some(address);
        self.connected = self.now();
        (self.heard, self.taken, self.received_bytes) = (self.connected, self.connected, 0);
        // Until the leader has said what is committed.
        self.parts.view.write().set_commit_status(CommitStatus::Unknown);
        leader.connect(self.parts.settings.learner);
    }

    /// Whether something was read.
    fn read(&mut self, leader: &mut FollowedLeader) -> bool {
        let mut read = 0;
        while read < TURN_BYTES && self.socket.is_readable() && leader.wants_bytes() {
            match self.socket.receive(|bytes| leader.received(bytes)) {
                Received::Nothing => break,
                Received::Bytes(count) => read += count,
                Received::End => {
                    self.give_up(leader, "the leader has closed the connection".to_owned());
                    break;
                }
                Received::Failed(error) => {
                    self.give_up(leader, format!("the connection has failed: {error}"));
                    break;
                }
            }
        }
        if read > 0 {
            self.received_bytes += read as u64;
            self.heard = self.now();
        }
        read > 0
    }

    /// A leader pings, so one that is silent is gone, or cannot be reached.
    fn watch_silence(&mut self, leader: &mut FollowedLeader) {
        if !leader.is_connected() {
            return;
        }
        // What this side does not read is no silence.
        if !leader.wants_bytes() {
            self.heard = self.now();
        }
        if self.is_past(self.heard, leader) {
            let silent = self.now().0 - self.heard.0;
            self.give_up(leader, format!("the leader has been silent for {silent} ms"));
        }
    }

    /// Whether this was longer ago than a leader may take for anything.
    fn is_past(&self, since: Millis, leader: &FollowedLeader) -> bool {
        let limit = match leader.state() {
            ZabState::Broadcast => self.parts.settings.sync_limit,
            _ => self.parts.settings.init_limit,
        };
        u128::try_from(self.now().0 - since.0).is_ok_and(|past| past >= limit.as_millis())
    }

    fn give_up(&mut self, leader: &mut FollowedLeader, why: String) {
        if leader.is_connected() {
            self.given_up = Some(why);
            leader.disconnect();
        }
    }

    /// Says where the leader has other settings.
    fn compare_settings(&mut self, leader: &mut FollowedLeader) {
        let differences = leader.take_differences();
        if let (Some(address), false) = (&self.leader, differences.is_empty()) {
            self.parts.notices.leader_differs(address.id, &differences);
            self.parts.status.update(|report| report.leader_differences = differences);
        }
    }

    /// Closes the socket of a link that has ended, and says why it has.
    fn end(&mut self, leader: &mut FollowedLeader) {
        let Some(end) = leader.take_end() else { return };
        self.socket.close();
        let text = match (end, self.given_up.take()) {
            (FollowEnd::Disconnected, Some(why)) => why,
            (end, _) => end.to_string(),
        };
        let from = self.leader.take();
        self.parts.status.update(|report| report.leader_differences.clear());
        let link =
            from.map_or("the last link".to_owned(), |it| format!("the link to server {}", it.id.0));
        if end.is_fatal() {
            crate::fatal::stop(&format!("{link} has ended: {text}"));
        }
        self.failures += 1;
        self.count_setback(end);
        self.cause = match end.retry_delay() {
            RetryDelay::Usual if self.setbacks > 1 => SearchCause::Hopeless,
            RetryDelay::Usual => SearchCause::Lost(self.failures),
            RetryDelay::Long => SearchCause::Hopeless,
        };
        let again = self.parts.status.report().last_end.as_ref() == Some(&text);
        if end.is_repeated() || (again && self.failures > 1) {
            tracing::debug!("{link} has ended: {text}");
        } else {
            tracing::warn!("{link} has ended: {text}; looking for the leader");
        }
        self.parts.status.update(|report| report.last_end = Some(text));
    }

    /// Counts links that have ended in a way that costs the leader a whole state: the same may
    /// happen again and again.
    fn count_setback(&mut self, end: FollowEnd) {
        match end {
            FollowEnd::Diverged(_) => {
                self.setbacks += 1;
                // Every connection was closed, and nothing is served.
                self.lost = None;
            }
            FollowEnd::Link(LinkEnd::NotInstalled) => self.setbacks += 1,
            FollowEnd::Full => self.failures = FAILURES_FULL,
            FollowEnd::Disconnected | FollowEnd::Link(_) | FollowEnd::Fault(_) => {}
            FollowEnd::NoState(_) => {}
        }
    }

    fn take_config(&mut self, leader: &mut FollowedLeader) {
        while let Some(event) = leader.next_config_event() {
            let FollowingParts { configuration, view, dialer, .. } = &mut self.parts;
            match event {
                ConfigEvent::Config(text) => {
                    let voters = configuration.adopt(text.as_deref(), view);
                    voters.into_iter().for_each(|voters| dialer.set_voters(voters));
                }
                ConfigEvent::Activated(zxid, _) => configuration.changes_at(zxid),
            }
        }
        if let Some(voters) = self.parts.configuration.take_change(&self.parts.view) {
            self.parts.dialer.set_voters(voters);
        }
    }

    /// Says what this server is doing, where that has changed.
    fn publish(&mut self, leader: &FollowedLeader) {
        let (zab, now) = (leader.state(), self.now());
        let changed = zab != self.zab;
        if changed && self.zab == ZabState::Broadcast {
            self.lost = Some(now);
        }
        if changed && zab == ZabState::Broadcast {
            self.lost = None;
            self.failures = 0;
            self.served = now;
            let sync_ms = now.0 - self.connected.0;
            let number = self.leader.as_ref().map_or(0, |leader| leader.id.0);
            let zxid = leader.position().last;
            let by = leader.synchronized_by();
            tracing::info!(zxid = %zxid, sync_ms, "synchronized with server {number} by {by}");
            self.parts.status.update(|report| {
                report.sync_ms = Some(sync_ms);
                report.synced += 1;
                report.states_installed += u64::from(by == SyncKind::Snap);
            });
        }
        if !changed && zab == ZabState::Broadcast && now.0 - self.served.0 > WENT_WELL_MS {
            self.setbacks = 0;
        }
        if leader.state_progress() == Some(StateProgress::Writing) {
            // Connections are closed with the state that they have read.
            self.lost = None;
        }
        let clients = self.clients(zab, now);
        let (address, received_bytes) = (&self.leader, self.received_bytes);
        self.parts.status.update(|report| {
            report.clients = clients;
            (report.progress, report.is_full) = (leader.state_progress(), leader.is_full());
            report.received_bytes = received_bytes;
            if changed || report.leader != *address {
                report.leader.clone_from(address);
                (report.zab, report.since) = (zab, now);
            }
        });
        self.zab = zab;
    }

    fn clients(&self, zab: ZabState, now: Millis) -> ClientService {
        let held = |since: Millis| {
            u128::try_from(now.0 - since.0)
                .is_ok_and(|held| held < self.parts.settings.hold.as_millis())
        };
        match self.lost {
            _ if zab == ZabState::Broadcast => ClientService::All,
            Some(since) if held(since) => ClientService::Reads,
            _ => ClientService::None,
        }
    }

    fn now(&self) -> Millis {
        self.parts.clock.now().mono
    }
}

fn leader<P>(node: &mut Node<P>) -> &mut FollowedLeader
where
    P: Ports,
    P::Leader: AsMut<FollowedLeader>,
{
    node.world_mut().leader.as_mut()
}
