//! What is ordered but not committed, and what waits behind it.

use std::collections::VecDeque;

use ringkeeper_engine::log::Group;
use ringkeeper_engine::op::Read;
use ringkeeper_engine::request::{Origin, Outcome};
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::{SessionId, Zxid};

use crate::{Committed, Proposal};

/// The proposals in the order of their zxids, and between them what has to be answered between
/// two of them. Where this server orders, one queue serves all sessions.
pub(crate) struct CommitQueue {
    waiting: VecDeque<Committed>,
    committed: Zxid,
}

impl CommitQueue {
    /// Everything up to `committed` is committed.
    pub(crate) fn new(committed: Zxid) -> CommitQueue {
        CommitQueue { waiting: VecDeque::new(), committed }
    }

    /// Adds a proposal, which was ordered behind all others, to the log's group and to the queue.
    pub(crate) fn propose(&mut self, proposal: Proposal, group: &mut Group) {
        group.push(&proposal.txn);
        self.waiting.push_back(Committed::Apply(proposal));
    }

    /// Adds what is due when everything that is ordered by now is applied.
    pub(crate) fn push(&mut self, due: Committed) {
        self.waiting.push_back(due);
    }

    /// Drops the proposals behind `upto`, which are not committed and never will be. What waits
    /// between them is due all the same; a client whose write is dropped is cut off.
    pub(crate) fn cut(&mut self, upto: Zxid) {
        assert!(upto >= self.committed, "what is committed is cut");
        self.drop_proposals(|zxid| zxid > upto);
    }

    /// The state was replaced by one at `committed`. What was learned before is in it, or is not:
    /// a client whose write is dropped is cut off.
    pub(crate) fn restart(&mut self, committed: Zxid) {
        self.drop_proposals(|_| true);
        self.committed = committed;
    }

    fn drop_proposals(&mut self, is_dropped: impl Fn(Zxid) -> bool) {
        let mut drops = false;
        for due in std::mem::take(&mut self.waiting) {
            if let Committed::Apply(proposal) = &due {
                drops = is_dropped(proposal.txn.zxid);
            }
            self.waiting.extend(if drops { due.without_change() } else { Some(due) });
        }
    }

    /// Answers after everything that is ordered by now.
    pub(crate) fn answer(&mut self, origin: Origin, outcome: Outcome) {
        self.waiting.push_back(Committed::Answer(origin, outcome));
    }

    /// Reads the state that everything ordered by now makes.
    pub(crate) fn read(&mut self, origin: Origin, caller: Caller, read: Box<Read>) {
        self.waiting.push_back(Committed::Read(origin, caller, read));
    }

    /// Closes a connection after everything that is ordered by now.
    pub(crate) fn close_connection(&mut self, origin: Origin, session: SessionId) {
        self.waiting.push_back(Committed::CloseConnection(origin, session));
    }

    /// Moves to `out`, in order, what a quorum holds up to `upto` and what waits behind nothing
    /// else.
    pub(crate) fn release(&mut self, upto: Zxid, out: &mut Vec<Committed>) {
        while let Some(front) = self.waiting.front() {
            if let Committed::Apply(proposal) = front {
                if proposal.txn.zxid > upto {
                    return;
                }
                self.committed = proposal.txn.zxid;
            }
            out.extend(self.waiting.pop_front());
        }
    }

    /// The last zxid that was released.
    pub(crate) fn committed(&self) -> Zxid {
        self.committed
    }

    /// Entries that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
