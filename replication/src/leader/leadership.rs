//! A server that leads, between the bytes of its learners' connections and its node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringkeeper_engine::device::{EnsembleIdentity, Epochs};
use ringkeeper_engine::log::{Group, TxnChunk, TxnWindow};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{LearnerPacket, SettingDifference};
use ringkeeper_engine::{Millis, Zxid};

use super::comparison::Digests;
use super::learner_state::{LearnerPhase, LearnerState};
use super::settings::LeaderSettings;
use super::{
    Acknowledgement, FeedTask, LearnerEnd, LearnerEvent, LearnerEventKind, LinkId, StepDown,
    ToLearners,
};
use crate::ZabState;
use crate::learner::{LearnerKind, LearnerPosition};
use crate::plant::{Bug, is_planted};

/// Milliseconds for which a leader waits for voters to come back whose connections are lost, where
/// the others are no quorum with it.
pub(super) const QUORUM_GRACE_MS: i64 = 200;

/// How often as many bytes of requests as stop reads may wait, where reads go on because they
/// bring acknowledgements: then the connection that brings more is closed.
const OVERRUN: usize = 8;

/// How far a leadership is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LeaderPhase {
    /// A quorum has to say what it has promised.
    Discovering,
    /// The leader's own promise has to be durable.
    Promising,
    /// A quorum has to promise.
    Promised,
    /// The leader's own current epoch has to be durable.
    Saving,
    /// A quorum has to have the history.
    Synchronizing,
    /// More to follow.
    Established,
    /// Nothing.
    Ended,
}

/// What the driver of a leader has to do besides sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LeaderTask {
    /// Make the epochs durable, then [`Leadership::on_saved`].
    Save(Epochs),
    /// Make durable which ensemble this is, then [`Leadership::on_adopted`].
    Adopt(EnsembleIdentity),
    /// [`super::FeedPort::begin`].
    Feed(FeedTask),
    /// [`super::FeedPort::request`].
    Request(LinkId),
    /// [`super::FeedPort::stop`].
    StopFeed(LinkId),
}

/// One leadership, from the election to the end: discovery, synchronization and broadcast, as Zab
/// calls them. It begins with a log that is durable as a whole.
///
/// The side of the sockets: [`Leadership::opened`], [`Leadership::received`] while
/// [`Leadership::wants_bytes`], [`Leadership::outgoing`] and [`Leadership::sent`],
/// [`Leadership::closed`]; [`Leadership::next_end`] says which are to be closed.
///
/// What must hold is asserted: an epoch is sent when it is durable; the history is whole before
/// NEWLEADER; this server counts itself when its own epoch is durable; and no learner counts for
/// what was not sent to it.
#[derive(Debug)]
pub struct Leadership {
    pub(super) settings: LeaderSettings,
    pub(super) phase: LeaderPhase,
    /// 0 until it is decided.
    pub(super) epoch: u32,
    /// What is on the disk of the epochs, and what held when the leadership began.
    pub(super) saved: Epochs,
    pub(super) recovered: Epochs,
    /// The ensemble that the directory belongs to, and the one that is led, once that is decided.
    pub(super) ensemble: Option<EnsembleIdentity>,
    pub(super) leads_with: Option<EnsembleIdentity>,
    /// The end of a history of this server's own: see [`LearnerPosition::alone`].
    pub(super) alone: Option<Zxid>,
    /// What the states of this server and its learners were, and what came of it.
    pub(super) digests: Digests,
    /// Settings of learners that are not those of this server.
    pub(super) differences: VecDeque<(LinkId, ServerId, Vec<SettingDifference>)>,
    /// The end of the history that the epoch begins with.
    pub(super) history: Zxid,
    pub(super) links: BTreeMap<LinkId, LearnerState>,
    /// The voters that have promised the epoch to this leader, over whatever connection; and those
    /// among them that have no more than a new directory.
    pub(super) promised: BTreeSet<ServerId>,
    pub(super) promised_blank: BTreeSet<ServerId>,
    /// This server never had the history of another leader: it is new itself, or had no others.
    pub(super) is_first: bool,
    pub(super) window: TxnWindow,
    /// What is proposed and not committed, and its bytes.
    pub(super) pending: VecDeque<TxnChunk>,
    pub(super) pending_bytes: usize,
    pub(super) committed: Zxid,
    /// What was known to be committed when the leadership began.
    pub(super) committed_before: Zxid,
    pub(super) acks: VecDeque<Acknowledgement>,
    pub(super) events: VecDeque<LearnerEvent>,
    pub(super) event_bytes: usize,
    pub(super) tasks: VecDeque<LeaderTask>,
    pub(super) ends: VecDeque<(LinkId, Option<ServerId>, LearnerEnd)>,
    pub(super) end: Option<StepDown>,
    pub(super) is_newly_established: bool,
    pub(super) was_established: bool,
    /// The last round of pings.
    pub(super) round: u64,
    /// The number to confirm, and the round that does; and the newest number behind it.
    pub(super) confirming: Option<(u64, u64)>,
    pub(super) to_confirm: Option<u64>,
    pub(super) next_ping: Millis,
    pub(super) began: Millis,
    /// When a quorum was there last.
    pub(super) quorum_heard: Millis,
    pub(super) now: Millis,
}

