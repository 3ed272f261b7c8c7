//! What of the leader's history is here, durable, committed and released.

use std::collections::VecDeque;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::TxnChunk;
use ringkeeper_engine::txn::TxnBody;
use ringkeeper_engine::wire::peer::LearnerPacket;

use super::zxid_runs::ZxidRuns;
use super::{LeaderTxn, LearnerKind, LinkEffect, LinkEnd};
use crate::plant::{Bug, is_planted};

/// Positions in the order. Each is a number: acknowledgements and commits are compared with it, and
/// a queue is kept only where each zxid counts.
///
/// Invariant: released <= durable <= last, and released <= committed <= last.
#[derive(Debug)]
pub(super) struct History {
    kind: LearnerKind,
    /// The last transaction that was handed to the log.
    last: Zxid,
    /// The last one that is on the disk.
    durable: Zxid,
    /// What the leader has committed, as far as it said so.
    committed: Zxid,
    /// The last transaction that may be applied. Never the beginning of an epoch: a state at such a
    /// zxid may hold no more than one at a smaller zxid, and no leader is behind because of it.
    released: Zxid,
    /// Proposals that the leader has not committed.
    uncommitted: ZxidRuns,
    /// Proposals that are to be acknowledged.
    unacked: ZxidRuns,
    /// One acknowledgement is enough for all that is durable.
    is_cumulative: bool,
    /// Proposals among the uncommitted that change the members.
    reconfigs: VecDeque<Zxid>,
    /// Changes of the members that the leader has committed, and that are not released yet.
    activations: VecDeque<(Zxid, i64)>,
}

impl History {
    /// What a log holds that is durable as a whole.
    pub(super) fn new(kind: LearnerKind, last: Zxid, committed: Zxid) -> History {
        assert!(committed <= last, "{committed} is committed and the log ends with {last}");
        History {
            kind,
            last,
            durable: last,
            committed,
            released: committed,
            uncommitted: ZxidRuns::default(),
            unacked: ZxidRuns::default(),
            is_cumulative: false,
            reconfigs: VecDeque::new(),
            activations: VecDeque::new(),
        }
    }

    pub(super) fn last(&self) -> Zxid {
        self.last
    }

    pub(super) fn durable(&self) -> Zxid {
        self.durable
    }

    pub(super) fn released(&self) -> Zxid {
        self.released
    }

    /// The log was cut, or begins anew, and ends here.
    pub(super) fn reset(&mut self, last: Zxid) {
        assert!(
            last >= self.released,
            "{} was committed and the log ends with {last}",
            self.released
        );
        (self.last, self.durable) = (last, last);
        self.committed = self.committed.min(last).max(self.released);
    }

    /// The leader has everything up to here, and counts it as committed.
    pub(super) fn joined(&mut self, upto: Zxid) {
        assert!(upto <= self.last);
        self.committed = self.committed.max(upto);
    }

    /// A transaction goes to the log, and waits for its commit.
    pub(super) fn propose(
        &mut self,
        txn: LeaderTxn,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let zxid = txn.zxid();
        self.append(txn, out)?;
        self.uncommitted.push(zxid);
        match self.kind {
            LearnerKind::Follower => self.unacked.push(zxid),
            LearnerKind::Observer => {}
        }
        Ok(())
    }

    /// As [`History::propose`], of several that follow each other in one epoch. They do not change
    /// the members.
    pub(super) fn propose_chunk(
        &mut self,
        chunk: TxnChunk,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let TxnChunk { first, last, .. } = chunk;
        if !first.may_follow(self.last) {
            return Err(LinkEnd::DoesNotFollow { zxid: first, last: self.last });
        }
        self.last = last;
        self.uncommitted.push_run(first, last);
        match self.kind {
            LearnerKind::Follower => self.unacked.push_run(first, last),
            LearnerKind::Observer => {}
        }
        out.push(LinkEffect::AppendChunk(chunk));
        Ok(())
    }

