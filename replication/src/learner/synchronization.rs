//! From the first packet of a link to the last one before clients are served: the epoch, the
//! history that the learner lacks, and the acknowledgement that it is here.
//!
//! The order of a start, from which everything else follows: the promise is durable, then ACKEPOCH;
//! the history is durable, then the current epoch, then the ACK of NEWLEADER. So a learner whose
//! epoch is current has the whole history that the epoch begins with, whenever it crashes.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Epochs;
use ringkeeper_engine::wire::peer::{LearnerPacket, PROTOCOL_VERSION};

use super::link::Phase;
use super::received_state::ReceivedState;
use super::{LearnerLink, LearnerOffer, LinkEffect, LinkEnd};
use crate::plant::{Bug, is_planted};

/// Discovery.
impl LearnerLink {
    pub(super) fn on_leader_epoch(
        &mut self,
        zxid: Zxid,
        protocol: i32,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let Phase::Connected = self.phase else { return Err(self.unexpected("LEADERINFO")) };
        let (epoch, promised) = (zxid.epoch(), self.recovered.promised);
        if protocol < PROTOCOL_VERSION {
            return Err(LinkEnd::Protocol(protocol));
        }
        // ACKEPOCH carries an epoch as a positive int, and the first leader leads epoch 1.
        if zxid.counter() != 0 || epoch == 0 || i32::try_from(epoch).is_err() {
            return Err(LinkEnd::NoEpoch(zxid));
        }
        self.epoch = epoch;
        if epoch < promised {
            self.check_own_history(zxid)?;
            return Err(LinkEnd::EpochOver { epoch, promised });
        }
        let current = (epoch != promised).then_some(self.recovered.current);
        if self.saved.promised >= epoch || is_planted(Bug::PromiseAfterAck) {
            self.acknowledge_epoch(current, out);
        } else {
            self.phase = Phase::Promising(current);
            out.push(LinkEffect::Save(Epochs { promised: epoch, current: self.saved.current }));
        }
        Ok(())
    }

    /// Reports what is here. The beginning of an epoch is no transaction, and a leader that does
    /// not know it could take it for more than this learner has: then nothing is reported, and the
    /// state comes as a whole.
    fn acknowledge_epoch(&mut self, current: Option<u32>, out: &mut Vec<LinkEffect>) {
        let last = self.history.last();
        let zxid = match self.offer {
            LearnerOffer::Log if last.counter() != 0 => last,
            LearnerOffer::Log | LearnerOffer::Nothing => Zxid::ZERO,
        };
        let int = |epoch| i32::try_from(epoch).expect("it is smaller than the leader's epoch");
        self.phase = Phase::Promised;
        let packet = LearnerPacket::AckEpoch { zxid, current_epoch: current.map(int) };
        out.push(LinkEffect::Send(packet));
    }

    pub(super) fn on_saved(&mut self, epochs: Epochs, out: &mut Vec<LinkEffect>) {
        self.saved = epochs;
        match self.phase {
            Phase::Promising(current) => self.acknowledge_epoch(current, out),
            Phase::Saving => self.acknowledge_new_leader(out),
            Phase::Ended => {}
            ref other => unreachable!("no epochs are saved in {other:?}"),
        }
    }
}

/// Synchronization.
impl LearnerLink {
    /// The leader has everything that is here, committed. More may follow.
    pub(super) fn on_diff(&mut self, zxid: Zxid) -> Result<(), LinkEnd> {
        self.check_choice("DIFF", zxid)?;
        self.check_kept()?;
        let last = self.history.last();
        if zxid < last {
            return Err(LinkEnd::OtherHistory { zxid, last });
        }
        self.history.joined(last);
        if last == Zxid::ZERO {
            // There is nothing that could not be trusted.
            self.offer = LearnerOffer::Log;
        }
        self.phase = Phase::Receiving(zxid);
        Ok(())
    }