/// The side of the sockets.
impl Leadership {
    /// Begins to lead with what is here.
    pub fn new(settings: LeaderSettings, position: LearnerPosition, now: Millis) -> Leadership {
        assert!(settings.voters.contains(&settings.server), "a leader votes");
        let LearnerPosition { last, saved, committed, ensemble, alone, .. } = position;
        let window = TxnWindow::new(settings.limits.window, last);
        let mut leadership = Leadership {
            settings,
            phase: LeaderPhase::Discovering,
            epoch: 0,
            saved,
            recovered: saved.recovered(last),
            ensemble,
            leads_with: None,
            alone,
            differences: VecDeque::new(),
            digests: Digests::default(),
            history: last,
            links: BTreeMap::new(),
            promised: BTreeSet::new(),
            promised_blank: BTreeSet::new(),
            is_first: saved.current == 0,
            window,
            pending: VecDeque::new(),
            pending_bytes: 0,
            committed: last,
            committed_before: committed,
            was_established: false,
            acks: VecDeque::new(),
            events: VecDeque::new(),
            event_bytes: 0,
            tasks: VecDeque::new(),
            ends: VecDeque::new(),
            end: None,
            is_newly_established: false,
            round: 0,
            confirming: None,
            to_confirm: None,
            next_ping: now,
            began: now,
            quorum_heard: now,
            now,
        };
        leadership.settle();
        leadership
    }

    /// A learner has connected.
    pub fn opened(&mut self, link: LinkId, now: Millis) {
        self.now = now;
        if self.phase == LeaderPhase::Ended {
            return self.ends.push_back((link, None, LearnerEnd::SteppedDown));
        }
        if self.links.len() >= self.settings.limits.links_max {
            return self.ends.push_back((link, None, LearnerEnd::TooMany));
        }
        let state = LearnerState::new(self.settings.limits.packets, now);
        let before = self.links.insert(link, state);
        assert!(before.is_none(), "{link:?} is used twice");
    }

    /// Whether a connection's bytes are to be read. They wait in the socket while the node is
    /// behind with requests; but not while it waits for acknowledgements, which may be among them.
    pub fn wants_bytes(&self, link: LinkId) -> bool {
        self.links.contains_key(&link) && self.reads_learners()
    }

    pub(super) fn reads_learners(&self) -> bool {
        let is_behind = self.event_bytes >= self.settings.limits.event_bytes_max;
        !is_behind || !self.has_capacity()
    }

    /// Takes a connection's next bytes. What comes for one that is not there any more is ignored.
    pub fn received(&mut self, link: LinkId, bytes: &[u8], now: Millis) {
        self.now = now;
        let Some(state) = self.links.get_mut(&link) else { return };
        state.heard = now;
        let Some(mut decoder) = state.decoder.take() else { return };
        decoder.push(bytes);
        // A packet may end the leadership, and every connection with it.
        while self.links.contains_key(&link) {
            let packet = match decoder.decode() {
                Ok(None) => break,
                Ok(Some(packet)) => LearnerPacket::read(packet),
                Err(bad) => Err(bad),
            };
            let handled = match packet {
                Ok(packet) => self.on_packet(link, packet),
                Err(bad) => Err(LearnerEnd::Malformed(bad)),
            };
            if let Err(end) = handled {
                return self.drop_link(link, end);
            }
        }
        if let Some(state) = self.links.get_mut(&link) {
            state.decoder = Some(decoder);
        }
        self.settle();
    }