    /// A transaction goes to the log that is committed already.
    pub(super) fn inform(
        &mut self,
        txn: LeaderTxn,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let zxid = txn.zxid();
        self.append(txn, out)?;
        self.uncommitted.push(zxid);
        self.commit(zxid)
    }

    fn append(&mut self, txn: LeaderTxn, out: &mut Vec<LinkEffect>) -> Result<(), LinkEnd> {
        let (zxid, last) = (txn.zxid(), self.last);
        if !zxid.may_follow(last) {
            return Err(LinkEnd::DoesNotFollow { zxid, last });
        }
        if let TxnBody::Reconfig { .. } = txn.entry.txn.body {
            self.reconfigs.push_back(zxid);
        }
        self.last = zxid;
        out.push(LinkEffect::Append(txn));
        Ok(())
    }

    /// The leader has committed a proposal, and with it everything before.
    pub(super) fn commit(&mut self, zxid: Zxid) -> Result<(), LinkEnd> {
        if !self.uncommitted.contains(zxid) {
            return Err(LinkEnd::NotProposed(zxid));
        }
        self.uncommitted.remove_upto(zxid);
        self.committed = self.committed.max(zxid);
        while self.reconfigs.front().is_some_and(|front| *front <= zxid) {
            self.reconfigs.pop_front();
        }
        Ok(())
    }

    /// The leader has committed a change of the members.
    pub(super) fn commit_reconfig(&mut self, zxid: Zxid, designated: i64) -> Result<(), LinkEnd> {
        if self.uncommitted.contains(zxid) && !self.reconfigs.contains(&zxid) {
            return Err(LinkEnd::NoReconfig(zxid));
        }
        self.commit(zxid)?;
        self.activate(zxid, designated);
        Ok(())
    }

    /// A change of the members counts once everything up to it is released.
    pub(super) fn activate(&mut self, zxid: Zxid, designated: i64) {
        self.activations.push_back((zxid, designated));
    }

    /// NEWLEADER has come: what the leader has committed before needs no acknowledgement.
    pub(super) fn end_of_sync(&mut self) {
        self.unacked.remove_upto(self.committed);
    }

    /// The log is durable up to here.
    pub(super) fn flushed(&mut self, upto: Zxid) {
        let History { durable, last, .. } = *self;
        assert!(durable <= upto && upto <= last, "flushed {upto}, between {durable} and {last}");
        self.durable = upto;
    }

    /// Whether the leader takes one acknowledgement for everything before it.
    pub(super) fn acknowledges_all(&mut self, is_cumulative: bool) {
        self.is_cumulative = is_cumulative;
    }

    /// See [`History::acknowledges_all`].
    pub(super) fn is_cumulative(&self) -> bool {
        self.is_cumulative
    }

    /// Acknowledges what is durable: one by one, as a leader of ZooKeeper's needs it.
    pub(super) fn acknowledge(&mut self, out: &mut Vec<LinkEffect>) {
        if self.is_cumulative {
            let zxid = self.unacked.remove_upto(self.durable);
            out.extend(zxid.map(|zxid| LinkEffect::Send(LearnerPacket::Ack { zxid })));
            return;
        }
        while let Some(zxid) = self.unacked.pop_upto(self.durable) {
            out.push(LinkEffect::Send(LearnerPacket::Ack { zxid }));
        }
    }

    /// Releases what is committed and durable.
    pub(super) fn release(&mut self, out: &mut Vec<LinkEffect>) {
        let upto = match () {
            () if is_planted(Bug::ApplyBeforeFlush) => self.committed,
            () => self.committed.min(self.durable),
        };
        if upto <= self.released || upto.counter() == 0 {
            return;
        }
        self.released = upto;
        out.push(LinkEffect::Committed(upto));
        while let Some(&(zxid, designated)) = self.activations.front()
            && zxid <= upto
        {
            out.push(LinkEffect::Activate(zxid, designated));
            self.activations.pop_front();
        }
    }
}