    /// What is behind `zxid` here is not in the leader's history, and was never committed.
    pub(super) fn on_trunc(
        &mut self,
        zxid: Zxid,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        self.check_choice("TRUNC", zxid)?;
        self.check_own_history(zxid)?;
        self.check_kept()?;
        let (last, committed) = (self.history.last(), self.history.released());
        if zxid > last {
            return Err(LinkEnd::OtherHistory { zxid, last });
        }
        self.check_lost(zxid, committed)?;
        if is_planted(Bug::TailKept) {
            self.phase = Phase::Receiving(zxid);
            return Ok(());
        }
        self.phase = Phase::Cutting(zxid);
        out.push(LinkEffect::Cut(zxid));
        Ok(())
    }

    /// A log that has no transaction at the cut has another history before it, with a hole where
    /// the leader goes on. The cut was right all the same, and the next link reports what is left.
    pub(super) fn on_cut(&mut self, last: Zxid) -> Result<(), LinkEnd> {
        self.history.reset(last);
        let Phase::Cutting(zxid) = self.phase else { return Ok(()) };
        if zxid != last {
            return Err(LinkEnd::OtherHistory { zxid, last });
        }
        self.history.joined(last);
        self.phase = Phase::Receiving(last);
        Ok(())
    }

    pub(super) fn on_cut_too_far(&mut self) -> Result<(), LinkEnd> {
        self.offer = LearnerOffer::Nothing;
        if let Phase::Cutting(zxid) = self.phase { Err(LinkEnd::CutTooFar(zxid)) } else { Ok(()) }
    }

    /// Everything that is here is replaced.
    pub(super) fn on_snap(&mut self, zxid: Zxid, out: &mut Vec<LinkEffect>) -> Result<(), LinkEnd> {
        self.check_choice("SNAP", zxid)?;
        self.check_own_history(zxid)?;
        self.phase = Phase::ReceivingState(ReceivedState::new(zxid));
        out.push(LinkEffect::ReceiveState(zxid));
        Ok(())
    }

    /// Whether what is here can stay. Where nothing was offered, it cannot be trusted.
    fn check_kept(&self) -> Result<(), LinkEnd> {
        let is_kept = self.history.last() == Zxid::ZERO || self.offer == LearnerOffer::Log;
        if is_kept { Ok(()) } else { Err(LinkEnd::NoState) }
    }

    /// Whether the leader's history, which ends with `zxid`, has what is known to be committed.
    ///
    /// A leader of ZooKeeper's goes by what it has applied, and tells its learners of a commit
    /// before it applies it. So one that is asked within that moment wants what it has committed
    /// itself to be cut off, and sends it again behind. What it has committed is of its own epoch.
    /// Everything of earlier epochs was in its state before it took its first learner, or is lost.
    fn check_lost(&self, zxid: Zxid, committed: Zxid) -> Result<(), LinkEnd> {
        match () {
            () if zxid >= committed => Ok(()),
            () if committed.epoch() == self.epoch && !is_planted(Bug::LagIsLoss) => {
                Err(LinkEnd::LeaderBehind { zxid, committed })
            }
            () => Err(LinkEnd::LostCommitted { zxid, committed }),
        }
    }

    /// Whether the leader chooses now how to synchronize, with a zxid that its history can have.
    fn check_choice(&self, packet: &'static str, zxid: Zxid) -> Result<(), LinkEnd> {
        let Phase::Promised = self.phase else { return Err(self.unexpected(packet)) };
        self.check_ensemble(self.leads_with.map(|ensemble| ensemble.id))?;
        let epoch = self.epoch;
        if zxid.epoch() > epoch { Err(LinkEnd::OtherEpoch { epoch, zxid }) } else { Ok(()) }
    }

