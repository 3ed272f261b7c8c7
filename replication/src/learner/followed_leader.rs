//! The leader as its node has it: events in, packets out, and bytes on the other side.

use std::collections::VecDeque;

use ringkeeper_engine::log::LogCommand;
use ringkeeper_engine::wire::peer::{
    LeaderPacket, LearnerPacket, PacketDecoder, PacketLimits, SettingDifference,
};
use ringkeeper_engine::{Millis, Zxid};

use super::cut_retry::CutRetry;
use super::last_sign::LastSign;
use super::leader_events::LeaderEvents;
use super::transfer::{FollowTask, Transfer};
use super::{
    ConfigEvent, DiscardedState, FollowEnd, Learner, LearnerKind, LearnerLink, LearnerOffer,
    LearnerPosition, LinkEffect, LinkEnd, LinkInput, SyncKind, TouchedSessions, ZabState,
};
use crate::plant::{Bug, is_planted};
use crate::{Divergence, LeaderEvent, LogSpace, SessionLife};

/// How much of a leader is kept in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowLimits {
    /// What a packet may hold.
    pub packets: PacketLimits,
    /// Bytes of events that the node has not taken, from which on nothing more is read.
    pub event_bytes_max: usize,
    /// Bytes of a whole state.
    pub state_bytes_max: u64,
}

impl Default for FollowLimits {
    fn default() -> FollowLimits {
        let packets = PacketLimits::default();
        FollowLimits { packets, event_bytes_max: 4 << 20, state_bytes_max: 16 << 30 }
    }
}

/// The link of a node to its leader, one after the other, and everything between the link's bytes
/// and the node.
///
/// The side of the socket: [`FollowedLeader::connect`], then [`FollowedLeader::received`] with what
/// has come while [`FollowedLeader::wants_bytes`], and [`FollowedLeader::outgoing`] to be sent; at
/// last [`FollowedLeader::disconnect`], or [`FollowedLeader::take_end`] says why the socket is to be
/// closed. The side of the node is [`crate::node::LeaderPort`]. Commands to the log and whole states go through
/// [`super::follow`], once in every turn.
///
/// Events reach the node in the order in which the leader sent what they are about. What the node
/// sends before it has taken [`LeaderEvent::Serving`] of the current link was meant for the one
/// before, and is dropped: the node sends again what is not answered.
pub struct FollowedLeader {
    pub(super) limits: FollowLimits,
    /// Before the first link.
    begin: LearnerPosition,
    pub(super) link: Option<LearnerLink>,
    pub(super) is_connected: bool,
    pub(super) decoder: PacketDecoder,
    pub(super) transfer: Transfer,
    effects: Vec<LinkEffect>,
    pub(super) events: LeaderEvents,
    pub(super) outgoing: Vec<u8>,
    pub(super) tasks: VecDeque<FollowTask>,
    /// Commands to the log that are under way.
    commands: usize,
    /// The node has taken [`LeaderEvent::Serving`] of this link.
    pub(super) is_serving: bool,
    /// Clients are served, and the node's driver has not heard of it.
    is_newly_established: bool,
    pub(super) offers_nothing: bool,
    /// The state is not the leader's from here on, and the disk does not say so yet.
    pub(super) unmarked: Option<Zxid>,
    pub(super) touched: TouchedSessions,
    /// The epoch of the leader that served last.
    served: Option<u32>,
    pub(super) now: Millis,
    /// That of the last ping.
    ping: Zxid,
    /// Packets may be left in the decoder.
    is_cut_short: bool,
    sync_kind: SyncKind,
    members: VecDeque<ConfigEvent>,
    differences: Vec<SettingDifference>,
    /// A majority has another state, and the node has not heard of it.
    pub(super) divergence: Option<Divergence>,
    end: Option<FollowEnd>,
    /// Links in a row over which no state came although nothing was offered.
    pub(super) withheld: u32,
    /// What the log said last, and whether a link has ended because of it.
    pub(super) space: LogSpace,
    pub(super) is_full: bool,
    /// States that nothing needs any more.
    pub(super) discarded: Vec<DiscardedState>,
    pub(super) last_sign: LastSign,
    pub(super) cut_retry: CutRetry,
}

