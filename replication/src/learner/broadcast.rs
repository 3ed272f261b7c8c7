//! What a leader sends from the synchronization on: transactions and their commits; and, once
//! clients are served, pings and answers.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::TxnChunk;
use ringkeeper_engine::txn::TxnBody;
use ringkeeper_engine::zookeeper::Entry;

use super::link::Phase;
use super::{LeaderTxn, LearnerKind, LearnerLink, LinkEffect, LinkEnd};
use crate::plant::{Bug, is_planted};

/// Whether NEWLEADER has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Not yet: the transactions are history, of any epoch.
    History,
    /// It has: the transactions are of the leader's epoch.
    Epoch,
}

impl LearnerLink {
    /// A follower gets proposals all the time. An observer gets what the leader was about to commit
    /// when it joined, each with its commit, and nothing that way once it serves.
    pub(super) fn on_proposal(
        &mut self,
        zxid: Zxid,
        bytes: &[u8],
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let is_observer = self.learner.kind == LearnerKind::Observer;
        if matches!(self.phase, Phase::Serving) && is_observer {
            return Err(self.unexpected("PROPOSAL"));
        }
        let txn = self.read_txn("PROPOSAL", zxid, bytes)?;
        match &mut self.phase {
            Phase::ReceivingState(state) => state.propose(txn),
            _ => self.history.propose(txn, out),
        }
    }

    /// A follower of a leader of our kind gets several proposals in one, from NEWLEADER on.
    pub(super) fn on_proposals(
        &mut self,
        last: Zxid,
        records: &[u8],
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let is_follower = self.learner.kind == LearnerKind::Follower;
        let part = self.part("PROPOSALS")?;
        if part != Part::Epoch || !is_follower || !self.history.is_cumulative() {
            return Err(self.unexpected("PROPOSALS"));
        }
        let bad = |(zxid, why)| LinkEnd::BadTxn { zxid, why };
        let chunk = TxnChunk::received(last, records).map_err(bad)?;
        if last.epoch() != self.epoch {
            return Err(LinkEnd::OtherEpoch { epoch: self.epoch, zxid: last });
        }
        self.history.propose_chunk(chunk, out)
    }

    pub(super) fn on_commit(
        &mut self,
        zxid: Zxid,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        self.part("COMMIT")?;
        match &mut self.phase {
            Phase::ReceivingState(state) => state.commit(zxid, out),
            Phase::Saving | Phase::Acknowledged if is_planted(Bug::CommitPassedOver) => Ok(()),
            _ => self.history.commit(zxid),
        }
    }

    pub(super) fn on_commit_and_activate(
        &mut self,
        zxid: Zxid,
        designated: i64,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        self.part("COMMITANDACTIVATE")?;
        match &mut self.phase {
            Phase::ReceivingState(state) => {
                if !state.may_be_reconfig(zxid) {
                    return Err(LinkEnd::NoReconfig(zxid));
                }
                state.commit(zxid, out)?;
                self.history.activate(zxid, designated);
                Ok(())
            }
            _ => self.history.commit_reconfig(zxid, designated),
        }
    }

    pub(super) fn on_inform(
        &mut self,
        zxid: Zxid,
        bytes: &[u8],
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let txn = self.read_inform("INFORM", zxid, bytes)?;
        self.inform(txn, out)
    }

    pub(super) fn on_inform_and_activate(
        &mut self,
        zxid: Zxid,
        designated: i64,
        bytes: &[u8],
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let txn = self.read_inform("INFORMANDACTIVATE", zxid, bytes)?;
        let TxnBody::Reconfig { .. } = txn.entry.txn.body else {
            return Err(LinkEnd::NoReconfig(zxid));
        };
        self.inform(txn, out)?;
        self.history.activate(zxid, designated);
        Ok(())
    }

    fn inform(&mut self, txn: LeaderTxn, out: &mut Vec<LinkEffect>) -> Result<(), LinkEnd> {
        match &mut self.phase {
            Phase::ReceivingState(state) => state.inform(txn, out),
            _ => self.history.inform(txn, out),
        }
    }

    /// An answer before the ACK of NEWLEADER would end the link: a leader takes nothing else in
    /// front of it. As ZooKeeper's learners do, ours answers no ping before it serves.
    pub(super) fn on_ping(&mut self, zxid: Zxid, out: &mut Vec<LinkEffect>) -> Result<(), LinkEnd> {
        self.part("PING")?;
        if let Phase::Serving = self.phase {
            out.push(LinkEffect::AnswerPing(zxid));
        }
        Ok(())
    }

    /// Nothing was requested before clients are served.
    pub(super) fn on_answer(
        &mut self,
        packet: &'static str,
        answer: LinkEffect,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let Phase::Serving = self.phase else { return Err(self.unexpected(packet)) };
        out.push(answer);
        Ok(())
    }

    fn read_inform(
        &self,
        packet: &'static str,
        zxid: Zxid,
        bytes: &[u8],
    ) -> Result<LeaderTxn, LinkEnd> {
        match self.learner.kind {
            LearnerKind::Observer => self.read_txn(packet, zxid, bytes),
            LearnerKind::Follower => Err(self.unexpected(packet)),
        }
    }

    fn read_txn(
        &self,
        packet: &'static str,
        zxid: Zxid,
        bytes: &[u8],
    ) -> Result<LeaderTxn, LinkEnd> {
        let part = self.part(packet)?;
        let epoch = self.epoch;
        if zxid.epoch() > epoch || (part == Part::Epoch && zxid.epoch() != epoch) {
            return Err(LinkEnd::OtherEpoch { epoch, zxid });
        }
        match Entry::read_proposal(zxid, bytes) {
            Ok(entry) => Ok(LeaderTxn { entry, bytes: bytes.len() }),
            Err(why) => Err(LinkEnd::BadTxn { zxid, why }),
        }
    }

    /// Which transactions may come now.
    fn part(&self, packet: &'static str) -> Result<Part, LinkEnd> {
        match self.phase {
            Phase::Receiving(_) | Phase::ReceivingState(_) => Ok(Part::History),
            Phase::Flushing(_) | Phase::Adopting(_) | Phase::Saving => Ok(Part::Epoch),
            Phase::Acknowledged | Phase::Serving => Ok(Part::Epoch),
            Phase::Connected | Phase::Promising(_) | Phase::Promised => {
                Err(self.unexpected(packet))
            }
            Phase::Cutting(_) | Phase::Installing(..) | Phase::Ended => {
                unreachable!("{packet} came while none was wanted")
            }
        }
    }
}
