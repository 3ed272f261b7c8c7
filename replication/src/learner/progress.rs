//! What a learner reports of itself: signs of life while it takes its leader's history over, and
//! digests of its state.
//!
//! A state can take longer to be made and written than a leader waits for a learner that is silent
//! (`initLimit`). So the learner says now and then that it goes on, and only if it does: one whose
//! disk stands still is given up. A leader of ZooKeeper's takes nothing but the acknowledgement at
//! that time, and is sent nothing else.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::wire::peer::LearnerPacket;

use super::LearnerLink;
use super::followed_leader::FollowedLeader;
use crate::Divergence;

impl FollowedLeader {
    /// Tells the leader that this server goes on, if it has since it said so last. `state` changes
    /// as long as work with a whole state goes on.
    pub(super) fn report_progress(&mut self, state: u64) {
        let Some(durable) = self.synchronized_upto() else { return };
        if self.last_sign.is_due((state, durable), self.now) {
            self.send_packet(&LearnerPacket::Ping { zxid: Zxid::ZERO, touched: Vec::new() });
        }
    }

    /// For how long a leader's state is waited for before the log is offered again that could not
    /// be cut, milliseconds.
    pub(crate) fn cut_pause_ms(&self) -> Option<i64> {
        self.cut_retry.pause_ms().filter(|_| !self.offers_nothing)
    }

    /// The log could not be cut.
    pub(crate) fn cut_failed(&mut self) {
        self.cut_retry.failed();
    }

    /// The log is offered again: the disk may give now what it did not give.
    pub(crate) fn offer_log_again(&mut self) {
        self.cut_retry.offer_log();
    }

    fn synchronized_upto(&self) -> Option<Zxid> {
        self.link.as_ref().filter(|_| self.is_connected).and_then(LearnerLink::synchronized_upto)
    }

    /// What a leader that compares states has found, once.
    pub(super) fn take_divergence(&mut self) -> Option<Divergence> {
        self.divergence.take()
    }

    /// The state behind a transaction, for the leader.
    pub(super) fn report_digest(&mut self, zxid: Zxid, digest: u64) {
        if self.link.as_ref().is_some_and(LearnerLink::takes_digests) {
            self.send_packet(&LearnerPacket::Digest { zxid, digest });
        }
    }
}