/// The side of the socket.
impl FollowedLeader {
    /// There is no leader yet, and nothing under way at the log.
    pub fn new(position: LearnerPosition, limits: FollowLimits) -> FollowedLeader {
        FollowedLeader {
            limits,
            begin: position,
            link: None,
            is_connected: false,
            decoder: PacketDecoder::new(limits.packets),
            transfer: Transfer::None,
            effects: Vec::new(),
            events: LeaderEvents::new(position.last),
            outgoing: Vec::new(),
            tasks: VecDeque::new(),
            commands: 0,
            is_serving: false,
            is_newly_established: false,
            offers_nothing: false,
            unmarked: None,
            touched: TouchedSessions::new(),
            served: None,
            now: Millis(0),
            ping: Zxid::ZERO,
            is_cut_short: false,
            sync_kind: SyncKind::Diff,
            members: VecDeque::new(),
            differences: Vec::new(),
            divergence: None,
            end: None,
            withheld: 0,
            space: LogSpace::Enough,
            is_full: false,
            discarded: Vec::new(),
            last_sign: LastSign::default(),
            cut_retry: CutRetry::default(),
        }
    }

    /// Whether the next link can begin: there is none, everything that came over the one before is
    /// on the disk, and there is space for more.
    pub fn can_connect(&self) -> bool {
        let is_log_still = self.commands == 0 && self.tasks.is_empty();
        let is_free = matches!(self.transfer, Transfer::None) && self.unmarked.is_none();
        let is_wanted = !self.is_connected && !self.is_full;
        is_wanted && is_log_still && is_free && self.events.is_at_rest()
    }

    /// A connection to a leader is there. Only where [`FollowedLeader::can_connect`].
    pub fn connect(&mut self, learner: Learner) {
        assert!(self.can_connect(), "the link before has not come to rest");
        let position = self.position();
        self.link = Some(LearnerLink::new(learner, position, &mut self.effects));
        (self.is_connected, self.end) = (true, None);
        self.sync_kind = SyncKind::Diff;
        self.decoder = PacketDecoder::new(self.limits.packets);
        self.touched.forget_reports();
        // Events of the link before may have been dropped that said so.
        if position.committed > Zxid::ZERO && !is_planted(Bug::CommitForgotten) {
            self.events.push(LeaderEvent::Committed(position.committed), 0);
        }
        self.take_effects();
    }

    /// Whether the leader's bytes are to be read. Otherwise they wait in the socket: while the log
    /// changes, while a state is made, and while the node is behind.
    pub fn wants_bytes(&self) -> bool {
        self.is_connected
            && match &self.transfer {
                Transfer::Incoming(state) => state.wants_bytes(),
                _ => self.wants_packets(),
            }
    }

    /// Takes the leader's next bytes. Only while [`FollowedLeader::wants_bytes`].
    pub fn received(&mut self, bytes: &[u8]) {
        assert!(self.wants_bytes(), "bytes came that should have waited");
        match self.transfer {
            Transfer::Incoming(_) => self.receive_state(bytes),
            _ => self.decoder.push(bytes),
        }
        self.step_packets();
    }

    /// What is to be sent.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// So much of it was sent.
    pub fn sent(&mut self, bytes: usize) {
        self.outgoing.drain(..bytes);
    }

    /// The connection is gone, or is to be given up. Nothing happens where there is none.
    pub fn disconnect(&mut self) {
        self.end_link(FollowEnd::Disconnected);
    }

    /// Whether there is a link that has not ended.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Why the last link has ended, once. The socket is to be closed, if it is not: the node may
    /// find out more about a link that has ended.
    pub fn take_end(&mut self) -> Option<FollowEnd> {
        self.end.take()
    }

    /// Whether [`FollowedLeader::take_end`] has something.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether [`super::follow`] would find something to do that nothing has to come for.
    pub fn has_work(&self) -> bool {
        let packets = self.is_cut_short && self.wants_packets();
        let portion = self.is_connected && self.touched.has_portion();
        packets || portion || !self.tasks.is_empty()
    }

    /// How the leader brings, or brought, this server's history in line with its own.
    pub fn synchronized_by(&self) -> SyncKind {
        self.sync_kind
    }

    /// No link begins, and no election, until there is space for what a leader sends.
    pub(crate) fn stay_away(&mut self) {
        self.is_full = true;
    }

    /// Whether no link begins because the disk has no space for what a leader sends.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// What the link is doing.
    pub fn state(&self) -> ZabState {
        let link = self.link.as_ref().filter(|_| self.is_connected);
        link.map_or(ZabState::Election, LearnerLink::state)
    }

    /// What the next link begins with, where it can.
    pub fn position(&self) -> LearnerPosition {
        let mut position = self.link.as_ref().map_or(self.begin, LearnerLink::position);
        if self.offers_nothing {
            position.offer = LearnerOffer::Nothing;
        } else if self.cut_retry.is_log_offered() {
            position.offer = LearnerOffer::Log;
        }
        position
    }

