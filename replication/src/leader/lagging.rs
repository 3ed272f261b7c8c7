//! Learners that take less than what is proposed.
//!
//! Where too much waits for a synchronized learner, it gets nothing of what is proposed and
//! committed any more. As it takes what waits, it is sent the rest a portion at a time: from the
//! memory of the newest transactions, or, what is older, from the disk. When it has everything, it
//! gets what is proposed again. So a learner that is slow, or does not run at all, costs a bounded
//! memory, and nothing for what others are sent. Its connection stays.
//!
//! Order: a commit leaves behind its proposal, and an answer behind the commits that were there
//! when it was given, as if the learner had taken everything at once.

use std::collections::VecDeque;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::log::{Coverage, TxnChunk, record};
use ringkeeper_engine::wire::peer::LeaderPacket;

use super::lag::{Lagging, LearnerAnswer};
use super::leadership::{LeaderTask, Leadership};
use super::learner_state::LearnerState;
use super::{FeedEvent, FeedPackets, FeedTask, LearnerEnd, LinkId, SyncPlan};
use super::{commits, informs, proposals};
use crate::learner::LearnerKind;

/// Bytes that wait for a learner, below which it is given more of what it lacks.
const FEED_LOW_BYTES: usize = 512 << 10;
/// Answers that wait for a learner to take what is before them.
const ANSWERS_MAX: usize = 1 << 16;

impl Leadership {
    /// Learners for which too much waits get no more of what is proposed from now on.
    pub(super) fn note_lagging(&mut self) {
        let (most, committed) = (self.settings.limits.link_bytes_max, self.committed);
        for state in self.links.values_mut() {
            if state.is_live() && state.out.bytes() > most {
                let answers = VecDeque::new();
                state.lagging = Some(Box::new(Lagging { committed, feed: None, answers }));
            }
        }
    }

    /// Bytes that wait for a learner, below which it is given more.
    pub(super) fn feed_low_bytes(&self) -> usize {
        (self.settings.limits.link_bytes_max / 4).clamp(1, FEED_LOW_BYTES)
    }

    /// Sends an answer to a learner, behind everything that is committed.
    pub(super) fn answer_learner(&mut self, link: LinkId, answer: LearnerAnswer) {
        let committed = self.committed;
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(lagging) = &mut state.lagging else {
            state.send_answer(answer);
            return self.note_lagging();
        };
        lagging.answers.push_back((committed, answer));
        if lagging.answers.len() > ANSWERS_MAX {
            self.drop_link(link, LearnerEnd::Behind(ANSWERS_MAX));
        }
    }

    /// Sends a learner that is behind what comes next, if it has taken what was before.
    pub(super) fn feed_lagging(&mut self, link: LinkId) {
        let (low, committed) = (self.feed_low_bytes(), self.committed);
        loop {
            let Some(state) = self.links.get_mut(&link) else { return };
            state.release_answers(low);
            let Some(lagging) = &state.lagging else { return };
            if lagging.feed.is_some() {
                return self.request_piece(link);
            }
            if state.out.bytes() >= low {
                return;
            }
            let end = match state.kind {
                LearnerKind::Follower => self.window.last(),
                LearnerKind::Observer => committed,
            };
            let sent = state.sent;
            if sent >= end {
                state.send_commit(committed);
                state.release_answers(usize::MAX);
                state.lagging = None;
                return;
            }
            match self.chunk_behind(sent) {
                Some(chunk) => self.link(link).send_behind(&chunk, committed),
                None => return self.feed_from_disk(link),
            }
        }
    }

    /// The transactions in memory that follow this one; nothing where only the disk has them.
    fn chunk_behind(&self, after: Zxid) -> Option<TxnChunk> {
        match self.window.coverage(after) {
            Coverage::Diff { chunk, .. } => self.window.chunk(chunk).cloned(),
            // Not even what is not committed has space in the memory for learners.
            Coverage::Older if after >= self.committed => {
                self.pending.iter().find(|chunk| chunk.last > after).cloned()
            }
            Coverage::Older => None,
            other => unreachable!("{other:?} behind {after}, which was sent"),
        }
    }

