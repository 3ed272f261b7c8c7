//! Broadcast: proposals, commits, answers; pings, and who is still there.

use std::sync::Arc;

use ringkeeper_engine::log::TxnChunk;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::LeaderPacket;
use ringkeeper_engine::{Millis, SessionId, Zxid};

use super::lag::LearnerAnswer;
use super::leadership::{LeaderPhase, Leadership, QUORUM_GRACE_MS};
use super::learner_state::{LearnerPhase, LearnerState};
use super::{
    Acknowledgement, LearnerEnd, LinkId, StepDown, ToLearners, commits, informs, proposals,
};
use crate::SessionLife;
use crate::learner::LearnerKind;
use crate::plant::{Bug, is_planted};

/// Bytes of records that one PROPOSALS packet carries; what is longer leaves as PROPOSALs.
const PROPOSALS_BYTES_MAX: usize = 1 << 20;

impl Leadership {
    /// The next transactions are on their way to the log: they leave for the followers.
    pub(super) fn proposed(&mut self, chunk: TxnChunk) {
        assert!(self.is_established(), "{} is proposed before a quorum follows", chunk.first);
        assert_eq!(chunk.first.epoch(), self.epoch, "a proposal of another epoch");
        let last = chunk.last;
        let is_sent = |state: &LearnerState| state.is_live() && state.kind == LearnerKind::Follower;
        if self.links.values().any(is_sent) {
            let mut packets: Option<Arc<[u8]>> = None;
            let is_short = chunk.bytes.len() <= PROPOSALS_BYTES_MAX;
            for state in self.links.values_mut().filter(|state| is_sent(state)) {
                if state.is_cumulative && is_short {
                    state.out.proposals(last, chunk.bytes.clone());
                } else {
                    let packets = packets.get_or_insert_with(|| proposals(&chunk, 0).into());
                    state.out.shared(packets.clone());
                }
                state.sent = last;
            }
            self.note_lagging();
        }
        self.pending_bytes += chunk.bytes.len();
        self.pending.push_back(chunk.clone());
        self.window.push(chunk);
    }

    pub(super) fn on_answer(&mut self, answer: ToLearners) {
        match answer {
            ToLearners::Committed(upto) => self.commit(upto),
            ToLearners::Synced(link) => self.answer_learner(link, LearnerAnswer::Sync),
            ToLearners::Revalidated(link, session, life) => {
                let valid = life == SessionLife::Lives;
                self.answer_learner(link, LearnerAnswer::Revalidate { session, valid });
            }
            ToLearners::SessionMoved { session, from, to } => {
                self.session_moved(session, (from, to))
            }
            ToLearners::Confirm(number) => {
                self.to_confirm = Some(number);
                self.confirm();
            }
        }
    }

    /// Servers close what they have of a session that is another one's. Those of ZooKeeper's notice
    /// it with the next write of that connection.
    fn session_moved(&mut self, session: SessionId, (from, to): (Option<ServerId>, ServerId)) {
        let had_it = |server: ServerId| from.map_or(server != to, |from| server == from);
        let is_stale = |(_, state): &(&LinkId, &LearnerState)| {
            let is_serving = state.checks && state.phase == LearnerPhase::Serving;
            is_serving && state.server.is_some_and(had_it)
        };
        let stale: Vec<LinkId> = self.links.iter().filter(is_stale).map(|it| *it.0).collect();
        for link in stale {
            self.answer_learner(link, LearnerAnswer::SessionMoved { session });
        }
    }

    /// Followers have the proposals and hear of the commits; observers get both in one.
    fn commit(&mut self, upto: Zxid) {
        if upto <= self.committed {
            return;
        }
        assert!(upto <= self.window.last(), "{upto} was never proposed");
        let after = std::mem::replace(&mut self.committed, upto);
        let mut commit_all: Option<Arc<[u8]>> = None;
        let mut inform_all = None;
        for state in self.links.values_mut().filter(|state| state.is_live()) {
            match state.kind {
                LearnerKind::Follower if state.is_cumulative => {
                    state.send(&LeaderPacket::Commit { zxid: upto });
                }
                LearnerKind::Follower => {
                    let bytes = commit_all.get_or_insert_with(|| commits(after, upto).into());
                    state.out.shared(bytes.clone());
                }
                LearnerKind::Observer => {
                    let bytes =
                        inform_all.get_or_insert_with(|| inform(&self.pending, after, upto));
                    state.out.shared(bytes.clone());
                    state.sent = upto;
                }
            }
        }
        while let Some(first) = self.pending.front()
            && first.last <= upto
        {
            self.pending_bytes -= first.bytes.len();
            self.pending.pop_front();
        }
        self.note_lagging();
    }
}

/// Who is there.
impl Leadership {
    /// When a quorum was there last, monotonic clock.
    pub(crate) fn quorum_heard(&self) -> Millis {
        self.quorum_heard
    }