    /// The connection is gone.
    pub fn closed(&mut self, link: LinkId) {
        let Some(state) = self.links.remove(&link) else { return };
        let is_lagging_fed = state.lagging.as_ref().is_some_and(|lagging| lagging.feed.is_some());
        if is_lagging_fed || matches!(state.phase, LearnerPhase::Fed(_)) {
            self.tasks.push_back(LeaderTask::StopFeed(link));
        }
        // When it comes back it may have to cut off what it has acknowledged, be it that the node
        // has not heard of it yet.
        if let Some(voter) = state.voter()
            && self.phase == LeaderPhase::Established
            && !is_planted(Bug::StaleAcksCount)
        {
            self.acks.retain(|ack| !matches!(ack, Acknowledgement::Durable(of, _) if *of == voter));
            self.acks.push_back(Acknowledgement::Durable(voter, Zxid::ZERO));
            // Whether a quorum is left is looked at soon: its clients wait.
            let soon = Millis(self.now.0 + QUORUM_GRACE_MS);
            self.next_ping = self.next_ping.min(soon);
        }
    }

    /// What is to be sent over a connection, in pieces.
    pub fn outgoing(&self, link: LinkId) -> impl Iterator<Item = &[u8]> {
        self.links.get(&link).into_iter().flat_map(|state| state.out.pieces())
    }

    /// Whether something is to be sent over it.
    pub fn has_outgoing(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|state| state.out.bytes() > 0)
    }

    /// So many bytes of it were sent.
    pub fn sent(&mut self, link: LinkId, bytes: usize, now: Millis) {
        self.now = now;
        if let Some(state) = self.links.get_mut(&link) {
            state.took(bytes, self.round);
            if let LearnerPhase::Fed(_) = state.phase {
                state.heard = now;
            }
            if state.lagging.is_some() {
                self.feed_lagging(link);
            } else {
                self.request_piece(link);
            }
            self.end_refusal(link);
        }
    }

    /// Whether [`Leadership::next_end`] has something, or it has ended itself.
    pub(crate) fn has_ended(&self) -> bool {
        !self.ends.is_empty() || self.end.is_some() || self.has_differences()
    }

    /// A connection that is to be closed, of which server it was, and why.
    pub fn next_end(&mut self) -> Option<(LinkId, Option<ServerId>, LearnerEnd)> {
        self.ends.pop_front()
    }

    /// Gives a connection up.
    pub(super) fn drop_link(&mut self, link: LinkId, end: LearnerEnd) {
        let server = self.links.get(&link).and_then(|state| state.server);
        if self.links.contains_key(&link) {
            self.closed(link);
            self.ends.push_back((link, server, end));
        }
    }

    fn on_packet(&mut self, link: LinkId, packet: LearnerPacket<'_>) -> Result<(), LearnerEnd> {
        match packet {
            LearnerPacket::FollowerInfo { zxid, learner } => {
                self.introduce(link, (LearnerKind::Follower, zxid.epoch()), learner)
            }
            LearnerPacket::ObserverInfo { zxid, learner } => {
                self.introduce(link, (LearnerKind::Observer, zxid.epoch()), learner)
            }
            LearnerPacket::AckEpoch { zxid, current_epoch } => {
                self.promised(link, zxid, current_epoch)
            }
            LearnerPacket::Ack { zxid } => self.acked(link, zxid),
            LearnerPacket::Ping { zxid, touched } => {
                self.serving(link, "PING")?.answered = zxid.0.min(self.round);
                if !touched.is_empty() {
                    self.push_event(link, LearnerEventKind::Touched(touched))?;
                }
                self.confirm();
                Ok(())
            }
            LearnerPacket::Digest { zxid, digest } => {
                self.serving(link, "DIGEST")?;
                self.on_digest(link, zxid, digest);
                Ok(())
            }
            LearnerPacket::Revalidate { session, timeout_ms } => {
                self.serving(link, "REVALIDATE")?;
                self.push_event(link, LearnerEventKind::Revalidate { session, timeout_ms })
            }
            LearnerPacket::Request { session, cxid, op, record, identities } => {
                self.serving(link, "REQUEST")?;
                let record = record.into();
                let request = super::ForwardedRequest { session, cxid, op, record, identities };
                self.push_event(link, LearnerEventKind::Request(request))
            }
        }
    }

    pub(super) fn link(&mut self, link: LinkId) -> &mut LearnerState {
        self.links.get_mut(&link).expect("its packet was decoded a moment ago")
    }

    /// The learner, if it may send anything else than acknowledgements.
    fn serving(
        &mut self,
        link: LinkId,
        packet: &'static str,
    ) -> Result<&mut LearnerState, LearnerEnd> {
        let state = self.link(link);
        match state.phase {
            LearnerPhase::Serving => Ok(state),
            _ => Err(LearnerEnd::Unexpected(packet)),
        }
    }
}

