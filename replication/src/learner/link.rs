//! One link to a leader: what came, what is to be done about it.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{EnsembleIdentity, Epochs};
use ringkeeper_engine::wire::peer::{
    LeaderPacket, LearnerInfo, LearnerPacket, PROTOCOL_VERSION, PeerExtension,
};

use super::history::History;
use super::invariant::LinkInvariants;
use super::received_state::ReceivedState;
use super::{
    Dialect, LeaderTxn, Learner, LearnerKind, LearnerOffer, LearnerPosition, LinkEffect, LinkEnd,
    LinkInput, ZabState,
};
use crate::{Divergence, LostRequests};

/// What a link waits for.
#[derive(Debug)]
pub(super) enum Phase {
    /// LEADERINFO.
    Connected,
    /// The promise to be durable; then ACKEPOCH carries this epoch.
    Promising(Option<u32>),
    /// DIFF, TRUNC or SNAP; ACKEPOCH was sent.
    Promised,
    /// The log to be cut behind this transaction.
    Cutting(Zxid),
    /// NEWLEADER, behind a history that ends no earlier than here.
    Receiving(Zxid),
    /// NEWLEADER, behind a state.
    ReceivingState(ReceivedState),
    /// The state to be durable; then these follow it.
    Installing(Zxid, Vec<LeaderTxn>),
    /// The history up to here to be durable; NEWLEADER has come.
    Flushing(Zxid),
    /// The identity of the ensemble to be durable; the history up to here is.
    Adopting(Zxid),
    /// The current epoch to be durable.
    Saving,
    /// UPTODATE; NEWLEADER is acknowledged.
    Acknowledged,
    /// More to follow.
    Serving,
    /// Nothing.
    Ended,
}

/// The learner's end of one link to a leader.
///
/// [`LearnerLink::step`] is the only way in; every effect leaves through its vector, in the order
/// in which it is to be begun. What the leader does wrong ends the link with a [`LinkEnd`]; what
/// would be wrong of this side is asserted for every effect.
#[derive(Debug)]
pub struct LearnerLink {
    pub(super) learner: Learner,
    pub(super) phase: Phase,
    /// The leader's; 0 until LEADERINFO has come.
    pub(super) epoch: u32,
    /// What is on the disk of the epochs.
    pub(super) saved: Epochs,
    /// What held of them when the link began: the log can be ahead of what is noted.
    pub(super) recovered: Epochs,
    pub(super) history: History,
    pub(super) offer: LearnerOffer,
    /// What the leader does with requests of a link that is lost.
    lost_requests: LostRequests,
    /// The ensemble that the directory belongs to, as it is on the disk; and the leader's.
    pub(super) ensemble: Option<EnsembleIdentity>,
    pub(super) leads_with: Option<EnsembleIdentity>,
    /// The end of a history of this server's own.
    pub(super) alone: Option<Zxid>,
    /// The leader compares states.
    pub(super) checks: bool,
    /// The leader takes signs of progress.
    pub(super) takes_progress: bool,
    /// The leader's configuration, from NEWLEADER to UPTODATE.
    pub(super) config: Option<Box<[u8]>>,
    invariants: LinkInvariants,
}

impl LearnerLink {
    /// Begins to talk to a leader over a new connection.
    pub fn new(
        learner: Learner,
        position: LearnerPosition,
        out: &mut Vec<LinkEffect>,
    ) -> LearnerLink {
        let LearnerPosition { last, offer, committed, saved, ensemble, alone } = position;
        let recovered = saved.recovered(last);
        let zxid = Zxid::new(recovered.promised, 0);
        let description = LearnerInfo {
            sid: learner.server.0.into(),
            protocol: PROTOCOL_VERSION,
            config_version: learner.config_version,
            extension: learner.extension(&position).into(),
        };
        out.push(LinkEffect::Send(match learner.kind {
            LearnerKind::Follower => LearnerPacket::FollowerInfo { zxid, learner: description },
            LearnerKind::Observer => LearnerPacket::ObserverInfo { zxid, learner: description },
        }));
        LearnerLink {
            learner,
            phase: Phase::Connected,
            epoch: 0,
            saved,
            recovered,
            history: History::new(learner.kind, last, committed),
            offer,
            lost_requests: LostRequests::Unknown,
            ensemble,
            leads_with: None,
            alone,
            checks: false,
            takes_progress: false,
            config: None,
            invariants: LinkInvariants::new(last, committed, saved),
        }
    }