    /// The history that the epoch begins with is complete.
    pub(super) fn on_new_leader(
        &mut self,
        zxid: Zxid,
        config: Option<&[u8]>,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let epoch = self.epoch;
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            _ if epoch != 0 && zxid != Zxid::new(epoch, 0) => {
                Err(LinkEnd::OtherEpoch { epoch, zxid })
            }
            Phase::Receiving(announced) => {
                let last = self.history.last();
                if last < announced && announced.counter() != 0 {
                    return Err(LinkEnd::Incomplete { announced, last });
                }
                self.history.end_of_sync();
                self.phase = Phase::Flushing(last);
                self.config = config.map(Box::from);
                Ok(())
            }
            Phase::ReceivingState(state) => {
                let (end, committed) = (state.end(), self.history.released());
                self.check_lost(end, committed)?;
                self.phase = Phase::Installing(end, state.into_proposed().collect());
                self.config = config.map(Box::from);
                out.push(LinkEffect::InstallState(end));
                Ok(())
            }
            other => {
                self.phase = other;
                Err(self.unexpected("NEWLEADER"))
            }
        }
    }

    pub(super) fn on_installed(
        &mut self,
        zxid: Zxid,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        self.history.reset(zxid);
        (self.offer, self.alone) = (LearnerOffer::Log, None);
        if let Phase::Ended = self.phase {
            return Ok(());
        }
        let Phase::Installing(end, proposed) = std::mem::replace(&mut self.phase, Phase::Ended)
        else {
            unreachable!("a state was installed that was not wanted");
        };
        assert_eq!(end, zxid, "another state was installed");
        self.history.joined(end);
        for txn in proposed {
            self.history.propose(txn, out)?;
        }
        self.phase = Phase::Flushing(self.history.last());
        Ok(())
    }

    /// What is due after any input.
    pub(super) fn settle(&mut self, out: &mut Vec<LinkEffect>) {
        if let Phase::Flushing(end) = self.phase
            && (self.history.durable() >= end || self.is_history_awaited_by_none())
        {
            if let Some(ensemble) = self.due_adoption() {
                self.phase = Phase::Adopting(end);
                out.push(LinkEffect::Adopt(ensemble));
            } else if self.saved.current == self.epoch || is_planted(Bug::AckBeforeEpoch) {
                self.acknowledge_new_leader(out);
            } else {
                self.phase = Phase::Saving;
                let (promised, current) = (self.saved.promised, self.epoch);
                out.push(LinkEffect::Save(Epochs { promised, current }));
            }
        }
        if let Phase::Acknowledged | Phase::Serving = self.phase {
            self.history.acknowledge(out);
        }
        if let Phase::Serving = self.phase {
            self.history.release(out);
        }
    }

    /// Whether a planted bug does not wait for the history.
    fn is_history_awaited_by_none(&self) -> bool {
        let is_saved = self.saved.current == self.epoch;
        let bug = if is_saved { Bug::AckBeforeHistory } else { Bug::EpochBeforeHistory };
        is_planted(bug)
    }

    fn acknowledge_new_leader(&mut self, out: &mut Vec<LinkEffect>) {
        self.phase = Phase::Acknowledged;
        self.acknowledge_beginning(out);
    }

    /// NEWLEADER and UPTODATE are acknowledged with the beginning of the epoch.
    fn acknowledge_beginning(&self, out: &mut Vec<LinkEffect>) {
        let zxid = Zxid::new(self.epoch, 0);
        out.push(LinkEffect::Send(LearnerPacket::Ack { zxid }));
    }

    /// A quorum has the history: it is committed.
    pub(super) fn on_up_to_date(&mut self, out: &mut Vec<LinkEffect>) -> Result<(), LinkEnd> {
        let Phase::Acknowledged = self.phase else { return Err(self.unexpected("UPTODATE")) };
        self.phase = Phase::Serving;
        self.acknowledge_beginning(out);
        self.history.release(out);
        out.push(LinkEffect::Serve(self.config.take()));
        self.confirm_ensemble(out);
        Ok(())
    }
}