/// The side of the node.
impl Leadership {
    /// The epoch, once it is decided.
    pub fn epoch(&self) -> Option<u32> {
        (self.epoch != 0).then_some(self.epoch)
    }

    /// Whether a quorum has the history. Then everything in it is committed.
    pub fn is_established(&self) -> bool {
        self.phase == LeaderPhase::Established
    }

    /// What the leadership is doing.
    pub fn state(&self) -> ZabState {
        match self.phase {
            LeaderPhase::Discovering | LeaderPhase::Promising | LeaderPhase::Promised => {
                ZabState::Discovery
            }
            LeaderPhase::Saving | LeaderPhase::Synchronizing => ZabState::Synchronization,
            LeaderPhase::Established => ZabState::Broadcast,
            LeaderPhase::Ended => ZabState::Election,
        }
    }

    /// Why it has ended, if it has.
    pub fn end(&self) -> Option<StepDown> {
        self.end
    }

    /// What is on the disk of the epochs.
    pub fn epochs(&self) -> Epochs {
        self.saved
    }

    /// The last transaction that is committed, once a quorum has the history; until then, the end
    /// of the history.
    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// The last transaction that is known to be committed, whatever becomes of this leadership. The
    /// beginning of an epoch is none.
    pub fn known_committed(&self) -> Zxid {
        if self.was_established && self.committed.counter() != 0 {
            self.committed
        } else {
            self.committed_before
        }
    }

    /// Gives it up: connections are closed, and nothing more happens.
    pub fn step_down(&mut self, why: StepDown) {
        if self.phase == LeaderPhase::Ended {
            return;
        }
        self.differences.clear();
        (self.phase, self.end) = (LeaderPhase::Ended, Some(why));
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        links.into_iter().for_each(|link| self.drop_link(link, LearnerEnd::SteppedDown));
        self.acks.clear();
        self.events.clear();
        self.event_bytes = 0;
    }

    pub(crate) fn take_established(&mut self) -> bool {
        std::mem::take(&mut self.is_newly_established)
    }

    pub(crate) fn next_task(&mut self) -> Option<LeaderTask> {
        self.tasks.pop_front()
    }

    pub(crate) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty() || self.is_newly_established
    }

    pub(crate) fn next_ack(&mut self) -> Option<Acknowledgement> {
        self.acks.pop_front()
    }

    pub(crate) fn has_acks(&self) -> bool {
        !self.acks.is_empty()
    }

    /// Takes requests of learners, a bounded number.
    pub(crate) fn take_events(&mut self, most: usize, out: &mut Vec<LearnerEvent>) {
        let count = most.min(self.events.len());
        for event in self.events.drain(..count) {
            self.event_bytes -= event.bytes();
            out.push(event);
        }
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether more may be ordered.
    pub(crate) fn has_capacity(&self) -> bool {
        self.pending_bytes < self.settings.limits.uncommitted_bytes_max
    }

    pub(crate) fn propose(&mut self, group: &Group) {
        if self.phase != LeaderPhase::Ended
            && let Some(chunk) = TxnChunk::of_group(group)
        {
            self.proposed(chunk);
        }
    }

    pub(crate) fn answer(&mut self, answers: &mut Vec<ToLearners>) {
        for answer in answers.drain(..) {
            if self.phase != LeaderPhase::Ended {
                self.on_answer(answer);
            }
        }
    }

    /// Order: one queue for all links. What has come over a link is ordered before what comes over
    /// a later one of the same learner, which relies on that: see [`crate::LostRequests`].
    pub(super) fn push_event(
        &mut self,
        link: LinkId,
        kind: LearnerEventKind,
    ) -> Result<(), LearnerEnd> {
        let server = self.link(link).server.expect("it has introduced itself");
        let event = LearnerEvent { link, server, kind };
        self.event_bytes += event.bytes();
        self.events.push_back(event);
        // Reads have not stopped because acknowledgements were needed.
        let most = self.settings.limits.event_bytes_max.saturating_mul(OVERRUN);
        if self.event_bytes > most {
            return Err(LearnerEnd::TooManyRequests(self.event_bytes));
        }
        Ok(())
    }
}