    /// Takes one input. Packets behind the end of the link are ignored; what the log completes then
    /// still counts for [`LearnerLink::position`].
    pub fn step(&mut self, input: LinkInput<'_>, out: &mut Vec<LinkEffect>) {
        let begun = out.len();
        self.invariants.on_input(&input);
        if let Err(end) = self.on_input(input, out) {
            self.phase = Phase::Ended;
            out.push(LinkEffect::End(end));
        }
        self.invariants.on_effects(&out[begun..]);
    }

    /// Whether a packet may be the next input. While the log is cut or begun anew, packets are to
    /// be left where they are: the leader waits.
    pub fn wants_packets(&self) -> bool {
        match self.phase {
            Phase::Cutting(_) | Phase::Installing(..) | Phase::Ended => false,
            Phase::Connected | Phase::Promising(_) | Phase::Promised => true,
            Phase::Receiving(_) | Phase::ReceivingState(_) | Phase::Flushing(_) => true,
            Phase::Adopting(_) | Phase::Saving | Phase::Acknowledged | Phase::Serving => true,
        }
    }

    /// Whether the leader has said that it is of this kind. Its state is exact.
    pub(super) fn is_leader_ours(&self) -> bool {
        self.history.is_cumulative()
    }

    /// Whether the leader takes digests of this server's state now.
    pub(super) fn takes_digests(&self) -> bool {
        self.checks && matches!(self.phase, Phase::Serving)
    }

    /// How much of the leader's history is durable, as long as NEWLEADER is not acknowledged and
    /// the leader wants to hear how that goes on.
    pub(super) fn synchronized_upto(&self) -> Option<Zxid> {
        let is_on_its_way = match self.phase {
            Phase::Cutting(_) | Phase::Receiving(_) | Phase::ReceivingState(_) => true,
            Phase::Installing(..) | Phase::Flushing(_) => true,
            Phase::Adopting(_) | Phase::Saving => true,
            Phase::Connected | Phase::Promising(_) | Phase::Promised => false,
            Phase::Acknowledged | Phase::Serving | Phase::Ended => false,
        };
        (is_on_its_way && self.takes_progress).then(|| self.history.durable())
    }

    /// What the link is doing.
    pub fn state(&self) -> ZabState {
        match self.phase {
            Phase::Connected | Phase::Promising(_) | Phase::Promised => ZabState::Discovery,
            Phase::Cutting(_) | Phase::Receiving(_) | Phase::ReceivingState(_) => {
                ZabState::Synchronization
            }
            Phase::Installing(..) | Phase::Flushing(_) | Phase::Adopting(_) => {
                ZabState::Synchronization
            }
            Phase::Saving | Phase::Acknowledged => ZabState::Synchronization,
            Phase::Serving => ZabState::Broadcast,
            Phase::Ended => ZabState::Election,
        }
    }

    /// The leader's epoch; `None` until it has said it.
    pub fn epoch(&self) -> Option<u32> {
        (self.epoch != 0).then_some(self.epoch)
    }

    /// What the leader does with requests of a link that is lost.
    pub(super) fn lost_requests(&self) -> LostRequests {
        self.lost_requests
    }

    /// What the next link begins with, once nothing is under way at the log.
    pub fn position(&self) -> LearnerPosition {
        let last = self.history.durable();
        let (offer, committed, saved) = (self.offer, self.history.released(), self.saved);
        let (ensemble, alone) = (self.ensemble, self.alone);
        LearnerPosition { last, offer, committed, saved, ensemble, alone }
    }

