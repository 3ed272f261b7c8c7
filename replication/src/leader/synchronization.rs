//! Synchronization: every learner gets what it lacks, then NEWLEADER.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::Coverage;
use ringkeeper_engine::wire::peer::LeaderPacket;

use super::leadership::{LeaderPhase, LeaderTask, Leadership};
use super::learner_state::LearnerPhase;
use super::{Acknowledgement, FeedEvent, FeedPackets, FeedTask, LearnerEnd, LinkId, SyncPlan};
use crate::learner::LearnerKind;
use crate::plant::{Bug, is_planted};

impl Leadership {
    pub(super) fn synchronize_all(&mut self) {
        let links: Vec<(LinkId, Zxid)> = self
            .links
            .iter()
            .filter_map(|(link, state)| match state.phase {
                LearnerPhase::Promised(last) => Some((*link, last)),
                _ => None,
            })
            .collect();
        links.into_iter().for_each(|(link, last)| self.synchronize(link, last));
    }

    /// Brings a learner in line, whose log ends with `last`. What it has behind the leader's
    /// commits is cut off, be it in the leader's history or not: the learner takes what it keeps
    /// for committed. What follows it is sent again as proposals.
    ///
    /// Nothing is cut that the learner knows to be committed: of this leader's epoch it knows
    /// what this leader has committed; what was committed in earlier epochs is in the history of
    /// the quorum that has promised this epoch, and so in that of the leader, which none of it is
    /// ahead of.
    pub(super) fn synchronize(&mut self, link: LinkId, last: Zxid) {
        let committed = self.committed;
        let cut_to = |zxid: Zxid| (zxid.counter() != 0).then_some(zxid);
        let found = if last.counter() == 0 && committed != Zxid::ZERO {
            // Who reports nothing may have something, and the beginning of an epoch, which learners
            // of ZooKeeper's report, says nothing of what is before it: the log has to be looked
            // at.
            None
        } else if last > committed {
            cut_to(committed).map(SyncPlan::Trunc)
        } else {
            match self.window.coverage(last) {
                Coverage::Diff { .. } => Some(SyncPlan::Diff),
                Coverage::Unknown { before } => cut_to(before).map(SyncPlan::Trunc),
                Coverage::Older if is_planted(Bug::WindowHole) => Some(SyncPlan::Diff),
                Coverage::Older | Coverage::Ahead { .. } => None,
            }
        };
        match found {
            Some(plan) => {
                let from = match plan {
                    SyncPlan::Trunc(zxid) => zxid,
                    SyncPlan::Diff | SyncPlan::Snap(_) => last,
                };
                let plan = match plan {
                    SyncPlan::Trunc(_) if is_planted(Bug::ForeignTailSent) => SyncPlan::Diff,
                    plan => plan,
                };
                self.send_plan(link, plan);
                self.catch_up(link, from);
            }
            None => {
                self.link(link).is_planned = false;
                self.feed(link, last);
            }
        }
    }

    fn feed(&mut self, link: LinkId, last: Zxid) {
        let is_above = is_planted(Bug::FeedAboveCommitted);
        let upto = if is_above { self.window.last() } else { self.committed };
        let task = FeedTask { link, last, upto, packets: FeedPackets::Proposals };
        let state = self.link(link);
        state.phase = LearnerPhase::Fed(upto);
        // Nothing is requested before its plan has come.
        state.is_piece_requested = true;
        self.tasks.push_back(LeaderTask::Feed(task));
    }

    fn send_plan(&mut self, link: LinkId, plan: SyncPlan) {
        let committed = self.committed;
        self.link(link).sync = Some(plan.kind());
        self.link(link).send(&match plan {
            SyncPlan::Diff => LeaderPacket::Diff { zxid: committed },
            SyncPlan::Trunc(zxid) => LeaderPacket::Trunc { zxid },
            SyncPlan::Snap(zxid) => LeaderPacket::Snap { zxid },
        });
    }

