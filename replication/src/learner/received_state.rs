//! A state that a leader sends, and what it commits and proposes before the state is whole.

use std::collections::VecDeque;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::txn::TxnBody;

use super::{LeaderTxn, LinkEffect, LinkEnd};

/// Bytes of proposals behind a state that may wait for their commit. A leader has at most a
/// thousand or so under way (`globalOutstandingLimit`).
pub(super) const PROPOSED_BYTES_MAX: usize = 256 << 20;

/// What stands behind SNAP, up to NEWLEADER.
///
/// A leader writes its state while it goes on, and notes before it begins from where on the learner
/// gets what it orders. So the first transactions behind the state may be in it already, be it in
/// part. From the first one on there is no gap, and the zxid of SNAP is passed through, not over.
#[derive(Debug)]
pub(super) struct ReceivedState {
    /// That of SNAP: the state holds everything up to here. It may be the beginning of an epoch.
    snap: Zxid,
    /// The last transaction that came behind it.
    last: Option<Zxid>,
    /// The last one that was added to the state.
    added: Zxid,
    /// Those that the leader has not committed.
    proposed: VecDeque<LeaderTxn>,
    proposed_bytes: usize,
}

impl ReceivedState {
    pub(super) fn new(snap: Zxid) -> ReceivedState {
        let (last, added) = (None, Zxid::ZERO);
        ReceivedState { snap, last, added, proposed: VecDeque::new(), proposed_bytes: 0 }
    }

    /// Where the state ends with what was added.
    pub(super) fn end(&self) -> Zxid {
        self.snap.max(self.added)
    }

    pub(super) fn propose(&mut self, txn: LeaderTxn) -> Result<(), LinkEnd> {
        self.check_follows(txn.zxid())?;
        self.proposed_bytes += txn.bytes;
        if self.proposed_bytes > PROPOSED_BYTES_MAX {
            return Err(LinkEnd::TooMuchProposed(self.proposed_bytes));
        }
        self.last = Some(txn.zxid());
        self.proposed.push_back(txn);
        Ok(())
    }

    pub(super) fn inform(
        &mut self,
        txn: LeaderTxn,
        out: &mut Vec<LinkEffect>,
    ) -> Result<(), LinkEnd> {
        let zxid = txn.zxid();
        self.propose(txn)?;
        self.commit(zxid, out)
    }

    /// Adds the proposals up to this one to the state.
    pub(super) fn commit(&mut self, zxid: Zxid, out: &mut Vec<LinkEffect>) -> Result<(), LinkEnd> {
        if self.proposed.iter().all(|txn| txn.zxid() != zxid) {
            return Err(LinkEnd::NotProposed(zxid));
        }
        while self.proposed.front().is_some_and(|txn| txn.zxid() <= zxid) {
            let Some(txn) = self.proposed.pop_front() else { break };
            self.proposed_bytes -= txn.bytes;
            self.added = txn.zxid();
            out.push(LinkEffect::AddToState(txn));
        }
        Ok(())
    }

    /// Whether this proposal changes the members; true for what was not proposed at all.
    pub(super) fn may_be_reconfig(&self, zxid: Zxid) -> bool {
        let proposal = self.proposed.iter().find(|txn| txn.zxid() == zxid);
        proposal.is_none_or(|txn| matches!(txn.entry.txn.body, TxnBody::Reconfig { .. }))
    }

    /// The proposals that are not in the state and go to the log behind it.
    pub(super) fn into_proposed(self) -> impl Iterator<Item = LeaderTxn> {
        let end = self.end();
        self.proposed.into_iter().filter(move |txn| txn.zxid() > end)
    }

    fn check_follows(&self, zxid: Zxid) -> Result<(), LinkEnd> {
        let ReceivedState { snap, last, .. } = *self;
        let (follows, last) = match last {
            None if zxid <= snap => (zxid.counter() != 0, snap),
            None => (zxid.may_follow(snap), snap),
            Some(last) => {
                let passes_over = last < snap && snap < zxid && snap.counter() != 0;
                (zxid.may_follow(last) && !passes_over, last)
            }
        };
        if follows { Ok(()) } else { Err(LinkEnd::DoesNotFollow { zxid, last }) }
    }
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::txn::Txn;
    use ringkeeper_engine::zookeeper::Entry;
    use ringkeeper_engine::{Code, Millis, SessionId};

    use super::*;

    fn txn(counter: u32, bytes: usize) -> LeaderTxn {
        let body = TxnBody::Error(Code::NoNode);
        let (session, zxid, time) = (SessionId(1), Zxid::new(1, counter), Millis(1));
        let txn = Txn { session, cxid: 1, zxid, time, body };
        let entry = Entry { txn, lists_paths: true, digest: None };
        LeaderTxn { entry, bytes }
    }

    #[test]
    fn proposals_that_wait_are_bounded_by_their_bytes_and_committed_ones_do_not_count() {
        let (mut state, mut out) = (ReceivedState::new(Zxid::ZERO), Vec::new());
        let quarter = PROPOSED_BYTES_MAX / 4;
        (1..=4).for_each(|counter| state.propose(txn(counter, quarter)).unwrap());
        state.commit(Zxid::new(1, 2), &mut out).unwrap();
        assert_eq!((out.len(), state.end()), (2, Zxid::new(1, 2)));
        (5..=6).for_each(|counter| state.propose(txn(counter, quarter)).unwrap());
        let refused = state.propose(txn(7, 1));
        assert_eq!(refused, Err(LinkEnd::TooMuchProposed(PROPOSED_BYTES_MAX + 1)));
    }
}