    /// Time passes.
    pub fn tick(&mut self, now: Millis) {
        self.now = now;
        if self.phase == LeaderPhase::Ended || now < self.next_ping {
            return;
        }
        self.next_ping = Millis(now.0 + (self.settings.tick_ms / 2).max(1));
        if !self.reads_learners() {
            // What this side does not read is no silence.
            self.links.values_mut().for_each(|state| state.heard = now);
        }
        self.drop_silent();
        self.check_quorum();
        if self.phase != LeaderPhase::Ended {
            self.begin_round();
        }
    }

    /// Milliseconds until [`Leadership::tick`] has something to do.
    pub fn wait_ms(&self, now: Millis) -> i64 {
        (self.next_ping.0 - now.0).max(0)
    }

    /// Who waits for this server, or for other learners, has nothing to say: that ends with the
    /// time in which a quorum has to follow.
    fn drop_silent(&mut self) {
        let (init_ms, sync_ms, now) = (self.settings.init_ms, self.settings.sync_ms, self.now);
        let limit = |state: &LearnerState| match state.phase {
            LearnerPhase::Serving => sync_ms,
            LearnerPhase::Connected
            | LearnerPhase::Refused(..)
            | LearnerPhase::Promising
            | LearnerPhase::Fed(_)
            | LearnerPhase::Synchronized => init_ms,
            LearnerPhase::Introduced | LearnerPhase::Promised(_) | LearnerPhase::Acknowledged => {
                i64::MAX
            }
        };
        let silent: Vec<(LinkId, i64)> = self
            .links
            .iter()
            .map(|(link, state)| (*link, now.0 - state.heard.0, limit(state)))
            .filter(|(_, silent_ms, limit_ms)| silent_ms >= limit_ms)
            .map(|(link, silent_ms, _)| (link, silent_ms))
            .collect();
        for (link, silent_ms) in silent {
            self.drop_link(link, LearnerEnd::Silent(silent_ms));
        }
    }

    /// A leader without a quorum can commit nothing, and somebody else may be led by another one.
    fn check_quorum(&mut self) {
        let (now, sync_ms) = (self.now, self.settings.sync_ms);
        if !self.is_established() {
            return self.check_progress();
        }
        if self.is_quorum(|state| state.has_history() && now.0 - state.heard.0 < sync_ms) {
            self.quorum_heard = now;
            return;
        }
        if is_planted(Bug::LeadsWithoutQuorum) {
            return;
        }
        // Some time for those whose connections have just been lost, or are being synchronized.
        let passed_ms = now.0 - self.quorum_heard.0;
        let is_connected = self.is_quorum(|state| state.phase != LearnerPhase::Connected);
        let grace_ms = if is_connected { self.settings.tick_ms } else { QUORUM_GRACE_MS };
        if passed_ms >= grace_ms.min(self.settings.tick_ms) {
            self.step_down(StepDown::QuorumLost(passed_ms));
        }
    }

    /// A leader that nobody follows gives up, but not while a voter takes what it lacks.
    fn check_progress(&mut self) {
        let is_fed = |state: &&LearnerState| state.voter().is_some() && state.takes_history();
        let fed = self.links.values().filter(is_fed).map(|state| state.heard);
        let last = fed.fold(self.began, Millis::max);
        if self.now.0 - last.0 < self.settings.init_ms {
            return;
        }
        let passed_ms = self.now.0 - self.began.0;
        self.step_down(match self.blank_voters() {
            0 => StepDown::NotEstablished(passed_ms),
            count => StepDown::BlankVoters(count, passed_ms),
        });
    }

    /// Whether the others are a quorum that can lead and commit without this server, now.
    pub(crate) fn is_dispensable(&self) -> bool {
        let has_history = |state: &&LearnerState| {
            state.voter().is_some() && state.has_history() && state.lagging.is_none()
        };
        let others = self.links.values().filter(has_history).count();
        self.is_established() && others > self.settings.voters.len() / 2
    }

    fn begin_round(&mut self) {
        self.round += 1;
        for state in self.links.values_mut() {
            // Who has acknowledged the history hears that this server is alive, while others take
            // it; it does not answer.
            if matches!(state.phase, LearnerPhase::Serving | LearnerPhase::Acknowledged) {
                state.ping(self.round);
            }
        }
    }

    /// Confirms a number when a quorum has answered the round that was begun for it, and begins the
    /// round for the newest one behind it. One round at a time: a later one must not take the place
    /// of one that is about to be answered, or none ever is where syncs come faster than answers.
    pub(super) fn confirm(&mut self) {
        loop {
            if let Some((number, round)) = self.confirming {
                if !self.is_quorum(|state| state.answered >= round) {
                    return;
                }
                self.confirming = None;
                self.acks.push_back(Acknowledgement::Confirmed(number));
            }
            let Some(number) = self.to_confirm.take() else { return };
            self.begin_round();
            let is_early = is_planted(Bug::EarlierRoundConfirms);
            self.confirming = Some((number, self.round - u64::from(is_early)));
        }
    }
}

fn inform<'a>(
    chunks: impl IntoIterator<Item = &'a TxnChunk>,
    after: Zxid,
    upto: Zxid,
) -> Arc<[u8]> {
    let parts: Vec<Vec<u8>> = chunks.into_iter().map(|chunk| informs(chunk, after, upto)).collect();
    parts.concat().into()
}