    /// What the leader has said of the members, in order.
    pub fn next_config_event(&mut self) -> Option<ConfigEvent> {
        self.members.pop_front()
    }

    /// Settings of the leader that are not those of this server, once for each link.
    pub fn take_differences(&mut self) -> Vec<SettingDifference> {
        std::mem::take(&mut self.differences)
    }

    /// Whether the link, if there is one, is that of a voter.
    pub(crate) fn is_voting(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.learner.kind == LearnerKind::Follower)
    }

    /// This server leads, and a quorum has its history up to here: it is committed.
    pub(crate) fn push_committed(&mut self, upto: Zxid) {
        assert!(!self.is_connected, "a leader follows nobody");
        self.events.push(LeaderEvent::Committed(upto), 0);
    }

    /// This server has led meanwhile, so that its log ends elsewhere. All of it is on the disk. It
    /// knew until `confirmed` that it led.
    pub(crate) fn rebase(&mut self, position: LearnerPosition, confirmed: Millis) {
        assert!(!self.is_connected && self.commands == 0, "a leader follows nobody");
        self.link = None;
        self.events.reset(position.last);
        self.touched.confirmed_until(confirmed);
        self.served = None;
        self.begin = position;
    }

    fn wants_packets(&self) -> bool {
        let is_free = matches!(self.transfer, Transfer::None | Transfer::Loaded(_));
        self.is_connected
            && is_free
            && self.events.bytes() < self.limits.event_bytes_max
            && self.link.as_ref().is_some_and(LearnerLink::wants_packets)
    }
}

/// The side of the log and of whole states: see [`super::follow`].
impl FollowedLeader {
    /// Packets that have waited for the node, and what of a ping's answer is left.
    pub(super) fn resume(&mut self, now: Millis) {
        self.now = now;
        self.step_packets();
        if self.is_connected {
            self.answer_ping();
        }
    }

    pub(super) fn next_task(&mut self) -> Option<FollowTask> {
        // A state that is being installed takes the note with the old one.
        if !matches!(self.transfer, Transfer::Installing(_))
            && let Some(zxid) = self.unmarked.take()
            && !is_planted(Bug::DivergenceForgotten)
        {
            self.push_command(LogCommand::MarkDiverged(zxid));
        }
        self.tasks.pop_front()
    }

    /// Whether clients are served since the last call.
    pub(super) fn take_established(&mut self) -> bool {
        std::mem::take(&mut self.is_newly_established)
    }

    /// The log is done with a command that changes nothing but what is noted, or has not changed.
    pub(super) fn on_command_done(&mut self, input: LinkInput<'_>) {
        self.commands -= 1;
        if let LinkInput::NotInstalled = input {
            self.discard_transfer();
        }
        if let LinkInput::CutTooFar = input {
            self.cut_failed();
        }
        self.step(input);
    }

    /// The disk says that the state is not the leader's.
    pub(super) fn on_marked(&mut self) {
        self.commands -= 1;
    }

    /// The log was cut and ends here; the node's tree holds no more than that.
    pub(super) fn on_cut(&mut self, last: Zxid) {
        if !is_planted(Bug::CutUnheard) {
            self.events.push(LeaderEvent::Cut(last), 0);
        }
        self.on_log_ends(last);
        self.step(LinkInput::Cut(last));
    }

    pub(super) fn on_log_ends(&mut self, last: Zxid) {
        self.commands -= 1;
        self.cut_retry = CutRetry::default();
        self.events.reset(last);
    }
}

/// The link.
impl FollowedLeader {
    pub(super) fn step(&mut self, input: LinkInput<'_>) {
        let Some(link) = &mut self.link else { return };
        link.step(input, &mut self.effects);
        self.take_effects();
    }

    /// Takes packets out of the bytes that are here, as many as are wanted.
    fn step_packets(&mut self) {
        self.is_cut_short = true;
        while self.wants_packets() {
            let FollowedLeader { decoder, effects, link, .. } = self;
            let Some(link) = link else { return };
            let packet = match decoder.decode() {
                Ok(None) => {
                    self.is_cut_short = false;
                    return;
                }
                Ok(Some(packet)) => LeaderPacket::read(&packet),
                Err(bad) => Err(bad),
            };
            let input = packet.map_or_else(LinkInput::Malformed, LinkInput::Packet);
            link.step(input, effects);
            self.take_effects();
        }
    }

    fn take_effects(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        effects.drain(..).for_each(|effect| self.on_effect(effect));
        self.effects = effects;
        if let Transfer::Unusable = self.transfer {
            self.transfer = Transfer::None;
            self.step(LinkInput::NotInstalled);
        }
    }