    fn on_input(&mut self, input: LinkInput<'_>, out: &mut Vec<LinkEffect>) -> Result<(), LinkEnd> {
        let is_ended = matches!(self.phase, Phase::Ended);
        match input {
            LinkInput::Packet(_) | LinkInput::Malformed(_) if is_ended => return Ok(()),
            LinkInput::Malformed(bad) => return Err(LinkEnd::Malformed(bad)),
            LinkInput::Packet(packet) => {
                assert!(self.wants_packets(), "{packet:?} came while the log changes");
                self.on_packet(packet, out)?;
            }
            LinkInput::Saved(epochs) => self.on_saved(epochs, out),
            LinkInput::Adopted(ensemble) => self.on_adopted(ensemble),
            LinkInput::Cut(last) => self.on_cut(last)?,
            LinkInput::CutTooFar => self.on_cut_too_far()?,
            LinkInput::Installed(zxid) => self.on_installed(zxid, out)?,
            LinkInput::NotInstalled if is_ended => {}
            LinkInput::NotInstalled => return Err(LinkEnd::NotInstalled),
            LinkInput::Flushed(upto) => self.history.flushed(upto),
        }
        self.settle(out);
        Ok(())
    }

    fn on_packet(
        &mut self,
        packet: LeaderPacket<'_>,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        match packet {
            LeaderPacket::LeaderInfo { zxid, protocol, extension } => {
                if self.learner.dialect == Dialect::Extended {
                    let leader = PeerExtension::read(extension).map_err(LinkEnd::Malformed)?;
                    self.history.acknowledges_all(leader.cumulative);
                    if leader.orders_lost_requests_first() {
                        self.lost_requests = LostRequests::OrderedFirst;
                    }
                    self.meet(&leader, out)?;
                }
                self.on_leader_epoch(zxid, protocol, out)
            }
            LeaderPacket::Diff { zxid } => self.on_diff(zxid),
            LeaderPacket::Trunc { zxid } => self.on_trunc(zxid, out),
            LeaderPacket::Snap { zxid } => self.on_snap(zxid, out),
            LeaderPacket::NewLeader { zxid, config } => self.on_new_leader(zxid, config, out),
            LeaderPacket::UpToDate => self.on_up_to_date(out),
            LeaderPacket::Proposal { zxid, txn } => self.on_proposal(zxid, txn, out),
            LeaderPacket::Proposals { zxid, records } => self.on_proposals(zxid, records, out),
            LeaderPacket::Commit { zxid } => self.on_commit(zxid, out),
            LeaderPacket::CommitAndActivate { zxid, designated } => {
                self.on_commit_and_activate(zxid, designated, out)
            }
            LeaderPacket::Inform { zxid, txn } => self.on_inform(zxid, txn, out),
            LeaderPacket::InformAndActivate { zxid, designated, txn } => {
                self.on_inform_and_activate(zxid, designated, txn, out)
            }
            LeaderPacket::Ping { zxid } => self.on_ping(zxid, out),
            LeaderPacket::Revalidate { session, valid } => {
                let answer = LinkEffect::AnswerRevalidate(session, valid);
                self.on_answer("REVALIDATE", answer, out)
            }
            LeaderPacket::Sync => self.on_answer("SYNC", LinkEffect::AnswerSync, out),
            LeaderPacket::Diverged { zxid, expected, found } => {
                let divergence = Divergence::Digest { zxid, expected, found };
                self.on_answer("DIVERGED", LinkEffect::Diverged(divergence), out)
            }
            LeaderPacket::SessionMoved { session } => {
                self.on_answer("SESSIONMOVED", LinkEffect::SessionMoved(session), out)
            }
        }
    }

    /// A packet at a time when it means nothing.
    pub(super) fn unexpected(&self, packet: &'static str) -> LinkEnd {
        LinkEnd::Unexpected { packet, state: self.state() }
    }
}