    /// What has come from the disk for a learner.
    pub(crate) fn on_feed(&mut self, link: LinkId, event: FeedEvent) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if let Some(upto) = state.lagging.as_ref().and_then(|lagging| lagging.feed) {
            return self.on_lagging_feed(link, upto, event);
        }
        let LearnerPhase::Fed(upto) = state.phase else { return };
        state.heard = self.now;
        if let FeedEvent::Plan(_) = event {
            state.is_piece_requested = false;
        }
        match event {
            FeedEvent::Plan(SyncPlan::Diff) if state.is_planned => {}
            FeedEvent::Plan(_) if state.is_planned => {
                // It was synchronized up to there a moment ago.
                let why = "the log has changed under it".to_owned();
                return self.drop_link(link, LearnerEnd::Feed(why));
            }
            FeedEvent::Plan(plan) => {
                state.is_planned = true;
                // Order: a DIFF announces no more than the feed brings.
                match plan {
                    SyncPlan::Diff => {
                        state.sync = Some(plan.kind());
                        state.send(&LeaderPacket::Diff { zxid: upto });
                    }
                    SyncPlan::Trunc(_) => self.send_plan(link, plan),
                    SyncPlan::Snap(at) => {
                        state.phase = LearnerPhase::Fed(upto.max(at));
                        self.send_plan(link, plan);
                    }
                }
            }
            FeedEvent::Piece(bytes) => {
                state.is_piece_requested = false;
                state.out.own(bytes);
            }
            FeedEvent::Done => return self.catch_up(link, upto),
            FeedEvent::Failed(why) => return self.drop_link(link, LearnerEnd::Feed(why)),
        }
        self.request_piece(link);
    }

    /// Requests the next piece where there is space for it.
    pub(super) fn request_piece(&mut self, link: LinkId) {
        let low = self.feed_low_bytes();
        let state = self.link(link);
        let is_lagging_fed = state.lagging.as_ref().is_some_and(|lagging| lagging.feed.is_some());
        let is_fed = is_lagging_fed || matches!(state.phase, LearnerPhase::Fed(_));
        if is_fed && !state.is_piece_requested && state.out.bytes() < low {
            state.is_piece_requested = true;
            self.tasks.push_back(LeaderTask::Request(link));
        }
    }

    /// Everything up to `from` was sent; sends the rest, which is in memory, and NEWLEADER. Where
    /// more was committed meanwhile than the memory holds, the disk is read once more.
    fn catch_up(&mut self, link: LinkId, from: Zxid) {
        let (committed, epoch) = (self.committed, self.epoch);
        let state = self.links.get_mut(&link).expect("it was there a moment ago");
        let mut sent = from;
        let mut send = |zxid: Zxid, txn: &[u8]| {
            if zxid > committed && state.kind == LearnerKind::Observer {
                return;
            }
            state.send(&LeaderPacket::Proposal { zxid, txn });
            if zxid <= committed {
                state.send(&LeaderPacket::Commit { zxid });
            }
            sent = zxid;
        };
        match self.window.coverage(from) {
            Coverage::Diff { chunk: first, mut offset } => {
                for number in first..self.window.next() {
                    let chunk = self.window.chunk(number).expect("it is covered");
                    chunk.txns(offset).for_each(|(zxid, txn)| send(zxid, txn));
                    offset = 0;
                }
            }
            Coverage::Older if is_planted(Bug::WindowHole) => {
                let chunks = (0..self.window.next()).filter_map(|it| self.window.chunk(it));
                chunks.flat_map(|chunk| chunk.txns(0)).for_each(|(zxid, txn)| send(zxid, txn));
            }
            Coverage::Older if from < committed => {
                return self.feed(link, from);
            }
            // Not even what is not committed has space in the memory for learners.
            Coverage::Older if from == committed => {
                let pending = self.pending.iter().flat_map(|chunk| chunk.txns(0));
                let behind = pending.skip_while(|(zxid, _)| *zxid <= from);
                behind.for_each(|(zxid, txn)| send(zxid, txn));
            }
            other => unreachable!("{other:?} behind {from}, and {committed} is committed"),
        }
        (state.sent, state.history, state.acked) = (sent, sent, Zxid::ZERO);
        let (zxid, config) = (Zxid::new(epoch, 0), Some(&*self.settings.config));
        state.send(&LeaderPacket::NewLeader { zxid, config });
        state.phase = LearnerPhase::Synchronized;
    }

    /// ACK: of NEWLEADER and UPTODATE with the beginning of the epoch, of proposals with theirs.
    pub(super) fn acked(&mut self, link: LinkId, zxid: Zxid) -> Result<(), LearnerEnd> {
        let (epoch, is_established) = (self.epoch, self.is_established());
        let state = self.link(link);
        if !state.is_synchronized() {
            return Err(LearnerEnd::Unexpected("ACK"));
        }
        let is_beginning = zxid == Zxid::new(epoch, 0);
        if !is_beginning && (zxid > state.sent_most() || zxid.counter() == 0) {
            return Err(LearnerEnd::NotSent(zxid));
        }
        if state.phase == LearnerPhase::Synchronized {
            // Proposals may be acknowledged before NEWLEADER: they count once that is.
            state.acked = state.acked.max(if is_beginning { state.history } else { zxid });
            if !is_beginning {
                return Ok(());
            }
            state.phase = LearnerPhase::Acknowledged;
            if is_established {
                self.serve(link);
            }
            self.count(link);
        } else if !is_beginning && zxid > state.acked {
            state.acked = zxid;
            self.count(link);
        }
        Ok(())
    }

    /// What a voter has acknowledged counts, if it is of this epoch.
    fn count(&mut self, link: LinkId) {
        let epoch = self.epoch;
        let state = self.link(link);
        if let Some(voter) = state.voter()
            && state.acked.epoch() == epoch
            && state.acked.counter() != 0
        {
            let acked = Acknowledgement::Durable(voter, state.acked);
            self.acks.push_back(acked);
        }
    }

    fn serve(&mut self, link: LinkId) {
        let state = self.link(link);
        state.phase = LearnerPhase::Serving;
        state.send(&LeaderPacket::UpToDate);
    }

    /// A quorum has the history: all of it is committed.
    pub(super) fn establish(&mut self) {
        assert_eq!(self.saved.current, self.epoch, "this server does not count itself yet");
        self.phase = LeaderPhase::Established;
        (self.is_newly_established, self.was_established) = (true, true);
        self.quorum_heard = self.now;
        self.confirm_ensemble();
        let acknowledged: Vec<LinkId> = self
            .links
            .iter()
            .filter_map(|(link, state)| {
                (state.phase == LearnerPhase::Acknowledged).then_some(*link)
            })
            .collect();
        acknowledged.into_iter().for_each(|link| self.serve(link));
    }
}