    fn feed_from_disk(&mut self, link: LinkId) {
        let upto = self.committed;
        let state = self.link(link);
        let last = state.sent;
        state.send_commit(last);
        let lagging = state.lagging.as_mut().expect("it is behind");
        lagging.feed = Some(upto);
        // Nothing is requested before its plan has come.
        state.is_piece_requested = true;
        let packets = match state.kind {
            LearnerKind::Follower => FeedPackets::Proposals,
            LearnerKind::Observer => FeedPackets::Informs,
        };
        self.tasks.push_back(LeaderTask::Feed(FeedTask { link, last, upto, packets }));
    }

    /// What has come from the disk for a learner that is behind.
    pub(super) fn on_lagging_feed(&mut self, link: LinkId, upto: Zxid, event: FeedEvent) {
        let state = self.link(link);
        match event {
            FeedEvent::Plan(SyncPlan::Diff) => state.is_piece_requested = false,
            FeedEvent::Plan(SyncPlan::Trunc(_) | SyncPlan::Snap(_)) => {
                let why = format!("the log does not go back to {} any more", state.sent);
                return self.drop_link(link, LearnerEnd::Feed(why));
            }
            FeedEvent::Piece(bytes) => {
                state.is_piece_requested = false;
                state.out.own(bytes);
            }
            FeedEvent::Done => {
                state.sent = upto;
                let lagging = state.lagging.as_mut().expect("it is behind");
                (lagging.feed, lagging.committed) = (None, upto);
            }
            FeedEvent::Failed(why) => return self.drop_link(link, LearnerEnd::Feed(why)),
        }
        self.feed_lagging(link);
    }
}

impl LearnerState {
    /// Sends what it lacks of a chunk. An observer gets nothing before it is committed.
    fn send_behind(&mut self, chunk: &TxnChunk, committed: Zxid) {
        let after = self.sent;
        match self.kind {
            LearnerKind::Follower => {
                self.out.own(proposals(chunk, offset_behind(chunk, after)));
                self.sent = chunk.last;
                self.send_commit(committed.min(chunk.last));
            }
            LearnerKind::Observer => {
                self.out.own(informs(chunk, after, committed));
                self.sent = committed.min(chunk.last);
                let lagging = self.lagging.as_mut().expect("it is behind");
                lagging.committed = self.sent;
            }
        }
    }

    /// Commits what it was sent, up to here.
    fn send_commit(&mut self, upto: Zxid) {
        let lagging = self.lagging.as_mut().expect("it is behind");
        if upto <= lagging.committed {
            return;
        }
        let after = std::mem::replace(&mut lagging.committed, upto);
        match self.kind {
            LearnerKind::Follower if self.is_cumulative => {
                self.send(&LeaderPacket::Commit { zxid: upto });
            }
            LearnerKind::Follower => self.out.own(commits(after, upto)),
            LearnerKind::Observer => unreachable!("it gets both in one"),
        }
    }

    /// Sends answers that stand behind what it was sent, as long as fewer bytes wait.
    fn release_answers(&mut self, low: usize) {
        while let Some(lagging) = &mut self.lagging
            && self.out.bytes() < low
            && let Some((behind, answer)) = lagging.answers.front().copied()
            && behind <= lagging.committed
        {
            lagging.answers.pop_front();
            self.send_answer(answer);
        }
    }

    fn send_answer(&mut self, answer: LearnerAnswer) {
        self.send(&match answer {
            LearnerAnswer::Sync => LeaderPacket::Sync,
            LearnerAnswer::SessionMoved { session } => LeaderPacket::SessionMoved { session },
            LearnerAnswer::Revalidate { session, valid } => {
                LeaderPacket::Revalidate { session, valid }
            }
        });
    }
}

/// Bytes of a chunk with what is not behind this transaction.
fn offset_behind(chunk: &TxnChunk, after: Zxid) -> usize {
    let before = chunk.txns(0).take_while(|(zxid, _)| *zxid <= after);
    before.map(|(_, payload)| record::framed(payload.len())).sum()
}