    fn on_effect(&mut self, effect: LinkEffect) {
        match effect {
            LinkEffect::Send(packet) => self.send_packet(&packet),
            LinkEffect::Save(epochs) => self.push_command(LogCommand::Save(epochs)),
            LinkEffect::Adopt(ensemble) => self.push_command(LogCommand::Adopt(ensemble)),
            LinkEffect::Differs(differences) => self.differences = differences,
            LinkEffect::Cut(after) => {
                self.sync_kind = SyncKind::Trunc;
                let committed = self.position().committed;
                self.push_command(LogCommand::Cut { after, committed });
            }
            LinkEffect::ReceiveState(zxid) => {
                self.sync_kind = SyncKind::Snap;
                self.begin_state(zxid);
            }
            LinkEffect::AddToState(txn) => self.add_to_state(&txn.entry),
            LinkEffect::InstallState(zxid) => self.write_state(zxid),
            LinkEffect::Append(txn) => {
                self.events.push(LeaderEvent::Learned(Box::new(txn.entry)), txn.bytes);
            }
            LinkEffect::AppendChunk(chunk) => {
                let bytes = chunk.bytes.len();
                self.events.push(LeaderEvent::LearnedChunk(chunk), bytes);
            }
            LinkEffect::Committed(upto) => self.events.push(LeaderEvent::Committed(upto), 0),
            LinkEffect::Activate(zxid, designated) => {
                self.members.push_back(ConfigEvent::Activated(zxid, designated));
            }
            LinkEffect::Serve(config) => {
                self.members.push_back(ConfigEvent::Config(config));
                self.is_newly_established = true;
                let link = self.link.as_ref().expect("it serves");
                let epoch = link.epoch().expect("a link that serves has an epoch");
                self.events.push(LeaderEvent::Serving(epoch, link.lost_requests()), 0);
                if self.served.replace(epoch) != Some(epoch) {
                    // It gives every session a full timeout.
                    self.touched.confirm_all(self.now);
                }
            }
            LinkEffect::AnswerPing(zxid) => {
                self.ping = zxid;
                self.touched.begin();
                self.answer_ping();
            }
            LinkEffect::AnswerRevalidate(session, is_valid) => {
                let life = if is_valid { SessionLife::Lives } else { SessionLife::Ended };
                self.events.push(LeaderEvent::Revalidated(session, life), 0);
            }
            LinkEffect::Diverged(divergence) => self.divergence = Some(divergence),
            LinkEffect::SessionMoved(session) => {
                self.events.push(LeaderEvent::SessionMoved(session), 0)
            }
            LinkEffect::AnswerSync => self.events.push(LeaderEvent::Synced, 0),
            LinkEffect::End(LinkEnd::NoState) => {
                self.withheld = self.withheld.saturating_add(1);
                self.end_link(FollowEnd::NoState(self.withheld));
            }
            LinkEffect::End(end) => self.end_link(FollowEnd::Link(end)),
        }
    }

    /// The next part of what is to be said of sessions here: the first is the answer.
    fn answer_ping(&mut self) {
        if let Some(portion) = self.touched.next_portion() {
            let (zxid, touched) = (self.ping, portion.touched);
            self.send_packet(&LearnerPacket::Ping { zxid, touched });
        }
    }

    pub(super) fn send_packet(&mut self, packet: &LearnerPacket<'_>) {
        if self.is_connected {
            packet.encode(&mut self.outgoing);
        }
    }

    pub(super) fn push_command(&mut self, command: LogCommand) {
        self.commands += 1;
        self.tasks.push_back(FollowTask::Command(command));
    }

    /// The link is over. What the leader has sent is still learned.
    fn end_link(&mut self, end: FollowEnd) {
        if !self.is_connected {
            return;
        }
        (self.is_connected, self.is_serving) = (false, false);
        self.end = Some(end);
        self.outgoing.clear();
        self.give_up_state();
        self.events.push(LeaderEvent::Lost, 0);
    }

    /// There is no space for what the leader sends.
    pub(super) fn leave_full(&mut self) {
        self.is_full = true;
        self.drop_link(FollowEnd::Full);
    }

    /// As [`FollowedLeader::end_link`], but what the node has not taken is not learned. A link that
    /// has ended before the node found out has ended for this as well.
    pub(super) fn drop_link(&mut self, end: FollowEnd) {
        self.events.drop_learned();
        if self.is_connected {
            self.end_link(end);
        } else {
            self.end = Some(end);
            self.events.push(LeaderEvent::Lost, 0);
        }
    }
}
